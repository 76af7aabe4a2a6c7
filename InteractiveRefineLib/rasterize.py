"""Which voxels of a grid lie in a ball or a box of physical space, for oblique, flipped and sheared grids alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .geometry import Geometry

#: A voxel center this close in mm to the surface counts as inside, so that rounding never decides.
SURFACE_TOLERANCE_MM = 1e-6
#: Rows looked at in one go; bounds the memory for a shape far larger than the image.
_ROWS_AT_ONCE = 1 << 20


def ball_voxels(geometry: Geometry, center_ras: np.ndarray, radius_mm: float) -> tuple[np.ndarray, int]:
    """Voxels whose center lies within `radius_mm` of `center_ras`, and at least the voxel nearest to it.

    Args:
        geometry: of the image.
        center_ras: (3,) RAS position in mm.
        radius_mm: 0 or more.

    Returns:
        Ascending flat indices (C order of K, J, I) int64 of the voxels inside the image, and how many voxels the ball
        would have outside of it if the grid went on.
    """
    center = np.asarray(center_ras, dtype=np.float64)
    middle = geometry.to_kji(center[None])[0]
    reach = np.linalg.norm(geometry.ras_to_kji[:3, :3], axis=1) * (radius_mm + SURFACE_TOLERANCE_MM)
    step_i = geometry.kji_to_ras[:3, 2]
    length2 = float(step_i @ step_i)

    def interval(row_start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # |row_start + i * step_i - center|^2 <= r^2 is a quadratic inequality in i.
        offset = row_start - center
        along = -(offset @ step_i) / length2
        rest = (radius_mm + SURFACE_TOLERANCE_MM) ** 2 - np.einsum("nd,nd->n", offset, offset)
        half2 = rest / length2 + along**2
        half = np.sqrt(np.maximum(half2, 0.0))
        return along - half, np.where(half2 >= 0, along + half, -np.inf)

    indices, n_total = _convex_voxels(geometry, middle - reach, middle + reach, interval)
    nearest = np.floor(middle + 0.5)
    in_image = bool(((nearest >= 0) & (nearest < geometry.shape)).all())
    if n_total == 0:
        # A ball thinner than the grid still means the voxel that was clicked.
        if not in_image:
            return indices, 1
        return np.array([np.ravel_multi_index(nearest.astype(np.int64), geometry.shape)], dtype=np.int64), 0
    return indices, n_total - len(indices)


def box_voxels(geometry: Geometry, low_ras: np.ndarray, high_ras: np.ndarray) -> tuple[np.ndarray, int]:
    """Voxels whose center lies in the RAS-aligned box from `low_ras` to `high_ras`, both included.

    Args:
        geometry: of the image.
        low_ras, high_ras: (3,) RAS positions in mm, low <= high on each axis.

    Returns:
        Ascending flat indices (C order of K, J, I) int64 of the voxels inside the image, and how many voxels the box
        would have outside of it if the grid went on.
    """
    low = np.asarray(low_ras, dtype=np.float64) - SURFACE_TOLERANCE_MM
    high = np.asarray(high_ras, dtype=np.float64) + SURFACE_TOLERANCE_MM
    pick = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], dtype=bool)
    corners = geometry.to_kji(np.where(pick, high, low))
    step_i = geometry.kji_to_ras[:3, 2]

    def interval(row_start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first = np.full(len(row_start), -np.inf)
        last = np.full(len(row_start), np.inf)
        for axis in range(3):
            below, above = low[axis] - row_start[:, axis], high[axis] - row_start[:, axis]
            if abs(step_i[axis]) < 1e-12:  # the row runs parallel to these two faces: all of it or nothing
                last[(below > 0) | (above < 0)] = -np.inf
                continue
            ends = np.sort(np.stack([below, above]) / step_i[axis], axis=0)
            first, last = np.maximum(first, ends[0]), np.minimum(last, ends[1])
        return first, last

    indices, n_total = _convex_voxels(geometry, corners.min(axis=0), corners.max(axis=0), interval)
    return indices, n_total - len(indices)


def distance_to_box(ras: np.ndarray, low_ras: np.ndarray, high_ras: np.ndarray) -> np.ndarray:
    """Euclidean distance in mm of RAS positions (N, 3) to a RAS-aligned box; 0 inside."""
    outside = np.maximum(np.maximum(low_ras - ras, ras - high_ras), 0.0)
    return np.linalg.norm(outside, axis=1)


def _convex_voxels(
    geometry: Geometry,
    low_kji: np.ndarray,
    high_kji: np.ndarray,
    interval: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, int]:
    """Voxels of a convex set, row by row along I: a convex set meets each row in one interval.

    That makes counting the voxels outside the image exact without enumerating them. `interval` maps RAS positions
    (N, 3) of voxels with i = 0 to the first and last continuous i inside; last < first when the row misses the set.
    """
    low, high = np.ceil(low_kji).astype(np.int64), np.floor(high_kji).astype(np.int64)
    shape = geometry.shape
    columns = np.arange(low[1], high[1] + 1)
    if not len(columns) or low[0] > high[0] or low[2] > high[2]:
        return np.empty(0, dtype=np.int64), 0
    slices_at_once = max(1, _ROWS_AT_ONCE // len(columns))
    found, n_total = [], 0
    for start in range(low[0], high[0] + 1, slices_at_once):
        slices = np.arange(start, min(start + slices_at_once, high[0] + 1))
        k, j = (grid.ravel() for grid in np.meshgrid(slices, columns, indexing="ij"))
        first, last = interval(geometry.to_ras(np.stack([k, j, np.zeros_like(k)], axis=1)))
        hit = np.ceil(first) <= np.floor(last)
        k, j = k[hit], j[hit]
        first, last = np.ceil(first[hit]).astype(np.int64), np.floor(last[hit]).astype(np.int64)
        n_total += int((last - first + 1).sum())
        first, last = np.maximum(first, 0), np.minimum(last, shape[2] - 1)
        inside = (k >= 0) & (k < shape[0]) & (j >= 0) & (j < shape[1]) & (first <= last)
        length = (last - first + 1)[inside]
        row = ((k * shape[1] + j) * shape[2] + first)[inside]
        # Concatenated ranges: each row's first index repeated, plus 0, 1, 2, ... within the row.
        within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        found.append(np.repeat(row, length) + within)
    return np.concatenate(found).astype(np.int64), n_total
