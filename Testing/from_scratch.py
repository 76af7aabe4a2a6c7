"""Structures that no network knows: from an empty label map, by strokes alone, five rounds of the robot user.

python -m Testing.from_scratch
python -m Testing.from_scratch --data hippocampus mr --half report
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from InteractiveRefineLib.backbone.strokes_only import strokes_only
from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.metrics import dice_per_class
from InteractiveRefineLib.robot import robot_strokes
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.volume import Volume
from Testing.real_data import chaos_ct, hippocampus, hippocampus_cases, right_kidney_reference
from Testing.small_cases import abdomen_mr, tumor

#: An image, its true labels (K, J, I), and the names of the classes 1, 2, ...
Case = tuple[Volume, np.ndarray, tuple[str, ...]]


@dataclass(frozen=True)
class DataSet:
    """Cases of one kind.

    Attributes:
        read: a case by name.
        halves: names of the cases on which settings were chosen ("tune"), and of those that are reported ("report").
        length: voxels of a stroke.
    """

    read: Callable[[str], Case]
    halves: Callable[[], dict[str, list[str]]]
    length: int


def _hippocampus(case: str) -> Case:
    return *hippocampus(case), ("anterior", "posterior")


def _mr(case: str) -> Case:
    return *abdomen_mr(case), ("liver", "right kidney", "left kidney", "spleen")


def _flair(case: str) -> Case:
    image, labels = tumor(f"brats_2013_pat{case}_1")
    flair = Volume(np.ascontiguousarray(image.channels[0]), image.ijk_to_ras, "FLAIR")
    return flair, (labels > 0).astype(np.uint16), ("tumor",)


def _ct(organ: str) -> Case:
    image, liver = chaos_ct()
    truth = liver if organ == "liver" else right_kidney_reference(image, liver)
    return image, truth.astype(np.uint16), (organ,)


#: One patient has the CT: no setting was chosen on another one.
DATA = {
    "hippocampus": DataSet(
        _hippocampus, lambda: {"tune": hippocampus_cases()[:10], "report": hippocampus_cases()[10:20]}, 15
    ),
    "mr": DataSet(_mr, lambda: {"tune": ["01", "02", "03"], "report": ["34", "37", "38"]}, 25),
    "flair": DataSet(_flair, lambda: {"tune": ["0004", "0006"], "report": ["0003", "0005"]}, 25),
    "ct-kidney": DataSet(_ct, lambda: {"tune": [], "report": ["right kidney"]}, 25),
    "ct-liver": DataSet(_ct, lambda: {"tune": [], "report": ["liver"]}, 25),
}


@dataclass
class Story:
    """One case: mean Dice of all classes, longest round in seconds, and stroke voxels violated over all rounds."""

    dice: list[float]
    seconds: float
    violated: int


def play(case: Case, length: int, rounds: int = 5) -> Story:
    """In each round one stroke for every class, background included, into its largest missed part."""
    image, truth, names = case
    session = RefineSession(image, strokes_only(), RefineSettings(device="cpu"), new_classes=names)
    constraints, labels = Constraints(image.geometry), session.predict()
    story = Story([], 0.0, 0)
    for _ in range(rounds):
        constraints.add_strokes(robot_strokes(truth, labels, length=length))
        constraints.next_round()
        started = time.perf_counter()
        result = session.refine(constraints)
        story.seconds = max(story.seconds, time.perf_counter() - started)
        story.violated += result.violated_strokes
        labels = result.labels
        story.dice.append(float(np.mean(list(dice_per_class(truth, labels, range(1, len(names) + 1)).values()))))
    return story


def main(argv: list[str] | None = None) -> int:
    """Print one Markdown row per data set and half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, nargs="+", default=list(DATA))
    parser.add_argument("--half", choices=("tune", "report"), nargs="+", default=["tune", "report"])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    print("| data | half | cases | mean Dice, rounds 1-5 | strokes violated | longest round (s) |")
    print("|---|---|---|---|---|---|")
    for name in args.data:
        for half in args.half:
            cases = DATA[name].halves()[half]
            if not cases:
                continue
            stories = [play(DATA[name].read(case), DATA[name].length, args.rounds) for case in cases]
            dices = " ".join(f"{d:.3f}" for d in np.mean([story.dice for story in stories], axis=0))
            violated, seconds = sum(s.violated for s in stories), max(s.seconds for s in stories)
            print(f"| {name} | {half} | {len(cases)} | {dices} | {violated} | {seconds:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
