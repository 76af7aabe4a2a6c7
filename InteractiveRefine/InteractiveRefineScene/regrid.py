"""Bring label values from one voxel grid to another: exactly where the grids share their voxels, else nearest voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.resample import resample_labels

from .labelmaps import Box

#: Voxels of both grids count as the same when they are this close everywhere, in voxels.
_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Placed:
    """Values on the target grid.

    Attributes:
        box: the part of the target grid that the source reaches; None when they do not meet.
        values: (K, J, I) of that box; may be a view of the source array.
        exact: every source voxel is a target voxel (cropping, flips and permutations included).
        cropped: part of the source lies outside the target grid.
    """

    box: Box | None
    values: np.ndarray
    exact: bool
    cropped: bool


def regrid(array: np.ndarray, source: Geometry, target: Geometry) -> Placed:
    """Bring (K, J, I) `array` on grid `source` to grid `target`; both grids in the same frame."""
    to_target = target.ras_to_kji @ source.kji_to_ras
    nearest = np.rint(to_target)
    steps = np.abs(to_target[:3, :3] - nearest[:3, :3]) @ np.array(source.shape)
    aligned = (steps + np.abs(to_target[:3, 3] - nearest[:3, 3]) <= _TOLERANCE).all()
    if (
        aligned
        and (np.abs(nearest[:3, :3]).sum(axis=0) == 1).all()
        and (np.abs(nearest[:3, :3]).sum(axis=1) == 1).all()
    ):
        return _shifted(array, nearest, target)
    last = np.array(source.shape) - 1
    corners = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    # The outer faces of the source's voxels, and one voxel to be safe.
    reach = (corners * (last + 1) - 0.5) @ to_target[:3, :3].T + to_target[:3, 3]
    low, high = np.floor(reach.min(axis=0)).astype(int), np.ceil(reach.max(axis=0)).astype(int) + 1
    box = tuple(slice(max(0, a), min(size, b)) for a, b, size in zip(low, high, target.shape))
    cropped = bool((reach.min(axis=0) < -0.5 - _TOLERANCE).any())
    cropped |= bool((reach.max(axis=0) > np.array(target.shape) - 0.5 + _TOLERANCE).any())
    if any(side.start >= side.stop for side in box):
        return Placed(None, array[:0], False, cropped)
    return Placed(box, resample_labels(array, source, boxGeometry(target, box)), False, cropped)


def boxGeometry(geometry: Geometry, box: Box) -> Geometry:
    """The geometry of a box of a grid."""
    shift = np.eye(4)
    shift[:3, 3] = [side.start for side in reversed(box)]
    return Geometry(tuple(side.stop - side.start for side in box), geometry.ijk_to_ras @ shift)


def _shifted(array: np.ndarray, to_target: np.ndarray, target: Geometry) -> Placed:
    """Permute, flip and shift, without interpolation."""
    box, cut, cropped = [], [], False
    moved = array.transpose([int(np.flatnonzero(row)[0]) for row in to_target[:3, :3]])
    for axis, (row, offset) in enumerate(zip(to_target[:3, :3], to_target[:3, 3].astype(int))):
        size, limit = moved.shape[axis], target.shape[axis]
        if row.sum() < 0:
            moved = np.flip(moved, axis)
            offset = offset - (size - 1)
        low, high = max(0, offset), min(limit, offset + size)
        cropped |= low > offset or high < offset + size
        box.append(slice(low, high))
        cut.append(slice(low - offset, high - offset))
    if any(side.start >= side.stop for side in box):
        return Placed(None, array[:0], True, cropped)
    return Placed(tuple(box), moved[tuple(cut)], True, cropped)
