"""When silence of a worker has lasted too long."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

#: A tick counts for no more than this many seconds of silence: while the application itself hung, or the laptop slept,
#: nobody listened.
LONGEST_TICK_S = 5.0


@dataclass(frozen=True)
class Deadlines:
    """How long a worker may be silent, in seconds, before it is ended.

    Attributes:
        start: until it says hello; a queue of a cluster may be in between.
        answer: while it works; it answers a ping also while it computes.
        cancel: after a cancel, until it gave up the round.
        ping: after so much silence it is asked for a sign of life.
    """

    start: float = 600.0
    answer: float = 60.0
    cancel: float = 20.0
    ping: float = 5.0


class Verdict(enum.Enum):
    """What is to be done about a silence."""

    WAIT = enum.auto()
    PING = enum.auto()
    NOT_STARTED = enum.auto()
    HUNG = enum.auto()
    NOT_CANCELLED = enum.auto()


class Patience:
    """Adds up silence from tick to tick."""

    def __init__(self, clock: Callable[[], float], deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self._clock = clock
        self._last_tick = clock()
        self._silent = self._since_cancel = 0.0
        self._was_pinged = False

    def heard(self) -> None:
        """The worker said something."""
        self._silent, self._was_pinged = 0.0, False

    def cancelled(self) -> None:
        """The user cancelled just now."""
        self._since_cancel = 0.0

    def tick(self, *, waiting: bool, greeted: bool, cancelling: bool) -> Verdict:
        """Look at the clock; `waiting`: something is expected, `greeted`: hello was heard."""
        now = self._clock()
        # A clock that jumps, in either direction, says nothing of how long somebody listened.
        passed, self._last_tick = min(max(now - self._last_tick, 0.0), LONGEST_TICK_S), now
        if not waiting:
            self.heard()  # nothing is expected, so that silence means nothing
            return Verdict.WAIT
        self._silent += passed
        self._since_cancel += passed
        if cancelling:
            return Verdict.NOT_CANCELLED if self._since_cancel >= self.deadlines.cancel else Verdict.WAIT
        if not greeted:
            return Verdict.NOT_STARTED if self._silent >= self.deadlines.start else Verdict.WAIT
        if self._silent >= self.deadlines.answer and self._was_pinged:
            return Verdict.HUNG
        if self._silent >= self.deadlines.ping and not self._was_pinged:
            self._was_pinged = True
            return Verdict.PING
        return Verdict.WAIT
