"""The race of region growing's fronts: all labels advance over a box in step, until they stand still."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .distance_bound import reach_box, within_distance
from .leak_guard import Leak, find_leak
from .progress import ShouldCancel, raise_if_cancelled

# What `Race.state` says about a voxel. From _FIRST_MARK on: the label with this mark arrived in the current step.
_OPEN, _CLOSED, _CONTESTED, _FIRST_MARK = 0, 1, 2, 3


@dataclass(eq=False)
class Front:
    """One label's newest voxels, on their way.

    Attributes:
        n_seeds: number of seed voxels.
        mark: of this label in `Race.state`.
        voxels: indices into the race's flat arrays, each once.
        values: (C, N) float64 intensities that the next step is compared with.
        origins: per voxel the index of the seed that it came from; None when the rule does not need it.
        reach: (flat array, bit): bit set where the label may go; None when `Race.state` says it all.
        history: the voxels of each step so far.
        origins_of: the origins of each step so far.
    """

    label: int
    n_seeds: int
    mark: int
    voxels: np.ndarray
    values: np.ndarray
    origins: np.ndarray | None
    reach: tuple[np.ndarray, np.uint8] | None
    history: list[np.ndarray] = field(default_factory=list)
    origins_of: list[np.ndarray | None] = field(default_factory=list)


class Race:
    """Fronts of all labels advancing in step, on flat indices into a box that has one slice more at each axis' end.

    The extra slices are closed, so that a step can leave the box on no side: beyond the low end, the index wraps around
    into them.

    Attributes:
        box: where in the image the race takes place.
        fronts: of all labels, in ascending order.
        leaks: labels that the leak guard stopped, and where.
    """

    def __init__(
        self,
        image: np.ndarray,
        voxels: np.ndarray,
        labels: np.ndarray,
        box: tuple[slice, slice, slice],
        spacing_kji: tuple[float, float, float],
        threshold: float,
        max_distance_mm: float,
        blocked: np.ndarray | None,
        by_seed: bool,
    ) -> None:
        """Put the fronts at the start.

        Args:
            image: (C, K, J, I) intensities.
            voxels: (N, 3) seeds in KJI order, ascending, each once.
            labels: (N,) of the seeds, not 0.
            box: all that is within reach.
            blocked: (*box shape) bool.
            by_seed: see `growing.grow`.
        """
        self.box = box
        self.leaks: dict[int, Leak] = {}
        self._threshold = threshold
        self._by_seed = by_seed
        self._surely_near = max_distance_mm // max(spacing_kji)  # so many steps cannot lead too far
        self._start = np.array([side.start for side in box])
        self._sizes = [side.stop - side.start for side in box]
        self._padded = tuple(size + 1 for size in self._sizes)
        inner = tuple(slice(size) for size in self._sizes)
        whole = np.empty((len(image), *self._padded), dtype=image.dtype)
        whole[(slice(None), *inner)] = image[(slice(None), *box)]
        self._channels = whole.reshape(len(image), -1)
        row = self._padded[2]
        self._steps = (-row * self._padded[1], row * self._padded[1], -row, row, -1, 1)

        local = voxels - self._start
        flat = np.ravel_multi_index(tuple(local.T), self._padded)
        names = np.unique(labels)
        kind = np.uint8 if len(names) + _FIRST_MARK < 256 else np.uint16
        state = np.full(self._padded, _CLOSED, dtype=kind)
        self._state = state.reshape(-1)
        planes = [np.zeros(self._padded, dtype=np.uint8) for _ in range(0, len(names), 8)] if len(names) > 1 else []
        self.fronts = []
        for n, label in enumerate(names):
            own = np.flatnonzero(labels == label)
            part = reach_box(local[own], self._sizes, spacing_kji, max_distance_mm)
            corner = [side.start for side in part]
            part_sizes = tuple(side.stop - side.start for side in part)
            near = within_distance(local[own] - corner, part_sizes, spacing_kji, max_distance_mm)
            state[part] &= ~near  # _CLOSED where not near
            reach = None
            if planes:
                plane, bit = planes[n // 8], np.uint8(1 << n % 8)
                plane[part] |= near * bit
                reach = plane.reshape(-1), bit
            start = flat[own]
            origins = start if by_seed else None
            self.fronts.append(Front(int(label), len(own), _FIRST_MARK + n, start, self._values(start), origins, reach))
        if blocked is not None:
            state[inner] |= blocked
        self._state[flat] = _CLOSED
        self._contested: list[np.ndarray] = []
        self._place = np.zeros(len(self._state) if by_seed else 0, dtype=np.intp)  # of a voxel among the newest

    def run(self, guard: bool, should_cancel: ShouldCancel) -> None:
        """Advance until nothing moves.

        A leak shows some steps too late, when its flood has already kept other labels from their voxels: then all go
        back to the narrow place, and on without the leaking label.
        """
        active = self.fronts
        with np.errstate(invalid="ignore"):  # infinite intensities: their difference is not a number
            while active:
                raise_if_cancelled(should_cancel)
                active = [f for f in active if f.label not in self.leaks or len(f.history) < self.leaks[f.label].step]
                self._step(active)
                found = self._new_leaks(active) if guard else {}
                self.leaks.update(found)
                if found:
                    active = self._go_back(min(leak.step for leak in found.values()))
                active = [front for front in active if len(front.voxels)]
        for front in self.fronts:
            if front.history and not len(front.history[-1]):
                front.history.pop()

    def write(self, labels: np.ndarray) -> None:
        """Write what grew into `labels`, a C-contiguous array of the whole image."""
        flat = labels.reshape(-1)
        first = np.ravel_multi_index(self._start, labels.shape)
        per_row = labels.shape[2] - self._padded[2]
        per_slice = (labels.shape[1] - self._padded[1]) * labels.shape[2]
        for front in self.fronts:
            for voxels in front.history:
                rows = voxels // self._padded[2]
                flat[first + voxels + rows * per_row + rows // self._padded[1] * per_slice] = front.label

    def _step(self, active: list[Front]) -> None:
        for front in active:
            self._advance(front)
        # Granted only now, so that the order of the labels does not matter.
        contested = []
        for front in active:
            if len(self.fronts) > 1:
                alone = self._state.take(front.voxels) == front.mark
                if not alone.all():
                    contested.append(front.voxels[~alone])
                    self._keep(front, np.flatnonzero(alone))
        for front in active:
            self._state[front.voxels] = _CLOSED
            front.history.append(front.voxels)
            front.origins_of.append(front.origins)
        for voxels in contested:
            self._state[voxels] = _CLOSED
        self._contested.append(np.concatenate(contested) if contested else np.empty(0, dtype=np.intp))

    def _advance(self, front: Front) -> None:
        """Move the front by one step, and mark where it arrives."""
        found = []
        for step in self._steps:
            neighbor = front.voxels + step
            state = self._state.take(neighbor)
            # By seed, the nearest in intensity is still to be found among several arrivals.
            free = state != _CLOSED if self._by_seed else (state != _CLOSED) & (state != front.mark)
            index = np.flatnonzero(free)
            neighbor = neighbor.take(index)
            if front.reach is not None and len(front.history) >= self._surely_near:
                plane, bit = front.reach
                near = np.flatnonzero(plane.take(neighbor) & bit)
                index, neighbor = index.take(near), neighbor.take(near)
            values = self._values(neighbor)
            difference = _largest(np.abs(values - front.values.take(index, axis=1)))
            similar = np.flatnonzero(difference < self._threshold)  # not where the difference is not a number
            index, neighbor = index.take(similar), neighbor.take(similar)
            if len(self.fronts) > 1:
                state = state.take(index)
                own = (state == _OPEN) | (state == front.mark)
                if not own.all():
                    self._state[neighbor[~own]] = _CONTESTED
                    index, neighbor, similar = index[own], neighbor[own], similar[own]
            if self._by_seed:
                new = neighbor[self._state.take(neighbor) == _OPEN]
                found.append((new, neighbor, difference.take(similar), front.origins.take(index)))
            else:
                found.append((neighbor, values.take(similar, axis=1)))
            self._state[neighbor] = front.mark
        if self._by_seed:
            front.voxels, front.origins = self._nearest(found)
            front.values = self._values(front.origins)
        else:
            front.voxels, front.values = (np.concatenate(part, axis=-1) for part in zip(*found))

    def _nearest(self, found: list[tuple]) -> tuple[np.ndarray, np.ndarray]:
        """The voxels, ascending, each with the origin of the least difference, then of the least index.

        Args:
            found: per direction the new voxels, and of all arrivals the voxels, the differences and the origins.
        """
        voxels = np.sort(np.concatenate([new for new, *_ in found]))
        self._place[voxels] = np.arange(len(voxels))
        least = np.full(len(voxels), np.inf)
        nearest = np.empty_like(voxels)
        for _, arrived, difference, origins in found:
            place = self._place.take(arrived)
            before = least.take(place)
            better = np.flatnonzero((difference < before) | (difference == before) & (origins < nearest.take(place)))
            place = place.take(better)
            least[place], nearest[place] = difference.take(better), origins.take(better)
        return voxels, nearest

    def _keep(self, front: Front, index: np.ndarray) -> None:
        front.voxels, front.values = front.voxels.take(index), front.values.take(index, axis=1)
        if self._by_seed:
            front.origins = front.origins.take(index)

    def _new_leaks(self, active: list[Front]) -> dict[int, Leak]:
        found = {}
        for front in active:
            if front.label not in self.leaks:
                leak = find_leak(front.history, front.n_seeds, self._padded, self._start)
                if leak is not None:
                    found[front.label] = leak
        return found

    def _go_back(self, step: int) -> list[Front]:
        """Undo all later steps; returns the fronts that were moving then."""
        for voxels in self._contested[step:]:
            self._state[voxels] = _OPEN
        del self._contested[step:]
        for front in self.fronts:
            for voxels in front.history[step:]:
                self._state[voxels] = _OPEN
            del front.history[step:], front.origins_of[step:]
        moving = [front for front in self.fronts if len(front.history) == step]
        for front in moving:
            front.voxels, front.origins = front.history[-1], front.origins_of[-1]
            front.values = self._values(front.origins if self._by_seed else front.voxels)
        return moving

    def _values(self, voxels: np.ndarray) -> np.ndarray:
        """Intensities (C, N) float64, wide enough for the difference of any two."""
        return self._channels.take(voxels, axis=1).astype(np.float64)


def _largest(differences: np.ndarray) -> np.ndarray:
    """The largest difference of all channels (C, N); not a number where one of them is not."""
    return differences[0] if len(differences) == 1 else differences.max(axis=0)
