"""Markdown tables from stored results; nothing is averaged over fewer cases than stand in its row or cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from Testing.evidence import summary
from Testing.evidence.harm import DISTANCES_MM
from Testing.evidence.summary import Group, Result

MISSING = "-"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table whose first `left` columns are aligned to the left."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * left + "---:|" * (len(header) - left)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def dice_text(value: float) -> str:
    """Three decimals without the leading zero, as in all tables; "-" for NaN."""
    if not math.isfinite(value):
        return MISSING
    text = f"{abs(value):.3f}"
    sign = "-" if value < 0 and float(text) else ""
    return sign + (text[1:] if text.startswith("0") else text)


def amount_text(value: float) -> str:
    """Two significant digits below 10, whole numbers above; "-" for NaN."""
    if not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    if abs(value) >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}" if abs(value) >= 0.01 else "<0.01"


def dice_table(results: Sequence[Result], group: Group, methods: Sequence[str]) -> str:
    """Mean Dice at the start and after every round, standard deviation at the end, and the number of cases.

    The best of every round is bold; only methods with all cases take part in that.
    """
    results = summary.of_group(results, group)
    total, rounds = len(summary.cases(results)), summary.n_rounds(results)
    means = {
        method: [summary.dice_at(summary.of_method(results, method).values(), i).mean for i in range(rounds + 1)]
        for method in methods
    }
    counts = {method: len(summary.of_method(results, method)) for method in methods}
    best = [_best(means[m][i] for m in methods if counts[m] == total) for i in range(rounds + 1)]
    rows = []
    for method in methods:
        own = summary.of_method(results, method).values()
        cells = [
            _bold(dice_text(mean), i > 0 and counts[method] == total and dice_text(mean) == best[i])
            for i, mean in enumerate(means[method])
        ]
        rows.append([method, *cells, dice_text(summary.dice_at(own, rounds).sd), _count(counts[method], total)])
    header = ["method", "start", *(f"round {i}" for i in range(1, rounds + 1)), "sd at the end", "cases"]
    return markdown(header, rows)


def overview_table(results: Sequence[Result], dataset: str, methods: Sequence[str]) -> str:
    """Mean Dice after the first and after the last round in every situation of a data set.

    A method that was not played on every case says on how many: such a mean is not comparable and never bold.
    """
    chosen = [group for group in summary.groups(results) if group[0] == dataset]
    header, columns = ["method"], []
    for group in chosen:
        own = summary.of_group(results, group)
        total, rounds = len(summary.cases(own)), summary.n_rounds(own)
        start = summary.dice_at(_one_of_each(own), 0).mean
        header.append(f"{group[1]} (start {dice_text(start)}, n = {total})")
        means, counts = {}, {}
        for method in methods:
            played = summary.of_method(own, method).values()
            counts[method] = len(played)
            means[method] = [summary.dice_at(played, i).mean for i in (min(1, rounds), rounds)]
        best = [_best(means[m][i] for m in methods if counts[m] == total) for i in (0, 1)]
        cells = {}
        for method in methods:
            full = counts[method] == total
            parts = [_bold(dice_text(v), full and dice_text(v) == b) for v, b in zip(means[method], best)]
            missing = "" if full else f" ({_count(counts[method], total)})"
            cells[method] = " → ".join(parts) + missing if counts[method] else MISSING
        columns.append(cells)
    return markdown(header, [[method, *(cells[method] for cells in columns)] for method in methods])


def together_table(results: Sequence[Result], chosen: Sequence[Group], methods: Sequence[str]) -> str:
    """All groups in one line for each method: Dice (every group counts the same), how often best, and harm.

    A method that was not played on every case has no mean Dice, for the groups differ in difficulty; its drops and
    its harm are those of the cases it was played on.
    """
    by_group = [summary.of_group(results, group) for group in chosen]
    everything = sum(len(summary.cases(own)) for own in by_group)
    far = DISTANCES_MM.index(10.0) + 1
    complete, means = {}, {}
    for method in methods:
        played = [list(summary.of_method(own, method).values()) for own in by_group]
        complete[method] = all(len(p) == len(summary.cases(own)) for p, own in zip(played, by_group))
        means[method] = [
            [summary.dice_at(p, min(number, summary.n_rounds(own))).mean for p, own in zip(played, by_group)]
            for number in (1, max(map(summary.n_rounds, by_group), default=0))
        ]
    full = {
        (method, i): len(summary.of_method(own, method)) == len(summary.cases(own))
        for method in methods
        for i, own in enumerate(by_group)
    }
    best = [_best(means[m][1][i] for m in methods if full[m, i]) for i in range(len(chosen))]
    shown = {
        method: [dice_text(summary.spread(means[method][i]).mean if complete[method] else math.nan) for i in (0, 1)]
        for method in methods
    }
    most = [max((shown[m][i] for m in methods if shown[m][i] != MISSING), default=None) for i in (0, 1)]
    rows = []
    for method in methods:
        played = [r for own in by_group for r in summary.of_method(own, method).values()]
        won = sum(full[method, i] and dice_text(means[method][1][i]) == b for i, b in enumerate(best) if b)
        harm = summary.spread(sum(summary.worst_harm(r)[0][far:]) for r in played).mean
        dice = [_bold(text, text == most[i]) for i, text in enumerate(shown[method])]
        drop = dice_text(max(0.0, summary.worst_drop(played)) if played else math.nan)
        worse = f"{sum(map(summary.ended_worse, played))}" if played else MISSING
        rows.append(
            [method, " → ".join(dice) if complete[method] else MISSING, f"{won} of {len(chosen)}", drop, worse]
            + [amount_text(harm), _count(len(played), everything)]
        )
    header = ["method", "Dice, first → last round", "best in", "worst class drop", "cases ended worse"]
    return markdown([*header, ">10 mm away (ml a case)", "cases"], rows)


def effort_table(results: Sequence[Result], group: Group, methods: Sequence[str], dice: float) -> str:
    """What it takes to reach a Dice, after the paper's Table 2: rounds, strokes, the user's and the machine's seconds.

    Means over all cases; one that never reaches it counts with all its rounds, so a cost without "all reached it" is
    a lower bound, and is marked so. A sentence where no method reaches it in any case.
    """
    results = summary.of_group(results, group)
    total = len(summary.cases(results))
    if not any(summary.cost_to_reach(r, dice).reached for r in results if r["method"] in methods):
        return f"No method reached {dice_text(dice)} in any of the {total} cases.\n"
    rows = []
    for method in methods:
        played = list(summary.of_method(results, method).values())
        costs = [summary.cost_to_reach(r, dice) for r in played]
        reached = sum(c.reached for c in costs)
        more = "" if reached == len(costs) else ">"
        means = [
            summary.spread(getattr(c, name) for c in costs).mean
            for name in ("rounds", "strokes", "user_seconds", "machine_seconds")
        ]
        best = summary.spread(_highest(summary.dice_curve(r)) for r in played).mean
        cells = [MISSING if math.isnan(m) else f"{more}{amount_text(m)}" for m in means]
        count = f"{reached} of {len(costs)}" if costs else MISSING
        rows.append([method, count, *cells, dice_text(best), _count(len(costs), total)])
    return markdown(
        ["method", f"reached {dice_text(dice)}", "rounds", "strokes", "user (s)", "machine (s)", "best Dice", "cases"],
        rows,
    )


def class_table(results: Sequence[Result], chosen: Sequence[Group], methods: Sequence[str]) -> str:
    """Dice of every class after every round, after the paper's Table 3; over the cases that have the class."""
    rows, rounds = [], summary.n_rounds([r for g in chosen for r in summary.of_group(results, g)])
    for group in chosen:
        own = summary.of_group(results, group)
        for name in _class_names(own):
            for method in methods:
                values = _class_values(summary.of_method(own, method).values(), name, rounds)
                spreads = [summary.spread(column) for column in values]
                n = max((s.n for s in spreads), default=0)
                rows.append([", ".join(group), name, method, *(dice_text(s.mean) for s in spreads), str(n)])
    header = ["cases", "class", "method", "start", *(f"round {i}" for i in range(1, rounds + 1)), "n"]
    return markdown(header, rows, left=3)


def harm_table(results: Sequence[Result], group: Group, methods: Sequence[str]) -> str:
    """What was right and became wrong, by the distance from the nearest stroke, and what else went wrong.

    Milliliters are means over cases of each case's worst round; the drop is the worst of all classes and rounds.
    """
    results = summary.of_group(results, group)
    total = len(summary.cases(results))
    rows = []
    for method in methods:
        played = list(summary.of_method(results, method).values())
        harm = [summary.worst_harm(r) for r in played]
        bins = [summary.spread(h[0][i] for h in harm).mean for i in range(len(DISTANCES_MM) + 1)]
        others = summary.spread(h[1] for h in harm).mean
        volume = summary.spread(summary.others_volume_ml(r) for r in played).mean
        worse = sum(summary.ended_worse(r) for r in played)
        disobeyed = sum(one["disobeyed"] for r in played for one in r["rounds"])
        rows.append(
            [
                method,
                *(amount_text(b) for b in bins),
                amount_text(others),
                amount_text(volume),
                dice_text(max(0.0, summary.worst_drop(played)) if played else math.nan),
                f"{worse} of {len(played)}" if played else MISSING,
                str(disobeyed) if played else MISSING,
                _count(len(played), total),
            ]
        )
    ends = ["0", *(f"{d:g}" for d in DISTANCES_MM)]
    header = [f"{low}-{high} mm" for low, high in zip(ends, ends[1:])] + [f">{ends[-1]} mm"]
    header = [
        "method",
        *header,
        "others (ml)",
        "their volume (ml)",
        "worst class drop",
        "ended worse",
        "strokes left wrong",
        "cases",
    ]
    return markdown(header, rows)


def variants_table(results: Sequence[Result], chosen: Sequence[Group], variants: Sequence[tuple[str, str, str]]) -> str:
    """Ablations: one row for each variant (its name in the table, method, robot), Dice after the first and last round.

    Only cases that every variant in the table was played on count in a group, so that rows can be compared; how many
    these are stands in the header.
    """
    header, columns = ["variant"], []
    for group in chosen:
        own = summary.of_group(results, group)
        played = [summary.of_method([r for r in own if r["robot"] == robot], method) for _, method, robot in variants]
        with_any = [p for p in played if p]
        shared = sorted(set.intersection(*(set(p) for p in with_any))) if with_any else []
        rounds = summary.n_rounds([p[name] for p in with_any for name in shared])
        start = summary.dice_at([with_any[0][name] for name in shared], 0).mean if shared else math.nan
        header.append(f"{', '.join(group)} (start {dice_text(start)}, n = {len(shared)})")
        cells = []
        for one in played:
            own_cases = [one[name] for name in shared] if one else []
            means = [summary.dice_at(own_cases, i).mean for i in (min(1, rounds), rounds)]
            drop = summary.worst_drop(own_cases)
            cells.append(f"{' → '.join(map(dice_text, means))}, {_drop(drop)}" if own_cases else MISSING)
        columns.append(cells)
    rows = [[variants[i][0], *(column[i] for column in columns)] for i in range(len(variants))]
    return markdown(header, rows)


def _drop(lost: float) -> str:
    return f"-{dice_text(lost)}" if lost > summary.TOLERANCE else "no drop"


def _one_of_each(results: Sequence[Result]) -> list[Result]:
    """One result of every case: the start is the same for all methods."""
    return list({r["name"]: r for r in results}.values())


def _class_names(results: Sequence[Result]) -> list[str]:
    ordered = {}
    for r in results:
        ordered.update({name: int(label) for label, name in r["names"].items()})
    return sorted(ordered, key=lambda name: (ordered[name], name))


def _class_values(results: Sequence[Result], name: str, rounds: int) -> list[list[float]]:
    """Dice of a class: for every round those of all cases that have it."""
    values = [[] for _ in range(rounds + 1)]
    for r in results:
        labels = [label for label, own in r["names"].items() if own == name]
        for column, one in zip(values, r["rounds"]):
            column += [one["dice"][label] for label in labels]
    return values


def _highest(values: Sequence[float]) -> float:
    return max((v for v in values if math.isfinite(v)), default=math.nan)


def _best(values) -> str | None:
    """The largest as it is shown, so that what looks equal is treated as equal."""
    known = [v for v in values if math.isfinite(v)]
    return dice_text(max(known)) if known else None


def _bold(text: str, really: bool) -> str:
    return f"**{text}**" if really and text != MISSING else text


def _count(n: int, total: int) -> str:
    return str(total) if n == total else f"{n} of {total}"
