"""Point and box prompts: what the user placed in physical space, and the voxels they speak about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .geometry import Geometry
from .rasterize import SURFACE_TOLERANCE_MM, ball_voxels, box_voxels, distance_to_box
from .segmentation import BACKGROUND_STROKE

#: Around a box, this many mm are marked as "not this class".
BOX_MARGIN_MM = 10.0
#: The middle of a box that is certainly the class, as a fraction of each side.
BOX_CORE_FRACTION = 0.4
#: No scanner images a place farther than this from its origin; a larger number is a wrong unit or a wrong file.
LARGEST_COORDINATE_MM = 10_000.0
#: A larger ball is not a point any more.
LARGEST_RADIUS_MM = 500.0


@dataclass(frozen=True)
class Point:
    """A place that is of one class, or is not.

    Attributes:
        ras: position in mm.
        label: of the class; 0 or 255 = background.
        radius_mm: all voxels with their center this close belong to the prompt, and at least the nearest voxel.
        forbid: True for "this is NOT the class".

    Raises:
        InputError: a coordinate, the label or the radius cannot be used.
    """

    ras: tuple[float, float, float]
    label: int
    radius_mm: float = 0.0
    forbid: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "ras", _position(self.ras, "A point's position"))
        object.__setattr__(self, "label", checked_label(self.label))
        if not 0 <= self.radius_mm <= LARGEST_RADIUS_MM:
            raise InputError(f"radius_mm must lie between 0 and {LARGEST_RADIUS_MM:g} mm, not {self.radius_mm}.")
        if self.forbid and self.label == 0:
            raise InputError('"Not background" is not a prompt: place a point of the class that belongs there.')

    def voxels(self, geometry: Geometry) -> tuple[np.ndarray, int]:
        """Ascending flat indices (C order of K, J, I) int64 of its voxels, and how many lie outside the image."""
        return ball_voxels(geometry, np.array(self.ras), self.radius_mm)


@dataclass(frozen=True)
class Box:
    """A box, aligned with the RAS axes, around a whole structure.

    Attributes:
        corner_a_ras, corner_b_ras: two opposite corners in mm, in any order.
        label: of the class; 0 or 255 = background, for which only the core counts.

    Raises:
        InputError: a coordinate or the label cannot be used, or the box has no volume.
    """

    corner_a_ras: tuple[float, float, float]
    corner_b_ras: tuple[float, float, float]
    label: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "corner_a_ras", _position(self.corner_a_ras, "A box's corner"))
        object.__setattr__(self, "corner_b_ras", _position(self.corner_b_ras, "A box's corner"))
        object.__setattr__(self, "label", checked_label(self.label))
        if min(self.high - self.low) <= 0:
            raise InputError(
                f"A box needs some extent along each axis, but its corners are {list(self.corner_a_ras)} and "
                f"{list(self.corner_b_ras)}."
            )

    @property
    def low(self) -> np.ndarray:
        """(3,) smallest RAS coordinates in mm."""
        return np.minimum(self.corner_a_ras, self.corner_b_ras)

    @property
    def high(self) -> np.ndarray:
        """(3,) largest RAS coordinates in mm."""
        return np.maximum(self.corner_a_ras, self.corner_b_ras)

    def voxels(
        self,
        geometry: Geometry,
        *,
        margin_mm: float = BOX_MARGIN_MM,
        core_fraction: float = BOX_CORE_FRACTION,
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """The voxels that are the class, those that are not, and how many of the box lie outside the image.

        Returns:
            core: flat indices (C order of K, J, I) int64 in the box shrunk about its center, at least one voxel of it.
            ring: flat indices of the voxels outside the box and within `margin_mm` of it; empty for background.
            n_clipped: voxels of the box (not of the ring, which may well leave the image) outside the image.
        """
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2 * core_fraction
        inside, n_clipped = box_voxels(geometry, self.low, self.high)
        core, n_core_outside = box_voxels(geometry, middle - half, middle + half)
        if len(core) == 0 and n_core_outside == 0:  # the core falls between the voxel centers
            core, _ = ball_voxels(geometry, middle, 0.0)
        if self.label == 0:
            return core, np.empty(0, dtype=np.int64), n_clipped
        around, _ = box_voxels(geometry, self.low - margin_mm, self.high + margin_mm)
        beyond = np.ones(len(around), dtype=bool)
        beyond[np.searchsorted(around, inside)] = False  # both ascend, and the box lies within the larger one
        around = around[beyond]
        ras = geometry.to_ras(np.stack(np.unravel_index(around, geometry.shape), axis=1))
        distance = distance_to_box(ras, self.low, self.high)
        return core, around[distance <= margin_mm + SURFACE_TOLERANCE_MM], n_clipped


def checked_label(label: int) -> int:
    """The class as a plain integer, 0 for background (0 or 255).

    Raises:
        InputError: not an integer of 0 to 65535.
    """
    if isinstance(label, (bool, np.bool_)) or not isinstance(label, (int, np.integer)) or not 0 <= label <= 65535:
        raise InputError(f"A label is an integer from 0 to 65535 (0 or 255 = background), not {label!r}.")
    return 0 if label == BACKGROUND_STROKE else int(label)


def _position(values: tuple[float, float, float], what: str) -> tuple[float, float, float]:
    """Three finite coordinates as plain floats."""
    try:
        x, y, z = (float(v) for v in values)
    except (TypeError, ValueError):
        raise InputError(f"{what} needs three numbers [R, A, S] in mm, not {values!r}.") from None
    if not all(abs(v) <= LARGEST_COORDINATE_MM for v in (x, y, z)):
        raise InputError(f"{what} must lie within {LARGEST_COORDINATE_MM:g} mm of the origin, not at {values!r}.")
    return x, y, z
