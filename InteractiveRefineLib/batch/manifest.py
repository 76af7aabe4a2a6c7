"""Read a manifest: a table with one row per case, as spreadsheets save it or as a list of dictionaries."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: The columns, in the order in which the documentation lists them; `case` and `image` are needed.
COLUMNS = (
    "case", "image", "backbone", "strokes", "not-strokes", "prompts", "current", "locks", "new-classes", "settings",
    "truth",
)  # fmt: skip
REQUIRED = ("case", "image")
#: Other words for the same columns.
_SYNONYMS = {"images": "image", "scribbles": "strokes", "not-scribbles": "not-strokes", "lock": "locks"}
_SYNONYMS |= {"new-class": "new-classes", "add-class": "new-classes", "add-classes": "new-classes"}
_DELIMITERS = ",;\t"


@dataclass(frozen=True, order=True)
class Problem:
    """Something wrong in a manifest.

    Attributes:
        row: as a spreadsheet counts, the header is row 1; 0 = the whole manifest.
        column: "" = the whole row.
        text: what is wrong and what to do.
    """

    row: int
    column: str
    text: str

    def __str__(self) -> str:
        where = f"row {self.row}" if self.row else "the manifest"
        return f"{where}, column {self.column}: {self.text}" if self.column else f"{where}: {self.text}"


@dataclass(frozen=True)
class Row:
    """One row: its number as in `Problem`, and its cells by column, without those that are empty."""

    number: int
    cells: dict[str, str]


@dataclass
class Table:
    """A manifest as it was read.

    Attributes:
        rows: those that are not empty.
        folder: what relative paths are relative to.
        problems: found so far.
        source: the manifest's path, None for rows from Python.
    """

    rows: list[Row]
    folder: Path
    problems: list[Problem] = field(default_factory=list)
    source: Path | None = None


def read_table(path: Path) -> Table:
    """Read a CSV file with commas, semicolons or tabs, UTF-8 or UTF-16, with or without a byte-order mark.

    Whatever is wrong is told by the table's `problems`; nothing is raised.
    """
    path = Path(path)
    table = Table([], path.absolute().parent, source=path)
    try:
        text = _decoded(path.read_bytes())
    except OSError as error:
        table.problems.append(Problem(0, "", f"{path} cannot be read: {error.strerror or error}. Check the path."))
        return table
    except UnicodeDecodeError:
        advice = 'Save it as "CSV UTF-8" (Excel: File > Save As).'
        table.problems.append(Problem(0, "", f"{path} is no UTF-8 text. {advice}"))
        return table
    records, first = _records(text, table)
    if not records:
        return table
    columns = _columns(records[0], first, table)
    for number, record in enumerate(records[1:], first + 1):
        cells = [cell.strip() for cell in record]
        if not any(cells):
            continue
        if any(cells[len(columns) :]):
            advice = 'Put a cell with several entries into quotes: "a.nrrd;b.nrrd".'
            table.problems.append(Problem(number, "", f"there are more cells than columns. {advice}"))
        filled = {column: cell for column, cell in zip(columns, cells) if column and cell}
        table.rows.append(Row(number, filled))
    if not table.rows:
        table.problems.append(Problem(0, "", "there is no case: every row below the header is empty."))
    return table


def table_of(rows: Iterable[Mapping[str, object]], folder: Path) -> Table:
    """The same from Python: one mapping per case; a list or tuple is a cell with several entries, None an empty one."""
    table = Table([], Path(folder).absolute())
    for number, mapping in enumerate(rows, 2):  # as if a header came first: numbers mean the same everywhere
        cells: dict[str, str] = {}
        for key, value in mapping.items():
            column = _column(str(key), number, table)
            text = ";".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            if column and value is not None and text.strip():
                cells[column] = text.strip()
        table.rows.append(Row(number, cells))
    if not table.rows:
        table.problems.append(Problem(0, "", "there is no case."))
    return table


def _decoded(data: bytes) -> str:
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if data.startswith(mark):  # what Excel calls "Unicode Text"
            return data.decode(encoding)
    return data.decode("utf-8-sig")


def _records(text: str, table: Table) -> tuple[list[list[str]], int]:
    """The rows of cells from the header on, and the header's row number; none and a problem when it is no table."""
    lines = text.splitlines()
    delimiter = None
    skip = 0
    if lines and lines[0].strip().lower().startswith("sep=") and len(lines[0].strip()) == 5:
        delimiter, skip = lines[0].strip()[4], 1  # Excel's own hint
    header = next((line for line in lines[skip:] if line.strip()), "")
    if delimiter is None:
        delimiter = max(_DELIMITERS, key=lambda d: (_known_columns(header, d), header.count(d)))
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        table.problems.append(Problem(0, "", f"it is no CSV table ({error}). A quote may be missing."))
        return [], 0
    first = next((n for n in range(skip, len(records)) if any(cell.strip() for cell in records[n])), None)
    if first is None:
        named = ", ".join(REQUIRED)
        table.problems.append(Problem(0, "", f"it is empty. It needs a header with at least the columns {named}."))
        return [], 0
    return records[first:], first + 1


def _known_columns(header: str, delimiter: str) -> int:
    return sum(_canonical(cell.strip('" ')) in COLUMNS for cell in header.split(delimiter))


def _canonical(name: str) -> str:
    plain = "-".join(name.strip().lower().replace("_", " ").replace("-", " ").split())
    return _SYNONYMS.get(plain, plain)


def _columns(header: list[str], number: int, table: Table) -> list[str]:
    """The column of each cell; "" for one that is not understood, which is a problem."""
    columns = []
    for name in header:
        column = _column(name, number, table) if name.strip() else ""
        if column and column in columns:
            table.problems.append(Problem(number, column, "there is a second column of this name. Remove one."))
            column = ""
        columns.append(column)
    for column in REQUIRED:
        if column not in columns:
            table.problems.append(Problem(number, column, "this column is missing. It is needed."))
    return columns


def _column(name: str, number: int, table: Table) -> str:
    column = _canonical(name)
    if column in COLUMNS:
        return column
    near = difflib.get_close_matches(column, [*COLUMNS, *_SYNONYMS], n=1)
    hint = f"Did you mean {_SYNONYMS.get(near[0], near[0])}?" if near else f"Known columns: {', '.join(COLUMNS)}."
    table.problems.append(Problem(number, name.strip(), f"there is no such column. {hint}"))
    return ""
