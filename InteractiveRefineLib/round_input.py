"""One round's constraints in the network's frame: every stroked voxel with the one label it shall get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .resolution import ResolvedConstraints

if TYPE_CHECKING:
    from .image_state import NetworkState


@dataclass(frozen=True, eq=False)
class RoundInput:
    """All strokes of all rounds so far.

    Attributes:
        voxels: (N, 3) image voxels in the frame.
        wanted: (N,) int64 label of each; for "not this class" the best other one.
        called: (N,) int64 label each had when it was stroked first.
        guessed: (N,) bool, True for "not this class" strokes, whose wanted label is only the likeliest other one.
        rounds: (N,) int32 round that decided each, 0 = first; None: all in one. The last one's for guessed ones.
    """

    voxels: np.ndarray
    wanted: np.ndarray
    called: np.ndarray
    guessed: np.ndarray
    rounds: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.wanted)

    def only(self, which: np.ndarray) -> RoundInput:
        """Some of the voxels, (N,) bool."""
        rounds = None if self.rounds is None else self.rounds[which]
        return RoundInput(self.voxels[which], self.wanted[which], self.called[which], self.guessed[which], rounds)

    def round_by_round(self) -> Iterator[RoundInput]:
        """The strokes as they were known after each round."""
        if self.rounds is None:
            yield self
            return
        for last in np.unique(self.rounds):
            yield self.only(self.rounds <= last)


class CalledLabels:
    """Remembers what every stroked voxel was called when it was stroked, over all rounds."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def of(self, flat: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Labels (N,) for flat voxel indices (N,): remembered ones, else the present ones, which are remembered."""
        return np.array([self._known.setdefault(i, p) for i, p in zip(flat.tolist(), present.tolist())], dtype=np.int64)

    def knows(self, voxels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """(N,) bool, which voxels (N, 3) of an array of this shape were stroked before."""
        flat = np.ravel_multi_index(tuple(voxels.T), shape)
        return np.fromiter((i in self._known for i in flat.tolist()), dtype=bool, count=len(flat))

    def items(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Voxels (N, 3) of an array of this shape, and labels (N,), in the order in which they were stroked."""
        flat = np.fromiter(self._known, dtype=np.int64, count=len(self._known))
        labels = np.fromiter(self._known.values(), dtype=np.int64, count=len(self._known))
        return np.stack(np.unravel_index(flat, shape), axis=1), labels

    def copy(self) -> CalledLabels:
        """An independent copy, so that a cancelled round leaves no trace."""
        other = CalledLabels()
        other._known = dict(self._known)
        return other


def round_input(
    resolved: ResolvedConstraints,
    user_shape: tuple[int, int, int],
    state: NetworkState,
    labels: np.ndarray,
    called: CalledLabels,
    locked: set[int],
    n_labels: int,
) -> RoundInput:
    """Bring resolved constraints into the frame and decide what "not this class" voxels become.

    Args:
        resolved: in the user's axes.
        user_shape: (K, J, I) of the user's array.
        labels: (*frame shape) present labels.
        called: remembered labels; updated.
        locked: labels that no voxel may become.
        n_labels: labels are 0 to n_labels - 1.
    """
    voxels = state.frame.voxels(resolved.indices, user_shape)
    wanted, rounds = resolved.wanted.astype(np.int64), resolved.round_of
    n_named = len(wanted)
    if len(resolved.forbidden_indices):
        refused, rows = np.unique(resolved.forbidden_indices, return_inverse=True)
        where = state.frame.voxels(refused, user_shape)
        instead = _best_other(state, where, labels, rows, resolved.forbidden_labels, locked, n_labels)
        voxels = np.concatenate([voxels, where])
        wanted = np.concatenate([wanted, instead])
        rounds = np.concatenate([rounds, np.full(len(where), rounds.max(initial=0), dtype=rounds.dtype)])
    flat = np.ravel_multi_index(tuple(voxels.T), labels.shape)
    guessed = np.arange(len(wanted)) >= n_named
    # In the frame's order: sums over strokes would else be rounded differently for flipped or permuted images.
    order = np.lexsort((flat, guessed))
    voxels, wanted, flat, guessed = voxels[order], wanted[order], flat[order], guessed[order]
    return RoundInput(voxels, wanted, called.of(flat, labels[tuple(voxels.T)]), guessed, rounds[order])


def _best_other(
    state: NetworkState,
    voxels: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    forbidden: np.ndarray,
    locked: set[int],
    n_labels: int,
) -> np.ndarray:
    """The present label where it is not forbidden, else the network's most likely class that is allowed there.

    Some class is: see `resolution.nowhere_to_go`.
    """
    initial = state.to_classes(state.part.at(state.grid.positions(voxels))(state.part.initial)).cpu().numpy()
    # The network says nothing of classes that it does not know: they come last.
    scores = np.full((len(voxels), n_labels), np.finfo(np.float64).min)
    scores[:, : initial.shape[1]] = initial
    scores[:, [label for label in locked if label < n_labels]] = -np.inf
    scores[rows, forbidden] = -np.inf
    best = scores.argmax(axis=1)
    present = labels[tuple(voxels.T)].astype(np.int64)
    contradicted = np.zeros(len(voxels), dtype=bool)
    contradicted[rows[present[rows] == forbidden]] = True
    return np.where(contradicted, best, present)
