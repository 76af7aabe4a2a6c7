"""The targets that this evidence was asked to meet, checked against the results; nothing is typed in by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from Testing.evidence import summary
from Testing.evidence.summary import FULL_CT, OURS, Group, Result
from Testing.evidence.tables import dice_text, markdown

#: No class may ever lose more Dice than this.
MOST_LOST = 0.02
#: Rounds that a target speaks of.
ROUNDS = 5
#: Situation and the Dice asked for after five rounds, on every data set that has it.
WANTED = (("missing label", 0.90), ("degraded", 0.87))
#: From scratch: data set, class ("" = all classes of the case), and the Dice asked for after five rounds.
FROM_SCRATCH = (
    ("abdomen CT", "right kidney", 0.95),
    ("abdomen CT", "liver", 0.85),
    ("abdomen MR", "", 0.88),
    ("brain tumor", "", 0.88),
    ("hippocampus", "", 0.84),
)
#: The liver of the real CT at full size, and how much of the other organs may be relabeled.
FULL_CT_LIVER, FULL_CT_OTHERS = 0.975, 0.02


@dataclass(frozen=True)
class Target:
    """One line of the table.

    Attributes:
        what: was asked for.
        measured: in words and numbers.
        met: None where there is no result to judge by.
    """

    what: str
    measured: str
    met: bool | None


def check(results: Sequence[Result]) -> list[Target]:
    """Every target against the results of the report half."""
    usual = summary.usual(results)
    found = [_best_everywhere(usual, group) for group in summary.groups(usual) if _has_ours(usual, group)]
    found += [_nothing_lost(usual, since_start=True), _nothing_lost(usual, since_start=False), _obeyed(usual)]
    for situation, wanted in WANTED:
        datasets = [d for d, s in summary.groups(usual) if s == situation]
        found += [_reached(usual, (d, situation), "", wanted) for d in datasets or ["any data set"]]
    found += [_reached(usual, (d, "from scratch"), name, wanted) for d, name, wanted in FROM_SCRATCH]
    return found + _full_ct(results)


def targets_table(results: Sequence[Result]) -> str:
    """Target, what was measured, and whether it is met."""
    rows = [[t.what, t.measured, {True: "yes", False: "**no**", None: "no result"}[t.met]] for t in check(results)]
    return markdown(["target", "measured on the report half", "met"], rows, left=3)


def violations(results: Sequence[Result], since_start: bool = True) -> list[tuple[Group, summary.Drop]]:
    """Every class of every case that our method ever took more than `MOST_LOST` from, the worst round of each."""
    found = []
    for r in summary.usual(results):
        if r["method"] != OURS:
            continue
        worst: dict[str, summary.Drop] = {}
        for drop in summary.drops(r, since_start):
            if drop.name not in worst or drop.lost > worst[drop.name].lost:
                worst[drop.name] = drop
        found += [((r["dataset"], r["situation"]), d) for d in worst.values() if _too_much(d)]
    return sorted(found, key=lambda pair: (-round(pair[1].lost, 5), pair[0], pair[1].case, pair[1].name))


def violations_table(results: Sequence[Result], since_start: bool = True) -> str:
    """One row for each of `violations`, the worst first; a sentence where there are none."""
    rows = [
        [", ".join(group), d.case, d.name, str(d.round), dice_text(d.before), dice_text(d.after)]
        for group, d in violations(results, since_start)
    ]
    if not rows:
        return "None.\n"
    return markdown(["cases", "case", "class", "round", "before", "after"], rows, left=3)


def _too_much(drop: summary.Drop) -> bool:
    # Stored values have five decimals: exactly 0.02 is allowed.
    return round(drop.lost, 5) > MOST_LOST


def _has_ours(results: Sequence[Result], group: Group) -> bool:
    return bool(summary.of_method(summary.of_group(results, group), OURS))


def _best_everywhere(results: Sequence[Result], group: Group) -> Target:
    """Against every baseline on the cases that both have, in every round; the tightest is told."""
    own = summary.of_group(results, group)
    ours = summary.of_method(own, OURS)
    what = f"{', '.join(group)}: at every round at least the best baseline's mean Dice"
    tightest, lost, seen = None, set(), 0
    for method in sorted({r["method"] for r in own}):
        theirs = summary.of_method(own, method)
        shared = sorted(set(theirs) & set(ours))
        if summary.is_ours(method) or not shared:
            continue
        seen += 1
        for number in range(1, summary.n_rounds([p[name] for p in (ours, theirs) for name in shared]) + 1):
            mine = summary.dice_at([ours[name] for name in shared], number).mean
            other = summary.dice_at([theirs[name] for name in shared], number).mean
            if not math.isfinite(mine - other):
                continue
            if round(mine, 5) < round(other, 5):
                lost.add(number)
            if tightest is None or mine - other < tightest[0]:
                tightest = (mine - other, number, mine, other, method, len(shared))
    if tightest is None:
        return Target(what, f"no baseline ({len(ours)} cases)", None)
    _, number, mine, other, method, n = tightest
    said = f"closest: round {number}, {dice_text(mine)} against {dice_text(other)} ({method}, n = {n})"
    said += f"; of {seen} baseline{'s' * (seen > 1)}"
    if lost:
        said += f"; behind in round {', '.join(map(str, sorted(lost)))}"
    return Target(what, said, not lost)


def _nothing_lost(results: Sequence[Result], since_start: bool) -> Target:
    since = "at the start" if since_start else "one round before"
    what = f"no class ever more than {MOST_LOST} below where it was {since}"
    ours = [r for r in results if r["method"] == OURS]
    if not ours:
        return Target(what, MISSING_RESULT, None)
    found = violations(results, since_start)
    checked = sum(len({d.name for d in summary.drops(r, since_start)}) for r in ours)
    said = f"{len(found)} of {checked} classes of {len(ours)} cases"
    if found:
        group, worst = found[0]
        said += (
            f"; worst: {worst.name} of {worst.case} ({', '.join(group)}), round {worst.round}, "
            f"{dice_text(worst.before)} → {dice_text(worst.after)}"
        )
    return Target(what, said, not found)


def _obeyed(results: Sequence[Result]) -> Target:
    ours = [r for r in results if r["method"] == OURS]
    what = "every stroke obeyed by the method itself, in every round"
    if not ours:
        return Target(what, MISSING_RESULT, None)
    voxels = sum(one["disobeyed"] for r in ours for one in r["rounds"])
    return Target(what, f"{voxels} stroke voxels left wrong in {len(ours)} cases", voxels == 0)


def _reached(results: Sequence[Result], group: Group, name: str, wanted: float) -> Target:
    """Mean Dice over cases after five rounds; with a name, of this class alone."""
    what = f"{', '.join(group)}{', ' * bool(name)}{name}: at least {dice_text(wanted)} after {ROUNDS} rounds"
    reached = []
    for r in summary.of_method(summary.of_group(results, group), OURS).values():
        labels = [label for label, own in r["names"].items() if not name or own == name]
        if labels and len(r["rounds"]) > ROUNDS:
            reached.append(summary.spread(r["rounds"][ROUNDS]["dice"][label] for label in labels).mean)
    mean = summary.spread(reached)
    if not mean.n:
        return Target(what, MISSING_RESULT, None)
    return Target(what, f"{dice_text(mean.mean)} (n = {mean.n})", round(mean.mean, 5) >= wanted)


def _full_ct(results: Sequence[Result]) -> list[Target]:
    what = f"the real CT at full size: liver at least {dice_text(FULL_CT_LIVER)} after {ROUNDS} rounds"
    what_others = f"the real CT at full size: at most {FULL_CT_OTHERS:.0%} of the other organs relabeled, in any round"
    stories = [
        r
        for r in results
        if (r["dataset"], r["situation"], r["method"]) == (FULL_CT, "own errors", OURS) and len(r["rounds"]) > ROUNDS
    ]
    if not stories:
        return [Target(what, MISSING_RESULT, None), Target(what_others, MISSING_RESULT, None)]
    (story,) = stories
    reached = summary.spread(story["rounds"][ROUNDS]["dice"].values()).mean
    relabeled = max(one["others_ml"] for one in story["rounds"])
    share = relabeled / story["others_at_start_ml"]
    said = f"{relabeled:.1f} of {story['others_at_start_ml']:.0f} ml, {share:.2%}"
    return [
        Target(what, f"{reached:.4f}", round(reached, 5) >= FULL_CT_LIVER),
        Target(what_others, said, share <= FULL_CT_OTHERS),
    ]


MISSING_RESULT = "not played yet"
