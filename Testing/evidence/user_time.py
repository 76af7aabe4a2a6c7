"""How long a person would have taken for the robot's strokes: a stated model, not a measurement.

The keystroke-level model (Card, Moran and Newell, "The keystroke-level model for user performance time with
interactive systems", Communications of the ACM 23(7), 1980, 396-410) adds up what hand and head do, each with a time
that was measured on experts at routine tasks. Where it has no time for what a reader of scans does, we assume one
and say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from InteractiveRefineLib.robot import Stroke

#: Card, Moran and Newell, in seconds. P: move the mouse to a target on the screen, 0.8 to 1.5, 1.10 on average.
POINT = 1.10
#: K: press a mouse button or a key; an average typist's 0.20.
PRESS = 0.20
#: M: decide what to do next.
DECIDE = 1.35
#: D: draw a line with the mouse, for each line and for each centimeter on the screen.
LINE, LINE_PER_CM = 0.9, 0.16
#: Assumed: on the screen the longer side of the slice measures so many centimeters.
VIEW_CM = 20.0
#: Assumed: seconds until the next error is found and shown: in another slice of the same view, in another view.
OTHER_SLICE, OTHER_VIEW = 2.0, 4.0
#: Assumed: seconds for looking at the result of a round, which includes finding the first error.
LOOK = 5.0


@dataclass(frozen=True)
class Gestures:
    """What the hand does in one round.

    Attributes:
        marks: strokes, points or rectangles.
        millimeters: length of all strokes in the patient, along their middle; 0 for points and boxes.
        centimeters: the same on the screen, slices shown `VIEW_CM` large.
        classes: how often another class has to be chosen, the first one included.
        slices: how often another slice of the same view has to be found; the first one is part of looking.
        views: how often another view is needed.
    """

    marks: int = 0
    millimeters: float = 0.0
    centimeters: float = 0.0
    classes: int = 0
    slices: int = 0
    views: int = 0


def gestures(
    strokes: Sequence[Stroke], shape: tuple[int, int, int], spacing: tuple[float, float, float], kind: str = "stroke"
) -> Gestures:
    """Count what a hand does for strokes in their order.

    Args:
        shape, spacing: of the image, along K, J, I; spacing in mm.
        kind: "stroke", "point" or "box".
    """
    step = np.array(spacing)
    millimeters = centimeters = 0.0
    classes = slices = views = 0
    label, place = None, None
    for stroke in strokes:
        classes += stroke.label != label
        label = stroke.label
        here = _place(stroke.kji, place)
        if place is not None and here != place:
            views += here[0] != place[0]
            slices += here[0] == place[0]
        place = here
        if kind == "stroke":
            length = _length(stroke.kji * step)
            shown = max(n * s for axis, (n, s) in enumerate(zip(shape, spacing)) if axis != here[0])
            millimeters += length
            centimeters += length * VIEW_CM / shown
    return Gestures(len(strokes), round(millimeters, 2), round(centimeters, 3), classes, slices, views)


def seconds_of(what: Gestures, kind: str = "stroke") -> float:
    """Estimated seconds of one round without the machine's; 0 where nothing was drawn.

    One round: look at the result; for every class, point to it and press; for every mark, decide, go to the error,
    press, draw, let go (a point: press once; a box: from corner to corner, which is pointing with the button held);
    at last point to the button that refines, and press.
    """
    if not what.marks:
        return 0.0
    each = DECIDE + POINT + PRESS
    if kind == "stroke":
        each += LINE
    elif kind == "box":
        each += POINT
    return (
        LOOK
        + what.classes * (POINT + PRESS)
        + what.slices * OTHER_SLICE
        + what.views * OTHER_VIEW
        + what.marks * each
        + what.centimeters * LINE_PER_CM
        + POINT
        + PRESS
    )


def _place(kji: np.ndarray, before: tuple[int, int] | None) -> tuple[int, int]:
    """(axis, index) of the slice that voxels (N, 3) lie in.

    A straight stroke lies in slices of two views, a point in three: where the last one was made, if that is one of
    them, else in the first axis's. What lies in no single slice (a box) is begun in the axial slice of its middle.
    """
    flat = [(axis, int(kji[0, axis])) for axis in range(3) if (kji[:, axis] == kji[0, axis]).all()]
    if before in flat:
        return before
    return flat[0] if flat else (0, int(np.median(kji[:, 0])))


def _length(points: np.ndarray) -> float:
    """Millimeters of the shortest tree that joins points (N, 3) in mm: the way of the pen, branches once."""
    left = points[1:]
    near = np.linalg.norm(left - points[0], axis=1)
    total = 0.0
    while len(left):
        n = int(near.argmin())
        total += float(near[n])
        here, left, near = left[n], np.delete(left, n, axis=0), np.delete(near, n)
        near = np.minimum(near, np.linalg.norm(left - here, axis=1))
    return total
