"""What the user said about the image so far, round by round: strokes, points, boxes and locks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .constraint_messages import Names, clip_warning, conflict_warning, default_name, lock_warnings, stuck_warnings
from .errors import InputError
from .geometry import Geometry
from .prompts import Box, Point, checked_label
from .resolution import (
    Conflict,
    ResolvedConstraints,
    Rows,
    Source,
    is_any_of,
    nowhere_to_go,
    overruled_rows,
    winning_rows,
)
from .segmentation import BACKGROUND_STROKE


@dataclass(frozen=True, eq=False)
class InputRecord:
    """One thing the user added: flat indices (N,) int64, labels (N,) int32, and what could not be used of it."""

    indices: np.ndarray
    labels: np.ndarray
    forbidden: bool
    source: Source
    n_clipped: int = 0


class Constraints:
    """All input of one refinement session, kept sparsely, so that any round can be undone.

    Attributes:
        geometry: of the image.
        locked: labels that must neither gain nor lose a voxel.
    """

    def __init__(self, geometry: Geometry, locked: Iterable[int] = ()) -> None:
        self.geometry = geometry
        self.locked: set[int] = set(locked)
        self._rounds: list[list[InputRecord]] = [[]]  # the last one is open

    @property
    def n_rounds(self) -> int:
        """How many rounds hold input, the open one included; input that lies outside the image counts as well."""
        return sum(1 for inputs in self._rounds if inputs)

    @property
    def is_empty(self) -> bool:
        """True when no voxel of the image is constrained."""
        return not any(len(item.indices) for inputs in self._rounds for item in inputs)

    def labels_used(self) -> set[int]:
        """Labels that some input names, 0 = background, also those that a later input overruled."""
        return {int(c) for inputs in self._rounds for item in inputs for c in np.unique(item.labels)}

    def copy(self) -> Constraints:
        """An independent copy; the arrays, which never change, are shared."""
        other = Constraints(self.geometry, self.locked)
        other._rounds = [list(inputs) for inputs in self._rounds]
        return other

    def to_records(self) -> list[list[InputRecord]]:
        """Everything that was added, by round; the last round is the open one, which may be empty."""
        return [list(inputs) for inputs in self._rounds]

    @classmethod
    def from_records(
        cls, geometry: Geometry, rounds: list[list[InputRecord]], locked: Iterable[int] = ()
    ) -> Constraints:
        """The constraints that `to_records` took apart."""
        constraints = cls(geometry, locked)
        constraints._rounds = [list(inputs) for inputs in rounds] or [[]]
        return constraints

    def next_round(self) -> None:
        """Close the round: what is added from now on overrules what was added before. Nothing added: no new round."""
        if self._rounds[-1]:
            self._rounds.append([])

    def undo_round(self) -> bool:
        """Forget the input of the newest round that has some; False when there is none."""
        if not self._rounds[-1] and len(self._rounds) > 1:
            self._rounds.pop()  # the open round is empty: the newest input is in the one before
        undone = bool(self._rounds[-1])
        self._rounds[-1] = []
        return undone

    def add_strokes(self, labels: np.ndarray, geometry: Geometry | None = None, forbidden: bool = False) -> None:
        """Add painted voxels to the open round.

        Args:
            labels: (K, J, I) integers: 0 = no stroke, k = class k, 255 = background.
            geometry: of `labels`, to be checked against the image's; None when it is known to be the same.
            forbidden: True for "not this class" strokes, for which 255 has no meaning.

        Raises:
            InputError: another grid, or values that are no labels.
        """
        labels = np.asarray(labels)
        if geometry is not None and not geometry.matches(self.geometry):
            raise InputError(
                f"The strokes lie on another grid than the image: strokes {geometry.describe()}; image "
                f"{self.geometry.describe()}. Redraw the strokes on the image, or resample them to it with nearest "
                "neighbor."
            )
        if labels.shape != self.geometry.shape:
            raise InputError(
                f"The strokes have shape {labels.shape} (K, J, I), but the image is {self.geometry.describe()}, shape "
                f"{self.geometry.shape}. Redraw the strokes on the image, or resample them to it."
            )
        if labels.dtype.kind not in "buif":
            raise InputError(f"A stroke map holds integers, not {labels.dtype}.")
        indices = np.flatnonzero(labels).astype(np.int64)
        self._add_stroke_values(indices, labels.reshape(-1)[indices], forbidden, 0)

    def add_stroke_indices(self, kji: np.ndarray, label: int, forbidden: bool = False) -> None:
        """Add single voxels (N, 3), integer array indices in KJI order, to the open round; 0 or 255 = background.

        Raises:
            InputError: not (N, 3) integers, or a label that cannot be used.
        """
        kji = np.asarray(kji)
        if kji.size == 0:
            kji = np.empty((0, 3), dtype=np.int64)
        if kji.ndim != 2 or kji.shape[1] != 3 or kji.dtype.kind not in "ui":
            raise InputError(f"Stroke voxels are an (N, 3) array of integers (k, j, i), not {kji.dtype} {kji.shape}.")
        inside = ((kji >= 0) & (kji < self.geometry.shape)).all(axis=1)
        indices = distinct(np.ravel_multi_index(tuple(kji[inside].astype(np.int64).T), self.geometry.shape))
        value = checked_label(label) or BACKGROUND_STROKE
        self._add_stroke_values(indices, np.full(len(indices), value), forbidden, int(np.count_nonzero(~inside)))

    def add_points(self, points: Iterable[Point]) -> None:
        """Add points to the open round; what lies outside the image is left out, counted and reported."""
        for point in points:
            indices, n_clipped = point.voxels(self.geometry)
            self.add_voxels(indices, np.full(len(indices), point.label), point.forbid, Source.POINT, n_clipped)

    def add_boxes(self, boxes: Iterable[Box]) -> None:
        """Add boxes to the open round: their core is the class, their surroundings are not (see `Box.voxels`)."""
        for box in boxes:
            core, ring, n_clipped = box.voxels(self.geometry)
            self.add_voxels(core, np.full(len(core), box.label), False, Source.BOX, n_clipped)
            if len(ring):
                self.add_voxels(ring, np.full(len(ring), box.label), True, Source.BOX, 0)

    def add_voxels(
        self, indices: np.ndarray, labels: np.ndarray, forbidden: bool, source: Source, n_clipped: int = 0
    ) -> None:
        """Add voxels that are known to be in order to the open round, as whoever keeps strokes of his own does.

        Args:
            indices: (N,) flat indices into (K, J, I).
            labels: (N,) class of each, 0 = background.
            forbidden: True for "not this class".
            source: what the user drew.
            n_clipped: how many further voxels lay outside the image.
        """
        if len(indices) or n_clipped:
            self._rounds[-1].append(InputRecord(indices, labels.astype(np.int32), forbidden, source, n_clipped))

    def resolve(self, current: np.ndarray, n_labels: int, names: Names | None = None) -> ResolvedConstraints:
        """Weigh all input: latest round first; within a round strokes before points before boxes, late before early.

        Args:
            current: (K, J, I) integers, the present label map; locks refer to it.
            n_labels: number of classes with background: labels are 0 to n_labels - 1.
            names: the name of a label, for messages.

        Raises:
            InputError: a label that is no class, or all constraints lie on what is locked.
        """
        name = names or default_name
        if tuple(current.shape) != self.geometry.shape:
            raise InputError(
                f"The current segmentation has shape {tuple(current.shape)}, the image {self.geometry.shape} (K, J, I)."
            )
        self._check_known(n_labels, name)
        rows = self._rows()
        wanted, refused = winning_rows(rows)
        conflicts = self._conflicts(rows, overruled_rows(rows, wanted))

        locks = list(self.locked)
        locked_mask = is_any_of(current, locks)
        kept, held = rows[wanted], rows[refused]
        now, now_held = current.reshape(-1)[kept.indices], current.reshape(-1)[held.indices]
        on_lock, on_lock_held = np.isin(now, locks), np.isin(now_held, locks)
        wants_lock = ~on_lock & np.isin(kept.labels, locks)
        # What agrees with a lock is met already: it needs no enforcement, and telling the user would only be noise.
        against = on_lock & (now != kept.labels)
        against_held = on_lock_held & (now_held == held.labels)
        warnings = self._newest_round_warnings(conflicts, name)
        warnings += lock_warnings(kept[against], now[against], kept[wants_lock], held[against_held], name)
        if len(rows) and (on_lock | wants_lock).all() and on_lock_held.all():
            involved = set(now[on_lock]) | set(kept.labels[wants_lock]) | set(now_held[on_lock_held])
            listed = ", ".join(name(int(c)) for c in sorted(involved))
            raise InputError(f"All strokes, points and boxes concern what is locked ({listed}); unlock it to go on.")

        kept, held = kept[~(on_lock | wants_lock)], held[~on_lock_held]
        stuck = nowhere_to_go(held, locks, n_labels)
        warnings += stuck_warnings(held[stuck], name)
        held = held[~stuck]
        return ResolvedConstraints(
            indices=kept.indices,
            wanted=kept.labels,
            round_of=kept.rounds,
            source=kept.sources,
            forbidden_indices=held.indices,
            forbidden_labels=held.labels,
            forbidden_source=held.sources,
            locked_mask=locked_mask,
            warnings=warnings,
            n_clipped=sum(item.n_clipped for inputs in self._rounds for item in inputs),
            n_locked_out=int(against.sum() + wants_lock.sum() + against_held.sum() + stuck.sum()),
            conflicts=conflicts,
        )

    def _add_stroke_values(self, indices: np.ndarray, values: np.ndarray, forbidden: bool, n_clipped: int) -> None:
        bad = values[~((values >= 0) & (values <= 65535) & (values == np.floor(values)))]
        if len(bad):
            raise InputError(f"A stroke map holds 0 = none, k = class k and 255 = background, not {bad[0]}.")
        if forbidden and (values == BACKGROUND_STROKE).any():
            raise InputError('"Not background" is not a stroke: draw the class that belongs there (255 = background).')
        self.add_voxels(indices, np.where(values == BACKGROUND_STROKE, 0, values), forbidden, Source.STROKE, n_clipped)

    def _rows(self) -> Rows:
        """All input, by voxel; the rows of one voxel from weak to strong."""
        ranked = [
            (number, item)
            for number, inputs in enumerate(self._rounds)
            for item in sorted(inputs, key=lambda item: item.source)  # stable: the order of adding remains
        ]
        rows = Rows(
            np.concatenate([item.indices for _, item in ranked] + [np.empty(0, dtype=np.int64)]),
            np.concatenate([item.labels for _, item in ranked] + [np.empty(0, dtype=np.int32)]),
            _repeat([item.forbidden for _, item in ranked], ranked, bool),
            _repeat([number for number, _ in ranked], ranked, np.int32),
            _repeat([int(item.source) for _, item in ranked], ranked, np.uint8),
        )
        return rows[np.argsort(rows.indices, kind="stable")]

    def _check_known(self, n_labels: int, name: Names) -> None:
        unknown = sorted(label for label in self.labels_used() if label >= n_labels)
        if unknown:
            known = ", ".join(f"{label} = {name(label)}" for label in range(n_labels))
            raise InputError(
                f"Label {unknown[0]} is not a class of this segmentation; known are {known} (in strokes, 255 is "
                f"background). To add a class, add a segment for it first; its label is then {n_labels}."
            )

    def _conflicts(self, rows: Rows, pairs: np.ndarray) -> list[Conflict]:
        """Overruled voxels, one entry per round, means and pair of labels."""
        won, lost = rows[pairs[:, 0]], rows[pairs[:, 1]]
        kinds = np.stack([won.rounds, won.sources, won.labels, lost.labels], axis=1)
        found = []
        for kind in np.unique(kinds, axis=0):
            voxels = won.indices[(kinds == kind).all(axis=1)]
            center = self.geometry.to_ras(np.stack(np.unravel_index(voxels, self.geometry.shape), axis=1)).mean(axis=0)
            number, source, kept, dropped = (int(value) for value in kind)
            ras = tuple(float(x) for x in center)
            found.append(Conflict(number, Source(source), kept, dropped, len(voxels), ras))
        return found

    def _newest_round_warnings(self, conflicts: list[Conflict], name: Names) -> list[str]:
        """Sentences about clipped and conflicting input; those of older rounds were told when they were new."""
        newest = max((number for number, inputs in enumerate(self._rounds) if inputs), default=0)
        warnings = []
        for source in sorted(Source, reverse=True):
            n = sum(item.n_clipped for item in self._rounds[newest] if item.source == source)
            warnings += [clip_warning(n, source)] if n else []
        return warnings + [conflict_warning(c, name) for c in conflicts if c.round == newest]


def distinct(indices: np.ndarray) -> np.ndarray:
    """The different values of indices (N,), ascending, int64, in memory of their own.

    np.unique hashes integers, which takes half a minute for ten million of them; what was drawn is nearly sorted.
    """
    indices = np.array(indices, dtype=np.int64)
    if (indices[1:] > indices[:-1]).all():
        return indices
    indices.sort(kind="stable")
    first = np.ones(len(indices), dtype=bool)
    first[1:] = indices[1:] != indices[:-1]
    return indices[first]


def _repeat(values: list, ranked: list[tuple[int, InputRecord]], dtype: type) -> np.ndarray:
    """One value per row out of one per input."""
    return np.repeat(np.array(values, dtype=dtype), [len(item.indices) for _, item in ranked])
