"""Whether the scene is still what the worker was asked about: the same volume, and the same voxels in the segments."""

import numpy as np

from .locks import lockedSegments
from .segments import readSegmentation
from .volumes import geometryOf


def volumeKey(volumeNode):
    """A value that changes with the volume, its voxels and its place."""
    geometry = geometryOf(volumeNode)
    # VTK never gives a time twice, so another image has another one.
    modified = volumeNode.GetImageData().GetMTime()
    return volumeNode.GetID(), modified, geometry.shape, tuple(geometry.ijk_to_ras.ravel())


def isStillAsRead(scene, volumeNode, segmentationNode, imageKey, held):
    """True when a result may be shown for, or written into, the nodes that it was asked for.

    Args:
        imageKey: `volumeKey` when the worker was asked.
        held: a `Round` or `Proposal`; its `before` is compared voxel by voxel, as Undo and Redo replace all images of
            the segments without changing a voxel.
    """
    for node in (volumeNode, segmentationNode):
        if node is None or node.GetID() is None or scene.GetNodeByID(node.GetID()) is not node:
            return False
    if volumeNode.GetImageData() is None or volumeKey(volumeNode) != imageKey:
        return False
    # A lock that came later must hold as well; the next round knows it.
    ids = set(segmentationNode.GetSegmentation().GetSegmentIDs())
    if not {segment.id for segment in held.segments if segment.id} <= ids:
        return False
    if set(lockedSegments(segmentationNode)) - set(held.locked) & {segment.id for segment in held.segments}:
        return False
    now = readSegmentation(segmentationNode, volumeNode)
    label_of = {segment.id: segment.label for segment in held.segments if segment.id}
    lookup = np.full(int(now.labels.max(initial=0)) + 1, np.iinfo(np.uint16).max, dtype=np.uint16)
    lookup[0] = 0
    for segment in now.segments:
        if segment.label < len(lookup):
            lookup[segment.label] = label_of.get(segment.id, lookup[segment.label])
    return now.labels.shape == held.before.shape and np.array_equal(lookup[now.labels], held.before)
