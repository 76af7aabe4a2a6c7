"""Constraints after all rounds were weighed against each other: one wanted label or some forbidden ones per voxel."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from .segmentation import BACKGROUND_STROKE


class Source(IntEnum):
    """How a constraint was given; the larger, the more precise."""

    BOX = 1
    POINT = 2
    STROKE = 3


@dataclass(frozen=True)
class Conflict:
    """Voxels that one round marked twice by the same means, with different classes.

    Attributes:
        round: number of the round, 0 = first.
        source: the means.
        kept, dropped: the label that was added later and counts, and the other one.
        n_voxels: how many voxels.
        ras: RAS position in mm of their center.
    """

    round: int
    source: Source
    kept: int
    dropped: int
    n_voxels: int
    ras: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class ResolvedConstraints:
    """What every constrained voxel must be, or must not be; everything in here is to be enforced.

    Attributes:
        indices: (N,) int64 flat indices (C order of K, J, I), ascending, of voxels with a wanted label.
        wanted: (N,) int32 label per entry of `indices`, 0 = background.
        round_of: (N,) int32 round that decided it, 0 = first.
        source: (N,) uint8 `Source` that decided it, so that a caller can tell strokes from boxes.
        forbidden_indices: (M,) int64 flat indices, ascending, of voxels that must not be a certain label; a voxel
            may occur several times, by ascending label, and never occurs in `indices`.
        forbidden_labels: (M,) int32 the label it must not have.
        forbidden_source: (M,) uint8 `Source`.
        locked_mask: (K, J, I) bool, voxels that must keep their label.
        warnings: sentences for the user.
        n_clipped: voxels of all input that lie outside the image.
        n_locked_out: constraint voxels that were ignored because they contradict a lock.
        conflicts: contradictions within one round that still matter.
    """

    indices: np.ndarray
    wanted: np.ndarray
    round_of: np.ndarray
    source: np.ndarray
    forbidden_indices: np.ndarray
    forbidden_labels: np.ndarray
    forbidden_source: np.ndarray
    locked_mask: np.ndarray
    warnings: list[str] = field(default_factory=list)
    n_clipped: int = 0
    n_locked_out: int = 0
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def kji(self) -> np.ndarray:
        """Array indices (N, 3) int64 in KJI order of the voxels with a wanted label."""
        return np.stack(np.unravel_index(self.indices, self.locked_mask.shape), axis=1)

    def count_violations(self, labels: np.ndarray) -> int:
        """How many constraints the (K, J, I) label map `labels` breaks: wanted not met plus forbidden present."""
        flat = labels.reshape(-1)
        missed = np.count_nonzero(flat[self.indices] != self.wanted)
        present = np.count_nonzero(flat[self.forbidden_indices] == self.forbidden_labels)
        return int(missed + present)

    def stroke_map(self) -> np.ndarray:
        """The wanted labels as a (K, J, I) uint16 stroke map: 0 = none, 255 = background."""
        strokes = np.zeros(self.locked_mask.shape, dtype=np.uint16)
        strokes.reshape(-1)[self.indices] = np.where(self.wanted == 0, BACKGROUND_STROKE, self.wanted)
        return strokes


@dataclass(frozen=True, eq=False)
class Rows:
    """Many single statements "this voxel is (not) this class", one per row, by voxel and then by rank.

    Attributes:
        indices: (N,) int64 flat voxel index, ascending.
        labels: (N,) int32.
        forbidden: (N,) bool, True for "is not".
        rounds: (N,) int32.
        sources: (N,) uint8 `Source`.
    """

    indices: np.ndarray
    labels: np.ndarray
    forbidden: np.ndarray
    rounds: np.ndarray
    sources: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, pick: np.ndarray) -> Rows:
        return Rows(self.indices[pick], self.labels[pick], self.forbidden[pick], self.rounds[pick], self.sources[pick])


def nowhere_to_go(refused: Rows, locks: Collection[int], n_labels: int) -> np.ndarray:
    """(N,) bool, "not this class" rows of voxels at which all other classes are refused or locked.

    Args:
        refused: of voxels that are not locked.
        locks: locked labels.
        n_labels: labels are 0 to n_labels - 1.
    """
    open_labels = np.setdiff1d(np.arange(n_labels), list(locks))
    open_rows = np.isin(refused.labels, open_labels)
    _, voxel = np.unique(refused.indices, return_inverse=True)
    left = len(open_labels) - np.bincount(voxel[open_rows], minlength=voxel.max(initial=-1) + 1)
    return left[voxel] == 0


def winning_rows(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Positions in `rows` of the statements that hold: those that say "is" and those that say "is not".

    Rows of one voxel are ordered from weak to strong. The last "is c" of a voxel holds unless an "is not c" follows
    it; what it replaced does not come back. An "is not c" holds unless an "is c" follows it, or some "is d" holds at
    the voxel, which says more.
    """
    position = np.arange(len(rows))
    if not len(rows):
        return position, position
    # Per voxel and label: where the last "is" and the last "is not" stand; -1 for never. In an assignment with
    # repeated indices the last one stays, which numpy guarantees.
    key = rows.indices * (int(rows.labels.max()) + 1) + rows.labels
    keys, group = np.unique(key, return_inverse=True)
    last_is, last_not = np.full(len(keys), -1), np.full(len(keys), -1)
    last_is[group[~rows.forbidden]] = position[~rows.forbidden]
    last_not[group[rows.forbidden]] = position[rows.forbidden]

    voxels, voxel = np.unique(rows.indices, return_inverse=True)
    last = np.full(len(voxels), -1)
    last[voxel[~rows.forbidden]] = position[~rows.forbidden]
    wanted = last[last >= 0]
    wanted = wanted[last_not[group[wanted]] < wanted]

    decided = np.zeros(len(voxels), dtype=bool)
    decided[voxel[wanted]] = True
    refused = last_not[last_not > last_is]
    return wanted, refused[~decided[voxel[refused]]]  # by voxel, the second also by label


def overruled_rows(rows: Rows, wanted: np.ndarray) -> np.ndarray:
    """Positions in `wanted` (of `winning_rows`) whose row contradicts the one before it at its own level.

    Returns:
        (M, 2) int64: position in `rows` of the winner, and of the weaker row of the same voxel, round and source that
        wanted another label.
    """
    says = np.flatnonzero(~rows.forbidden)
    # The statement "is" before the winner, skipping "is not" in between.
    rank = np.searchsorted(says, wanted) - 1
    before = np.where(rank >= 0, says[np.maximum(rank, 0)], -1)
    pairs = np.stack([wanted, before], axis=1)[before >= 0]
    same = np.ones(len(pairs), dtype=bool)
    for column in (rows.indices, rows.rounds, rows.sources):
        same &= column[pairs[:, 0]] == column[pairs[:, 1]]
    return pairs[same & (rows.labels[pairs[:, 0]] != rows.labels[pairs[:, 1]])]


def is_any_of(labels: np.ndarray, chosen: Iterable[int]) -> np.ndarray:
    """Boolean mask of the voxels of a label map whose label is one of `chosen`, the shape of `labels`."""
    chosen = [label for label in chosen if 0 <= label <= 65535]
    mask = np.zeros(labels.shape, dtype=bool)
    for label in chosen:  # a few comparisons; np.isin would sort or widen a whole scan
        mask |= labels == label
    return mask
