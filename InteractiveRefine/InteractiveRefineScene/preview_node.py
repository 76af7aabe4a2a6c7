"""The proposed result, shown beside the segmentation until it is applied or discarded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import box_of
from InteractiveRefineLib.segmentation import Segment

from .hidden_node import follow, makeHiddenSegmentation, removeNode
from .labelmaps import orientedImage
from .names import BINARY_LABELMAP, PREVIEW_NODE_NAME, PREVIEW_ROLE, VOLUME_ROLE
from .translate import _
from .volumes import geometryOf

#: Segment IDs of the change map; their values in its labelmap are 1, 2, 3.
ADDED, REMOVED, EXCHANGED = "change:added", "change:removed", "change:exchanged"
_CHANGES = ((ADDED, (0.1, 0.9, 0.2)), (REMOVED, (0.95, 0.1, 0.1)), (EXCHANGED, (1.0, 0.85, 0.1)))


class PreviewNode:
    """A segmentation node of its own, neither saved nor editable, with the result and a map of what changes."""

    def __init__(self) -> None:
        self._node = None
        self._segmentationNode = None
        self._opacity = 0.5
        self._changes = False

    @property
    def node(self):
        """vtkMRMLSegmentationNode, None while nothing is shown or after someone removed it."""
        return self._node if self._node is not None and self._node.GetScene() is not None else None

    def show(
        self,
        segmentationNode,
        volumeNode,
        before: np.ndarray,
        after: np.ndarray,
        segments: Sequence[Segment],
        changedBox: tuple[slice, slice, slice] | None = None,
    ) -> None:
        """Show a proposal; replaces the one shown before.

        Args:
            before, after: (K, J, I) unsigned integer label maps on the volume's grid.
            segments: list of library `Segment`; `label` as in the label maps, `id` a segment of `segmentationNode`
                whose name and color are used ("" or unknown: the Segment's own).
            changedBox: (K, J, I) slices outside of which nothing differs, when known: saves comparing all voxels.

        Raises:
            InputError: shapes that do not fit the volume.
        """
        geometry = geometryOf(volumeNode)
        if before.shape != geometry.shape or after.shape != geometry.shape:
            raise InputError(_("The proposal does not fit the volume. Refine again."))
        self.remove()
        self._segmentationNode = segmentationNode
        name = f"{PREVIEW_NODE_NAME} {segmentationNode.GetName()}"
        self._node = makeHiddenSegmentation(segmentationNode.GetScene(), name, volumeNode, saved=False)
        self._node.SetNodeReferenceID(VOLUME_ROLE, volumeNode.GetID())
        segmentationNode.SetNodeReferenceID(PREVIEW_ROLE, self._node.GetID())
        follow(self._node, volumeNode)
        result = _cropped(after, geometry.ijk_to_ras)
        if result is not None:
            known = segmentationNode.GetSegmentation()
            for entry in segments:
                original = known.GetSegment(entry.id) if entry.id else None
                name, color = entry.name, entry.color
                if original is not None:
                    name, color = original.GetName(), original.GetColor()
                self._add(f"result:{entry.id or entry.label}", name, color, entry.label, result)
        box = changedBox or tuple(slice(0, n) for n in geometry.shape)
        changes = _cropped(_changeMap(before[box], after[box]), geometry.ijk_to_ras, box)
        if changes is not None:
            names = (_("Added"), _("Removed"), _("Exchanged"))
            for value, ((segmentId, color), name) in enumerate(zip(_CHANGES, names), start=1):
                self._add(segmentId, name, color, value, changes)
        self._applyLook()

    def setOpacity(self, opacity: float) -> None:
        """Opacity 0 to 1 of the proposed segments in the slice views; outlines stay visible."""
        self._opacity = min(max(float(opacity), 0.0), 1.0)
        self._applyLook()

    def showChanges(self, visible: bool) -> None:
        """Show or hide the change map: added, removed, and exchanged one segment for another."""
        self._changes = bool(visible)
        self._applyLook()

    def remove(self) -> None:
        """Remove node, display node and subject hierarchy item; nothing is left in the scene."""
        if self._segmentationNode is not None:
            self._segmentationNode.SetNodeReferenceID(PREVIEW_ROLE, None)
        if self.node is not None:
            removeNode(self._node)
        self._node = self._segmentationNode = None

    def release(self) -> None:
        """The scene is about to close: forget all, touch nothing."""
        self._node = self._segmentationNode = None

    def _add(self, segmentId: str, name: str, color, value: int, image) -> None:
        """Segments of one map share its labelmap, so a proposal costs the memory of one."""
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.SetColor(*color)
        segment.SetLabelValue(value)
        segment.AddRepresentation(BINARY_LABELMAP, image)
        self._node.GetSegmentation().AddSegment(segment, segmentId)

    def _applyLook(self) -> None:
        if self.node is None:
            return
        segmentation, display = self._node.GetSegmentation(), self._node.GetDisplayNode()
        changing = display.StartModify()
        for n in range(segmentation.GetNumberOfSegments()):
            segmentId = segmentation.GetNthSegmentID(n)
            isChange = segmentId.startswith("change:")
            display.SetSegmentVisibility(segmentId, self._changes or not isChange)
            display.SetSegmentOpacity2DFill(segmentId, self._opacity)
        display.EndModify(changing)


def _changeMap(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(K, J, I) uint8: 0 = same, 1 = added, 2 = removed, 3 = exchanged one segment for another."""
    changes = np.zeros(after.shape, dtype=np.uint8)
    differs = before != after
    changes[differs] = 3
    changes[differs & (before == 0)] = 1
    changes[differs & (after == 0)] = 2
    return changes


def _cropped(labels: np.ndarray, ijk_to_ras: np.ndarray, of: tuple[slice, ...] = (slice(0, None),) * 3):
    """An oriented image of the box around the labels above 0; None when there are none. They are those of box `of`."""
    box = box_of(labels)
    if box is None:
        return None
    small = np.uint8 if labels[box].max() <= 255 else np.uint16
    return orientedImage(labels[box].astype(small), ijk_to_ras, tuple(a.start + b.start for a, b in zip(of, box)))
