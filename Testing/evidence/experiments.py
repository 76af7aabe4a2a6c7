"""The experiments of the paper and what each of them plays: which methods, on which cases, with which robot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from Testing.evidence.case import Spot
from Testing.evidence.summary import DRAWING_SEEDS, OURS, is_ours

#: A row of an ablation: its name in the table, the method, and the robot's choices (see `robot_user.RobotUser`).
Variant = tuple[str, str, dict]


def _everything(spot: Spot) -> bool:
    return True


def _with_network(spot: Spot) -> bool:
    return spot.situation != "from scratch"


def _usual_ablation(spot: Spot) -> bool:
    """A few kinds of cases that differ: a good network, one that lacks a class, another organ, two dimensions."""
    return (spot.dataset, spot.situation) in {
        ("hippocampus", "own errors"),
        ("hippocampus", "missing label"),
        ("abdomen CT", "own errors"),
        ("abdomen MR", "own errors"),
        ("nuclei", "own errors"),
    }


@dataclass(frozen=True)
class Experiment:
    """A question and what is played to answer it.

    Attributes:
        name: on the command line.
        question: for the report.
        wants: which cases.
        variants: rows of an ablation; empty = all methods that are no ablation, with each of the robots.
        robots: the choices of each; the usual one alone, unless said otherwise.
        without: methods that are left out, for they would take hours.
        cases: at most so many of each data set, situation and half; None = all.
        minutes: on two idle cores, when nothing is stored yet, without training the networks; an estimate.
    """

    name: str
    question: str
    wants: Callable[[Spot], bool] = _everything
    variants: tuple[Variant, ...] = ()
    robots: tuple[dict, ...] = ({},)
    without: tuple[str, ...] = ()
    cases: int | None = None
    minutes: int = 0

    def plays(self, known: Sequence[str]) -> list[tuple[dict, list[str]]]:
        """Robot's choices and the methods to play with them; of variants only methods that are `known`."""
        if not self.variants:
            methods = [n for n in known if (n == OURS or not is_ours(n)) and n not in self.without]
            return [(choices, list(methods)) for choices in self.robots]
        plays: list[tuple[dict, list[str]]] = []
        for _, method, robot in self.variants:
            if method not in known:
                continue
            same = next((methods for choices, methods in plays if choices == robot), None)
            if same is None:
                plays.append((robot, [method]))
            elif method not in same:
                same.append(method)
        return plays

    def choose(self, spots: Sequence[Spot], half: str | None, at_most: int | None = None) -> list[Spot]:
        """The cases of this experiment; half None = both; at most so many of each data set, situation and half."""
        limits = [limit for limit in (self.cases, at_most) if limit is not None]
        chosen, counted = [], {}
        for spot in spots:
            group = (spot.dataset, spot.situation, spot.half)
            if half not in (None, spot.half) or not self.wants(spot):
                continue
            if all(counted.get(group, 0) < limit for limit in limits):
                counted[group] = counted.get(group, 0) + 1
                chosen.append(spot)
        return chosen


def _settings(*rows: tuple[str, str]) -> tuple[Variant, ...]:
    return tuple((name, method, {}) for name, method in rows)


PARTS = _settings(
    (OURS, OURS),
    ("without tuning", "ours without tuning"),
    ("without the walker", "ours without the walker"),
    ("without following edges", "ours without following edges"),
    ("without growing", "ours without growing"),
    ("growing all strokes", "ours growing all strokes"),
)
STEPS = _settings(
    ("as delivered", OURS), *((f"M = {steps}", f"ours with {steps} steps") for steps in (10, 30, 80, 140))
)
LAYERS = _settings(
    ("as delivered", OURS),
    ("l = 1", "ours with 1 layer"),
    *((f"l = {layers}", f"ours with {layers} layers") for layers in (2, 3)),
)
INPUTS = tuple((kind, OURS, {} if kind == "stroke" else {"kind": kind}) for kind in ("stroke", "point", "box"))
LENGTHS = tuple(
    (f"{length} voxels, {said}", method, {"length": length})
    for said, method in (("growing new classes only", OURS), ("growing all", "ours growing all strokes"))
    for length in (5, 10, 15, 25)
)

_ALL_METHODS = (
    ("figure-3", "Fig. 3: Dice after every interaction, all methods", _everything),
    ("table-2", "Tables 2 and 5: rounds, strokes, user's and machine's time to Dice 0.90 and 0.95", _everything),
    ("table-3", "Table 3: Dice of every class after every interaction", _everything),
    ("harm", "What was right and became wrong, near and far from the strokes", _everything),
    ("situations", "Table 1: several classes, a missing label, unlike scans, a new organ", _with_network),
)
EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        *(Experiment(name, question, wants, minutes=60) for name, question, wants in _ALL_METHODS),
        Experiment(
            "drawings",
            "The same cases drawn in three ways, all methods but BRS",
            robots=tuple({"seed": seed} for seed in DRAWING_SEEDS),
            without=("BRS",),
            minutes=70,
        ),
        Experiment("ablation-parts", "Our method, a part left out", _with_network, PARTS, minutes=8),
        Experiment("ablation-steps", "Optimizer steps M", _usual_ablation, STEPS, cases=4, minutes=5),
        Experiment("ablation-layers", "Layers l that are tuned", _usual_ablation, LAYERS, cases=4, minutes=4),
        Experiment("ablation-input", "Strokes, points or boxes", _usual_ablation, INPUTS, cases=4, minutes=4),
        Experiment("ablation-length", "Length of strokes", _usual_ablation, LENGTHS, cases=4, minutes=10),
    )  # fmt: skip
}
#: Played by programs of their own, see `full_ct` and `overlays`.
SPECIAL = {"full-ct": "The real CT at full size", "overlays": "One case of every data set as a picture"}
