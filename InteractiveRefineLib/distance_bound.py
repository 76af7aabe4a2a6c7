"""Which voxels lie within a distance of a set of voxels, on an anisotropic grid."""

from __future__ import annotations

import numpy as np

from .geometry import box_around, padded_box

#: A distance this much beyond the bound still counts, so that rounding of multiples of the spacing never decides.
TOLERANCE_MM = 1e-6


def reach_box(
    voxels: np.ndarray, shape: tuple[int, int, int], spacing_kji: tuple[float, float, float], distance_mm: float
) -> tuple[slice, slice, slice]:
    """Slices of a (K, J, I) array of `shape` around all that is within `distance_mm` of `voxels` (N, 3), N >= 1."""
    around = box_around(voxels)
    limit = min(distance_mm, _diagonal(shape, spacing_kji)) + TOLERANCE_MM
    return padded_box(around, limit, spacing_kji, shape)


def within_distance(
    voxels: np.ndarray, shape: tuple[int, int, int], spacing_kji: tuple[float, float, float], distance_mm: float
) -> np.ndarray:
    """Voxels whose center is at most `distance_mm` away from the nearest center of `voxels` (Euclidean).

    One axis after the other: along I the distance to the nearest of the given voxels; along J the largest number of
    voxels that are still within reach along K from there; along K the voxels that these numbers cover.

    Args:
        voxels: (N, 3) array indices in KJI order, N >= 1.
        shape: (K, J, I); the cost grows with it, so the caller cuts out `reach_box` first.
        spacing_kji: voxel size in mm.
        distance_mm: 0 or more; may be infinite.

    Returns:
        (K, J, I) bool.
    """
    limit = min(distance_mm, _diagonal(shape, spacing_kji)) + TOLERANCE_MM
    half = [min(int(limit // step), size - 1) for step, size in zip(spacing_kji, shape)]
    squares = [(np.arange(h + 1) * step) ** 2 for h, step in zip(half, spacing_kji)]
    if all(h == size - 1 for h, size in zip(half, shape)) and np.sqrt(sum(s[-1] for s in squares)) <= limit:
        return np.ones(shape, dtype=bool)
    reach = _reach_along_k(voxels, shape, half, _levels(squares, limit))
    lower = np.empty_like(reach[0])
    for ahead in (reach, reach[::-1]):
        for here, after in zip(ahead[:-1], ahead[1:]):
            np.subtract(here, 1, out=lower)
            np.maximum(after, lower, out=after)
    return reach >= 0


def _diagonal(shape: tuple[int, int, int], spacing_kji: tuple[float, float, float]) -> float:
    return float(np.linalg.norm(np.multiply(shape, spacing_kji)))


def _levels(squares: list[np.ndarray], limit: float) -> np.ndarray:
    """(J steps, I steps + 1): how many steps along K are within `limit` after so many along J and I; -1 for none.

    The last column stands for "too far along I". `squares` holds the squared lengths of 0, 1, ... steps along each
    axis.
    """
    kind = np.int8 if len(squares[0]) < 128 else np.int16
    levels = np.full((len(squares[1]), len(squares[2]) + 1), -1, dtype=kind)
    for square in squares[0]:
        levels[:, :-1] += np.sqrt(square + squares[1][:, None] + squares[2]) <= limit
    return levels


def _reach_along_k(voxels: np.ndarray, shape: tuple, half: list[int], levels: np.ndarray) -> np.ndarray:
    """(K, J, I): how many steps along K are within reach from each voxel, as the voxels of the same slice say."""
    rows, row_of = np.unique(voxels[:, 0] * shape[1] + voxels[:, 1], return_inverse=True)
    steps_i = _steps_to_nearest(row_of.reshape(-1), voxels[:, 2], (len(rows), shape[2]))
    steps_i = np.minimum(steps_i, half[2] + 1)
    reach = np.full(shape, -1, dtype=levels.dtype)
    by_row = reach.reshape(-1, shape[2])
    j = rows % shape[1]
    for step_j in range(half[1] + 1):
        level = levels[step_j].take(steps_i)
        for step in {step_j, -step_j}:
            # No two rows have the same neighbor on one side, so that none overwrites what another one wrote.
            inside = np.flatnonzero((j + step >= 0) & (j + step < shape[1]))
            target = rows[inside] + step
            by_row[target] = np.maximum(by_row[target], level if len(inside) == len(rows) else level[inside])
    return reach


def _steps_to_nearest(row: np.ndarray, i: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(rows, I): steps along I to the nearest of the voxels (row, i); each row has one."""
    far = 2 * shape[1]
    every = np.arange(shape[1])
    before, after = np.full(shape, -far), np.full(shape, far)
    before[row, i] = after[row, i] = i
    before = np.maximum.accumulate(before, axis=1)
    after = np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1]
    return np.minimum(every - before, after - every)
