"""One request to the worker, made of the scene as it is: image, segments, strokes and locks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.segmentation import Segment, Segmentation
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.worker.request import RefineRequest
from InteractiveRefineLib.worker.table import request_table

from .class_mapping import mappingOf, withClassNames
from .locks import lockedSegments
from .segments import readSegmentation
from .translate import _


@dataclass(frozen=True, eq=False)
class Round:
    """A request, and what is needed to make sense of its answer.

    Attributes:
        request: for the worker.
        segments: one per label of the request, from 1 on; `id` is the segment's, "" for a class without segment.
        before: (K, J, I) uint16, the scene's segments in these labels, without any preview.
        locked: IDs of locked segments.
        warnings: sentences for the user.
        known: sentences that the worker will say and the user need not hear, as the table of segments shows it.
    """

    request: RefineRequest
    segments: list[Segment]
    before: np.ndarray
    locked: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)
    known: tuple[str, ...] = ()

    def label_of(self, segmentId: str) -> int | None:
        """Label of a segment, None when the request does not know it."""
        return labelOf(self.segments, segmentId)


@dataclass(frozen=True, eq=False)
class Proposal:
    """A result that is shown and not yet written.

    Attributes:
        segments: one per label, from 1 on; `id` is the segment's, "" for a class without segment.
        before: (K, J, I) uint16, the scene's segments.
        after: (K, J, I) uint16, the proposed ones.
        locked: IDs of segments that must not change.
        changes: `ClassChange`s of the last round.
        creates: of a first segmentation, the network's classes, which get segments where they have none.
        warnings: sentences for the user.
        called: stroked voxels, flat indices (N,) int64 and labels (N,) int64, when they were first refined.
        manual: (K, J, I) bool, voxels that were decided by hand or by another program; None when nobody knows.
    """

    segments: list[Segment]
    before: np.ndarray
    after: np.ndarray
    locked: tuple[str, ...] = ()
    changes: tuple = ()
    creates: tuple[Segment, ...] = ()
    warnings: tuple[str, ...] = ()
    called: tuple[np.ndarray, np.ndarray] | None = None
    manual: np.ndarray | None = None


def labelOf(segments: list[Segment], segmentId: str) -> int | None:
    """Label of the segment with an ID, None when there is none."""
    return next((segment.label for segment in segments if segmentId and segment.id == segmentId), None)


def makeRound(
    volumeNode,
    image,
    segmentationNode,
    *,
    backbone: str,
    classes: list[Segment],
    classMap: dict | None = None,
    added: tuple[str, ...] = (),
    book=None,
    settings: RefineSettings | None = None,
    shown: Proposal | None = None,
    memory=None,
) -> Round:
    """Make a request of what the scene holds.

    Args:
        image: `Volume` of `volumeNode`; the same object for the same voxels, so that it is sent only once.
        backbone: folder of the network as the worker sees it.
        classes: of that network, merged and ignored as `classMap` says.
        classMap: see `RefineRequest.class_map`.
        added: classes that get a segment with the first segmentation, though the network does not know them.
        book: the strokes; None to let the network segment the image without them.
        shown: a preview: the round continues from it instead of from the segments.
        memory: `RoundMemory` with what earlier rounds left.

    Raises:
        InputError: something cannot be used; the text says what to do.
    """
    current = readSegmentation(segmentationNode, volumeNode)
    mapping = mappingOf(segmentationNode, classes)
    named = withClassNames(current, mapping)
    table = request_table(classes, named, image.geometry, added if book is None else ())
    ids = {segment.id for segment in current.segments}
    # A class of the network may bring an ID of its own, which is no segment's.
    segments = [segment if segment.id in ids else replace(segment, id="") for segment in table.segments]
    before = table.labels
    locked = tuple(segmentId for segmentId in lockedSegments(segmentationNode) if segmentId in ids)
    warnings = list(current.warnings)
    known = tuple(text for text in table.warnings if text not in warnings)
    settings = settings or RefineSettings()
    if book is None:
        request = RefineRequest(image, backbone, None, settings, new_classes=added, class_map=classMap or {})
        return Round(request, segments, before, locked, warnings)

    present = before if shown is None else relabeled(shown.after, shown.segments, segments)
    label_of = {segment.id: segment.label for segment in segments if segment.id}.get
    constraints, gone = book.to_constraints(label_of, [label_of(segmentId) for segmentId in locked])
    if constraints.is_empty:
        raise InputError(_("There are no strokes yet. Draw some in the slice views, then refine."))
    own = [segment for segment in segments if segment.id]
    if present.any():
        sent, new = Segmentation(present, image.geometry, own), ()
    else:
        # Empty segments are no statement that there is nothing: the network's own segmentation is what is corrected.
        sent, new = None, tuple(segment.name for segment in segments[len(classes) :])
    if shown is None:
        manual = None if memory is None else memory.manualFor(present, segments)
        called = book.called(label_of)
    else:
        manual, called = shown.manual, _calledIn(shown, segments)
    request = RefineRequest(
        image, backbone, constraints, settings, sent, manual, called, new_classes=new, class_map=classMap or {}
    )
    return Round(request, segments, before, locked, warnings + gone, known)


def proposalOf(made: Round, result, called=None, manual=None) -> Proposal:
    """What a `RefinementResult` proposes for the segments."""
    after = np.asarray(result.labels)
    warnings = list(made.warnings) + [text for text in result.warnings if text not in made.known]
    homeless = [s for s in made.segments if not s.id and (after[made.before == 0] == s.label).any()]
    after, lost = _withoutHomeless(after, made.segments)
    if lost and made.request.current is not None:
        names = ", ".join(sorted(segment.name for segment in homeless)) or _("a class")
        warnings.append(
            _("{n} voxels would belong to a class without a segment ({names}) and are left empty.").format(
                n=lost, names=names
            )
        )
    return Proposal(
        made.segments,
        made.before,
        after,
        made.locked,
        changes=tuple(result.changes),
        warnings=tuple(dict.fromkeys(warnings)),
        called=called,
        manual=manual,
    )


def firstProposalOf(made: Round, result) -> Proposal:
    """What the network's own segmentation (a `PredictResult`) proposes.

    Segments that stand for a class of the network are replaced; locked ones, and structures that the network does not
    know, keep every voxel and gain none.
    """
    predicted = np.asarray(result.labels)
    known = {segment.name.strip().lower() for segment in result.segments}
    kept = [s.label for s in made.segments if s.id in made.locked or s.name.strip().lower() not in known]
    blocked = np.isin(predicted, [s.label for s in made.segments if s.id in made.locked and s.id])
    after = np.where(blocked, 0, predicted).astype(np.uint16)
    keep = np.isin(made.before, kept)
    after[keep] = made.before[keep]
    return Proposal(
        made.segments,
        made.before,
        after,
        made.locked,
        creates=tuple(result.segments),
        warnings=tuple(made.warnings + result.warnings),
    )


def relabeled(labels: np.ndarray, old: list[Segment], new: list[Segment]) -> np.ndarray:
    """Labels in another table, by segment ID; voxels of segments that are gone become background."""
    lookup = np.zeros(int(max([labels.max(initial=0)] + [s.label for s in old])) + 1, dtype=np.uint16)
    for segment in old:
        lookup[segment.label] = labelOf(new, segment.id) or 0
    return lookup[labels]


def _calledIn(shown: Proposal, segments: list[Segment]) -> tuple[np.ndarray, np.ndarray] | None:
    """What stroked voxels were called before the preview, in the numbering of `segments`."""
    if shown.called is None:
        return None
    indices, labels = shown.called
    ids = {segment.label: segment.id for segment in shown.segments}
    known = {0: 0} | {label: labelOf(segments, segmentId) for label, segmentId in ids.items()}
    kept = np.array([known.get(label) is not None for label in labels.tolist()], dtype=bool)
    new = np.array([known[label] for label in labels[kept].tolist()], dtype=np.int64)
    return indices[kept], new


def _withoutHomeless(labels: np.ndarray, segments: list[Segment]) -> tuple[np.ndarray, int]:
    """Labels of classes without a segment become background; how many voxels that were."""
    lookup = np.zeros(int(max([labels.max(initial=0)] + [s.label for s in segments])) + 1, dtype=np.uint16)
    for segment in segments:
        lookup[segment.label] = segment.label if segment.id else 0
    cleaned = lookup[labels]
    return cleaned, int(np.count_nonzero(cleaned != labels))
