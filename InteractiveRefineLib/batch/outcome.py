"""What became of one case, and of a whole batch, as plain data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import RefineError

FINISHED, FAILED = "finished", "failed"


class CasesFailedError(RefineError):
    """Some cases of a batch failed; the others are finished, and the summary says which and why."""

    exit_code = 5


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        name: of the case.
        status: "finished" or "failed".
        reused: it was finished before this run, with the same inputs, and was left as it is.
        reason: why it failed, one line.
        details: where in the program, for an unexpected error.
        try_again: another attempt could go better: not the inputs are to blame.
        seconds: that it took.
        facts: what the summary shows, as in `report.json`: dice, stroke_voxels, changed_voxels, violated_strokes.
        notes: sentences for the user about its files.
        worker: who computed it, "" = this process.
    """

    name: str
    status: str
    reused: bool = False
    reason: str = ""
    details: str = ""
    try_again: bool = False
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    worker: str = ""

    def to_fields(self) -> dict[str, Any]:
        """As JSON, for another process."""
        return dataclasses.asdict(self)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Outcome:
        """The outcome that `to_fields` described."""
        return cls(**{**fields, "notes": tuple(fields["notes"])})


@dataclass(frozen=True)
class BatchResult:
    """What became of a batch.

    Attributes:
        output: folder of the results.
        outcomes: of the cases that were finished or failed, in the manifest's order.
        left: names of the cases that were not computed, because the batch was cancelled.
        notes: sentences for the user.
    """

    output: Path
    outcomes: tuple[Outcome, ...]
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def finished(self) -> tuple[Outcome, ...]:
        """The cases whose results are there."""
        return tuple(o for o in self.outcomes if o.status == FINISHED)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The cases that have none, with their reasons."""
        return tuple(o for o in self.outcomes if o.status == FAILED)

    def __str__(self) -> str:
        reused = sum(o.reused for o in self.finished)
        total = len(self.outcomes) + len(self.left)
        parts = [f"{len(self.finished)} of {total} cases finished" + (f" ({reused} of them before)" if reused else "")]
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        if self.left:
            parts.append(f"{len(self.left)} left")
        return ", ".join(parts) + f"; see {self.output / 'summary.md'}"
