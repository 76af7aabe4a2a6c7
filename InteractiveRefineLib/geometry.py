"""Where a voxel array lies in the patient: its shape and its IJK-to-RAS matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import InputError

#: Largest distance between corresponding corners of two grids that count as the same: in mm, and as a part of the
#: smallest voxel side, for under a microscope a hundredth of a millimeter is many voxels.
SAME_GRID_TOLERANCE_MM, SAME_GRID_TOLERANCE_PART = 1e-2, 0.1
#: A matrix whose determinant is smaller, as a part of the product of the voxel's sides, counts as singular.
_SINGULAR = 1e-12


@dataclass(frozen=True, eq=False)
class Geometry:
    """Shape and physical placement of a voxel grid.

    Attributes:
        shape: number of voxels in array order (K, J, I).
        ijk_to_ras: (4, 4) float64 matrix from voxel index (i, j, k, 1) to RAS in mm.
    """

    shape: tuple[int, int, int]
    ijk_to_ras: np.ndarray

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        matrix = np.asarray(self.ijk_to_ras, dtype=np.float64)
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"An image needs three sides of at least one voxel (K, J, I), not {shape}.")
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or _is_singular(matrix):
            raise InputError(f"The IJK-to-RAS matrix must be finite, invertible and 4 x 4, not {matrix.tolist()}.")
        matrix.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "ijk_to_ras", matrix)

    @property
    def spacing_ijk(self) -> tuple[float, float, float]:
        """Voxel size in mm along I, J, K."""
        return tuple(float(s) for s in np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0))

    @property
    def spacing_kji(self) -> tuple[float, float, float]:
        """Voxel size in mm along K, J, I, the order of the array's axes."""
        return self.spacing_ijk[::-1]

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in milliliters."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3])) / 1000.0)

    @property
    def is_2d(self) -> bool:
        """True for a single slice (K = 1)."""
        return self.shape[0] == 1

    @property
    def kji_to_ras(self) -> np.ndarray:
        """(4, 4) matrix from array index (k, j, i, 1) to RAS in mm."""
        return self.ijk_to_ras[:, [2, 1, 0, 3]]

    @property
    def ras_to_kji(self) -> np.ndarray:
        """(4, 4) matrix from RAS in mm to array index (k, j, i, 1)."""
        return np.linalg.inv(self.kji_to_ras)

    def to_ras(self, kji: np.ndarray) -> np.ndarray:
        """Map array indices (N, 3) in KJI order to RAS positions (N, 3) in mm."""
        kji = np.asarray(kji, dtype=np.float64)
        return kji @ self.kji_to_ras[:3, :3].T + self.kji_to_ras[:3, 3]

    def to_kji(self, ras: np.ndarray) -> np.ndarray:
        """Map RAS positions (N, 3) in mm to continuous array indices (N, 3) in KJI order."""
        matrix = self.ras_to_kji
        return np.asarray(ras, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]

    def corners_ras(self) -> np.ndarray:
        """RAS positions (8, 3) in mm of the centers of the eight corner voxels."""
        last = np.array(self.shape) - 1
        index = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        return self.to_ras(index * last)

    def matches(self, other: Geometry) -> bool:
        """True when both grids have the same shape and the same voxels in the same places."""
        if self.shape != other.shape:
            return False
        distance = np.linalg.norm(self.corners_ras() - other.corners_ras(), axis=1)
        direction = np.abs(self.ijk_to_ras[:3, :3] - other.ijk_to_ras[:3, :3]).max()
        return bool(max(distance.max(), direction) <= min(self.tolerance_mm, other.tolerance_mm))

    @property
    def tolerance_mm(self) -> float:
        """Largest distance in mm between corresponding corners of this grid and one that counts as the same."""
        return min(SAME_GRID_TOLERANCE_MM, SAME_GRID_TOLERANCE_PART * min(self.spacing_ijk))

    def describe(self) -> str:
        """One line for messages: size, spacing in mm and RAS origin in mm, all in IJK order."""
        size = " x ".join(str(n) for n in self.shape[::-1])
        spacing = " x ".join(f"{s:.4g}" for s in self.spacing_ijk)
        origin = ", ".join(f"{x:.4g}" for x in self.ijk_to_ras[:3, 3])
        return f"{size} voxels of {spacing} mm with the first voxel at RAS ({origin})"


def _is_singular(matrix: np.ndarray) -> bool:
    """True where a finite (4, 4) matrix cannot be inverted, whatever the size of its voxels."""
    return not abs(np.linalg.det(matrix)) > _SINGULAR * np.prod(np.linalg.norm(matrix[:3, :3], axis=0))


def box_of(mask: np.ndarray) -> tuple[slice, ...] | None:
    """Smallest box of slices (array order) around the nonzero voxels of `mask`, or None when there are none."""
    if not mask.any():
        return None
    box = []
    for axis in range(mask.ndim):
        line = mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis))
        inside = np.flatnonzero(line)
        box.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(box)


def box_around(voxels: np.ndarray) -> tuple[slice, ...]:
    """Smallest box of slices around voxels (N, D), at least one, given by their indices."""
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(voxels.min(axis=0), voxels.max(axis=0)))


def extent_mm(shape: tuple[int, ...], spacing: tuple[float, ...]) -> float:
    """Geometric mean of an image's sides in mm, without those of a single voxel."""
    sides = [n * s for n, s in zip(shape, spacing) if n > 1] or list(spacing)
    return float(np.exp(np.mean(np.log(sides))))


def padded_box(
    box: tuple[slice, ...], margin_mm: float, spacing_kji: tuple[float, ...], shape: tuple[int, ...]
) -> tuple[slice, ...]:
    """Grow `box` (array order) by `margin_mm` on every side and clip it to `shape`."""
    grown = []
    for side, spacing, size in zip(box, spacing_kji, shape):
        margin = int(np.ceil(margin_mm / spacing))
        grown.append(slice(max(0, side.start - margin), min(size, side.stop + margin)))
    return tuple(grown)
