"""Which voxels lie within a distance of a set of voxels, on an anisotropic grid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .geometry import padded_box

#: A distance this much beyond the bound still counts, so that rounding of multiples of the spacing never decides.
TOLERANCE_MM = 1e-6
# Measured on one core: stamping a ball costs about 0.6 ns per voxel of its box and 15 us per seed; scipy's distance
# transform 150 ns per voxel and, for large boxes, more than 20 bytes per voxel.
_STAMP_NS_PER_VOXEL, _STAMP_NS_PER_SEED, _TRANSFORM_NS_PER_VOXEL = 0.6, 15_000.0, 150.0
_LARGEST_BALL = 1 << 26
_LARGEST_TRANSFORM = 40_000_000


def within_distance(
    seeds: np.ndarray, shape: tuple[int, int, int], spacing_kji: tuple[float, float, float], distance_mm: float
) -> tuple[np.ndarray, tuple[slice, slice, slice]]:
    """Voxels whose center is at most `distance_mm` away from the nearest seed's center (Euclidean).

    Args:
        seeds: (N,) flat indices (C order of K, J, I), ascending, N >= 1.
        shape: (K, J, I).
        spacing_kji: voxel size in mm.
        distance_mm: 0 or more; may be infinite.

    Returns:
        (K, J, I) bool, of which the operating system provides only the pages near the seeds, and the slices around
        all voxels that may be True.
    """
    kji = np.stack(np.unravel_index(seeds, shape), axis=1)
    around = tuple(slice(int(a), int(b) + 1) for a, b in zip(kji.min(axis=0), kji.max(axis=0)))
    reach = min(distance_mm, float(np.linalg.norm(np.multiply(shape, spacing_kji))))
    box = padded_box(around, reach + TOLERANCE_MM, spacing_kji, shape)
    sizes = [side.stop - side.start for side in box]
    half = [min(int((reach + TOLERANCE_MM) // step), size - 1) for step, size in zip(spacing_kji, sizes)]
    ball_size = int(np.prod([2.0 * h + 1 for h in half]))

    start = np.array([side.start for side in box])
    is_seed = np.zeros(sizes, dtype=bool)
    is_seed[tuple((kji - start).T)] = True
    near = np.zeros(shape, dtype=bool)
    surface = _surface(is_seed, kji - start)
    stamping = len(surface) * (ball_size * _STAMP_NS_PER_VOXEL + _STAMP_NS_PER_SEED)
    transform = is_seed.size * _TRANSFORM_NS_PER_VOXEL
    if ball_size > _LARGEST_BALL or (stamping > transform and is_seed.size <= _LARGEST_TRANSFORM):
        near[box] = ndimage.distance_transform_edt(~is_seed, sampling=spacing_kji) <= distance_mm + TOLERANCE_MM
    else:
        _stamp_balls(near[box], surface, half, spacing_kji, distance_mm)
        near.reshape(-1)[seeds] = True
    return near, box


def _surface(is_seed: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Those of `seeds` (N, 3) with a 6-neighbor that is no seed.

    The seed nearest to a voxel is always among them: of six neighbors that are seeds, one would be nearer still. A
    neighbor beyond the box, where the image ends, is not needed for that.
    """
    inner = np.ones(len(seeds), dtype=bool)
    for axis in range(3):
        for step in (-1, 1):
            neighbor = seeds.copy()
            neighbor[:, axis] = np.clip(neighbor[:, axis] + step, 0, is_seed.shape[axis] - 1)
            inner &= is_seed[tuple(neighbor.T)]
    return seeds[~inner]


def _stamp_balls(near: np.ndarray, centers: np.ndarray, half: list[int], spacing: tuple, distance_mm: float) -> None:
    """Set `near` within `distance_mm` of each of `centers` (N, 3); the ball reaches `half` voxels along each axis."""
    axes = [(np.arange(-h, h + 1) * step) ** 2 for h, step in zip(half, spacing)]
    ball = np.sqrt(axes[0][:, None, None] + axes[1][:, None] + axes[2]) <= distance_mm + TOLERANCE_MM
    low = np.maximum(centers - half, 0)
    high = np.minimum(centers + half + 1, near.shape)
    ball_low = low - (centers - half)
    ball_high = ball_low + (high - low)
    for a, b, c, d in zip(low.tolist(), high.tolist(), ball_low.tolist(), ball_high.tolist()):
        near[a[0] : b[0], a[1] : b[1], a[2] : b[2]] |= ball[c[0] : d[0], c[1] : d[1], c[2] : d[2]]
