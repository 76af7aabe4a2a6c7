"""The strokes of one segmentation with all that hangs on them: Undo, and what earlier rounds left behind."""

import numpy as np

from .names import PREFIX
from .undo_link import UndoLink
from .volumes import geometryOf

#: Attribute of the strokes node: voxels that were decided by hand, see `RoundMemory`.
MANUAL_ATTRIBUTE = PREFIX + "Manual"


class StrokesLink:
    """Holds a `StrokeNode` and the `UndoLink` that brings its states back.

    Attributes:
        strokes: the StrokeNode.
        undo: the UndoLink.
    """

    def __init__(self, strokes, segmentationNode, volumeNode, onChanged):
        self.strokes = strokes
        self.undo = UndoLink(segmentationNode, strokes)
        self._segmentationNode, self._volumeNode = segmentationNode, volumeNode
        strokes.onChanged = onChanged

    def fits(self, volumeNode):
        """False once the volume lies on another grid than the strokes were drawn on."""
        return volumeNode.GetImageData() is None or geometryOf(volumeNode).matches(self.strokes.book.geometry)

    def rememberCalled(self, indices, labels, segments):
        """Keep with the strokes what their voxels were called when they were first refined.

        Args:
            indices, labels: (N,) int64, flat voxel indices and labels in the numbering of `segments`.
        """
        ids = {0: ""} | {segment.label: segment.id for segment in segments}
        known = np.array([ids.get(label) is not None for label in labels.tolist()], dtype=bool)
        self.strokes.rememberCalled(indices[known], [ids[label] for label in labels[known].tolist()])

    def storedMemory(self):
        """Text of `RoundMemory` that came with the scene; "" for none."""
        node = self.strokes.node
        return (node.GetAttribute(MANUAL_ATTRIBUTE) or "") if node is not None else ""

    def storeMemory(self, memory):
        """Keep a `RoundMemory` with the scene."""
        if self.strokes.node is not None:
            self.strokes.node.SetAttribute(MANUAL_ATTRIBUTE, memory.toText() or None)

    def release(self, sceneCloses):
        """Let go of the nodes. `sceneCloses`: forget the strokes as well, and touch no node."""
        self.undo.release()
        self.strokes.onChanged = None
        if sceneCloses:
            self.strokes.release()
