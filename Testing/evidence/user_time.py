"""How long a person would have taken for the robot's strokes: a stated model, not a measurement."""

from __future__ import annotations

from collections.abc import Sequence

from InteractiveRefineLib.robot import Stroke


def seconds_of_drawing(strokes: Sequence[Stroke]) -> float:
    """Estimated seconds a user takes for these strokes."""
    return 3.0 * len(strokes)
