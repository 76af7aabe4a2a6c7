"""Test-time tuning of the last layers, so that the prediction obeys the strokes."""

from .problem import TuningProblem
from .run import TuningOutcome, tune

__all__ = ["TuningOutcome", "TuningProblem", "tune"]
