"""Segments of our own nodes, each with a labelmap of its own that reaches no farther than its voxels."""

from __future__ import annotations

import numpy as np
import slicer

from InteractiveRefineLib.geometry import Geometry

from .labelmaps import layerOf, orientedImage
from .names import BINARY_LABELMAP

#: A labelmap grows by this many voxels more than needed, so that the next points of a stroke still fit.
_SPARE = 16


def showVoxels(segmentation, segmentId: str, indices: np.ndarray, geometry: Geometry) -> None:
    """Make a segment of an overlay exactly these voxels: flat indices (N,) int64, C order of K, J, I of `geometry`."""
    image = None
    if len(indices):
        kji = np.stack(np.unravel_index(indices, geometry.shape), axis=1)
        image = _imageOf(kji, geometry)
    _setImage(segmentation, segmentId, image)


def addVoxels(segmentation, segmentId: str, indices: np.ndarray, geometry: Geometry) -> None:
    """Add voxels to a segment of an overlay; costs as much as the box around the segment at most."""
    if not len(indices):
        return
    kji = np.stack(np.unravel_index(indices, geometry.shape), axis=1)
    image = segmentation.GetSegment(segmentId).GetRepresentation(BINARY_LABELMAP)
    layer = layerOf(image)
    if layer is not None:
        at = kji - layer.start
        if (at >= 0).all() and (at < layer.array.shape).all():
            # These labelmaps are never shared with another segment, so they may be edited in place.
            layer.array[tuple(at.T)] = 1
            _modified(image)
            return
        old = np.argwhere(layer.array) + layer.start
        kji = np.concatenate([old, kji])
    _setImage(segmentation, segmentId, _imageOf(kji, geometry))


def removeVoxels(segmentation, segmentId: str, indices: np.ndarray, geometry: Geometry) -> None:
    """Take voxels out of a segment of an overlay; voxels that it does not have are no error."""
    image = segmentation.GetSegment(segmentId).GetRepresentation(BINARY_LABELMAP)
    layer = layerOf(image)
    if layer is None or not len(indices):
        return
    at = np.stack(np.unravel_index(indices, geometry.shape), axis=1) - layer.start
    at = tuple(at[((at >= 0) & (at < layer.array.shape)).all(axis=1)].T)
    if layer.array[at].any():
        layer.array[at] = 0
        _modified(image)


def _modified(image) -> None:
    """The voxels were edited in place: tell those who show them."""
    image.GetPointData().GetScalars().Modified()
    image.Modified()


def _imageOf(kji: np.ndarray, geometry: Geometry):
    low = np.maximum(kji.min(axis=0) - _SPARE, 0)
    high = np.minimum(kji.max(axis=0) + 1 + _SPARE, geometry.shape)
    array = np.zeros(high - low, dtype=np.uint8)
    array[tuple((kji - low).T)] = 1
    return orientedImage(array, geometry.ijk_to_ras, tuple(int(n) for n in low))


def _setImage(segmentation, segmentId: str, image) -> None:
    segment = segmentation.GetSegment(segmentId)
    if image is None:
        image = slicer.vtkOrientedImageData()  # Slicer expects a labelmap in every segment
        image.SetExtent(0, -1, 0, -1, 0, -1)
        image.AllocateScalars(3, 1)  # VTK_UNSIGNED_CHAR
    segment.AddRepresentation(BINARY_LABELMAP, image)
