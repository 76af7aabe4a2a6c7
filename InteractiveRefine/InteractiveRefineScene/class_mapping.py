"""Which segment stands for which class of the network: by a tag on the segment, proposed by name or terminology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import slicer

from InteractiveRefineLib.class_names import closest
from InteractiveRefineLib.segmentation import Segment, Segmentation

from .names import CLASS_TAG
from .segments import segmentIdsOf, tagOf

_TERMINOLOGY_TAG = "TerminologyEntry"
#: The code of "Tissue", which every segment has that nobody described: it tells nothing.
_UNDESCRIBED = "85756007"


def classOf(segmentationNode, segmentId: str) -> str | None:
    """Name of the class that the user (or we) gave the segment; "" = explicitly none, None = never decided."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    tag = None if segment is None else tagOf(segment, CLASS_TAG)
    return None if tag is None else tag.replace("%7C", "|").replace("%25", "%")


def setClass(segmentationNode, segmentId: str, className: str) -> None:
    """Let a segment stand for a class ("" = explicitly for none). The segment that stood for it before loses it."""
    for otherId in segmentIdsOf(segmentationNode):
        if className and otherId != segmentId and _same(classOf(segmentationNode, otherId), className):
            _setTag(segmentationNode, otherId, "")
    _setTag(segmentationNode, segmentId, className)


def mappingOf(segmentationNode, classes: Sequence[Segment]) -> dict[str, str]:
    """Segment ID -> class name for all segments that stand for one of `classes`; each class at most once.

    The tag decides; a segment without tag is matched by name (any case), then by terminology, then by a name that is
    the same differently written ("Liver_1", "kidney_right"), where only one segment is. Nothing is stored.

    Args:
        classes: the network's classes, library `Segment`s.
    """
    free = {entry.name: entry for entry in classes}
    mapping: dict[str, str] = {}
    segmentation = segmentationNode.GetSegmentation()
    untagged = []
    for segmentId in segmentIdsOf(segmentationNode):
        tag = classOf(segmentationNode, segmentId)
        if tag is None:
            untagged.append(segmentId)
            continue
        name = next((name for name in free if _same(name, tag)), None)
        if name is not None:
            mapping[segmentId] = free.pop(name).name
    matches = (
        lambda segment, entry: _same(segment.GetName(), entry.name),
        lambda segment, entry: _code(tagOf(segment, _TERMINOLOGY_TAG)) == _code(entry.tags.get(_TERMINOLOGY_TAG)) != "",
    )
    for isMatch in matches:  # all names before any terminology, so that a name never loses its class to a code
        for segmentId in untagged:
            if segmentId in mapping:
                continue
            segment = segmentation.GetSegment(segmentId)
            found = next((entry for entry in free.values() if isMatch(segment, entry)), None)
            if found is not None:
                mapping[segmentId] = free.pop(found.name).name
    mapping.update(_similarNames(segmentation, [s for s in untagged if s not in mapping], list(free)))
    return {segmentId: mapping[segmentId] for segmentId in segmentIdsOf(segmentationNode) if segmentId in mapping}


def _similarNames(segmentation, segmentIds: Sequence[str], classNames: Sequence[str]) -> dict[str, str]:
    """Segment ID -> class name, for names that only one segment and one class share in other words."""
    found = {s: closest(segmentation.GetSegment(s).GetName(), classNames) for s in segmentIds}
    claimed = [name for name in found.values() if name is not None]
    return {s: name for s, name in found.items() if claimed.count(name) == 1}


def segmentOf(segmentationNode, className: str, classes: Sequence[Segment]) -> str | None:
    """ID of the segment that stands for a class, None when there is none."""
    mapping = mappingOf(segmentationNode, classes)
    return next((segmentId for segmentId, name in mapping.items() if _same(name, className)), None)


def ensureSegments(segmentationNode, classes: Sequence[Segment]) -> dict[str, str]:
    """Add a segment with name, color and tag for every class that none stands for; stores the mapping in tags.

    Returns:
        class name -> segment ID, for all classes.
    """
    segmentation = segmentationNode.GetSegmentation()
    ids = {name: segmentId for segmentId, name in mappingOf(segmentationNode, classes).items()}
    for entry in classes:
        if entry.name not in ids:
            segment = slicer.vtkSegment()
            segment.SetName(entry.name)
            segment.SetColor(*entry.color)
            if _TERMINOLOGY_TAG in entry.tags:
                segment.SetTag(_TERMINOLOGY_TAG, entry.tags[_TERMINOLOGY_TAG])
            segmentId = segmentation.GenerateUniqueSegmentID(entry.id or entry.name)
            segmentation.AddSegment(segment, segmentId)
            ids[entry.name] = segmentId
        _setTag(segmentationNode, ids[entry.name], entry.name)
    return {entry.name: ids[entry.name] for entry in classes}


def withClassNames(segmentation: Segmentation, mapping: dict[str, str]) -> Segmentation:
    """A copy of a Segmentation whose mapped segments have their class's name, as the library matches by name.

    Segments that stand for no class keep their names, made different from every other one.

    Args:
        segmentation: with segment IDs, as `readSegmentation` gives it.
        mapping: segment ID -> class name.
    """
    taken = {name.strip().lower() for name in mapping.values()} | {"background"}
    segments = []
    for segment in segmentation.segments:
        name = mapping.get(segment.id)
        if name is None:
            name, n = segment.name, 2
            while name.strip().lower() in taken:
                name, n = f"{segment.name} ({n})", n + 1
            taken.add(name.strip().lower())
        segments.append(replace(segment, name=name))
    return replace(segmentation, segments=segments)


def _setTag(segmentationNode, segmentId: str, className: str) -> None:
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    tag = className.replace("%", "%25").replace("|", "%7C")  # a .seg.nrrd file would end the tag at a bar
    if tagOf(segment, CLASS_TAG) != tag:  # every change counts as an edit for Slicer's undo
        segment.SetTag(CLASS_TAG, tag)


def _same(a: str | None, b: str | None) -> bool:
    return a is not None and b is not None and a.strip().lower() == b.strip().lower()


def _code(terminology: str | None) -> str:
    """Category-independent code of a terminology entry: scheme and code of type and modifier; "" when it tells nothing.

    An entry reads "context~category~type~modifier~anatomic context~region~region modifier", each code
    "scheme^value^meaning".
    """
    parts = (terminology or "").split("~")
    if len(parts) < 4 or not parts[2].strip("^"):
        return ""
    codes = [part.split("^")[:2] for part in (*parts[2:4], *parts[5:7])]
    return "" if codes[0][-1:] == [_UNDESCRIBED] else repr(codes)
