"""Figures from stored results, as small PNG files; needs matplotlib (the extra "bench")."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from Testing.evidence import summary
from Testing.evidence.harm import DISTANCES_MM
from Testing.evidence.summary import OURS, Result

#: Okabe and Ito's colors: told apart by color-blind readers too. What is not named here is gray.
BLUE, ORANGE, GREEN, PURPLE, BLACK, GRAY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#9A9A9A"
STYLES = {
    OURS: (BLUE, "-", 2.6),
    "Algorithm 1 as printed": (PURPLE, "--", 1.4),
    "cross-entropy tuning": (GREEN, "-.", 1.4),
    "painting": (BLACK, ":", 1.4),
}
STRONGEST, OTHER = (ORANGE, "-", 1.8), (GRAY, "-", 0.9)
#: From near to far: one hue, darker where nobody would look.
DISTANCE_COLORS = ("#fde0c5", "#f8b58b", "#ec8263", "#c5485a", "#6f1d5b")
TICKS = (0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
_DPI = 100


def plot_dice(path: Path, results: Sequence[Result], dataset: str, methods: Sequence[str]) -> None:
    """Fig. 3: mean Dice after every round, a panel for each situation, every method labeled at its line's end.

    Bands are one standard deviation over cases, for our method and the strongest baseline.
    """
    groups = [group for group in summary.groups(results) if group[0] == dataset]
    figure, panels = _panels(len(groups), 5.0, 0.6 + 0.155 * max(14, len(methods)))
    for axes, group in zip(panels, groups):
        own = summary.of_group(results, group)
        rounds, total = summary.n_rounds(own), len(summary.cases(own))
        strongest = summary.best_baseline(own)
        ends = []
        for method in methods:
            played = list(summary.of_method(own, method).values())
            if not played:
                continue
            points = [summary.dice_at(played, i) for i in range(rounds + 1)]
            color, line, width = _style(method, strongest)
            front = 3 if color == BLUE else 2 if color != GRAY else 1
            axes.plot([p.mean for p in points], line, color=color, lw=width, zorder=front, solid_capstyle="round")
            if method in (OURS, strongest) and len(played) > 1:
                low = [p.mean - p.sd for p in points]
                high = [min(p.mean + p.sd, 1) for p in points]
                axes.fill_between(range(rounds + 1), low, high, color=color, alpha=0.13, lw=0, zorder=0)
            few = "" if len(played) == total else f" ({len(played)} of {total})"
            ends.append((points[-1].mean, f"{_number(points[-1].mean)}  {method}{few}", color))
        axes.set_yscale("function", functions=(_stretch, _shrink))
        values = [v for r in own for v in (summary.dice_at([r], i).mean for i in range(rounds + 1)) if math.isfinite(v)]
        low, high = min(values, default=0), max(values, default=1)
        axes.set_ylim(max(-0.02, low - 0.03), min(1.0, high + 0.015))
        ticks = [t for t in TICKS if low - 0.03 <= t <= high + 0.015]
        axes.set_yticks(ticks, [_number(t) for t in ticks])
        axes.minorticks_off()
        axes.set_xticks(range(rounds + 1), ["start", *map(str, range(1, rounds + 1))])
        axes.set_xlim(0, max(rounds, 1))
        axes.set_title(f"{group[1]}, n = {total}", loc="left", fontsize=10, weight="bold")
        axes.set_xlabel("interactions", fontsize=9)
        _labels_at_the_end(axes, ends)
    _save(figure, path, f"{dataset}: mean Dice (the axis is stretched toward 1)")


def plot_harm(path: Path, results: Sequence[Result], methods: Sequence[str]) -> None:
    """Milliliters that were right and became wrong, by distance from the strokes, a panel for each data set.

    Only cases that start from a network's segmentation; bars that are too long are cut and say how long they are.
    """
    results = [r for r in results if r["situation"] != "from scratch"]
    datasets = list(dict.fromkeys(group[0] for group in summary.groups(results)))
    rows = [m for m in methods if any(r["method"] == m for r in results)]
    figure, panels = _panels(len(datasets), 5.0, 0.9 + 0.19 * max(6, len(rows)))
    for axes, dataset in zip(panels, datasets):
        own = [r for r in results if r["dataset"] == dataset]
        shown = [m for m in rows if any(r["method"] == m for r in own)]
        harm = {m: _mean_harm([r for r in own if r["method"] == m]) for m in shown}
        totals = sorted(sum(h) for h in harm.values())
        limit = 1.15 * max(2.5 * totals[len(totals) // 2], sum(harm.get(OURS, [0])), 1e-3)
        for row, method in enumerate(shown):
            ml, left = sum(harm[method]), 0.0
            # A bar that would leave the others no room is drawn shorter, its parts still in proportion.
            scale = min(1.0, limit / ml) if ml else 1.0
            for value, color in zip(harm[method], DISTANCE_COLORS):
                axes.barh(row, value * scale, left=left, color=color, height=0.74, lw=0)
                left += value * scale
            text = f"{_amount(ml)} ml" + (", bar shortened" if scale < 1 else "")
            axes.text(left + 0.01 * limit, row, text, va="center", fontsize=7.5)
        total = len({(r["situation"], r["name"]) for r in own})
        counts = [sum(r["method"] == method for r in own) for method in shown]
        few = ["" if n == total else f" ({n} of {total})" for n in counts]
        axes.set_yticks(range(len(shown)), [m + text for m, text in zip(shown, few)], fontsize=8)
        for method, label in zip(shown, axes.get_yticklabels()):
            if method == OURS:
                label.set(color=BLUE, weight="bold")
        axes.set_xlim(0, limit * 1.6)
        axes.invert_yaxis()
        axes.set_title(f"{dataset}, n = {total}", loc="left", fontsize=10, weight="bold")
        axes.set_xlabel("ml a case, in its worst round", fontsize=9)
        axes.tick_params(left=False, labelsize=8)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
    _distance_legend(figure)
    _save(figure, path, "Right at the start, wrong after corrections, by distance from the nearest stroke", legend=True)


def plot_time(path: Path, results: Sequence[Result], methods: Sequence[str]) -> None:
    """Machine seconds a round against Dice after the last round, a panel for each data set, every method labeled."""
    from matplotlib.ticker import LogLocator

    results = [r for r in results if r["situation"] != "from scratch"]
    datasets = list(dict.fromkeys(group[0] for group in summary.groups(results)))
    figure, panels = _panels(len(datasets), 5.0, 0.6 + 0.155 * max(14, len(methods)))
    for axes, dataset in zip(panels, datasets):
        own = [r for r in results if r["dataset"] == dataset]
        rounds, everything = summary.n_rounds(own), {(r["situation"], r["name"]) for r in own}
        points = {}
        for method in methods:
            played = [r for r in own if r["method"] == method]
            if {(r["situation"], r["name"]) for r in played} == everything:
                seconds = max(summary.seconds_per_round(played).mean, 0.001)
                points[method] = (seconds, summary.dice_at(played, rounds).mean)
        strongest = max((m for m in points if not summary.is_ours(m)), key=lambda m: points[m][1], default=None)
        ends = []
        for method, (seconds, dice) in points.items():
            color, _, _ = _style(method, strongest)
            axes.plot(seconds, dice, "o", color=color, ms=9 if method == OURS else 6, zorder=3 if color != GRAY else 2)
            ends.append((dice, f"{_number(dice)}  {method}, {_amount(seconds)} s", color, seconds))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if _decades(points) < 1.5 else (1,)))
        axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
        axes.xaxis.set_minor_formatter(lambda seconds, _: "")
        axes.set_title(f"{dataset}, n = {len(everything)}", loc="left", fontsize=10, weight="bold")
        axes.set_xlabel("machine seconds a round", fontsize=9)
        _labels_at_the_end(axes, ends)
    _save(figure, path, "Mean Dice after the last round against waiting time, methods with all cases")


def plot_ablation(path: Path, results: Sequence[Result], title: str, variants: Sequence[tuple[str, str, str]]) -> None:
    """Dice after every round for variants (name, method, robot), a panel for each group that has several of them."""
    figures = []
    for group in summary.groups(results):
        own = summary.of_group(results, group)
        played = {
            name: found
            for name, method, robot in variants
            if (found := summary.of_method([r for r in own if r["robot"] == robot], method))
        }
        if len(played) > 1:
            shared = sorted(set.intersection(*(set(p) for p in played.values())))
            if shared:
                figures.append((group, played, shared))
    if not figures:
        return
    figure, panels = _panels(len(figures), 4.6, 2.6)
    palette = [ORANGE, GREEN, PURPLE, BLACK, "#56B4E9", "#E69F00", GRAY, "#7A5C1E"]
    delivered = [name for name, method, robot in variants if (method, robot) == (OURS, summary.USUAL_ROBOT)]
    names = [name for name, _, _ in variants]
    for axes, (group, played, shared) in zip(panels, figures):
        rounds = summary.n_rounds([p[case] for p in played.values() for case in shared])
        ends = []
        for name, found in played.items():
            color = BLUE if name in delivered else palette[names.index(name) % len(palette)]
            curve = [summary.dice_at([found[case] for case in shared], i).mean for i in range(rounds + 1)]
            axes.plot(curve, color=color, lw=2.6 if color == BLUE else 1.4, zorder=3 if color == BLUE else 2)
            ends.append((curve[-1], f"{_number(curve[-1])}  {name}", color))
        axes.set_xticks(range(rounds + 1), ["start", *map(str, range(1, rounds + 1))])
        axes.set_xlim(0, max(rounds, 1))
        axes.set_title(f"{', '.join(group)}, n = {len(shared)}", loc="left", fontsize=10, weight="bold")
        axes.set_xlabel("interactions", fontsize=9)
        _labels_at_the_end(axes, ends)
    _save(figure, path, title)


def _decades(points: dict[str, tuple[float, float]]) -> float:
    seconds = [s for s, _ in points.values()]
    return math.log10(max(seconds) / min(seconds)) if seconds else 0.0


def _mean_harm(results: Sequence[Result]) -> list[float]:
    harm = [summary.worst_harm(r)[0] for r in results]
    return [summary.spread(h[i] for h in harm).mean for i in range(len(DISTANCES_MM) + 1)]


def _style(method: str, strongest: str | None) -> tuple[str, str, float]:
    if method == strongest and method not in STYLES:
        return STRONGEST
    return STYLES.get(method, OTHER)


def _stretch(dice):
    import numpy as np

    return -np.log10(np.maximum(1.03 - np.asarray(dice, dtype=float), 1e-6))


def _shrink(value):
    import numpy as np

    return 1.03 - 10.0 ** -np.asarray(value, dtype=float)


def _number(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if len(f"{value:g}") > 4 else f"{value:g}".replace("0.", ".", 1)


def _amount(value: float) -> str:
    digits = ",.0f" if value >= 10 else ".1f" if value >= 1 else ".2g"
    return f"{value:{digits}}" if value >= 0.01 else "<.01"


def _panels(n: int, width: float, height: float):
    """A figure with n panels in two columns, many in three; nothing is shown on a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(3 if n > 6 else 2, max(n, 1))
    rows = math.ceil(max(n, 1) / columns)
    figure, grid = pyplot.subplots(rows, columns, figsize=(columns * width, rows * height), dpi=_DPI, squeeze=False)
    panels = list(grid.flat)
    for unused in panels[n:]:
        unused.set_visible(False)
    for axes in panels:
        axes.grid(axis="y", alpha=0.25, lw=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure, panels[:n]


def _labels_at_the_end(axes, ends: list[tuple]) -> None:
    """Write names right of the panel, in the order of their values, far enough apart to be read.

    Args:
        ends: (value, text, color) or (value, text, color, x of the point); the leader starts at the point.
    """
    ends = sorted((e for e in ends if math.isfinite(e[0])), key=lambda e: (-e[0], e[1]))
    if not ends:
        return
    figure_height = axes.figure.get_size_inches()[1] * axes.get_subplotspec().get_position(axes.figure).height
    gap = min(0.145 / figure_height, 1.06 / len(ends))
    wanted = [axes.transAxes.inverted().transform(axes.transData.transform((0, e[0])))[1] for e in ends]
    places = []
    for y in wanted:  # from the top down, each at least one gap below the last
        places.append(min(y, places[-1] - gap) if places else min(y, 1.03))
    lowest = -0.05
    for i in reversed(range(len(places))):  # and back up where the bottom is left
        if places[i] < lowest:
            places[i] = lowest
        lowest = places[i] + gap
    for (value, text, color, *x), y, own in zip(ends, places, wanted):
        start = axes.transAxes.inverted().transform(axes.transData.transform((x[0], value)))[0] if x else 1.0
        axes.plot([start, 1.07], [own, y], color=color, lw=0.5, alpha=0.45, clip_on=False, transform=axes.transAxes)
        axes.text(
            1.08, y, text, color="#606060" if color == GRAY else color, fontsize=7.5, va="center",
            transform=axes.transAxes, weight="bold" if color == BLUE else None,
        )  # fmt: skip


def _distance_legend(figure) -> None:
    from matplotlib.patches import Patch

    ends = ["0", *(f"{d:g}" for d in DISTANCES_MM)]
    names = [f"{low} to {high} mm" for low, high in zip(ends, ends[1:])] + [f"farther than {ends[-1]} mm"]
    patches = [Patch(color=color, label=name) for color, name in zip(DISTANCE_COLORS, names)]
    figure.legend(handles=patches, loc="lower center", ncol=len(patches), fontsize=8, frameon=False)


def _save(figure, path: Path, title: str, legend: bool = False) -> None:
    """As PNG with few colors, which is what keeps it small; the same figure gives the same bytes."""
    from matplotlib import pyplot
    from PIL import Image

    inch = 1 / figure.get_size_inches()[1]
    figure.text(0.01, 1 - 0.08 * inch, title, fontsize=11, ha="left", va="top")
    figure.tight_layout(rect=(0, 0.35 * inch if legend else 0, 1, 1 - 0.3 * inch), w_pad=1.5)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    pyplot.close(figure)
    buffer.seek(0)
    picture = Image.open(buffer).convert("RGB")
    picture = picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    picture.save(path, format="PNG", optimize=True)
