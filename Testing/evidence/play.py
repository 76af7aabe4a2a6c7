"""Play one case with one method: rounds of robot strokes, and what came of each."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from InteractiveRefineLib.metrics import dice_per_class
from Testing.evidence.case import Case
from Testing.evidence.harm import harm_by_distance, others_changed_ml
from Testing.evidence.method import Drawn, Method
from Testing.evidence.robot_user import RobotUser
from Testing.evidence.user_time import seconds_of_drawing


@dataclass
class Round:
    """The state after one round; the start is round 0.

    Attributes:
        dice: of every scored class, by label.
        strokes, voxels: drawn in this round.
        user_seconds: estimated, see `user_time`.
        machine_seconds: wall time of the method; cpu_seconds: of all its threads.
        disobeyed: stroke voxels, of all rounds, that the method itself left wrong before the runner painted them.
        harm_ml: by distance from the nearest stroke, see `harm.harm_by_distance`.
        others_ml: see `harm.others_changed_ml`.
    """

    dice: dict[int, float]
    strokes: int = 0
    voxels: int = 0
    user_seconds: float = 0.0
    machine_seconds: float = 0.0
    cpu_seconds: float = 0.0
    disobeyed: int = 0
    harm_ml: list[float] = field(default_factory=list)
    others_ml: float = 0.0


def play(case: Case, method: Method, robot: RobotUser, rounds: int = 5) -> tuple[list[Round], np.ndarray]:
    """All rounds of one case, the start first, and the labels (K, J, I) of the last round.

    When the robot finds nothing left to correct, the remaining rounds repeat the last one without strokes.
    """
    labels, drawn = case.start.copy(), Drawn.nothing(case.start.shape)
    played = [_round(case, labels, drawn)]
    started, cpu = time.perf_counter(), time.process_time()
    session = method.begin(case)
    for number in range(1, rounds + 1):
        asked = robot.draw(case, labels, number)
        if not asked.strokes:
            played.append(_round(case, labels, drawn))
            continue
        drawn = drawn.and_then(asked.map)
        # The first round's time contains the preparation, for a user waits for both.
        if number > 1:
            started, cpu = time.perf_counter(), time.process_time()
        answer = np.asarray(session.refine(drawn, labels.copy())).astype(np.uint16)
        wall, used = time.perf_counter() - started, time.process_time() - cpu
        if answer.shape != labels.shape:
            raise ValueError(f"{method.name} answered with shape {answer.shape}, the image has {labels.shape}.")
        told = drawn.all >= 0
        disobeyed = int((answer[told] != drawn.all[told]).sum())
        answer[told] = drawn.all[told]
        labels = answer
        result = _round(case, labels, drawn)
        result.strokes, result.voxels = len(asked.strokes), int((asked.map >= 0).sum())
        result.user_seconds = seconds_of_drawing(asked.strokes)
        result.machine_seconds, result.cpu_seconds, result.disobeyed = wall, used, disobeyed
        played.append(result)
    return played, labels


def _round(case: Case, labels: np.ndarray, drawn: Drawn) -> Round:
    return Round(
        dice={label: round(value, 5) for label, value in dice_per_class(case.truth, labels, case.scored).items()},
        harm_ml=harm_by_distance(case, labels, drawn.all >= 0),
        others_ml=others_changed_ml(case, labels),
    )


def as_json(case: Case, method: Method, rounds: list[Round]) -> dict[str, Any]:
    """One stored result."""
    return {
        **asdict(case.spot),
        "method": method.name,
        "names": {str(label): case.names[label - 1] for label in case.scored},
        "rounds": [{**asdict(r), "dice": {str(k): v for k, v in r.dice.items()}} for r in rounds],
    }
