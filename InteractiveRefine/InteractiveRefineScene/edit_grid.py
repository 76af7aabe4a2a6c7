"""The grid a segmentation is edited on, where its segments are there, and where Slicer's masks let them change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry

from .labelmaps import Box, deserializedGeometry, gridMatrix, layerOf, orientedImage
from .names import BINARY_LABELMAP
from .regrid import boxGeometry, regrid
from .segments import referenceGeometryName
from .translate import _


@dataclass(frozen=True, eq=False)
class EditGrid:
    """Slicer's reference geometry of a segmentation.

    Attributes:
        geometry: in the local frame of the segmentation node.
        start: (k, j, i) of its first voxel in the lattice whose origin `lattice` refers to.
        lattice: (4, 4) matrix from lattice IJK to the segmentation's local RAS in mm.
    """

    geometry: Geometry
    start: tuple[int, int, int]
    lattice: np.ndarray

    @classmethod
    def of(cls, segmentationNode, volumeNode) -> EditGrid:
        """The grid of a segmentation; one that has none yet gets the volume's.

        Raises:
            InputError: there is no usable grid, or one that Slicer's images cannot represent.
        """
        segmentation = segmentationNode.GetSegmentation()
        # The conversion parameter is what the editor uses. Asking the editor's logic would give the same lattice, but
        # it looks at all voxels of all segments first.
        text = segmentation.GetConversionParameter(referenceGeometryName())
        if not text:
            text = slicer.vtkSlicerSegmentEditorLogic.GetReferenceImageGeometryStringFromSegmentation(segmentation)
        if not text:
            segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
            text = segmentation.GetConversionParameter(referenceGeometryName())
        found = deserializedGeometry(text)
        if found is None:
            raise InputError(
                _(
                    '"{name}" has no usable geometry. Specify it in the Segment Editor (beside the source volume).'
                ).format(name=segmentationNode.GetName())
            )
        geometry, start, lattice = found
        # Under an intensity mask Slicer silently writes nothing when the modifier's grid differs from this one.
        image = orientedImage(np.zeros((1, 1, 1), np.uint8), lattice, start)
        if not np.allclose(gridMatrix(image), lattice, rtol=0, atol=1e-4):
            raise InputError(
                _('The grid of "{name}" is sheared, which Slicer cannot edit. Harden its transform first.').format(
                    name=segmentationNode.GetName()
                )
            )
        return cls(geometry, start, lattice)


class EditBox:
    """A box of the edit grid of a segmentation node.

    Attributes:
        shape: (K, J, I) of the box.
        start: (k, j, i) of its first voxel in the lattice.
    """

    def __init__(self, segmentationNode, grid: EditGrid, box: Box) -> None:
        self._node = segmentationNode
        self._grid = grid
        self._geometry = boxGeometry(grid.geometry, box)
        self.shape = self._geometry.shape
        self.start = tuple(first + side.start for first, side in zip(grid.start, box))

    def present(self, segmentId: str) -> np.ndarray:
        """(K, J, I) bool, where the segment is now."""
        segment = self._node.GetSegmentation().GetSegment(segmentId)
        image = segment.GetRepresentation(BINARY_LABELMAP)
        layer = layerOf(image)
        if layer is None:
            return np.zeros(self.shape, dtype=bool)
        if np.allclose(gridMatrix(image), self._grid.lattice, rtol=0, atol=1e-5):
            sides = tuple(slice(first, first + size) for first, size in zip(self.start, self.shape))
            return layer.box(sides) == segment.GetLabelValue()
        found = np.zeros(self.shape, dtype=bool)
        there = regrid((layer.array == segment.GetLabelValue()).astype(np.uint8), layer.geometry, self._geometry)
        if there.box is not None:
            found[there.box] = there.values != 0
        return found

    def protected(self, segmentId: str, editorNode) -> np.ndarray | None:
        """(K, J, I) bool, where the mask mode of the editor does not let the segment change; None = nowhere."""
        if editorNode.GetMaskMode() == slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere:
            return None
        reference = self.image(np.zeros(self.shape, np.uint8))
        mask = slicer.vtkOrientedImageData()
        masking = editorNode.GetMaskSegmentID() or ""
        if not self._node.GenerateEditMask(mask, editorNode.GetMaskMode(), reference, segmentId, masking):
            raise InputError(_("The mask of the Segment Editor cannot be used. Choose another editable area."))
        layer = layerOf(mask)
        sides = tuple(slice(first, first + size) for first, size in zip(self.start, self.shape))
        return layer.box(sides) != 0

    def image(self, values: np.ndarray, start: tuple[int, int, int] = (0, 0, 0)):
        """vtkOrientedImageData of (K, J, I) `values`, whose first voxel is `start` of this box."""
        return orientedImage(values, self._grid.lattice, tuple(a + b for a, b in zip(self.start, start)))
