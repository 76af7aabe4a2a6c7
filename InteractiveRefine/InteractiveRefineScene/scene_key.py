"""Whether the scene is still what the worker was asked about: the same image, and the same voxels in the segments."""

import numpy as np

from .locks import lockedSegments
from .segments import readSegmentation


def isStillAsRead(scene, volumeNode, segmentationNode, isSameImage, held):
    """True when a result may be shown for, or written into, the nodes that it was asked for.

    Args:
        isSameImage: the volumes of the image are as they were when the worker was asked.
        held: a `Round` or `Proposal`; its `before` is compared voxel by voxel, as Undo and Redo replace all images of
            the segments without changing a voxel.
    """
    for node in (volumeNode, segmentationNode):
        if node is None or node.GetID() is None or scene.GetNodeByID(node.GetID()) is not node:
            return False
    if not isSameImage:
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
