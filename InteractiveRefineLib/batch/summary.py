"""The summary of a batch: one row per case as CSV, and a page for people as Markdown."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..atomic import atomic_output
from .case import Case
from .outcome import BatchResult, Outcome

_FACTS = ("stroke_voxels", "changed_voxels", "violated_strokes")
_WORST = 10


def write_summary(result: BatchResult, cases: Sequence[Case]) -> None:
    """Write summary.csv, summary.md and timings.csv into the output folder, each atomically.

    All but timings.csv are the same for the same results, however and in which order they were computed.

    Raises:
        InputError: a file cannot be written.
    """
    _write(result.output / "summary.csv", _table(result, cases))
    _write(result.output / "summary.md", _page(result, cases))
    _write(result.output / "timings.csv", _timings(result))


def _write(path: Path, text: str) -> None:
    with atomic_output(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _csv(rows: list[list[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _class_names(result: BatchResult) -> list[str]:
    """Classes that some truth has, in the order in which they were met."""
    return list(dict.fromkeys(name for outcome in result.outcomes for name in outcome.facts.get("dice", {})))


def _table(result: BatchResult, cases: Sequence[Case]) -> str:
    names = _class_names(result)
    header = ["case", "status", "reason", *_FACTS]
    header += [f"Dice {when}, {name}" for name in names for when in ("before", "after")]
    rows: list[list[object]] = [header]
    outcomes = {outcome.name: outcome for outcome in result.outcomes}
    for case in cases:
        outcome = outcomes.get(case.name)
        if outcome is None:
            rows.append([case.name, "left", *[""] * (len(header) - 2)])
            continue
        row = [case.name, outcome.status, _plain(outcome.reason), *(outcome.facts.get(fact, "") for fact in _FACTS)]
        for name in names:
            pair = outcome.facts.get("dice", {}).get(name, {})
            row += ["" if pair.get(when) is None else f"{pair[when]:.4f}" for when in ("before", "after")]
        rows.append(row)
    return _csv(rows)


def _plain(text: str) -> str:
    """Never taken for a formula by a spreadsheet."""
    return f" {text}" if text[:1] in ("=", "+", "-", "@") else text


def _timings(result: BatchResult) -> str:
    rows: list[list[object]] = [["case", "seconds", "kept from before", "worker"]]
    rows += [[o.name, f"{o.seconds:.3f}", "yes" if o.reused else "no", o.worker] for o in result.outcomes]
    return _csv(rows)


def _page(result: BatchResult, cases: Sequence[Case]) -> str:
    total = len(cases)
    lines = [
        "# Summary",
        "",
        "| cases | finished | failed | left |",
        "|---:|---:|---:|---:|",
        f"| {total} | {len(result.finished)} | {len(result.failed)} | {len(result.left)} |",
        "",
    ]
    violated = sum(o.facts.get("violated_strokes", 0) for o in result.finished)
    strokes = sum(o.facts.get("stroke_voxels", 0) for o in result.finished)
    lines += [f"Stroke voxels: {strokes}, of which not obeyed: {violated}. interactive-refine {__version__}.", ""]
    lines += _dice_lines(result)
    if result.failed:
        lines += ["## Failed", "", "| case | reason |", "|---|---|"]
        lines += [f"| {_cell(o.name)} | {_cell(o.reason)} |" for o in result.failed] + [""]
    if result.left:
        lines += ["## Left", "", "Not computed; `--resume` goes on with them.", ""]
        lines += [f"* {_cell(name)}" for name in result.left] + [""]
    return "\n".join(lines)


def _dice_lines(result: BatchResult) -> list[str]:
    names = _class_names(result)
    if not names:
        return []
    lines = ["## Dice", "", "| class | cases | mean before | mean after | median after | least after |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    for name in names:
        pairs = [o.facts["dice"][name] for o in result.finished if name in o.facts.get("dice", {})]
        before, after = ([p[when] for p in pairs if p[when] is not None] for when in ("before", "after"))
        if after:
            mean = f"{statistics.fmean(before):.4f}" if before else ""
            lines.append(
                f"| {_cell(name)} | {len(after)} | {mean} | {statistics.fmean(after):.4f} "
                f"| {statistics.median(after):.4f} | {min(after):.4f} |"
            )
    scored = [(_mean_after(o), o.name) for o in result.finished if _mean_after(o) is not None]
    worst = sorted(scored)[:_WORST]
    lines += [
        "",
        f"Look at these first, the lowest mean Dice of {len(scored)}:",
        "",
        "| case | mean Dice |",
        "|---|---:|",
    ]
    lines += [f"| {_cell(name)} | {score:.4f} |" for score, name in worst] + [""]
    return lines


def _mean_after(outcome: Outcome) -> float | None:
    values = [pair["after"] for pair in outcome.facts.get("dice", {}).values() if pair["after"] is not None]
    return statistics.fmean(values) if values else None


def _cell(text: str) -> str:
    """A text that does not break a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
