"""What a click and a dragged rectangle say: which voxels are the class, and which are not.

No qt, no slicer: only numbers; RAS is the world of the slice views (see `brush`).
"""

from __future__ import annotations

import numpy as np

from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.prompts import BOX_CORE_FRACTION, BOX_MARGIN_MM, Box, Point
from InteractiveRefineLib.rasterize import SURFACE_TOLERANCE_MM

from .brush import Plane, layer_voxels, path_voxels, split_inside

#: A label that only stands for "the class": the voxels of a point or box do not depend on it.
_ANY_CLASS = 1


def point_voxels(geometry: Geometry, ras: np.ndarray, radius_mm: float) -> tuple[np.ndarray, int]:
    """Voxels of a click: a ball, at least the voxel nearest to it (see `InteractiveRefineLib.prompts.Point`).

    Returns:
        Ascending flat indices (C order of K, J, I) int64, and how many voxels lie outside the image.

    Raises:
        InputError: a position or radius that no image has.
    """
    return Point(tuple(ras), _ANY_CLASS, radius_mm).voxels(geometry)


def box_voxels(
    geometry: Geometry, plane: Plane, corner_a: np.ndarray, corner_b: np.ndarray, depth_mm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Voxels of a rectangle dragged over a slice.

    A rectangle shows where a structure ends within its slice and says nothing about the slices above and below. So
    without a depth it speaks about its own layer of voxels only. With a depth it is a box that reaches half of it to
    each side of the slice, and its surroundings are "not this class" above and below as well. Core and surroundings
    are those of `InteractiveRefineLib.prompts.Box`, turned into the axes of the view.

    Args:
        geometry: of the image.
        plane: of the slice.
        corner_a, corner_b: (3,) RAS positions in mm in the plane, opposite corners.
        depth_mm: 0 for the slice only.

    Returns:
        core: ascending flat indices (C order of K, J, I) int64 of what is certainly the class.
        ring: flat indices of what surrounds the box and is not the class.
        inside: flat indices of the whole box.
        n_clipped: voxels of the box outside the image.

    Raises:
        InputError: a rectangle without an area, or a position that no image has.
    """
    across = np.array([plane.x, plane.y]) @ np.subtract(corner_b, corner_a)
    half_depth = depth_mm / 2 if depth_mm > 0 else 1.0
    # In the axes of the view, whatever they are, the box is aligned with the coordinate system.
    box = Box((0.0, 0.0, -half_depth), (*across, half_depth), _ANY_CLASS)
    if depth_mm <= 0:
        return _rectangle_voxels(geometry, plane, np.asarray(corner_a), across)
    turn = np.eye(4)
    turn[:3, :3] = np.stack([plane.x, plane.y, plane.normal])
    turn[:3, 3] = -turn[:3, :3] @ np.asarray(corner_a)
    turned = Geometry(geometry.shape, turn @ geometry.ijk_to_ras)
    core, ring, n_clipped = box.voxels(turned)
    inside, _, _ = box.voxels(turned, margin_mm=0.0, core_fraction=1.0)
    return core, ring, inside, n_clipped


def _rectangle_voxels(
    geometry: Geometry, plane: Plane, corner: np.ndarray, across: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """`box_voxels` of one layer: `across` (2,) are the signed sides in mm along the plane's x and y."""
    axes = np.array([plane.x, plane.y])
    middle, half = across / 2, np.abs(across) / 2
    corners = corner + np.array([[a, b] for a in (0, 1) for b in (0, 1)]) * across @ axes
    kji, dropped = layer_voxels(geometry, plane, corners, BOX_MARGIN_MM)
    away = np.abs((dropped - corner) @ axes.T - middle)
    distance = np.linalg.norm(np.maximum(away - half, 0.0), axis=1)
    is_inside = distance <= SURFACE_TOLERANCE_MM
    is_ring = ~is_inside & (distance <= BOX_MARGIN_MM + SURFACE_TOLERANCE_MM)
    core = kji[(away <= half * BOX_CORE_FRACTION + SURFACE_TOLERANCE_MM).all(axis=1)]
    if not len(core):  # the core falls between the voxels' centers
        center = corner + middle @ axes
        core = path_voxels(geometry, center, center)
    inside, n_clipped = split_inside(kji[is_inside], geometry.shape)
    return split_inside(core, geometry.shape)[0], split_inside(kji[is_ring], geometry.shape)[0], inside, n_clipped
