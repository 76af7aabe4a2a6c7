"""Group stroke voxels that lie close together, so that distant strokes are decoded in small boxes of their own."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def clusters_of(voxels: np.ndarray, spacing: tuple[float, float, float], gap_mm: float) -> list[np.ndarray]:
    """Row numbers of `voxels` (N, 3) per cluster; voxels of different clusters are at least `gap_mm` apart.

    Works on cells of side `gap_mm`: touching occupied cells belong together, which may join voxels up to twice
    the gap apart but never separates closer ones.
    """
    cells = np.floor(voxels * np.array(spacing) / gap_mm).astype(np.int64)
    cells -= cells.min(axis=0)
    occupied = np.zeros(cells.max(axis=0) + 1, dtype=bool)
    occupied[tuple(cells.T)] = True
    parts, count = ndimage.label(occupied, structure=np.ones((3, 3, 3)))
    part = parts[tuple(cells.T)]
    return [np.flatnonzero(part == number) for number in range(1, count + 1)]
