"""What a method has to offer to take part: a name, and labels from the strokes drawn so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from InteractiveRefineLib.prompts import Box, Point
from Testing.evidence.case import Case


@dataclass(frozen=True, eq=False)
class Prompts:
    """One round as the product takes it; methods that only know labels need not look at it.

    Attributes:
        painted: (K, J, I) int16, -1 where nothing was painted, else the label: what neither points nor boxes say.
        points, boxes: of the product.
    """

    painted: np.ndarray
    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, eq=False)
class Drawn:
    """All strokes so far.

    Attributes:
        all: (K, J, I) int16, -1 where nothing was drawn, else the label that was asked for there last, 0 = background.
        rounds: the same for every single round, oldest first.
        prompts: every round with its points and boxes as such, oldest first.
    """

    all: np.ndarray
    rounds: tuple[np.ndarray, ...]
    prompts: tuple[Prompts, ...] = ()

    @classmethod
    def nothing(cls, shape: tuple[int, int, int]) -> Drawn:
        """Before the first stroke."""
        return cls(np.full(shape, -1, dtype=np.int16), ())

    def and_then(self, strokes: np.ndarray, prompts: Prompts | None = None) -> Drawn:
        """With one more round (K, J, I), -1 where nothing was drawn; the latest wins. Without prompts: all painted."""
        newest = np.where(strokes >= 0, strokes, self.all).astype(np.int16)
        return Drawn(newest, (*self.rounds, strokes), (*self.prompts, prompts or Prompts(strokes)))


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
        needs: modules that the method imports and that are not there on every computer.
    """

    name: str
    begin: Callable[[Case], Session]
    suits: Callable[[Case], bool] = lambda case: True
    version: str = "1"
    cites: str = ""
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> str | None:
        """A sentence about what has to be installed before the method can run; None when all is there."""
        absent = [module for module in self.needs if find_spec(module) is None]
        return f"{self.name} needs {', '.join(absent)}, not installed here." if absent else None
