"""Write a changed label map into segments: one undo state, box by box, through Slicer's masks and overwrite rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Protocol

import numpy as np
import slicer

from InteractiveRefineLib.geometry import box_of
from InteractiveRefineLib.segmentation import Segment

from .edit_grid import EditBox
from .labelmaps import extentOf
from .segment_change import SegmentChange, WriteReport, checkWritable, outsideWarning, reportOf

__all__ = ["LogicModifier", "Mode", "Modifier", "SegmentWriter", "WriteReport"]


class Mode(Enum):
    """What `Modifier.modify` does with the voxels above 0 of the modifier labelmap."""

    ADD = "ModificationModeAdd"
    REMOVE = "ModificationModeRemove"


class Modifier(Protocol):
    """The way into Slicer's masking pipeline: the editor's logic (LogicModifier) or the effect (EffectModifier).

    Attributes:
        editorNode: vtkMRMLSegmentEditorNode with the masks; its segmentation node and source volume node are set.
    """

    editorNode: object

    def saveStateForUndo(self) -> None:
        """Save one state of Slicer's segmentation history."""

    def modify(self, segmentId: str, modifierLabelmap, mode: Mode, extent: tuple[int, int, int, int, int, int]) -> None:
        """Add or remove the voxels of a vtkOrientedImageData within `extent` (IJK), masks respected, never bypassed.

        `editorNode.GetSelectedSegmentID()` is `segmentId` during the call: Slicer's masks go by it.
        """


class SegmentWriter:
    """Writes results into `modifier.editorNode`'s segmentation node."""

    def __init__(self, modifier: Modifier) -> None:
        self._modifier = modifier

    def apply(
        self,
        before: np.ndarray,
        after: np.ndarray,
        segments: Sequence[Segment],
        volumeNode,
        locked: Collection[str] = (),
        changedBox: tuple[slice, slice, slice] | None = None,
    ) -> WriteReport:
        """Make the segments what `after` says where it differs from `before`.

        Args:
            before, after: (K, J, I) unsigned integer label maps on the volume's grid; only voxels where they differ are
                written. There, no other one of `segments` remains.
            segments: list of library `Segment`: `label` in the label maps, `id` of the segment it is written to.
            volumeNode: whose grid it is.
            locked: segment IDs that neither gain nor lose a voxel.
            changedBox: (K, J, I) slices outside of which nothing differs, when known: saves comparing all voxels.

        Returns:
            What was written and what was not. Nothing to write: no undo state is saved.

        Raises:
            InputError: a segment does not exist, the segmentation is stored as closed surfaces, or a grid or
                transform does not fit; nothing was changed.
        """
        node = self._modifier.editorNode.GetSegmentationNode()
        checkWritable(node, before, after, segments, volumeNode)
        change = SegmentChange.of(node, before, after, segments, volumeNode, changedBox)
        if change is None:
            return WriteReport()
        if change.box is None:
            return WriteReport(warnings=[outsideWarning(node)])
        ids = {segment.label: segment.id for segment in segments}
        held = change.heldByLocks(ids, set(locked))
        free = {label: segmentId for label, segmentId in ids.items() if segmentId not in locked}
        old = {label: change.box.present(segmentId) for label, segmentId in free.items()}
        allowed = change.changed & ~held
        allowed &= ~self._protected(change, free, old, allowed)
        adds = {label: allowed & (change.after == label) & ~old[label] for label in free}
        removals = {label: allowed & (change.after != label) & old[label] for label in free}
        operations = [op for op in self._ordered(adds, removals, free) if op[2].any()]
        if operations:
            self._modifier.saveStateForUndo()
            for mode, segmentId, mask in operations:
                self._modify(change.box, mode, segmentId, mask)
        return reportOf(change, free, old, ids, node)

    def _protected(self, change: SegmentChange, ids: dict[int, str], old: dict, allowed: np.ndarray) -> np.ndarray:
        """Where the editor's mask mode refuses the change: a voxel moves as a whole or not at all.

        Slicer tests each write against the segments as they are by then, so without this a voxel could be taken from
        one segment and then be refused to the other.
        """
        refused = np.zeros(change.box.shape, dtype=bool)
        for label, segmentId in ids.items():
            involved = allowed & ((change.after == label) | old[label])
            if involved.any():
                protected = change.box.protected(segmentId, self._modifier.editorNode)
                if protected is None:
                    break
                refused |= involved & protected
        return refused

    def _ordered(self, adds: dict, removals: dict, ids: dict[int, str]) -> list[tuple[Mode, str, np.ndarray]]:
        """The writes in an order in which no write closes the editable area to a later one."""
        add = [(Mode.ADD, ids[label], mask) for label, mask in adds.items()]
        remove = [(Mode.REMOVE, ids[label], mask) for label, mask in removals.items()]
        editorNode, modes = self._modifier.editorNode, slicer.vtkMRMLSegmentationNode
        if editorNode.GetMaskMode() in (modes.EditAllowedInsideAllSegments, modes.EditAllowedInsideVisibleSegments):
            return add + remove  # a voxel that belongs to no segment any more is not editable
        if editorNode.GetMaskMode() == modes.EditAllowedInsideSingleSegment:
            # Removing from any other segment gives the voxel to the masking one, so that one comes last.
            last = [op for op in remove if op[1] == editorNode.GetMaskSegmentID()]
            return [op for op in remove if op[1] != editorNode.GetMaskSegmentID()] + add + last
        # First removed, then added: a layer that several segments share need not be split for an overlap.
        return remove + add

    def _modify(self, box: EditBox, mode: Mode, segmentId: str, mask: np.ndarray) -> None:
        sides = box_of(mask)
        image = box.image(mask[sides].astype(np.uint8), tuple(side.start for side in sides))
        extent = extentOf(tuple(slice(a + s.start, a + s.stop) for a, s in zip(box.start, sides)))
        with _selected(self._modifier.editorNode, segmentId):
            self._modifier.modify(segmentId, image, mode, extent)


class LogicModifier:
    """Modifier on vtkSlicerSegmentEditorLogic: for Python scripts, tests and Slicer without main window."""

    def __init__(self, editorLogic) -> None:
        """`editorLogic` has its segment editor node set."""
        self._logic = editorLogic

    @property
    def editorNode(self):
        """The vtkMRMLSegmentEditorNode of the logic."""
        return self._logic.GetSegmentEditorNode()

    def saveStateForUndo(self) -> None:
        """Save one state of the logic's segmentation history."""
        self._logic.SaveStateForUndo()

    def modify(self, segmentId: str, modifierLabelmap, mode: Mode, extent: tuple[int, int, int, int, int, int]) -> None:
        """See `Modifier.modify`."""
        # An int instead of the enum object would be a TypeError.
        mode = getattr(slicer.vtkSlicerSegmentEditorLogic, mode.value)
        node = self.editorNode.GetSegmentationNode()
        self._logic.ModifySegmentByLabelmap(node, segmentId, modifierLabelmap, mode, extent, False, False)


@contextmanager
def _selected(editorNode, segmentId: str) -> Iterator[None]:
    """Select a segment without anybody noticing: Slicer's masks never protect the selected segment from itself."""
    before, modifying = editorNode.GetSelectedSegmentID(), editorNode.StartModify()
    try:
        editorNode.SetSelectedSegmentID(segmentId)
        yield
    finally:
        editorNode.SetSelectedSegmentID(before)
        editorNode.EndModify(modifying)
