"""What a drag says: which modifier keys stand for what, and the strokes that its voxels become. No qt, no slicer."""

from __future__ import annotations

from dataclasses import dataclass

from InteractiveRefineLib.resolution import Source
from InteractiveRefineLib.stroke_book import BACKGROUND as BACKGROUND_TARGET
from InteractiveRefineLib.stroke_book import Kind, Stroke

from .drag import Marks
from .parameters import BACKGROUND, NOT_SEGMENT, SEGMENT


@dataclass(frozen=True)
class Meaning:
    """What the voxels of a drag are.

    Attributes:
        markAs: SEGMENT, BACKGROUND or NOT_SEGMENT of `parameters`.
        segmentId: of the selected segment; "" when none is selected, which only background does without.
    """

    markAs: str
    segmentId: str

    @property
    def needsSegment(self) -> bool:
        """True when it cannot be said without a segment."""
        return self.markAs != BACKGROUND

    def strokes(self, marks: Marks) -> list[Stroke]:
        """The strokes of one gesture; of a box, that its surroundings are not the segment as well."""
        if self.markAs == BACKGROUND:
            return [Stroke(marks.marked, BACKGROUND_TARGET, Kind.CLASS, marks.source, marks.n_outside)]
        if self.markAs == NOT_SEGMENT:
            # A box that is not the segment is so all over; only of what it contains is the margin unsure.
            return [Stroke(marks.whole, self.segmentId, Kind.NOT, marks.source, marks.n_outside)]
        strokes = [Stroke(marks.marked, self.segmentId, Kind.CLASS, marks.source, marks.n_outside)]
        if marks.source is Source.BOX and len(marks.surrounding):
            strokes.append(Stroke(marks.surrounding, self.segmentId, Kind.NOT, marks.source))
        return strokes


def markAsFor(shift: bool, alt: bool, ctrl: bool, chosen: str) -> str | None:
    """What a left drag with these keys says; None when Slicer has another use for it (zoom, rotate, translate, blend).

    Args:
        chosen: what a drag without keys says: SEGMENT, BACKGROUND or NOT_SEGMENT.
    """
    if ctrl or (shift and alt):
        return None
    if shift:
        return BACKGROUND
    if alt:
        return NOT_SEGMENT
    return chosen if chosen in (SEGMENT, BACKGROUND, NOT_SEGMENT) else SEGMENT
