"""The voxels of a brush that is moved over a slice: a disc in the slice's plane, one layer of voxels thick.

No qt, no slicer: only numbers. A `Geometry` here places the voxels in the space of the plane, so that RAS means the
world of the slice views; with transforms it is not the volume's own RAS (see `planes`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.rasterize import SURFACE_TOLERANCE_MM

#: A layer that the plane cuts by less than this fraction of its voxels' extent is not drawn on.
SLIVER = 0.01
#: A plane or a cursor exactly between two voxels is moved by this fraction of the smallest spacing, in a direction of
#: the patient that is no axis and no diagonal, so that the same voxels win however the array is flipped or permuted.
_NUDGE = 1e-3
_NUDGE_DIRECTION = np.array([0.5377, 0.7218, 0.4357])
#: Indices from -2**20 up to 2**20, three of which fit into 63 bits.
_BEYOND = 1 << 20
_MASK = (1 << 21) - 1


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane of a slice view.

    Attributes:
        origin: (3,) RAS position in mm of any point of it.
        x, y: (3,) unit vectors in RAS, perpendicular: rightward and upward in the view.
    """

    origin: np.ndarray
    x: np.ndarray
    y: np.ndarray

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector in RAS."""
        return np.cross(self.x, self.y)

    def same_as(self, other: Plane, tolerance_mm: float = 1e-3) -> bool:
        """True when both are one plane, whatever their origins and axes."""
        apart = abs((other.origin - self.origin) @ self.normal)
        return bool(apart <= tolerance_mm and abs(self.normal @ other.normal) >= 1.0 - 1e-9)


def disc_voxels(geometry: Geometry, plane: Plane, start: np.ndarray, end: np.ndarray, radius_mm: float) -> np.ndarray:
    """Voxels that a disc marks when it moves on a straight line over a plane, and at least those under its center.

    A voxel is marked when the plane passes through it (see `layer_voxels`) and its center, dropped onto the plane, lies
    within `radius_mm` of the line.

    Args:
        geometry: of the image.
        plane: of the slice.
        start, end: (3,) RAS positions in mm in the plane; the same one twice for a dab.
        radius_mm: 0 or more.

    Returns:
        (N, 3) int64 array indices in KJI order, each once, also those outside of the image.
    """
    start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    kji, dropped = layer_voxels(geometry, plane, np.stack([start, end]), radius_mm)
    along = end - start
    length2 = float(along @ along)
    share = np.clip((dropped - start) @ along / length2, 0.0, 1.0) if length2 > 0 else np.zeros(len(dropped))
    distance = np.linalg.norm(dropped - start - share[:, None] * along, axis=1)
    return unique_voxels([kji[distance <= radius_mm + SURFACE_TOLERANCE_MM], path_voxels(geometry, start, end)])


def path_voxels(geometry: Geometry, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(N, 3) int64 KJI indices of the voxels under a straight line between two RAS positions (3,) in mm."""
    steps = int(np.ceil(np.linalg.norm(np.subtract(end, start)) / (0.25 * min(geometry.spacing_kji)))) + 1
    share = np.linspace(0.0, 1.0, steps + 1)[:, None]
    line = np.asarray(start) * (1.0 - share) + np.asarray(end) * share
    return unique_voxels([np.floor(geometry.to_kji(line + nudge(geometry)) + 0.5).astype(np.int64)])


def layer_voxels(
    geometry: Geometry, plane: Plane, around: np.ndarray, reach_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """The voxels that a plane passes through, near some of its points.

    These are the voxels that a slice view shows in that plane: no hole in what was drawn there, and a second layer only
    where the plane passes from one to the next. A plane along the voxels' own layers takes exactly one, also when it
    lies just between two.

    Args:
        geometry: of the image.
        plane: of the slice.
        around: (N, 3) RAS positions in mm in the plane.
        reach_mm: how far from the box around them, at least.

    Returns:
        (M, 3) int64 KJI indices, also outside of the image; (M, 3) RAS positions of their centers dropped on the plane.
    """
    normal = plane.normal
    steps = geometry.kji_to_ras[:3, :3].T  # one row per array axis: the way to the next voxel
    across = steps @ normal  # signed thickness of a voxel along the normal, per axis
    major = int(np.argmax(np.abs(across)))
    minor = [axis for axis in range(3) if axis != major]
    thinnest, thickest = np.abs(across).max() / 2, np.abs(across).sum() / 2

    gradient = geometry.ras_to_kji[:3, :3]
    along_normal = gradient @ normal
    in_plane = np.linalg.norm(gradient - along_normal[:, None] * normal, axis=1)
    reach = in_plane * (reach_mm + SURFACE_TOLERANCE_MM) + np.abs(along_normal) * thickest
    center = geometry.to_kji(np.asarray(around, dtype=np.float64))
    low = np.floor(center.min(axis=0) - reach).astype(np.int64)
    high = np.ceil(center.max(axis=0) + reach).astype(np.int64)

    kji = np.zeros((high[minor[0]] - low[minor[0]] + 1, high[minor[1]] - low[minor[1]] + 1, 4, 3), dtype=np.int64)
    kji[..., minor[0]] = np.arange(low[minor[0]], high[minor[0]] + 1)[:, None, None]
    kji[..., minor[1]] = np.arange(low[minor[1]], high[minor[1]] + 1)[None, :, None]
    # Where each column of voxels along the major axis meets the plane; at most 1.5 voxels from there it still touches.
    foot = geometry.to_ras(kji[:, :, 0].reshape(-1, 3)) - plane.origin - nudge(geometry)
    first = np.floor(-(foot @ normal) / across[major]).astype(np.int64) - 1
    kji[..., major] = first.reshape(kji.shape[:2])[..., None] + np.arange(4)
    kji = kji.reshape(-1, 3)

    offset = geometry.to_ras(kji) - plane.origin
    depth = (offset - nudge(geometry)) @ normal
    # One voxel of each column always; the others that the plane cuts, too.
    cut = ((depth >= -thinnest) & (depth < thinnest)) | (np.abs(depth) < thickest * (1.0 - 2 * SLIVER))
    kji, offset = kji[cut], offset[cut]
    return kji, plane.origin + offset - (offset @ normal)[:, None] * normal


def nudge(geometry: Geometry) -> np.ndarray:
    """(3,) RAS vector in mm, much smaller than a voxel, that decides ties."""
    return _NUDGE * min(geometry.spacing_kji) * _NUDGE_DIRECTION


def unique_voxels(pieces: list[np.ndarray]) -> np.ndarray:
    """KJI indices of several (N, 3) int64 arrays, each once, ascending; ten times quicker than np.unique of rows."""
    codes = [((kji[:, 0] + _BEYOND) << 42) | ((kji[:, 1] + _BEYOND) << 21) | (kji[:, 2] + _BEYOND) for kji in pieces]
    every = np.unique(np.concatenate(codes))
    return np.stack([every >> 42, (every >> 21) & _MASK, every & _MASK], axis=1) - _BEYOND


def split_inside(kji: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, int]:
    """Ascending flat indices (C order of K, J, I) int64 of the voxels inside an image, and how many are outside.

    Args:
        kji: (N, 3) int64 KJI indices, each once.
        shape: (K, J, I) of the image.
    """
    inside = ((kji >= 0) & (kji < shape)).all(axis=1)
    return np.sort(np.ravel_multi_index(tuple(kji[inside].T), shape)), int(np.count_nonzero(~inside))
