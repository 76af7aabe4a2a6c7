"""What a method has to offer to take part: a name, and labels from the strokes drawn so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from Testing.evidence.case import Case


@dataclass(frozen=True, eq=False)
class Drawn:
    """All strokes so far.

    Attributes:
        all: (K, J, I) int16, -1 where nothing was drawn, else the label that was asked for there last, 0 = background.
        rounds: the same for every single round, oldest first.
    """

    all: np.ndarray
    rounds: tuple[np.ndarray, ...]

    @classmethod
    def nothing(cls, shape: tuple[int, int, int]) -> Drawn:
        """Before the first stroke."""
        return cls(np.full(shape, -1, dtype=np.int16), ())

    def and_then(self, strokes: np.ndarray) -> Drawn:
        """With one more round (K, J, I), -1 where nothing was drawn; the latest wins."""
        return Drawn(np.where(strokes >= 0, strokes, self.all).astype(np.int16), (*self.rounds, strokes))


class Session(Protocol):
    """One method at work on one case; it may keep whatever it likes between rounds."""

    def refine(self, drawn: Drawn, labels: np.ndarray) -> np.ndarray:
        """New labels (K, J, I); the runner paints the strokes over them, whatever they are.

        Args:
            drawn: all strokes so far.
            labels: (K, J, I) uint16, the present ones: the method's own of the last round with all strokes painted.
        """


@dataclass(frozen=True)
class Method:
    """One row of the tables.

    Attributes:
        name: as in the tables.
        begin: a session on a case.
        suits: whether the method can say anything about a case.
        version: raise it when the method's results change; stored results of other versions are computed again.
        cites: the paper it stands for and the library it comes from, in a few words.
    """

    name: str
    begin: Callable[[Case], Session]
    suits: Callable[[Case], bool] = lambda case: True
    version: str = "1"
    cites: str = ""
