"""The fault matrix as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from .registry import Row, Tally, complaint

_HEAD = ("fault", "tried", "survived", "strokes lost", "segments lost", "cases lost", "pickles executed", "s")
_WIDTH = 96


def counts(tally: Tally) -> tuple[int, int, int, int, int, int]:
    """Tried, survived, and the four that must be 0."""
    return (tally.tried, tally.survived, *tally.lost)


def markdown(measured: Sequence[tuple[Row, Tally]]) -> str:
    """A Markdown table with a line for each row, grouped, and the sum."""
    width = max(len(line.name) for line, _ in measured) + 2
    lines, group = [_line(_HEAD, width), "|" + "|".join(["---", *["---:"] * (len(_HEAD) - 1)]) + "|"], ""
    for line, tally in measured:
        if line.group != group:
            group = line.group
            lines.append(_line((f"**{group}**", *[""] * (len(_HEAD) - 1)), width))
        missing = f" (not here: {tally.missing})" if tally.missing else ""
        lines.append(_line((line.name + missing, *counts(tally), f"{tally.seconds:.1f}"), width))
    totals = [sum(column) for column in zip(*(counts(tally) for _, tally in measured))]
    seconds = sum(tally.seconds for _, tally in measured)
    lines.append(_line(("**all**", *(f"**{n}**" for n in totals), f"{seconds:.0f}"), width))
    return "\n".join(lines)


def remarks(measured: Sequence[tuple[Row, Tally]]) -> str:
    """What the rows noted, and why those failed that did."""
    found = []
    for line, tally in measured:
        found += [f"{line.name}: {note}" for note in tally.notes]
        if not tally.is_good:
            found.append(f"FAILED  {line.group}: {line.name}\n    " + complaint(tally).replace("\n", "\n    "))
    return "\n".join(found)


def _line(cells: Sequence[object], width: int) -> str:
    first, *others = (str(cell) for cell in cells)
    return "| " + " | ".join([first.ljust(width), *others]) + " |"
