"""The sides of outlines on a grid: what lies safely inside one of them, and which structure is nearest."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .contrast import smallest_step

#: Nodes beside an outline that may change sides, but never more than leave this part of a structure inside.
BAND, CORE = 3, 0.3


def band_mm(shape: tuple[int, ...], spacing: tuple[float, float, float]) -> float:
    """How far from an outline on a grid nodes count as beside it, in mm."""
    return (BAND + 0.5) * smallest_step(shape, spacing)


def cores(rows: np.ndarray, given: np.ndarray, spacing: tuple[float, float, float], leash_mm: float) -> np.ndarray:
    """(*grid) bool, nodes inside each side that no stroke puts in doubt.

    Args:
        rows: (*grid) the side of every node, 0 = outside all structures.
        given: (*grid) the side that strokes give it, -1 where there is none.
        spacing: of the nodes in mm.
        leash_mm: so far around strokes of another side the inside may change, too.
    """
    inside = np.zeros(rows.shape, dtype=bool)
    band = band_mm(rows.shape, spacing)
    for row in np.unique(rows).tolist():
        side = rows == row
        # Beyond the grid a side goes on: its face is no outline.
        padded = np.pad(side, 1, mode="edge")
        if padded.all():
            inside |= side
            continue
        depth = ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1, 1:-1]
        deepest = min(band, float(np.quantile(depth[side], 1 - CORE))) if row else band
        core = side & (depth >= deepest)
        others = (given >= 0) & (given != row)
        if others.any():
            core &= ndimage.distance_transform_edt(~others, sampling=spacing) > leash_mm
        inside |= core
    return inside


def nearest_structure(rows: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """(*grid) the row of the structure that every node belongs to or lies closest to; `rows` as for `cores`."""
    nearest = ndimage.distance_transform_edt(rows == 0, sampling=spacing, return_distances=False, return_indices=True)
    return rows[tuple(nearest)]
