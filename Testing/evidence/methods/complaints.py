"""Which classes the strokes have complained about; methods that cut the whole image leave all others alone."""

from __future__ import annotations

import numpy as np

from Testing.evidence.case import Case
from Testing.evidence.method import Drawn
from Testing.evidence.methods.graph_cut import places_of
from Testing.evidence.methods.seeds import seeds_of


class Complaints:
    """Collects, over the rounds of one case, the classes that strokes asked for or were drawn on.

    A user of a program that segments from seeds locks what is right. Without it, each of these methods would
    move the borders of every organ in the scan after a stroke in one of them.
    """

    def __init__(self) -> None:
        self._classes: set[int] = {0}

    def listen(self, drawn: Drawn, labels: np.ndarray) -> list[int]:
        """All classes so far, background always, in ascending order; `labels` as before the newest strokes."""
        newest = drawn.rounds[-1]
        self._classes |= set(np.unique(newest[newest >= 0]).tolist()) | set(np.unique(labels[newest >= 0]).tolist())
        return sorted(self._classes)

    def task(
        self, case: Case, drawn: Drawn, labels: np.ndarray
    ) -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray]:
        """What is to be cut in this round.

        Returns:
            the classes, see `listen`; where they are certain, see `fixed`; the present labels with all strokes
            (K, J, I); and the places in the list of classes where every voxel begins, what is certain included.
        """
        classes = self.listen(drawn, labels)
        fixed = self.fixed(case, drawn, labels, classes)
        present = np.where(drawn.all >= 0, drawn.all, labels)
        first = places_of(present, classes)
        first[fixed != -1] = fixed[fixed != -1]
        return classes, fixed, present, first

    def fixed(self, case: Case, drawn: Drawn, labels: np.ndarray, classes: list[int]) -> np.ndarray:
        """(K, J, I) int16: the place in `classes` where a class is certain, -1 elsewhere, -2 where others lie.

        Certain are the seeds of `seeds.seeds_of`; others are the classes that nobody complained about.
        """
        seeds = seeds_of(case, drawn)
        fixed = np.full(labels.shape, -1, dtype=np.int16)
        fixed[~np.isin(labels, classes)] = -2
        for place, label in enumerate(classes):
            fixed[seeds == label] = place
        return fixed
