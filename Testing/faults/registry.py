"""The rows of the fault matrix, and what each of them counts while it runs. Nothing here is known beforehand."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from InteractiveRefineLib.constraints import Constraints

#: More of a row's failures than these are not printed.
_SHOWN = 5


class NotHere(Exception):
    """This machine cannot inject the fault; the text says why."""


@dataclass
class Tally:
    """What one row measured.

    Attributes:
        tried, survived: faults injected, and those after which everything was as it should be.
        strokes_lost: strokes that were not obeyed, or not known any more, after a fault.
        segments_lost: segments whose voxels were not those that should be there.
        cases_lost: computations or files asked for that never came, or came wrong.
        pickles_executed: traps that sprang.
        failures: one line for each fault that was not survived.
        notes: figures and remarks to be printed.
        missing: why (a part of) the row could not be tried on this machine.
    """

    tried: int = 0
    survived: int = 0
    strokes_lost: int = 0
    segments_lost: int = 0
    cases_lost: int = 0
    pickles_executed: int = 0
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: str = ""
    seconds: float = 0.0

    @property
    def lost(self) -> tuple[int, int, int, int]:
        """Strokes, segments and cases lost, and pickles executed."""
        return self.strokes_lost, self.segments_lost, self.cases_lost, self.pickles_executed

    @property
    def is_good(self) -> bool:
        """Every fault was survived, nothing was lost, and at least one fault was tried (or none can be, here)."""
        return self.tried == self.survived and not any(self.lost) and (self.tried > 0 or bool(self.missing))

    @contextmanager
    def fault(self, what: str) -> Iterator[None]:
        """Inject one fault and check what is left in a `with` block; what goes wrong there is a failure of the row."""
        self.tried += 1
        before = self.lost
        try:
            yield
        except NotHere as reason:
            self.tried -= 1
            self.missing = str(reason)
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            self.failures.append(f"{what}: {type(error).__name__}: {lines[0][:300]}")
        else:
            if self.lost == before:
                self.survived += 1
            else:
                named = ("strokes", "segments", "cases", "pickles executed")
                lost = [f"{now - then} {name}" for name, then, now in zip(named, before, self.lost) if now > then]
                self.failures.append(f"{what}: lost {', '.join(lost)}")

    def strokes_obeyed(self, constraints: Constraints, labels: np.ndarray) -> None:
        """Count the strokes that `labels` (K, J, I) do not obey: their voxels, unless a later stroke overruled them."""
        seen = np.zeros(labels.size, dtype=bool)
        locked = np.array(sorted(constraints.locked), dtype=np.int64)
        for inputs in reversed(constraints.to_records()):
            for record in reversed(inputs):
                fresh = ~seen[record.indices]
                seen[record.indices] = True
                found = labels.reshape(-1)[record.indices]
                obeyed = (found != record.labels) if record.forbidden else (found == record.labels)
                self.strokes_lost += bool((fresh & ~obeyed & ~np.isin(found, locked)).any())

    def strokes_known(self, expected: Constraints, found: Constraints) -> None:
        """Count the strokes that are not known any more as they were drawn."""
        before, after = _records(expected), _records(found)
        self.strokes_lost += sum(record not in after for record in before)

    def segments_kept(self, expected: np.ndarray | None, found: np.ndarray | None) -> None:
        """Count the labels whose voxels differ between two label maps (K, J, I); 0 is none."""
        if expected is None:
            return
        if found is None or found.shape != expected.shape:
            self.segments_lost += max(1, len(np.unique(expected[expected > 0])))
            return
        differ = expected != found
        concerned = np.union1d(expected[differ], found[differ])
        self.segments_lost += int(np.count_nonzero(concerned))

    def cases_done(self, wanted: int, done: int) -> None:
        """Count what was asked for and never came."""
        self.cases_lost += abs(wanted - done)

    def trap(self, sprung: Path) -> None:
        """Count a trap that makes the file or folder `sprung` when it is unpickled."""
        self.pickles_executed += sprung.exists()


@dataclass(frozen=True)
class Row:
    """One line of the matrix.

    Attributes:
        group: what kind of trouble.
        name: the fault and what is kept.
        run: injects it; its arguments are the tally and an empty folder.
        slow: takes more than a few seconds.
    """

    group: str
    name: str
    run: Callable[[Tally, Path], None]
    slow: bool = False

    @property
    def id(self) -> str:
        """For pytest."""
        return self.run.__name__


_ROWS: list[Row] = []


def row(group: str, name: str, slow: bool = False) -> Callable:
    """Add the decorated function to the matrix."""

    def add(run: Callable[[Tally, Path], None]) -> Callable[[Tally, Path], None]:
        _ROWS.append(Row(group, name, run, slow))
        return run

    return add


def rows_of(module) -> list[Row]:
    """The rows that one module holds."""
    return [r for r in _ROWS if r.run.__module__ == module.__name__]


def measure(line: Row) -> Tally:
    """Run one row in a folder of its own; whatever it raises is a failure."""
    tally = Tally()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="interactive-refine-fault-") as folder:
        try:
            line.run(tally, Path(folder))
        except NotHere as reason:
            tally.missing = str(reason)
        except Exception as error:
            tally.failures.append(f"the row itself: {type(error).__name__}: {str(error)[:300]}")
            tally.tried += 1
    tally.seconds = time.perf_counter() - start
    return tally


def complaint(tally: Tally) -> str:
    """Why a tally is not good, for a person; "" when it is."""
    if tally.is_good:
        return ""
    shown = tally.failures[:_SHOWN] or ["no fault was injected at all"]
    more = len(tally.failures) - len(shown)
    return "\n".join([*shown, *([f"and {more} more"] if more > 0 else [])])


def _records(constraints: Constraints) -> list[tuple]:
    return [
        (number, bool(r.forbidden), int(r.source), r.indices.tobytes(), r.labels.tobytes())
        for number, inputs in enumerate(constraints.to_records())
        for r in inputs
    ]
