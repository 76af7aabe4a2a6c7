"""The robot user on small MR crops with a small network, test cases only.

python -m Testing.real_hippocampus --network full miss
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from InteractiveRefineLib.backbone import Backbone, load_backbone
from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.metrics import count_far_changes, dice_per_class
from InteractiveRefineLib.robot import robot_strokes
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import UPDATES, RefineSettings
from Testing.real_backbones import make_backbone_folder
from Testing.real_data import hippocampus, hippocampus_cases


@dataclass
class Cohort:
    """Results of several cases.

    Attributes:
        dice: (cases, 1 + rounds) mean Dice of both classes.
        far: (cases, rounds) voxels turned wrong farther than 8 voxels from every stroke, in that round.
        violated: stroke voxels violated, over everything.
    """

    dice: np.ndarray
    far: np.ndarray
    violated: int


def worst_cases(backbone: Backbone, count: int) -> list[str]:
    """The test cases with the lowest initial Dice."""
    start = {}
    for case in hippocampus_cases():
        image, truth = hippocampus(case)
        start[case] = _mean_dice(truth, RefineSession(image, backbone).predict())
    return sorted(start, key=start.get)[:count]


def run_cases(backbone: Backbone, cases: list[str], rounds: int = 5, update: str = "protected") -> Cohort:
    """One stroke of 15 voxels per class and round in each method's own largest error, background included."""
    curves, far, violated = [], [], 0
    for case in cases:
        image, truth = hippocampus(case)
        session = RefineSession(image, backbone, RefineSettings(update=update))
        labels = session.predict().copy()
        constraints = Constraints(image.geometry)
        drawn = np.zeros(truth.shape, dtype=bool)
        curve, harm = [_mean_dice(truth, labels)], []
        for _ in range(rounds):
            strokes = robot_strokes(truth, labels)
            constraints.add_strokes(strokes)
            constraints.next_round()
            drawn |= strokes > 0
            before, result = labels, session.refine(constraints)
            labels = result.labels
            violated += result.violated_strokes
            curve.append(_mean_dice(truth, labels))
            harm.append(count_far_changes(before, labels, truth, drawn, 8))
        curves.append(curve)
        far.append(harm)
    return Cohort(np.array(curves), np.array(far), violated)


def _mean_dice(truth: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(list(dice_per_class(truth, labels, [1, 2]).values())))


def cases_for(network: str, backbone: Backbone, count: int) -> list[str]:
    """The worst cases of the good network; the first ones of split.json where a class is missing altogether."""
    return worst_cases(backbone, count) if network == "full" else hippocampus_cases()[:count]


def main(argv: list[str] | None = None) -> int:
    """Print one Markdown row per network and update rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=("full", "weak", "miss"), nargs="+", default=["full", "miss"])
    parser.add_argument("--update", choices=UPDATES, nargs="+", default=["protected"])
    parser.add_argument("--cases", type=int, default=10)
    args = parser.parse_args(argv)
    print("| network | update | mean Dice start, rounds 1-5 | far wrong voxels per round | strokes violated |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        for network in args.network:
            backbone = load_backbone(make_backbone_folder(f"hippocampus-{network}", Path(work) / network))
            cases = cases_for(network, backbone, args.cases)
            for update in args.update:
                cohort = run_cases(backbone, cases, update=update)
                dices = " ".join(f"{d:.3f}" for d in cohort.dice.mean(axis=0))
                far = " ".join(f"{f:.1f}" for f in cohort.far.mean(axis=0))
                print(f"| {network} | {update} | {dices} | {far} | {cohort.violated} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
