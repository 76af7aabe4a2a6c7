"""The longer pages of the report, and all results as one CSV; every function returns the text of one file."""

from __future__ import annotations

import csv
import inspect
import io
import math
import sys
from collections.abc import Mapping, Sequence

from Testing.evidence import robot_user, summary, tables, targets, user_time
from Testing.evidence.experiments import EXPERIMENTS, Variant
from Testing.evidence.method import Method
from Testing.evidence.robot_user import RobotUser
from Testing.evidence.summary import FULL_CT, OURS, Result

#: Claims of the paper's Table 1, the situation that tests each, and whether it is about several classes at once.
CLAIMS = (
    ("several labels corrected at once", "own errors", True),
    ("a label that the network lacks is put in", "missing label", False),
    ("scans unlike those of the training", "degraded", False),
    ("an organ that the network was not trained for", "new organ", False),
)
BACK = "[Back to the report](README.md)\n"


def dice_page(results: Sequence[Result], methods: Sequence[str]) -> str:
    """Dice after every round in every group."""
    parts = ["# Dice after every interaction\n", BACK]
    parts.append("Means over cases, every case the mean of its classes; bold: the best of its column with all cases.\n")
    for group in summary.groups(results):
        parts += [f"## {', '.join(group)}\n", tables.dice_table(results, group, methods)]
    return "\n".join(parts)


def effort_page(results: Sequence[Result], methods: Sequence[str]) -> str:
    """Tables 2 and 5 of the paper."""
    parts = ["# What it takes to reach a Dice of 0.90 and 0.95\n", BACK]
    parts.append(
        "After the paper's Tables 2 and 5. Means over cases; a case that never gets there counts with all its rounds, "
        "which makes the number a lower bound (>). *best Dice* is the mean of every case's best round. The user's "
        "seconds are an estimate, see [methods](methods.md).\n"
    )
    for group in summary.groups(results):
        parts.append(f"## {', '.join(group)}\n")
        parts += [tables.effort_table(results, group, methods, dice) for dice in (0.90, 0.95)]
    return "\n".join(parts)


def classes_page(results: Sequence[Result]) -> str:
    """Table 3 of the paper: ours and the strongest baseline."""
    parts = ["# Dice of every class\n", BACK, "After the paper's Table 3: ours, and the strongest baseline.\n"]
    for group in summary.groups(results):
        best = summary.best_baseline(summary.of_group(results, group))
        shown = [OURS, *([best] if best else [])]
        parts += [f"## {', '.join(group)}\n", tables.class_table(results, [group], shown)]
    return "\n".join(parts)


def harm_page(results: Sequence[Result], methods: Sequence[str]) -> str:
    """Harm of all methods, and every class that ours took something from."""
    parts = ["# Harm\n", BACK]
    parts.append(
        "Milliliters that were right at the start and are wrong after corrections, by distance from the nearest "
        "stroke: means over cases, every case in its worst round. *others*: what changed of classes whose truth is not "
        "known and of which nobody complained; *their volume*: by how much these classes grew or shrank. *worst class "
        "drop*: the most Dice that any class of any case lost in any round. *strokes left "
        "wrong*: voxels that the method itself did not obey; the runner paints them in any case, for all methods. "
        "From scratch everything right at the start is background, so there it is what was wrongly made.\n"
    )
    parts.append("## Every class of ours that was ever more than 0.02 below its start\n")
    parts.append(targets.violations_table(results))
    parts.append("## Every class of ours that lost more than 0.02 in one round\n")
    parts.append(targets.violations_table(results, since_start=False))
    for group in summary.groups(results):
        parts += [f"## {', '.join(group)}\n", tables.harm_table(results, group, methods)]
    return "\n".join(parts)


def ablations_page(results: Sequence[Result]) -> str:
    """One table for each ablation; the results of all robots, report half."""
    parts = ["# Ablations\n", BACK]
    parts.append(
        "Mean Dice after the first → after the last round, and the most that any class lost since the start. Rows of "
        "a column are over the same cases.\n"
    )
    results = [r for r in results if r["half"] == "report" and r["dataset"] != FULL_CT]
    for experiment in EXPERIMENTS.values():
        if experiment.variants:
            rows = as_rows(experiment.variants)
            groups = [g for g in summary.groups(results) if has_several(results, g, rows)]
            parts.append(f"## {experiment.question}\n")
            if groups:
                parts += [tables.variants_table(results, [group], rows) for group in groups]
                parts.append(f"![{experiment.question}]({experiment.name}.png)\n")
            else:
                parts.append("Not played yet.\n")
    return "\n".join(parts)


def as_rows(variants: Sequence[Variant]) -> list[tuple[str, str, str]]:
    """Name, method and the robot's key, as results have it."""
    return [(name, method, RobotUser(**choices).key) for name, method, choices in variants]


def has_several(results: Sequence[Result], group: summary.Group, rows: Sequence[tuple[str, str, str]]) -> bool:
    """Whether a group has results of more than one variant."""
    played = {(r["method"], r["robot"]) for r in summary.of_group(results, group)}
    return len(played & {row[1:] for row in rows}) > 1


def together(results: Sequence[Result], methods: Sequence[str]) -> list[str]:
    """All groups in one table for corrections, and in one for structures from scratch, each with a line before it."""
    parts, chosen = [], summary.groups(results)
    for said, some in (
        ("Corrections of what a network said:\n", [g for g in chosen if g[1] != "from scratch"]),
        ("From scratch:\n", [g for g in chosen if g[1] == "from scratch"]),
    ):
        if some:
            parts += [said, tables.together_table(results, some, methods)]
    return parts


def drawings_page(results: Sequence[Result], methods: Sequence[str]) -> str:
    """The same tables with every case drawn in several ways; the results of all robots."""
    drawn = summary.all_drawings(results)
    if not drawn:
        return f"# Three ways to draw\n\n{BACK}\nNot played yet.\n"
    shown = [name for name in methods if any(r["method"] == name for r in drawn)]
    parts = ["# Three ways to draw\n", BACK]
    parts.append(
        "What one robot draws is one of many ways, and with few cases it decides much. So every case is drawn in "
        "three: always the largest error, along its middle (the tables elsewhere); and twice by dice, which choose "
        "among the large errors, the slice, the place and the length. Every drawing counts as a case.\n"
    )
    chosen = summary.groups(drawn)
    parts += ["## All data sets together\n", *together(drawn, shown)]
    parts.append("## Dice after one → after all interactions\n")
    for dataset in dict.fromkeys(group[0] for group in chosen):
        parts += [f"### {dataset}\n", tables.overview_table(drawn, dataset, shown)]
    judged = [*drawn, *(r for r in results if r["dataset"] == FULL_CT)]
    parts += ["## The targets, judged over all drawings\n", targets.targets_table(judged)]
    parts += ["## Every class of ours that was ever more than 0.02 below its start\n", targets.violations_table(judged)]
    for group in chosen:
        parts += [f"## {', '.join(group)}\n", tables.dice_table(drawn, group, shown)]
    return "\n".join(parts)


def methods_page(methods: Mapping[str, Method]) -> str:
    """What every method stands for and how it differs from the original, in its module's own words."""
    parts = ["# The methods\n", BACK]
    rows = [[m.name, m.cites or "-", _short(m.version)] for m in methods.values()]
    parts.append(tables.markdown(["method", "stands for", "version"], rows, left=3))
    by_module: dict[str, list[str]] = {}
    for name in methods:
        by_module.setdefault(_module_of(name), []).append(name)
    for module, names in by_module.items():
        parts.append(f"## {', '.join(names)}\n")
        parts.append(_docstring(module) if module else "Not described.\n")
    seeds = "Testing.evidence.methods.seeds"
    if seeds in sys.modules:
        parts += ["## Seeds, for methods that know nothing of a segmentation to be corrected\n", _docstring(seeds)]
        parts.append(inspect.getdoc(sys.modules[seeds].seeds_of) + "\n")
    parts += ["## The robot user\n", _docstring(robot_user.__name__), inspect.getdoc(RobotUser) + "\n"]
    parts += ["## The user's time\n", _docstring(user_time.__name__)]
    return "\n".join(parts)


def tuning_page(results: Sequence[Result], methods: Sequence[str]) -> str:
    """The half on which settings were chosen, apart from all else."""
    own = [r for r in summary.usual(results, half="tune") if r["method"] in methods]
    methods = [name for name in methods if any(r["method"] == name for r in own)]
    parts = ["# The half on which settings were chosen\n", BACK]
    parts.append(
        "Settings of our method and of the baselines were looked at on these cases only. They are no evidence.\n"
    )
    for dataset in dict.fromkeys(group[0] for group in summary.groups(own)):
        parts += [f"## {dataset}\n", tables.overview_table(own, dataset, methods)]
    return "\n".join(parts)


def claims_table(results: Sequence[Result]) -> str:
    """The paper's Table 1, its claims as tests of our method: Dice at the start, after one and after all rounds."""
    rows = []
    for claim, situation, several in CLAIMS:
        for group in summary.groups(results):
            own = summary.of_method(summary.of_group(results, group), OURS)
            classes = max((len(r["names"]) for r in own.values()), default=0)
            if group[1] != situation or not own or (several and classes < 2):
                continue
            last = summary.n_rounds(list(own.values()))
            curve = [summary.dice_at(own.values(), i).mean for i in (0, min(1, last), last)]
            drop = max(0.0, summary.worst_drop(own.values()))
            rows.append([claim, group[0], *map(tables.dice_text, curve), tables.dice_text(drop), str(len(own))])
    if not rows:
        return "Not played yet.\n"
    header = ["claim", "data set", "start", "first round", "last round", "worst class drop", "cases"]
    return tables.markdown(header, rows, left=2)


def full_ct_table(results: Sequence[Result]) -> str:
    """The real CT at full size: one row for each situation and method; a sentence where it was not played."""
    own = [r for r in results if r["dataset"] == FULL_CT]
    rows = []
    for r in sorted(own, key=lambda r: (r["method"] != OURS, r["method"], summary.SITUATIONS.index(r["situation"]))):
        curve = [f"{v:.4f}"[1:] if v < 1 else "1" for v in summary.dice_curve(r)]
        later = r["rounds"][1:]
        rows.append(
            [
                f"{r['situation']}, {r['names']['1']}",
                r["method"],
                *curve,
                tables.amount_text(max(one["far_lost_ml"] for one in later))
                + " / "
                + tables.amount_text(max(one["far_false_ml"] for one in later)),
                tables.amount_text(max(one["others_ml"] for one in later)),
                str(max(one["locked_voxels"] for one in later)),
                str(sum(one["disobeyed"] for one in later)),
            ]
        )
    if not rows:
        return "Not played yet.\n"
    rounds = summary.n_rounds(own)
    header = ["situation", "method", "start", *(f"round {i}" for i in range(1, rounds + 1))]
    header += ["far lost / false (ml)", "others (ml)", "locked voxels changed", "strokes violated"]
    return tables.markdown(header, [row[: 3 + rounds] + row[-4:] for row in rows], left=2)


def results_csv(results: Sequence[Result]) -> str:
    """One line for each played case: after every round (" ") Dice of every class ("/"), strokes and seconds; harm.

    Every number of the report but the volumes can be computed from it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["dataset", "situation", "case", "half", "method", "robot", "version", "classes", "dice", "strokes"]
        + ["user_seconds", "machine_seconds", "disobeyed", "worst_harm_ml", "worst_others_ml"]
    )
    for r in results:
        rounds = r["rounds"]
        harm, others = summary.worst_harm(r)
        writer.writerow(
            [r["dataset"], r["situation"], r["name"], r["half"], r["method"], r["robot"], _short(r["version"])]
            + ["/".join(r["names"].values())]
            + [" ".join("/".join(_number(v) for v in one["dice"].values()) for one in rounds)]
            + [" ".join(_number(one["strokes"]) for one in rounds)]
            + [" ".join(_number(one[key], 1) for one in rounds[1:]) for key in ("user_seconds", "machine_seconds")]
            + [str(sum(one["disobeyed"] for one in rounds))]
            + ["/".join(_number(v, 3) for v in harm), _number(others, 3)]
        )
    return out.getvalue()


def _module_of(method: str) -> str:
    """The module of `methods` that offers a method; "" for one that none of them knows."""
    for name in sorted(sys.modules):
        offered = getattr(sys.modules[name], "METHODS", ())
        if name.startswith("Testing.evidence.methods.") and method in [m.name for m in offered]:
            return name
    return ""


def _docstring(module: str) -> str:
    return inspect.cleandoc(sys.modules[module].__doc__ or "") + "\n"


def _short(version: str) -> str:
    """A version of our own method ends with all its settings; what stands before is enough to tell versions apart."""
    return version.split("RefineSettings(")[0]


def _number(value: float, digits: int = 4) -> str:
    if not math.isfinite(value):
        return "nan"
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
