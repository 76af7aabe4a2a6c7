"""The main job on a real CT: the robot user corrects one organ over several rounds, at full resolution.

python -m Testing.real_ct --case all
python -m Testing.real_ct --case liver --update cross-entropy paper protected
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from InteractiveRefineLib.backbone import load_backbone
from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.metrics import dice, far_damage_ml
from InteractiveRefineLib.preview import write_preview
from InteractiveRefineLib.robot import robot_organ_strokes
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import UPDATES, RefineSettings
from Testing.real_backbones import make_backbone_folder
from Testing.real_data import chaos_ct, right_kidney_reference, shifted

#: The organ to correct and what is locked, per case.
CASES = {
    "liver": ("liver", ("spleen", "left kidney")),
    "missing": ("liver", ()),
    "shifted": ("liver", ()),
    "kidney": ("right kidney", ("liver",)),
}


@dataclass
class Round:
    """One row: the state after a round; volumes in ml, `far` = farther than 30 mm from every stroke so far."""

    dice: float
    far_lost_ml: float = 0.0
    far_false_ml: float = 0.0
    others_ml: float = 0.0
    locked_voxels: int = 0
    violated: int = 0
    strokes: int = 0
    seconds: float = 0.0


@dataclass
class Story:
    """All rounds of one case with one update rule; the first entry is the start."""

    case: str
    update: str
    rounds: list[Round] = field(default_factory=list)

    @property
    def dice(self) -> list[float]:
        return [r.dice for r in self.rounds]

    def table(self) -> str:
        """Markdown rows."""
        lines = []
        for number, r in enumerate(self.rounds):
            lines.append(
                f"| {self.case} | {self.update} | {number or 'start'} | {r.dice:.4f} | {r.far_lost_ml:.1f} / "
                f"{r.far_false_ml:.1f} | {r.others_ml:.2f} | {r.locked_voxels} | {r.violated} | {r.strokes} | "
                f"{r.seconds:.1f} |"
            )
        return "\n".join(lines)


HEADER = (
    "| case | update | round | Dice | far damage lost / false (ml) | other organs relabeled (ml) "
    "| locked voxels changed "
    "| strokes violated | strokes | seconds |\n" + "|---" * 10 + "|"
)


def run_case(case: str, update: str, rounds: int, work: Path, preview: Path | None = None, **settings) -> Story:
    """Play the robot user: at most 3 strokes of 25 voxels a round, each method on its own errors.

    Far damage and relabeled organs are measured against the START, so that nothing done in an earlier round is
    forgotten, and a voxel that became truly the organ is no damage.
    """
    image, liver = chaos_ct()
    organ, locks = CASES[case]
    truth = liver if organ == "liver" else right_kidney_reference(image, liver)
    if case == "shifted":
        image = shifted(image)
    folder = make_backbone_folder("abdomen", work / case, missing="liver" if case == "missing" else None)
    session = RefineSession(
        image,
        load_backbone(folder),
        RefineSettings(update=update, **settings),
        new_classes=() if organ == "liver" else (organ,),
    )
    label = session.label_of(organ)
    started = time.perf_counter()
    start = session.predict().copy()
    story = Story(case, update, [Round(dice(start == label, truth), seconds=time.perf_counter() - started)])
    constraints = Constraints(image.geometry, locked=[session.label_of(name) for name in locks])
    locked = np.isin(start, sorted(constraints.locked))
    drawn = np.zeros(truth.shape, dtype=bool)
    labels = start
    for _ in range(rounds):
        # A rim one voxel thin is nothing a user would call an error, and it would join all errors into one.
        strokes = robot_organ_strokes(truth, labels, label, max_strokes=3, length=25, rim_voxels=1)
        for stroke in strokes:
            constraints.add_stroke_indices(stroke.kji, stroke.label, stroke.forbidden)
            drawn[tuple(stroke.kji.T)] = True
        constraints.next_round()
        result = session.refine(constraints)
        labels = result.labels
        lost, false = far_damage_ml(truth, start == label, labels == label, True, drawn, image.geometry.spacing_kji)
        others = (start > 0) & (start != label) & (labels != start) & ~truth
        changed_locks = (labels != start) & (locked | np.isin(labels, sorted(constraints.locked)))
        story.rounds.append(
            Round(
                dice(labels == label, truth),
                lost,
                false,
                float(others.sum() * image.geometry.voxel_volume_ml),
                int(changed_locks.sum()),
                result.violated_strokes,
                len(strokes),
                sum(result.timings.values()),
            )
        )
    if preview is not None:
        write_preview(preview, image, result, session.classes)
    return story


def main(argv: list[str] | None = None) -> int:
    """Print one Markdown table with the asked cases and update rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=[*CASES, "all"], nargs="+", default=["liver"])
    parser.add_argument("--update", choices=UPDATES, nargs="+", default=["protected"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--preview", type=Path, help="folder for one PNG per row group")
    args = parser.parse_args(argv)
    print(HEADER)
    with tempfile.TemporaryDirectory() as work:
        for case in CASES if "all" in args.case else args.case:
            for update in args.update:
                picture = args.preview / f"{case}-{update}.png" if args.preview else None
                print(run_case(case, update, args.rounds, Path(work), picture).table(), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
