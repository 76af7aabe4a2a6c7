"""Slicer's oriented images (the voxels of segments) as arrays with a place on a grid, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from InteractiveRefineLib.geometry import Geometry

from .volumes import arrayFromMatrix, matrixFromArray

#: Three sides (start, stop) in array order K, J, I.
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Layer:
    """The voxels of an oriented image.

    Attributes:
        array: (K, J, I) integers, a view of the image's memory: writing into it writes into the image.
        geometry: of the array, in the frame of the segmentation node (parent transforms left out).
        start: (k, j, i) of the array's first voxel on the image's own grid, whose origin may lie outside.
    """

    array: np.ndarray
    geometry: Geometry
    start: tuple[int, int, int]

    def box(self, box: Box) -> np.ndarray:
        """(K, J, I) copy of the voxels of a box of the image's own grid; 0 where the image has none."""
        out = np.zeros([side.stop - side.start for side in box], self.array.dtype)
        here, there = [], []
        for side, start, size in zip(box, self.start, self.array.shape):
            low = max(side.start, start)
            high = max(low, min(side.stop, start + size))
            here.append(slice(low - side.start, high - side.start))
            there.append(slice(low - start, high - start))
        out[tuple(here)] = self.array[tuple(there)]
        return out


def layerOf(image) -> Layer | None:
    """The voxels of a vtkOrientedImageData; None when it is None or has no voxels."""
    if image is None or image.IsEmpty() or not image.GetPointData().GetScalars():
        return None
    extent = image.GetExtent()
    start = (extent[4], extent[2], extent[0])
    shape = (extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
    if min(shape) < 1:
        return None
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    shift = np.eye(4)
    shift[:3, 3] = start[::-1]
    return Layer(array, Geometry(shape, gridMatrix(image) @ shift), start)


def gridMatrix(image) -> np.ndarray:
    """(4, 4) matrix from IJK (extent coordinates) of a vtkOrientedImageData to the segmentation's local RAS in mm."""
    matrix = matrixFromArray(np.eye(4))
    image.GetImageToWorldMatrix(matrix)
    return arrayFromMatrix(matrix)


def orientedImage(array: np.ndarray, ijk_to_ras: np.ndarray, start: tuple[int, int, int] = (0, 0, 0)):
    """A vtkOrientedImageData with a copy of (K, J, I) `array`, whose first voxel is (k, j, i) `start` of the grid."""
    image = slicer.vtkOrientedImageData()
    sides = [n for first, size in zip(start[::-1], array.shape[::-1]) for n in (int(first), int(first) + size - 1)]
    image.SetExtent(*sides)
    image.SetImageToWorldMatrix(matrixFromArray(ijk_to_ras))
    # The copy must not share memory with `array`, which Python may free.
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=1))
    return image


def extentOf(box: Box) -> tuple[int, int, int, int, int, int]:
    """VTK's extent (inclusive, I J K) of a box."""
    return tuple(n for side in reversed(box) for n in (side.start, side.stop - 1))


def deserializedGeometry(text: str) -> tuple[Geometry, tuple[int, int, int], np.ndarray] | None:
    """What Slicer's text for an image geometry says; None when it says nothing.

    Returns:
        Its Geometry, the (k, j, i) of its first voxel, and the (4, 4) matrix from IJK counted in that way to RAS in mm.
    """
    image = slicer.vtkOrientedImageData()
    if not text or not slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image, False):
        return None
    extent = image.GetExtent()
    shape = (extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
    if min(shape) < 1:
        return None
    start = (extent[4], extent[2], extent[0])
    shift = np.eye(4)
    shift[:3, 3] = start[::-1]
    return Geometry(shape, gridMatrix(image) @ shift), start, gridMatrix(image)
