"""Which segments are locked: they neither gain nor lose a voxel. A tag of the segment, saved with the scene."""

from .names import PREFIX

#: Tag of a locked segment.
LOCK_TAG = PREFIX + "Locked"


def isLocked(segmentationNode, segmentId):
    """True for a locked segment; False for one that does not exist."""
    import vtk

    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    value = vtk.reference("")
    return segment is not None and bool(segment.GetTag(LOCK_TAG, value)) and str(value) == "1"


def setLocked(segmentationNode, segmentId, locked):
    """Lock or unlock a segment."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    if segment is None or isLocked(segmentationNode, segmentId) == bool(locked):
        return
    if locked:
        segment.SetTag(LOCK_TAG, "1")
    else:
        segment.RemoveTag(LOCK_TAG)


def lockedSegments(segmentationNode):
    """IDs of all locked segments, in the segmentation's order."""
    segmentation = segmentationNode.GetSegmentation()
    return [segmentId for segmentId in segmentation.GetSegmentIDs() if isLocked(segmentationNode, segmentId)]
