"""The robot user with the small networks of `train_small_nets`, on cases they never saw.

python -m Testing.small_stories tumor my-backbones/tumor --pictures demo-output
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from InteractiveRefineLib.backbone import Backbone, load_backbone
from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.metrics import dice_per_class
from InteractiveRefineLib.preview import write_preview
from InteractiveRefineLib.robot import robot_organ_strokes, robot_strokes, stroke_map
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import RefineSettings
from Testing.small_cases import READERS, held_out_cases

#: Voxels of one stroke at most.
STROKE_LENGTH = {"tumor": 25, "nuclei": 25, "hippocampus-slices": 15, "abdomen-mr": 25}
#: Many small objects: so many parts are corrected in a round, missed and false ones.
NUCLEI_PER_ROUND = 6


@dataclass
class Story:
    """All rounds of one case.

    Attributes:
        names: of the classes.
        dice: (1 + rounds, classes) Dice of every class, the start first.
        strokes: (rounds, 1 + classes) voxels of new strokes, of background and every class.
        violated: stroke voxels not obeyed, over all rounds.
        labels: (K, J, I) after the last round.
        seconds: of every round, as the session measured them.
    """

    case: str
    names: list[str]
    dice: np.ndarray
    strokes: np.ndarray
    violated: int
    labels: np.ndarray
    seconds: list[float]

    def table(self) -> str:
        """One Markdown row per class: case, class, Dice at the start and after every round, violated strokes."""
        rows = []
        for name, values in zip(self.names, self.dice.T):
            curve = " ".join(f"{value:.3f}" for value in values[1:])
            rows.append(f"| {self.case} | {name} | {values[0]:.3f} | {curve} | {self.violated} |")
        return "\n".join(rows)


HEADER = "| case | class | start | rounds | strokes violated |\n|---|---|---|---|---|"


def draw(network: str, truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The robot's strokes of one round as a label map (K, J, I); for nuclei, a false one gets a background stroke."""
    length = STROKE_LENGTH[network]
    if network != "nuclei":
        return robot_strokes(truth, labels, length=length)
    strokes = robot_organ_strokes(
        truth > 0, labels, 1,
        max_strokes=NUCLEI_PER_ROUND, length=length, rim_voxels=1, replacement=lambda kji: np.zeros(len(kji), int),
    )  # fmt: skip
    return stroke_map(strokes, truth.shape)


def play(
    network: str,
    case: str,
    backbone: Backbone,
    rounds: int = 3,
    settings: RefineSettings | None = None,
    pictures: Path | None = None,
) -> Story:
    """Some rounds of strokes of all classes at once, each in the largest error that is left.

    Args:
        network: a name in `train_small_nets.RECIPES`.
        case: one of `small_cases.held_out_cases`.
        pictures: a folder for one PNG per round.
    """
    image, truth = READERS[network](case)
    session = RefineSession(image, backbone, settings)
    classes = [segment.label for segment in session.classes]
    labels = session.predict().copy()
    constraints = Constraints(image.geometry)
    dice, drawn, violated, seconds = [list(dice_per_class(truth, labels, classes).values())], [], 0, []
    for number in range(1, rounds + 1):
        strokes = draw(network, truth, labels)
        constraints.add_strokes(strokes)
        constraints.next_round()
        result = session.refine(constraints)
        labels = result.labels
        violated += result.violated_strokes
        dice.append(list(dice_per_class(truth, labels, classes).values()))
        drawn.append([int((strokes == label).sum()) for label in (255, *classes)])
        seconds.append(sum(result.timings.values()))
        if pictures is not None:
            write_preview(pictures / f"{network}-{case}-{number}.png", image, result, session.classes)
    names = [segment.name for segment in session.classes]
    return Story(case, names, np.array(dice), np.array(drawn), violated, labels, seconds)


def main(arguments: list[str] | None = None) -> int:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(READERS))
    parser.add_argument("folder", type=Path, help="as `python -m Testing.train_small_nets` made it")
    parser.add_argument("--cases", type=int, help="so many of the held-out cases")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=Path, help="folder for one PNG per round")
    options = parser.parse_args(arguments)
    backbone = load_backbone(options.folder)
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    print(HEADER)
    for case in held_out_cases(options.network)[: options.cases]:
        story = play(options.network, case, backbone, options.rounds, pictures=options.pictures)
        print(story.table(), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
