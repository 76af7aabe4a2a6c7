"""Which changes are accepted: only pairs the strokes named, and never a locked class."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..present import PresentLabels
    from ..round_input import RoundInput

#: A structure of whose strokes the user has seen the effect of more than this part is about right: that is from the
#: third round on. Before, all its strokes together still make it.
SETTLED = 0.6


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


def fresh_strokes(present: PresentLabels, strokes: RoundInput) -> np.ndarray:
    """(S,) bool, stroke voxels whose effect the user has not seen yet; all where there is nothing new."""
    known = present.called.knows(strokes.voxels, present.labels.shape)
    fresh = ~(known & (present.labels[tuple(strokes.voxels.T)] == strokes.wanted))
    return fresh if fresh.any() else np.ones(len(fresh), dtype=bool)


def touched_labels(strokes: RoundInput, fresh: np.ndarray, locked: Collection[int]) -> set[int]:
    """The labels that fresh strokes want or lie on, without locked ones.

    Args:
        strokes: of all rounds so far.
        fresh: (S,) bool, see `fresh_strokes`.
        locked: labels that neither gain nor lose a voxel.
    """
    return {*strokes.wanted[fresh].tolist(), *strokes.called[fresh].tolist()} - set(locked)


def seen_share(strokes: RoundInput, fresh: np.ndarray, touched: Collection[int]) -> float:
    """The part of its strokes whose effect the user has seen, 0 to 1, of the newest structure that is touched.

    Args:
        strokes, fresh: see `touched_labels`.
        touched: labels.
    """
    drawn = set(strokes.wanted.tolist()) & set(touched) - {0}
    return min((float(np.mean(~fresh[strokes.wanted == label])) for label in drawn), default=0.0)


def pairs_of_round(strokes: RoundInput, touched: Collection[int]) -> set[tuple[int, int]]:
    """The allowed changes between touched labels, see `touched_labels`; `strokes` are those of all rounds so far."""
    return {(a, b) for a, b in allowed_pairs(strokes.called, strokes.wanted) if a in touched and b in touched}
