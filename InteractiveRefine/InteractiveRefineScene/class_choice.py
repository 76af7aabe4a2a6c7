"""What becomes of each class of the network: a segment of its own, a part of one, or nothing. Stored in the scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from InteractiveRefineLib.segmentation import Segment

from .class_mapping import classOf, mappingOf, setClass
from .names import IGNORED_ATTRIBUTE, MERGED_TAG
from .segments import tagOf

#: Instead of a segment's ID: the class gets a segment of its own, made by the first segmentation; or none at all.
OWN, IGNORED = "", "/ignored"


@dataclass(frozen=True)
class ClassChoice:
    """One class and what becomes of it.

    Attributes:
        name: of the class.
        target: ID of its segment, `OWN` while it has none, or `IGNORED`.
        isProposed: nobody decided it yet; it was proposed because of the segment's name or terminology.
    """

    name: str
    target: str
    isProposed: bool = False


def choicesOf(segmentationNode, classes: Sequence[Segment]) -> list[ClassChoice]:
    """What becomes of each of the network's classes, in their order."""
    mapping = knownSegments(segmentationNode, classes)
    target = {name: segmentId for segmentId, name in mapping.items()}
    proposed = {name for segmentId, name in mapping.items() if classOf(segmentationNode, segmentId) is None}
    merged, ignored = _merged(segmentationNode, mapping), _ignored(segmentationNode)
    choices = []
    for entry in classes:
        elsewhere = merged.get(_key(entry.name), IGNORED if _key(entry.name) in ignored else OWN)
        choices.append(ClassChoice(entry.name, target.get(entry.name, elsewhere), entry.name in proposed))
    return choices


def knownSegments(segmentationNode, classes: Sequence[Segment]) -> dict[str, str]:
    """Segment ID -> the class that it stands for, of merged ones the first; as `mappingOf`, but a class that the user
    merged into another segment or ignores is not proposed for a segment that came later."""
    mapping = mappingOf(segmentationNode, classes)
    decided = {*_merged(segmentationNode, mapping), *_ignored(segmentationNode)}
    return {
        segmentId: name
        for segmentId, name in mapping.items()
        if classOf(segmentationNode, segmentId) is not None or _key(name) not in decided
    }


def choose(segmentationNode, classes: Sequence[Segment], name: str, target: str) -> None:
    """Decide what becomes of a class; several classes may be given the same segment.

    Args:
        classes: of the network.
        name: of one of them.
        target: ID of a segment, `OWN` or `IGNORED`.
    """
    acceptProposals(segmentationNode, classes)
    members = _members(segmentationNode, classes)
    for group in members.values():
        if name in group:
            group.remove(name)
    if target not in (OWN, IGNORED):
        members.setdefault(target, []).append(name)
    ignored = _names(segmentationNode.GetAttribute(IGNORED_ATTRIBUTE))
    ignored = [other for other in ignored if _key(other) != _key(name)] + ([name] if target == IGNORED else [])
    if ignored != _names(segmentationNode.GetAttribute(IGNORED_ATTRIBUTE)):
        segmentationNode.SetAttribute(IGNORED_ATTRIBUTE, _text(ignored) or None)
    for segmentId, group in members.items():
        setClass(segmentationNode, segmentId, group[0] if group else "")
        _setMerged(segmentationNode, segmentId, group[1:])


def acceptProposals(segmentationNode, classes: Sequence[Segment]) -> None:
    """Store what is proposed, as the user saw it and went on: a segment that is renamed later keeps its class."""
    for segmentId, name in knownSegments(segmentationNode, classes).items():
        if classOf(segmentationNode, segmentId) is None:
            setClass(segmentationNode, segmentId, name)


def classMapOf(segmentationNode, classes: Sequence[Segment]) -> dict[str, list[str]]:
    """The class map for the worker (see `InteractiveRefineLib.backbone.class_map`); {} when all classes stay apart.

    Merged classes are called like the first of them, which is the class that `mappingOf` tells for their segment.
    """
    merged = {group[0]: group for group in _members(segmentationNode, classes).values() if len(group) > 1}
    ignored = [choice.name for choice in choicesOf(segmentationNode, classes) if choice.target == IGNORED]
    return {**merged, **({"ignore": ignored} if ignored else {})}


def _members(segmentationNode, classes: Sequence[Segment]) -> dict[str, list[str]]:
    """Segment ID -> its classes, first the one that its tag names."""
    first = knownSegments(segmentationNode, classes)
    members = {segmentId: [name] for segmentId, name in first.items()}
    for choice in choicesOf(segmentationNode, classes):
        if choice.target in members and choice.name != first[choice.target]:
            members[choice.target].append(choice.name)
    return members


def _merged(segmentationNode, mapping: dict[str, str]) -> dict[str, str]:
    """Key of each class that was merged into a segment of `mapping` -> ID of that segment."""
    segmentation = segmentationNode.GetSegmentation()
    merged: dict[str, str] = {}
    for segmentId in mapping:
        for name in _names(tagOf(segmentation.GetSegment(segmentId), MERGED_TAG)):
            merged.setdefault(_key(name), segmentId)
    return merged


def _ignored(segmentationNode) -> set[str]:
    """Keys of the ignored classes."""
    return {_key(name) for name in _names(segmentationNode.GetAttribute(IGNORED_ATTRIBUTE))}


def _setMerged(segmentationNode, segmentId: str, names: Sequence[str]) -> None:
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    if _names(tagOf(segment, MERGED_TAG)) != list(names):  # every change counts as an edit for Slicer's undo
        segment.SetTag(MERGED_TAG, _text(names)) if names else segment.RemoveTag(MERGED_TAG)


def _text(names: Sequence[str]) -> str:
    """Names as one text without the characters that would end a tag in a file."""
    return ",".join(quote(name, safe=" ") for name in names)


def _names(text: str | None) -> list[str]:
    return [unquote(part) for part in (text or "").split(",") if part]


def _key(name: str) -> str:
    return name.strip().lower()
