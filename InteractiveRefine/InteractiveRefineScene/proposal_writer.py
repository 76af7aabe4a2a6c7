"""Writes a proposal into the segments, as one step of Slicer's Undo."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from .class_mapping import ensureSegments
from .segment_writer import SegmentWriter
from .segments import makeEditable

#: A first segmentation makes segments for all classes of a network with so many, for found ones only of a larger one.
FEW_CLASSES = 30


class _AlreadySaved:
    """A modifier whose undo state was saved before, because segments had to be made first."""

    def __init__(self, modifier):
        self._modifier = modifier

    @property
    def editorNode(self):
        return self._modifier.editorNode

    def saveStateForUndo(self):
        """Nothing: it is saved."""

    def modify(self, segmentId, modifierLabelmap, mode, extent):
        self._modifier.modify(segmentId, modifierLabelmap, mode, extent)


def writeProposal(modifier, segmentationNode, volumeNode, proposal, link=None):
    """Write what a proposal changes; Undo takes back all of it at once, the strokes included.

    Args:
        modifier: see `SegmentWriter`.
        link: `StrokesLink` of the strokes of these nodes, None when there are none.

    Returns:
        The `WriteReport`.

    Raises:
        InputError: it does not fit the segmentation; nothing was changed.
    """
    makeEditable(segmentationNode, volumeNode)
    with link.undo.applying() if link is not None else nullcontext():
        if proposal.creates:
            return _writeFirst(modifier, segmentationNode, volumeNode, proposal)
        report = _write(modifier, volumeNode, proposal, proposal.segments)
        if link is not None:
            if proposal.called is not None:
                link.rememberCalled(*proposal.called, proposal.segments)
            link.strokes.closeRound()
    return report


def _writeFirst(modifier, segmentationNode, volumeNode, proposal):
    """Make the segments that are missing, then write; one undo state that knows none of them."""
    existing = {segment.label for segment in proposal.segments if segment.id}
    found = set(np.unique(proposal.after).tolist())
    few = len(proposal.creates) <= FEW_CLASSES
    wanted = [entry for entry in proposal.creates if few or entry.label in existing or entry.label in found]
    modifier.saveStateForUndo()
    before = set(segmentationNode.GetSegmentation().GetSegmentIDs())
    ids = ensureSegments(segmentationNode, wanted)
    label_to_id = {entry.label: ids[entry.name] for entry in wanted}
    segments = [replace(segment, id=label_to_id.get(segment.label, segment.id)) for segment in proposal.segments]
    try:
        return _write(_AlreadySaved(modifier), volumeNode, proposal, segments)
    except Exception:
        for segmentId in set(segmentationNode.GetSegmentation().GetSegmentIDs()) - before:
            segmentationNode.GetSegmentation().RemoveSegment(segmentId)
        raise


def _write(modifier, volumeNode, proposal, segments):
    written = [segment for segment in segments if segment.id]
    return SegmentWriter(modifier).apply(
        proposal.before, proposal.after, written, volumeNode, locked=proposal.locked
    )  # fmt: skip
