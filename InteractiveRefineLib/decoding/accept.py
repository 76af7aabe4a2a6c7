"""Which changes are accepted: only pairs the strokes named, and never a locked class."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def allowed_pairs(called: np.ndarray, wanted: np.ndarray) -> set[tuple[int, int]]:
    """The changes (from, to) that some stroke shows.

    A change a -> b is believed only if some stroke of b lies on a voxel that was called a when it was drawn:
    nobody complained about anything else.

    Args:
        called: (N,) label of each stroked voxel when it was stroked.
        wanted: (N,) label its stroke asks for.
    """
    pairs = np.unique(np.stack([called, wanted], axis=1), axis=0)
    return {(int(a), int(b)) for a, b in pairs if a != b}


def accept_changes(
    before: np.ndarray, proposed: np.ndarray, pairs: set[tuple[int, int]], locked: Iterable[int] = ()
) -> np.ndarray:
    """`proposed` where its change is allowed and concerns no locked label, `before` elsewhere; dtype of `before`."""
    locked = set(locked)
    size = int(max(before.max(initial=0), proposed.max(initial=0), max((max(p) for p in pairs), default=0))) + 1
    table = np.zeros((size, size), dtype=bool)
    for a, b in pairs:
        table[a, b] = a not in locked and b not in locked
    return np.where(table[before, proposed], proposed, before).astype(before.dtype)
