"""Labels of least energy by max-flow: what every voxel costs by itself, plus what differing from a neighbor costs.

The energy is a Potts model on the 6-neighborhood. Two classes are cut exactly; with more, alpha-expansions (Boykov,
Veksler and Zabih, PAMI 2001) come within a factor of two of the least energy, in practice much closer. Large volumes
are cut on a coarse grid first and then at full resolution near the borders found there (Lombaert et al., ICCV 2005).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

#: Most voxels that one cut at full resolution may decide about.
MANY = 150_000
#: Half the width, in coarse voxels, of the band around coarse borders that is decided at full resolution.
BAND = 1
#: Most times that every class may expand.
CYCLES = 3

#: For a mask (K, J, I) of n voxels the cost of every class there: (L, n), in the mask's scan order.
Costs = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Contrast:
    """What differing from a neighbor costs: less where the image differs too.

    Attributes:
        channels: (C, K, J, I) float, what the image shows; see `standardized`.
        spacing: voxel size in mm along K, J, I.
        smoothness: cost of differing where the image is constant, along the axis with the smallest voxels. Along
            the others it falls with the distance, as neighbors say less of each other there.
        sharpness: how fast the cost falls with contrast; 1 as in GrabCut, where differences are measured in units
            of their mean square.
    """

    channels: np.ndarray
    spacing: tuple[float, float, float]
    smoothness: float
    sharpness: float = 1.0

    def along(self, axis: int, strides: tuple[int, int, int] = (1, 1, 1)) -> np.ndarray:
        """Costs between neighbors along one axis of the grid with every stride-th voxel; one fewer along `axis`."""
        every = self.channels[(slice(None), *(slice(None, None, s) for s in strides))]
        far = self.smoothness * min(self.spacing) / (self.spacing[axis] * strides[axis])
        return far * np.exp(-self.sharpness * (np.diff(every, axis=axis + 1) ** 2).sum(axis=0) / (2 * self._mean))

    @property
    def _mean(self) -> float:
        """Mean square difference of neighbors, over all axes."""
        sums = [(np.diff(self.channels, axis=a) ** 2).sum() for a in (1, 2, 3)]
        pairs = sum(np.prod(self.channels.shape[1:]) * (1 - 1 / n) for n in self.channels.shape[1:])
        return max(float(sum(sums)) / max(pairs, 1), 1e-12)


def standardized(channels: np.ndarray) -> np.ndarray:
    """(C, K, J, I) float32 of intensities (C, K, J, I): every channel with mean 0 and SD 1."""
    mean = channels.mean(axis=(1, 2, 3), keepdims=True)
    deviation = np.maximum(channels.std(axis=(1, 2, 3), keepdims=True), 1e-6)
    return ((channels - mean) / deviation).astype(np.float32)


def least_energy(costs: Costs, fixed: np.ndarray, start: np.ndarray, classes: int, contrast: Contrast) -> np.ndarray:
    """The class of every voxel.

    Args:
        costs: of the classes 0 to `classes` - 1.
        fixed: (K, J, I) integers, the class where it is known, -1 where it is not, -2 where voxels take no part:
            they cost nothing, their neighbors may be anything, and they are -2 in the result.
        start: (K, J, I) integers, classes to begin with where nothing is fixed; matters with three classes and more.
        classes: how many.
        contrast: what differing costs.

    Returns:
        (K, J, I) int16; `fixed` where that is not -1.
    """
    axes = [contrast.along(axis) for axis in range(3)]
    if (fixed == -1).sum() > MANY:
        # Thick slices are not made thicker.
        thin = [s < 2 * min(contrast.spacing) and n > 3 for s, n in zip(contrast.spacing, fixed.shape)]
        strides = tuple(2 if is_thin else 1 for is_thin in thin)
        fixed = _coarse_guess(costs, fixed, start, classes, contrast, strides)
    return _cut(costs(fixed == -1), fixed, start, classes, axes)


def places_of(labels: np.ndarray, classes: list[int]) -> np.ndarray:
    """Where in `classes` every label stands; 0 for others."""
    table = np.zeros(int(max(labels.max(), max(classes))) + 1, dtype=np.int16)
    table[classes] = np.arange(len(classes))
    return table[labels]


def connected(places: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Without parts of a class that touch nothing of what the class was before: they become background.

    Colors know no place: without this, strokes in one bone would make all bones of the scan the same structure.

    Args:
        places: (K, J, I) integers.
        before: (K, J, I) integers, the places so far, seeds included.
    """
    places = places.copy()
    for place in range(1, int(places.max()) + 1):
        parts, n = ndimage.label(places == place)
        rooted = np.zeros(n + 1, dtype=bool)
        rooted[parts[before == place]] = True
        rooted[0] = True
        places[~rooted[parts]] = 0
    return places


def _coarse_guess(
    costs: Costs, fixed: np.ndarray, start: np.ndarray, classes: int, contrast: Contrast, strides: tuple[int, int, int]
) -> np.ndarray:
    """(K, J, I) classes where a cut of a coarser grid is certain, -1 near its borders."""
    every = tuple(slice(None, None, s) for s in strides)
    coarse = _largest_of_blocks(fixed, strides)
    wanted = np.zeros(fixed.shape, dtype=bool)
    wanted[every] = coarse == -1
    axes = [contrast.along(axis, strides) for axis in range(3)]
    labels = _cut(costs(wanted), coarse, start[every], classes, axes)
    for axis, stride in enumerate(strides):
        labels = labels.repeat(stride, axis=axis)
    labels = labels[tuple(slice(0, n) for n in fixed.shape)]
    labels = np.where(fixed == -1, labels, fixed)
    reach = tuple(2 * BAND * s + 1 for s in strides)
    differ = ndimage.maximum_filter(labels, reach) != ndimage.minimum_filter(labels, reach)
    return np.where((fixed == -1) & differ, -1, labels).astype(np.int16)


def _largest_of_blocks(fixed: np.ndarray, strides: tuple[int, int, int]) -> np.ndarray:
    """What is fixed anywhere in a block is fixed on the coarse grid, so that no stroke falls through it."""
    padded = np.pad(fixed, [(0, -n % s) for n, s in zip(fixed.shape, strides)], constant_values=-1)
    shape = [part for n, s in zip(padded.shape, strides) for part in (n // s, s)]
    return padded.reshape(shape).max(axis=(1, 3, 5))


def _cut(costs: np.ndarray, fixed: np.ndarray, start: np.ndarray, classes: int, axes: list[np.ndarray]) -> np.ndarray:
    """`least_energy` on one grid; `costs` (L, n) of the n voxels that are not fixed, `axes` as of `Contrast.along`."""
    open_voxels = fixed == -1
    n = int(open_voxels.sum())
    labels = np.where(open_voxels, 0, fixed).astype(np.int16)
    if n == 0:
        return labels
    unary = costs.astype(np.float64)
    number = np.full(fixed.shape, -1, dtype=np.int64)
    number[open_voxels] = np.arange(n)
    ones, twos, weights = [], [], []
    for axis, weight in enumerate(axes):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        one, two = number[low], number[high]
        both = (one >= 0) & (two >= 0)
        ones.append(one[both])
        twos.append(two[both])
        weights.append(weight[both])
        # A neighbor that is fixed makes its own class cheaper.
        for inner, outer in ((one, fixed[high]), (two, fixed[low])):
            beside = inner >= 0
            at, told, w = inner[beside], outer[beside], weight[beside]
            for label in range(classes):
                mine = told == label
                unary[label] -= np.bincount(at[mine], w[mine], minlength=n)
    pairs = np.concatenate(ones), np.concatenate(twos), np.concatenate(weights).astype(np.float64)
    labels[open_voxels] = _expansions(unary, pairs, start[open_voxels].astype(np.int64))
    return labels


def _expansions(unary: np.ndarray, pairs: tuple[np.ndarray, np.ndarray, np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Expand one class after the other until none lowers the energy; from all 0 one expansion of 1 of 2 is exact."""
    if len(unary) == 2:
        return _expanded(unary, pairs, np.zeros_like(labels), 1)
    energy = _energy(unary, pairs, labels)
    for _ in range(CYCLES):
        before = energy
        for label in range(len(unary)):
            proposal = _expanded(unary, pairs, labels, label)
            reached = _energy(unary, pairs, proposal)
            if reached < energy:
                labels, energy = proposal, reached
        if energy >= before - 1e-4 * abs(before):
            break
    return labels


def _energy(unary: np.ndarray, pairs: tuple[np.ndarray, np.ndarray, np.ndarray], labels: np.ndarray) -> float:
    one, two, weight = pairs
    return float(unary[labels, np.arange(len(labels))].sum() + weight[labels[one] != labels[two]].sum())


def _expanded(
    unary: np.ndarray, pairs: tuple[np.ndarray, np.ndarray, np.ndarray], labels: np.ndarray, label: int
) -> np.ndarray:
    """Of all labelings in which some voxels change to `label`, the best (Kolmogorov and Zabih, PAMI 2004)."""
    import maxflow

    one, two, weight = pairs
    n = len(labels)
    differ = weight * (labels[one] != labels[two])
    only_two = weight * (labels[one] != label)
    only_one = weight * (labels[two] != label)
    # Voxel p takes the class where x = 1: E = differ + (only_one - differ) x1 - only_one x2 + edge (1 - x1) x2.
    take = unary[label] + np.bincount(one, only_one - differ, minlength=n) - np.bincount(two, only_one, minlength=n)
    keep = unary[labels, np.arange(n)]
    graph = maxflow.Graph[float](n, len(one))
    nodes = graph.add_grid_nodes((n,))
    graph.add_edges(nodes[one], nodes[two], only_two + only_one - differ, np.zeros(len(one)))
    lowest = np.minimum(take, keep)
    graph.add_grid_tedges(nodes, take - lowest, keep - lowest)
    graph.maxflow()
    return np.where(graph.get_grid_segments(nodes), label, labels)
