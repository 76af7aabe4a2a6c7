"""What one refinement returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class ClassChange:
    """How one class changed.

    Attributes:
        name: of the class.
        label: its value in the label map.
        added_ml: volume that became this class, in milliliters.
        removed_ml: volume that was this class before, in milliliters.
        reach: "local" or "whole" as it was decided; "" when the class had no stroke.
    """

    name: str
    label: int
    added_ml: float
    removed_ml: float
    reach: str = ""


@dataclass(frozen=True, eq=False)
class VoxelCodes:
    """Codes of a few voxels of a volume, 0 everywhere else.

    Attributes:
        shape: (K, J, I) of the volume.
        flat: (N,) distinct flat indices into it.
        codes: (N,) of each, 1 to 65535.
    """

    shape: tuple[int, int, int]
    flat: np.ndarray
    codes: np.ndarray

    def painted(self) -> np.ndarray:
        """(K, J, I) uint16 map, a new one each time."""
        out = np.zeros(self.shape, dtype=np.uint16)
        out.reshape(-1)[self.flat] = self.codes
        return out


class _PaintedWhenAsked:
    """A map of a result that may be given as `VoxelCodes`: few ask for it, and making a whole volume takes a while."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._kept = f"_{name}"

    def __get__(self, result: RefinementResult | None, owner: type) -> np.ndarray:
        if result is None:
            raise AttributeError("the field has no default")
        given = result.__dict__[self._kept]
        if isinstance(given, VoxelCodes):
            given = result.__dict__[self._kept] = given.painted()
        return given

    def __set__(self, result: RefinementResult, value: np.ndarray | VoxelCodes) -> None:
        result.__dict__[self._kept] = value


@dataclass(frozen=True, eq=False)
class RefinementResult:
    """The refined segmentation and an account of how it came about.

    Attributes:
        labels: (K, J, I) uint16 label map on the image's grid; read-only, copy it to write into it.
        previous: (K, J, I) uint16 label map before this refinement; read-only.
        changed_box: slices (K, J, I) around all changed voxels, None when nothing changed.
        changes: one entry per class that changed or had a stroke.
        strokes: (K, J, I) uint16, what the user drew: label per voxel, 255 = background, 0 = none. It and `grown` may
            be given as `VoxelCodes`.
        grown: like `strokes`, with the region that was grown from them.
        violated_strokes: stroke voxels whose label is not the wanted one; 0 by construction.
        loss_curve: the tuning loss before each step.
        warnings: sentences for the user (clipped, conflicting or locked strokes, leaks, fallbacks).
        timings: seconds per stage.
        seed: of the random choices.
        versions: of this library and of torch, numpy, scipy.
    """

    labels: np.ndarray
    previous: np.ndarray
    changed_box: tuple[slice, slice, slice] | None
    changes: list[ClassChange]
    strokes: np.ndarray = _PaintedWhenAsked()
    grown: np.ndarray = _PaintedWhenAsked()
    violated_strokes: int
    loss_curve: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    versions: dict[str, str] = field(default_factory=dict)
