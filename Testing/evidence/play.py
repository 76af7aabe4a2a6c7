"""Play one case with one method: rounds of robot strokes, and what came of each."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from InteractiveRefineLib.metrics import dice_per_class
from Testing.evidence.case import Case
from Testing.evidence.harm import harm_by_distance, others_changed_ml, volume_changes_ml
from Testing.evidence.method import Drawn, Method, Prompts
from Testing.evidence.robot_user import RobotUser
from Testing.evidence.user_time import Gestures, gestures, seconds_of


@dataclass
class Round:
    """The state after one round; the start is round 0.

    Attributes:
        dice: of every scored class, by label.
        strokes, voxels: drawn in this round; points and boxes count as strokes, boxes with their certain voxels.
        gestures: what the hand did, and user_seconds: estimated from it, see `user_time`.
        machine_seconds: wall time of the method; cpu_seconds: of all its threads.
        disobeyed: stroke voxels, of all rounds, that the method itself left wrong before the runner painted them.
        harm_ml: by distance from the nearest stroke, see `harm.harm_by_distance`.
        others_ml: see `harm.others_changed_ml`.
        volumes_ml: of classes without known truth, at the start and now, see `harm.volume_changes_ml`.
    """

    dice: dict[int, float]
    strokes: int = 0
    voxels: int = 0
    gestures: Gestures = Gestures()
    user_seconds: float = 0.0
    machine_seconds: float = 0.0
    cpu_seconds: float = 0.0
    disobeyed: int = 0
    harm_ml: list[float] = field(default_factory=list)
    others_ml: float = 0.0
    volumes_ml: dict[int, tuple[float, float]] = field(default_factory=dict)


def play(case: Case, method: Method, robot: RobotUser, rounds: int = 5) -> tuple[list[Round], np.ndarray]:
    """All rounds of one case, the start first, and the labels (K, J, I) of the last round.

    When the robot finds nothing left to correct, the remaining rounds repeat the last one without strokes.
    """
    labels, drawn = case.start.copy(), Drawn.nothing(case.start.shape)
    played = [_round(case, labels, drawn)]
    started, cpu = time.perf_counter(), time.process_time()
    session = method.begin(case)
    # The first answer's time contains the preparation, for a user waits for both; the robot's own time never counts.
    wall_before, cpu_before = time.perf_counter() - started, time.process_time() - cpu
    for number in range(1, rounds + 1):
        asked = robot.draw(case, labels, number)
        if not asked.strokes:
            played.append(_round(case, labels, drawn))
            continue
        drawn = drawn.and_then(asked.map, Prompts(asked.painted, asked.points, asked.boxes))
        started, cpu = time.perf_counter(), time.process_time()
        answer = np.asarray(session.refine(drawn, labels.copy())).astype(np.uint16)
        wall, used = wall_before + time.perf_counter() - started, cpu_before + time.process_time() - cpu
        wall_before = cpu_before = 0.0
        if answer.shape != labels.shape:
            raise ValueError(f"{method.name} answered with shape {answer.shape}, the image has {labels.shape}.")
        told = drawn.all >= 0
        disobeyed = int((answer[told] != drawn.all[told]).sum())
        answer[told] = drawn.all[told]
        labels = answer
        result = _round(case, labels, drawn)
        result.strokes, result.voxels = len(asked.strokes), int((asked.map >= 0).sum())
        result.gestures = gestures(asked.strokes, labels.shape, case.spacing, robot.kind)
        result.user_seconds = round(seconds_of(result.gestures, robot.kind), 2)
        result.machine_seconds, result.cpu_seconds, result.disobeyed = wall, used, disobeyed
        played.append(result)
    return played, labels


def _round(case: Case, labels: np.ndarray, drawn: Drawn) -> Round:
    return Round(
        dice={label: round(value, 5) for label, value in dice_per_class(case.truth, labels, case.scored).items()},
        harm_ml=harm_by_distance(case, labels, drawn.all >= 0),
        others_ml=others_changed_ml(case, labels),
        volumes_ml=volume_changes_ml(case, labels),
    )


def as_json(case: Case, method: Method, rounds: list[Round]) -> dict[str, Any]:
    """One stored result."""
    return {
        **asdict(case.spot),
        "method": method.name,
        "names": {str(label): case.names[label - 1] for label in case.scored},
        "rounds": [_with_text_keys(asdict(r)) for r in rounds],
    }


def _with_text_keys(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it: the keys of inner tables are text."""
    return {
        name: {str(key): inner for key, inner in value.items()} if isinstance(value, dict) else value
        for name, value in values.items()
    }
