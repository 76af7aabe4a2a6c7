"""Region growing: enlarge strokes over voxels of similar intensity, step by step, within a distance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .distance_bound import within_distance
from .errors import InputError
from .leak_guard import Leak, find_leak
from .progress import ShouldCancel, never_cancel, raise_if_cancelled
from .settings import GROWING_RULES


@dataclass(frozen=True, eq=False)
class GrowthResult:
    """The grown strokes.

    Attributes:
        labels: (K, J, I) of the seeds' type and coding (0 = none), seeds included.
        n_grown: voxels that each label gained.
        leaks: labels that the leak guard stopped, and where.
        steps: after how many steps all fronts stood still.
    """

    labels: np.ndarray
    n_grown: dict[int, int] = field(default_factory=dict)
    leaks: dict[int, Leak] = field(default_factory=dict)
    steps: int = 0


def grow(
    image: np.ndarray,
    seeds: np.ndarray,
    spacing_kji: tuple[float, float, float],
    threshold: float,
    max_distance_mm: float,
    *,
    blocked: np.ndarray | None = None,
    rule: str = "chain",
    leak_guard: bool = True,
    should_cancel: ShouldCancel = never_cancel,
) -> GrowthResult:
    """Grow seeds over the 6-neighbors whose intensity differs by less than `threshold` (paper, section 2.2).

    All labels advance in step. A voxel that one label reaches first is that label's; one that several labels reach in
    the same step stays unlabeled for good, and so do voxels where the image is not a number.

    Args:
        image: (K, J, I) or (C, K, J, I) intensities; of several channels the largest difference counts.
        seeds: (K, J, I) integers: 0 = none, any other value is a label, also 255 for background.
        spacing_kji: voxel size in mm.
        threshold: T, in units of the image; a difference of exactly T is too much.
        max_distance_mm: R; a label stays within this Euclidean distance of its nearest seed voxel.
        blocked: (K, J, I) bool, voxels nobody may take; a seed there still grows.
        rule: "chain" compares with the neighbor that it came from (the paper's), "seed" with the seed voxel that it
            came from; of several seed voxels of one label that arrive at once, the one closest in intensity, then the
            one that comes first in the array.
        leak_guard: stop a label before it floods (see `leak_guard.narrow_step`).
        should_cancel: asked before every step.

    Raises:
        InputError: shapes that do not fit, or numbers that cannot be used.
        Cancelled: `should_cancel()` returned True.
    """
    _check(image, seeds, spacing_kji, threshold, max_distance_mm, blocked, rule)
    race = _Race(image, seeds, spacing_kji, threshold, max_distance_mm, blocked, rule)
    leaks: dict[int, Leak] = {}
    while True:
        labels, fronts = race.run({label: leak.step for label, leak in leaks.items()}, leak_guard, should_cancel)
        found = {front.label: front.leak for front in fronts if front.leak is not None}
        if not found:
            break
        # A leak shows some steps too late, when its flood has already kept other labels from their voxels: run again,
        # with the leaking label halted in time.
        leaks.update(found)
    n_grown = {front.label: sum(len(voxels) for voxels in front.history) for front in fronts}
    return GrowthResult(labels, n_grown, leaks, max((len(front.history) for front in fronts), default=0))


@dataclass(eq=False)
class _Front:
    """One label's newest voxels, on their way; `open` is where it may still go.

    Attributes:
        voxels: flat indices, each once.
        origins: per voxel the flat index of the seed that it came from; only kept up to date for the rule "seed".
        open: (K*J*I,) bool, within reach and not yet claimed by this label.
        edges: per axis, whether a step along it could leave the array or wrap around it.
        history: the voxels of each step so far.
    """

    label: int
    n_seeds: int
    voxels: np.ndarray
    origins: np.ndarray
    open: np.ndarray
    edges: tuple[bool, bool, bool]
    history: list[np.ndarray] = field(default_factory=list)
    leak: Leak | None = None


class _Race:
    """Fronts of all labels advancing in step. Works on flat indices and touches only memory near the seeds."""

    def __init__(self, image, seeds, spacing_kji, threshold, max_distance_mm, blocked, rule) -> None:
        self.shape = seeds.shape
        self.seeds = seeds
        self.spacing = tuple(float(s) for s in spacing_kji)
        self.distance = max_distance_mm
        self.threshold = threshold
        self.by_seed = rule == "seed"
        self.channels = image.reshape(-1, seeds.size)
        self.blocked = None if blocked is None else blocked.reshape(-1).astype(bool, copy=False)

    def run(self, limits: dict[int, int], guard: bool, should_cancel: ShouldCancel) -> tuple[np.ndarray, list[_Front]]:
        """Advance until nothing moves or a leak shows; `limits` gives the last step of labels that leaked before."""
        labels = np.array(self.seeds, order="C")
        flat = labels.reshape(-1)
        seeded = np.flatnonzero(flat)
        taken = np.zeros(flat.size, dtype=bool)
        taken[seeded] = True
        fronts = [self._start(int(label), seeded[flat[seeded] == label]) for label in np.unique(flat[seeded])]
        claims = np.zeros(flat.size, dtype=np.uint16)
        active = fronts
        while active:
            raise_if_cancelled(should_cancel)
            active = [f for f in active if len(f.history) < limits.get(f.label, np.inf)]
            for front in active:
                front.voxels, front.origins = self._advance(front, taken)
                claims[front.voxels] += 1
            # Counted first and granted afterwards, so that the order of the labels does not matter.
            granted = [claims[front.voxels] == 1 for front in active]
            for front, alone in zip(active, granted):
                taken[front.voxels] = True
                front.voxels, front.origins = front.voxels[alone], front.origins[alone]
                flat[front.voxels] = front.label
                front.history.append(front.voxels)
            for front in active:
                if guard and front.label not in limits:
                    front.leak = find_leak(front.history, front.n_seeds, self.shape)
            if any(front.leak for front in active):
                break
            active = [front for front in active if len(front.voxels)]
        for front in fronts:
            if front.history and not len(front.history[-1]):
                front.history.pop()
        return labels, fronts

    def _start(self, label: int, seeds: np.ndarray) -> _Front:
        near, box = within_distance(seeds, self.shape, self.spacing, self.distance)
        edges = tuple(side.start == 0 or side.stop == size for side, size in zip(box, self.shape))
        # Where the reach of this label touches no end of an axis, no step along it can leave the array or wrap around.
        return _Front(label, len(seeds), seeds, seeds, near.reshape(-1), edges)

    def _advance(self, front: _Front, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The voxels that the front reaches in one step, each once, with the seeds that they came from."""
        values = self._values(front.origins if self.by_seed else front.voxels)
        found = []
        for start, neighbor in self._neighbors(front):
            free = front.open[neighbor] & ~taken[neighbor]
            if self.blocked is not None:
                free &= ~self.blocked[neighbor]
            start, neighbor = start[free], neighbor[free]
            with np.errstate(invalid="ignore"):  # infinite intensities: their difference is not a number
                difference = np.abs(self._values(neighbor) - values[:, start]).max(axis=0)
            near = difference < self.threshold  # False for NaN
            start, neighbor = start[near], neighbor[near]
            found.append((neighbor, front.origins[start], difference[near]))
            if not self.by_seed:
                front.open[neighbor] = False  # claimed: the directions to come find each voxel at most once more
        neighbor, origin, difference = (np.concatenate(part) for part in zip(*found))
        if not self.by_seed:
            return neighbor, neighbor
        order = np.lexsort((origin, difference, neighbor))
        neighbor, origin = neighbor[order], origin[order]
        first = np.ones(len(neighbor), dtype=bool)
        first[1:] = neighbor[1:] != neighbor[:-1]
        return neighbor[first], origin[first]

    def _neighbors(self, front: _Front) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each of the six directions: positions in `front.voxels`, and the flat index of the neighbor of each."""
        size_k, size_j, size_i = self.shape
        every = np.arange(len(front.voxels))
        for axis, size, stride in ((0, size_k, size_j * size_i), (1, size_j, size_i), (2, size_i, 1)):
            where = front.voxels // stride % size if front.edges[axis] else None
            for step, last in ((-1, 0), (1, size - 1)):
                start = every if where is None else np.flatnonzero(where != last)
                yield start, front.voxels[start] + step * stride

    def _values(self, voxels: np.ndarray) -> np.ndarray:
        """Intensities (C, N) float64, wide enough for the difference of any two."""
        return np.take(self.channels, voxels, axis=1).astype(np.float64)


def _check(image, seeds, spacing_kji, threshold, max_distance_mm, blocked, rule) -> None:
    if seeds.ndim != 3 or seeds.dtype.kind not in "ui":
        raise InputError(f"Seeds are (K, J, I) integers, not {seeds.dtype} of shape {seeds.shape}.")
    for what, array in (("image", image), ("mask of blocked voxels", blocked)):
        if array is not None and (array.shape[-3:] != seeds.shape or array.ndim > (4 if array is image else 3)):
            raise InputError(f"The {what} has shape {array.shape}, but the seeds have {seeds.shape} (K, J, I).")
    if len(spacing_kji) != 3 or not all(s > 0 for s in spacing_kji):
        raise InputError(f"The spacing needs three positive numbers in mm (K, J, I), not {tuple(spacing_kji)}.")
    for what, value in (("threshold", threshold), ("max_distance_mm", max_distance_mm)):
        if not value >= 0:
            raise InputError(f"{what} must be 0 or more, not {value}.")
    if rule not in GROWING_RULES:
        raise InputError(f"The growing rule must be one of {', '.join(GROWING_RULES)}, not {rule!r}.")
