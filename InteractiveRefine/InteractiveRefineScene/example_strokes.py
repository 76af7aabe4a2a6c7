"""Strokes a careful user would draw on the sample scan, whose truth is known: for the first case and the self-test."""

from __future__ import annotations

import numpy as np
from slicer.i18n import tr as _

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.stroke_book import Kind, Stroke

from .sample_data import PHANTOM_SEED
from .segments import readSegmentation
from .volumes import geometryOf, kjiToWorld

#: The tumor and the vessels are small or thin: nothing to begin with.
ORGANS = ("liver", "spleen", "right kidney", "left kidney")


def exampleStrokes(volumeNode, segmentationNode, count: int = 1) -> list[tuple[Stroke, np.ndarray]]:
    """Strokes into the largest errors of different organs of the sample scan.

    Returns:
        At most `count` pairs: the stroke, for the segment of that name, and the RAS position (3,) in mm of its middle
        in the world; the largest error first.

    Raises:
        InputError: another volume, no segment called like an organ of the scan, or nothing is wrong any more.
    """
    from InteractiveRefineLib.phantom import make_phantom
    from InteractiveRefineLib.robot import robot_organ_strokes

    truth = make_phantom(PHANTOM_SEED, shift="domain")[1]
    current = readSegmentation(segmentationNode, volumeNode)
    if not current.geometry.matches(truth.geometry):
        raise InputError(_("This is not the example any more. Load it again."))
    drawn = []
    for name in ORGANS:
        organ, segment = truth.segment_named(name), current.segment_named(name)
        if segment is None:
            continue
        inside, called = truth.labels == organ.label, current.labels == segment.label
        # Only what was missed: a stroke that adds is easier to understand than one that takes away.
        strokes = robot_organ_strokes(
            inside, np.where(inside, current.labels, 0), segment.label, max_strokes=1, rim_voxels=1
        )
        if strokes:
            drawn.append((int((inside & ~called).sum()), segment.id, strokes[0].kji))
    if not drawn:
        raise InputError(
            _("There is nothing to correct: no organ of the example misses a part. Load the example again.")
        )
    drawn.sort(key=lambda item: -item[0])
    shape = geometryOf(volumeNode).shape
    return [
        (
            Stroke(np.ravel_multi_index(tuple(kji.T), shape), segmentId, Kind.CLASS),
            kjiToWorld(volumeNode, kji[len(kji) // 2 : len(kji) // 2 + 1])[0],
        )
        for _missed, segmentId, kji in drawn[:count]
    ]
