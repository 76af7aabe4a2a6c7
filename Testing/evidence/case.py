"""One case of the evidence: an image, its truth, the segmentation it starts from, and what the robot may correct."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from InteractiveRefineLib.volume import Volume


@dataclass(frozen=True)
class Spot:
    """Where a case stands in the evidence, before anything is read.

    Attributes:
        dataset: "hippocampus", "abdomen CT", "abdomen MR", "brain tumor" or "nuclei".
        situation: "own errors", "weak network", "missing label", "degraded", "new organ" or "from scratch".
        name: of the case, unique within dataset and situation.
        half: "tune" (settings may be chosen on it) or "report" (only looked at in the end).
    """

    dataset: str
    situation: str
    name: str
    half: str

    @property
    def key(self) -> str:
        """A name for files: letters, digits and hyphens."""
        return "--".join(part.replace(" ", "-") for part in (self.dataset, self.situation, self.name))


@dataclass(frozen=True, eq=False)
class Case:
    """Everything a method and the robot need.

    Attributes:
        spot: which case it is.
        image: the scan; every method sees this grid.
        names: of the classes with labels 1, 2, ...; the network's first, then those it does not know.
        truth: (K, J, I) uint16, true labels, 0 = background. What is not in `scored` has the labels of `start`.
        start: (K, J, I) uint16, the segmentation before the first round; the same for every method.
        scored: labels whose truth is known.
        backbone: folder of the network; None where there is none.
        added: names at the end of `names` that the network does not know.
        stroke_length: voxels of one stroke at most.
        style: "classes" = one stroke per class and round, background included, each in its largest error, or
            "organ" = some strokes a round in the largest missed and false parts of the one scored class.
        strokes_per_round: for "organ".
    """

    spot: Spot
    image: Volume
    names: tuple[str, ...]
    truth: np.ndarray
    start: np.ndarray
    scored: tuple[int, ...]
    backbone: Path | None
    added: tuple[str, ...] = ()
    stroke_length: int = 15
    style: str = "classes"
    strokes_per_round: int = 3

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along K, J, I."""
        return self.image.geometry.spacing_kji
