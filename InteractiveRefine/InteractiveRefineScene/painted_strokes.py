"""Strokes that somebody painted into a segmentation node by hand, with Slicer's own tools."""

from __future__ import annotations

import numpy as np

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.stroke_book import BACKGROUND, Kind, Stroke

from .segments import readSegmentation, segmentIdsOf
from .translate import _

_NOT = "not "


def readPaintedStrokes(strokesNode, segmentationNode, volumeNode) -> tuple[list[Stroke], list[str]]:
    """Read a segmentation node that was painted by hand as strokes of one round.

    Its segments are named like segments of `segmentationNode` (any case), "background", or "not <segment>". Where they
    overlap, the later one counts.

    Returns:
        strokes: on the volume's grid, in the order of the node's segments.
        warnings: one sentence each: segments whose name fits nothing, overlaps, voxels outside the volume.

    Raises:
        InputError: nothing of it can be used, or a nonlinear transform.
    """
    painted = readSegmentation(strokesNode, volumeNode)
    meaning = {"background": (BACKGROUND, Kind.CLASS)}
    segmentation = segmentationNode.GetSegmentation()
    for segmentId in reversed(segmentIdsOf(segmentationNode)):  # of two with one name, the first counts
        name = segmentation.GetSegment(segmentId).GetName().strip().lower()
        meaning[_NOT + name] = (segmentId, Kind.NOT)
    for segmentId in reversed(segmentIdsOf(segmentationNode)):
        meaning[segmentation.GetSegment(segmentId).GetName().strip().lower()] = (segmentId, Kind.CLASS)
    strokes, warnings = [], list(painted.warnings)
    for segment in painted.segments:
        indices = np.flatnonzero(painted.labels == segment.label)
        if not len(indices):
            continue
        found = meaning.get(segment.name.strip().lower())
        if found is None:
            warnings.append(
                _('Strokes "{name}" fit no segment of "{segmentation}" and were left out; rename them.').format(
                    name=segment.name, segmentation=segmentationNode.GetName()
                )
            )
            continue
        strokes.append(Stroke(indices, *found))
    if not strokes:
        raise InputError(
            _(
                '"{name}" has no strokes that can be used. Name its segments like those of "{segmentation}", '
                '"background", or "not" and such a name, and paint some voxels in them.'
            ).format(name=strokesNode.GetName(), segmentation=segmentationNode.GetName())
        )
    return strokes, warnings
