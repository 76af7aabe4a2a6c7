"""The robot user of the evidence: strokes, points or boxes in the largest errors that are left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from InteractiveRefineLib.robot import Stroke, robot_organ_strokes, robot_strokes
from Testing.evidence.case import Case


@dataclass(frozen=True, eq=False)
class Asked:
    """What the robot drew in one round.

    Attributes:
        map: (K, J, I) int16, -1 where nothing was drawn, else the label asked for, 0 = background.
        strokes: one by one, in the order they were drawn.
    """

    map: np.ndarray
    strokes: list[Stroke]


@dataclass(frozen=True)
class RobotUser:
    """A user who knows the truth and is asked to correct what is wrong."""

    @property
    def key(self) -> str:
        """A name for files, different for robots that draw differently."""
        return "stroke"

    def draw(self, case: Case, labels: np.ndarray, number: int) -> Asked:
        """The strokes of round `number` (from 1) on labels (K, J, I); none where nothing is left to correct."""
        if case.style == "organ":
            strokes = self._organ(case, labels)
        else:
            painted = robot_strokes(case.truth, labels, length=case.stroke_length, classes=[0, *case.scored])
            strokes = [
                Stroke(np.argwhere(painted == value), 0 if value == 255 else int(value))
                for value in np.unique(painted[painted > 0])
            ]
        drawn = np.full(labels.shape, -1, dtype=np.int16)
        for stroke in strokes:
            drawn[tuple(stroke.kji.T)] = stroke.label
        return Asked(drawn, strokes)

    def _organ(self, case: Case, labels: np.ndarray) -> list[Stroke]:
        (label,) = case.scored

        def replacement(kji: np.ndarray) -> np.ndarray:
            was = case.truth[tuple(kji.T)]
            return np.where(was == label, 0, was)

        return robot_organ_strokes(
            case.truth == label, labels, label,
            max_strokes=case.strokes_per_round, length=case.stroke_length, rim_voxels=1, replacement=replacement,
        )  # fmt: skip
