"""Cancel at every moment at which a round asks whether to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from InteractiveRefineLib.errors import Cancelled
from InteractiveRefineLib.growing import grow

from .registry import Tally, row
from .sessions import TwoRounds, survive

_GROUP = "Cancel"


class _Asked:
    """A `should_cancel` that says yes when it is asked for the n-th time, and from then on."""

    def __init__(self, n: int = -1) -> None:
        self.count, self._n = 0, n

    def __call__(self) -> bool:
        self.count += 1
        return 0 < self._n <= self.count


class _CancelledRound(TwoRounds):
    """Two rounds, one of which is cancelled when it asks for the n-th time."""

    asked: _Asked | None = None

    def refine(self, **options):
        return super().refine(**options) if self.asked is None else super().refine(should_cancel=self.asked)


@row(_GROUP, "at every moment of a first and of a later round: kept, and the next round is as if nothing had been")
def at_every_moment(tally: Tally, folder: Path) -> None:
    for second in (False, True):
        asked = _Asked()
        expected = TwoRounds(second).refine(should_cancel=asked)
        assert asked.count > 10, f"a round asks only {asked.count} times"
        for n in range(1, asked.count + 1):
            made: list[_CancelledRound] = []

            def make(second: bool, made: list = made) -> _CancelledRound:
                made.append(_CancelledRound(second))
                return made[-1]

            @contextmanager
            def cancel(n: int = n, made: list = made) -> Iterator[None]:
                made[-1].asked = _Asked(n)
                try:
                    yield
                finally:
                    made[-1].asked = None

            what = f"{'second' if second else 'first'} round, {n} of {asked.count}"
            survive(tally, what, second, expected, cancel, Cancelled, "", make)


@row(_GROUP, "while the network runs alone, and while strokes grow")
def outside_a_round(tally: Tally, folder: Path) -> None:
    asked = _Asked()
    expected = TwoRounds(False).session.predict(should_cancel=asked)
    for n in range(1, asked.count + 1):
        with tally.fault(f"prediction, {n} of {asked.count}"):
            session = TwoRounds(False).session
            try:
                session.predict(should_cancel=_Asked(n))
                raise AssertionError("it was not cancelled")
            except Cancelled:
                pass
            tally.segments_kept(expected, session.predict())
    image, seeds = np.zeros((4, 20, 20), dtype=np.float32), np.zeros((4, 20, 20), dtype=np.uint8)
    seeds[2, 10, 10] = 1
    asked = _Asked()
    before = grow(image, seeds, (1.0, 1.0, 1.0), 1.0, 30.0, leak_guard=False, should_cancel=asked)
    for n in range(1, asked.count + 1):
        with tally.fault(f"growing, {n} of {asked.count}"):
            kept = seeds.copy()
            try:
                grow(image, seeds, (1.0, 1.0, 1.0), 1.0, 30.0, leak_guard=False, should_cancel=_Asked(n))
                raise AssertionError("it was not cancelled")
            except Cancelled:
                pass
            tally.strokes_lost += int(not np.array_equal(kept, seeds))
            again = grow(image, seeds, (1.0, 1.0, 1.0), 1.0, 30.0, leak_guard=False)
            tally.segments_kept(before.labels, again.labels)
