"""From stored results to the numbers of tables and plots: groups of cases, curves, means, costs and harm."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from Testing.evidence.harm import DISTANCES_MM
from Testing.evidence.robot_user import RobotUser

#: One stored result, as in `play.as_json` and `store.Store.keep`.
Result = dict[str, Any]
#: Data set and situation: cases that are averaged together.
Group = tuple[str, str]

#: Our method as it is delivered; "ours ..." are the same with one thing changed, all others are baselines.
OURS = "ours"
#: The robot of all tables that do not compare robots.
USUAL_ROBOT = "stroke"
#: The same cases drawn in several ways; the first one is the usual robot.
DRAWING_SEEDS = (0, 1, 2)
DRAWINGS = tuple(RobotUser(seed=seed).key for seed in DRAWING_SEEDS)
#: The real CT at full size is played by another program and stands in a table of its own.
FULL_CT = "abdomen CT at full size"
DATASETS = ("hippocampus", "abdomen CT", "abdomen MR", "brain tumor", "nuclei")
SITUATIONS = ("own errors", "weak network", "degraded", "missing label", "new organ", "from scratch")
#: A change of Dice below this is rounding, not harm.
TOLERANCE = 0.0005


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over cases, and how many there are; NaN where there are too few."""

    mean: float
    sd: float
    n: int


def spread(values: Iterable[float]) -> Spread:
    """Of the values that are numbers; the deviation is the sample's (n - 1)."""
    known = [v for v in values if math.isfinite(v)]
    mean = statistics.fmean(known) if known else math.nan
    return Spread(mean, statistics.stdev(known) if len(known) > 1 else math.nan, len(known))


def is_ours(method: str) -> bool:
    """Whether it is our method or one of its ablations."""
    return method == OURS or method.startswith(OURS + " ")


def usual(results: Sequence[Result], half: str = "report") -> list[Result]:
    """Those of one half, drawn by the usual robot, without the CT at full size."""
    return [r for r in results if r["half"] == half and r["robot"] == USUAL_ROBOT and r["dataset"] != FULL_CT]


def all_drawings(results: Sequence[Result], half: str = "report") -> list[Result]:
    """Those of one half in every way to draw, each a case of its own, as if the usual robot had drawn it.

    Only cases of which a method has all drawings: means over methods could not be compared else.
    """
    own = [r for r in results if r["half"] == half and r["robot"] in DRAWINGS and r["dataset"] != FULL_CT]
    drawn = Counter((r["dataset"], r["situation"], r["name"], r["method"]) for r in own)
    return [
        {**r, "robot": USUAL_ROBOT, "name": f"{r['name']}, drawing {DRAWINGS.index(r['robot']) + 1}"}
        for r in own
        if drawn[r["dataset"], r["situation"], r["name"], r["method"]] == len(DRAWINGS)
    ]


def groups(results: Sequence[Result]) -> list[Group]:
    """Every data set and situation that occurs, in the order of the tables; unknown ones last, by name."""

    def order(group: Group) -> tuple:
        dataset, situation = group
        known = DATASETS.index(dataset) if dataset in DATASETS else len(DATASETS)
        return known, dataset, SITUATIONS.index(situation) if situation in SITUATIONS else len(SITUATIONS), situation

    return sorted({(r["dataset"], r["situation"]) for r in results}, key=order)


def of_group(results: Sequence[Result], group: Group) -> list[Result]:
    """The results of one data set and situation."""
    return [r for r in results if (r["dataset"], r["situation"]) == group]


def of_method(results: Sequence[Result], method: str) -> dict[str, Result]:
    """The results of one method by case, ordered by case."""
    return {r["name"]: r for r in sorted(results, key=lambda r: r["name"]) if r["method"] == method}


def cases(results: Sequence[Result]) -> list[str]:
    """Names of all cases that any method was played on."""
    return sorted({r["name"] for r in results})


def n_rounds(results: Sequence[Result]) -> int:
    """Rounds that all of these results have, the start not counted; 0 without results."""
    return min((len(r["rounds"]) - 1 for r in results), default=0)


def dice_curve(result: Result) -> list[float]:
    """Mean Dice over the scored classes, the start first.

    A class that is neither in the truth nor in the labels has no Dice and does not count in that round.
    """
    return [spread(one["dice"].values()).mean for one in result["rounds"]]


def dice_at(results: Iterable[Result], number: int) -> Spread:
    """Dice after a round (0 = start), over cases; a result without that round does not count."""
    return spread(dice_curve(r)[number] for r in results if number < len(r["rounds"]))


@dataclass(frozen=True)
class Cost:
    """What one case cost until it reached a Dice, or all its rounds where it never did."""

    reached: bool
    rounds: int
    strokes: int
    user_seconds: float
    machine_seconds: float


def cost_to_reach(result: Result, dice: float) -> Cost:
    """The first round whose mean Dice is at least `dice`, and all strokes and seconds until then."""
    curve = dice_curve(result)
    reached = next((i for i, value in enumerate(curve) if value >= dice), None)
    used = result["rounds"][: len(curve) if reached is None else reached + 1]
    return Cost(
        reached is not None,
        len(used) - 1,
        sum(one["strokes"] for one in used),
        sum(one["user_seconds"] for one in used),
        sum(one["machine_seconds"] for one in used),
    )


@dataclass(frozen=True)
class Drop:
    """A class of a case that lost Dice."""

    case: str
    name: str
    round: int
    before: float
    after: float

    @property
    def lost(self) -> float:
        """How much Dice; negative where it gained."""
        return self.before - self.after


def drops(result: Result, since_start: bool = True) -> list[Drop]:
    """For every class and round: what it has lost since the start, or since the round before."""
    found = []
    for number in range(1, len(result["rounds"])):
        earlier = result["rounds"][0 if since_start else number - 1]["dice"]
        for label, after in result["rounds"][number]["dice"].items():
            before = earlier.get(label, math.nan)
            if math.isfinite(before) and math.isfinite(after):
                found.append(Drop(result["name"], result["names"].get(label, label), number, before, after))
    return found


def worst_drop(results: Iterable[Result], since_start: bool = True) -> float:
    """The most Dice that any class lost in any case and round; 0 where none lost, NaN without results."""
    results = list(results)
    if not results:
        return math.nan
    return max((d.lost for r in results for d in drops(r, since_start)), default=0.0) if results else math.nan


def ended_worse(result: Result) -> bool:
    """Whether the mean Dice after the last round is lower than at the start."""
    curve = dice_curve(result)
    return curve[-1] < curve[0] - TOLERANCE


def worst_harm(result: Result) -> tuple[list[float], float]:
    """Milliliters turned wrong, in the classes of `harm.DISTANCES_MM`, and of other classes, each in its worst round.

    The worst round is the one with most milliliters turned wrong in all.
    """
    rounds = [one for one in result["rounds"][1:] if one["harm_ml"]]
    if not rounds:
        return [0.0] * (len(DISTANCES_MM) + 1), 0.0
    worst = max(rounds, key=lambda one: sum(one["harm_ml"]))
    return list(worst["harm_ml"]), max(one["others_ml"] for one in rounds)


def others_volume_ml(result: Result) -> float:
    """By how many milliliters the classes without known truth grew or shrank, each on its own, in the worst round."""
    rounds = [one.get("volumes_ml", {}) for one in result["rounds"]]
    return max((sum(abs(now - start) for start, now in one.values()) for one in rounds), default=0.0)


def seconds_per_round(results: Iterable[Result]) -> Spread:
    """Machine seconds of a round in which something was drawn, the first included: mean of every case, over cases."""
    return spread(
        spread(one["machine_seconds"] for one in r["rounds"][1:] if one["strokes"]).mean for r in results
    )  # fmt: skip


def best_baseline(results: Sequence[Result], number: int | None = None) -> str | None:
    """Of the methods that are not ours and were played on every case: the highest mean Dice after a round.

    Args:
        results: of one group.
        number: of the round; None for the last. Equally good ones: the first by name.
    """
    all_cases = cases(results)
    number = n_rounds(results) if number is None else number
    complete = [
        method
        for method in sorted({r["method"] for r in results})
        if not is_ours(method) and list(of_method(results, method)) == all_cases
    ]
    means = {method: dice_at(of_method(results, method).values(), number).mean for method in complete}
    known = [method for method in complete if math.isfinite(means[method])]
    return max(known, key=means.get) if known else None
