"""An image: a voxel array together with its place in the patient."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .errors import InputError
from .geometry import Geometry


@dataclass(frozen=True, eq=False)
class Volume:
    """One scan, possibly of several channels.

    Attributes:
        array: intensities, (K, J, I) for one channel or (C, K, J, I) for several (RGB, FLAIR + T1c);
            a 2-D image has K = 1.
        ijk_to_ras: (4, 4) float64 matrix from voxel index (i, j, k, 1) to RAS in mm.
        name: shown in messages and reports.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    name: str = "image"
    geometry: Geometry = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.array.ndim not in (3, 4):
            raise InputError(
                f"{self.name}: an image is (K, J, I) or (C, K, J, I), but this array has shape {self.array.shape}."
            )
        object.__setattr__(self, "geometry", Geometry(self.array.shape[-3:], self.ijk_to_ras))
        object.__setattr__(self, "ijk_to_ras", self.geometry.ijk_to_ras)

    @property
    def channels(self) -> np.ndarray:
        """The intensities as (C, K, J, I), a view."""
        return self.array if self.array.ndim == 4 else self.array[None]
