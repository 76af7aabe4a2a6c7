"""Slice views in numbers: the plane of a view, the position under its cursor, and where a volume's voxels lie in it."""

from __future__ import annotations

import numpy as np
import slicer

from InteractiveRefineLib.geometry import Geometry

from .brush import Plane


def planeOf(sliceNode) -> Plane:
    """The plane that a `vtkMRMLSliceNode` shows, in RAS of the world."""
    matrix = slicer.util.arrayFromVTKMatrix(sliceNode.GetXYToRAS())
    x, y = matrix[:3, 0], matrix[:3, 1]
    return Plane(matrix[:3, 3], x / np.linalg.norm(x), y / np.linalg.norm(y))


def rasAt(sliceNode, xy) -> np.ndarray:
    """(3,) RAS position in mm under pixel `xy` (two numbers, lower left corner is 0, 0) of a slice view."""
    return slicer.util.arrayFromVTKMatrix(sliceNode.GetXYToRAS())[:3] @ (xy[0], xy[1], 0.0, 1.0)


def xyOf(sliceNode, ras: np.ndarray) -> np.ndarray:
    """(N, 2) pixels of RAS positions (N, 3) in mm in a slice view; what lies off the plane is dropped onto it."""
    matrix = np.linalg.inv(slicer.util.arrayFromVTKMatrix(sliceNode.GetXYToRAS()))
    return (np.asarray(ras) @ matrix[:3, :3].T + matrix[:3, 3])[:, :2]


def geometryInWorld(volumeNode) -> Geometry:
    """Where the voxels of a volume lie in the world, under all transforms above it.

    Raises:
        InputError: no image, or a transform that no grid of voxels can follow (see `volumes.localToLocal`).
    """
    from InteractiveRefineScene.volumes import geometryOf, localToLocal

    own = geometryOf(volumeNode)
    return Geometry(own.shape, localToLocal(volumeNode, None) @ own.ijk_to_ras)
