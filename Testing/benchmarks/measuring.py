"""What the benchmarks share: medians of times, peak memory, and a plot of what a table says."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


def machine() -> str:
    """One sentence on what measured, and how busy it was."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, load "
        f"{os.getloadavg()[0]:.1f} at the start, Python {platform.python_version()}, torch {torch.__version__}"
    )


def seconds_of(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def side_by_side(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of calls that take turns, so that a busy moment hits all; the first turn does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            taken = seconds_of(call)
            if turn:
                times[name].append(taken)
    return {name: statistics.median(values) for name, values in times.items()}


def peak_megabytes(call: Callable[[], object]) -> float:
    """How much memory one call adds at most to what is held already; NaN where the system does not tell."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
        before = _status_kilobytes("VmRSS")
        call()
        return (_status_kilobytes("VmHWM") - before) / 1024
    except OSError:
        return float("nan")


def _status_kilobytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def write_table(path: Path | None, lines: Sequence[str]) -> None:
    """Lines of Markdown into a file, where one was asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def plot(path: Path, title: str, x: Sequence[float], lines: dict[str, Sequence[float]], x_label: str) -> None:
    """Seconds against something, both logarithmic, as PNG; needs matplotlib (the extra "bench")."""
    with _axes(path, (6.4, 4.0)) as axes:
        for (name, values), marker in zip(lines.items(), "osD^vP"):
            axes.plot(x, values, marker=marker, label=name)
        axes.set(title=title, xlabel=x_label, ylabel="seconds", xscale="log", yscale="log")
        axes.grid(which="both", alpha=0.25)


def plot_ratios(path: Path, title: str, names: Sequence[str], groups: dict[str, Sequence[float]], y_label: str) -> None:
    """How many times faster, as groups of bars on a logarithmic axis, as PNG; needs matplotlib (the extra "bench")."""
    with _axes(path, (8.0, 4.0)) as axes:
        width = 0.8 / len(groups)
        for number, (group, values) in enumerate(groups.items()):
            places = [place + (number - (len(groups) - 1) / 2) * width for place in range(len(names))]
            bars = axes.bar(places, values, width, label=group)
            axes.bar_label(bars, [f"{value:,.0f}" for value in values], fontsize=6, rotation=90, padding=2)
        axes.set_xticks(range(len(names)), names, rotation=15, fontsize=8)
        axes.set(title=title, ylabel=y_label, yscale="log")
        axes.set_ylim(1, 5 * max(max(values) for values in groups.values()))
        axes.grid(axis="y", alpha=0.25)


@contextmanager
def _axes(path: Path, inches: tuple[float, float]) -> Iterator[Any]:
    """Axes to draw on; what is drawn gets its legend and is saved."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=inches, dpi=110)
    yield axes
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
