"""Permute and flip voxel axes into the order and direction a network expects, and back, without interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .geometry import Geometry

_OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}
_RAS_AXIS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def contiguous(array: np.ndarray, dtype: np.dtype | type | None = None) -> np.ndarray:
    """`array` in C order, as torch takes it; a copy where need be.

    `np.ascontiguousarray` leaves a flipped axis of a single voxel as it is, and torch refuses its negative stride.
    """
    array = np.ascontiguousarray(array, dtype=dtype)
    return array.copy() if min(array.strides, default=0) < 0 else array


def check_axis_codes(codes: str) -> str:
    """Return `codes` in upper case, or raise `InputError` unless it names each of R/L, A/P, S/I once."""
    upper = str(codes).upper()
    if len(upper) != 3 or any(c not in _OPPOSITE for c in upper) or {_RAS_AXIS[c][0] for c in upper} != {0, 1, 2}:
        raise InputError(f"Axis codes name one of R/L, A/P and S/I each, like 'LPS' or 'RAS', not {codes!r}.")
    return upper


@dataclass(frozen=True)
class AxisOrder:
    """How array axes are permuted, then flipped.

    Attributes:
        permutation: output axis a is input axis `permutation[a]`.
        flipped: whether output axis a then runs backward.
    """

    permutation: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    @classmethod
    def toward(cls, geometry: Geometry, codes_by_axis: str) -> AxisOrder:
        """The order that makes each array axis run closest to its anatomical direction.

        Args:
            geometry: of the array to be reordered, array order (K, J, I).
            codes_by_axis: one code per OUTPUT array axis, e.g. "SPL" for a (K, J, I) array in LPS.
        """
        codes = check_axis_codes(codes_by_axis)
        # Columns: unit RAS direction of the input axes K, J, I.
        directions = geometry.kji_to_ras[:3, :3] / np.array(geometry.spacing_kji)
        # Of the six pairings take the one with the best total alignment: unlike a greedy choice it
        # cannot assign one axis twice when an oblique axis lies halfway between two directions.
        best, best_score = None, -np.inf
        for permutation in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
            cosines = [directions[_RAS_AXIS[c][0], p] * _RAS_AXIS[c][1] for c, p in zip(codes, permutation)]
            score = sum(abs(c) for c in cosines)
            if score > best_score + 1e-9:
                best, best_score = (permutation, tuple(bool(c < 0) for c in cosines)), score
        return cls(*best)

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Reorder the last three axes of `array`; a view."""
        lead = array.ndim - 3
        moved = array.transpose(*range(lead), *(lead + p for p in self.permutation))
        return moved[(..., *(slice(None, None, -1 if f else 1) for f in self.flipped))]

    def undo(self, array: np.ndarray) -> np.ndarray:
        """Bring the last three axes back to their original order; a view."""
        lead = array.ndim - 3
        unflipped = array[(..., *(slice(None, None, -1 if f else 1) for f in self.flipped))]
        return unflipped.transpose(*range(lead), *(lead + int(p) for p in np.argsort(self.permutation)))

    def apply_geometry(self, geometry: Geometry) -> Geometry:
        """The geometry of `apply(array)`: every voxel keeps its RAS position."""
        last = np.array(geometry.shape) - 1
        to_old = np.zeros((4, 4))  # new array index -> old array index
        to_old[3, 3] = 1.0
        for new, (old, flip) in enumerate(zip(self.permutation, self.flipped)):
            to_old[old, new] = -1.0 if flip else 1.0
            to_old[old, 3] = last[old] if flip else 0.0
        kji_to_ras = geometry.kji_to_ras @ to_old
        shape = tuple(geometry.shape[p] for p in self.permutation)
        return Geometry(shape, kji_to_ras[:, [2, 1, 0, 3]])

    def undo_slices(self, box: tuple[slice, slice, slice], shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
        """Translate a box of the reordered array of `shape` into the original array's axes."""
        out = [slice(0, 0)] * 3
        for new, (old, flip) in enumerate(zip(self.permutation, self.flipped)):
            side = box[new]
            out[old] = slice(shape[new] - side.stop, shape[new] - side.start) if flip else side
        return tuple(out)


def axis_codes(geometry: Geometry) -> str:
    """Anatomical directions toward which I, J, K increase, like "LPS" (nearest for oblique axes)."""
    order = AxisOrder.toward(geometry, "SAR")
    codes = [""] * 3
    for out, (old, flip) in enumerate(zip(order.permutation, order.flipped)):
        code = "SAR"[out]
        codes[2 - old] = _OPPOSITE[code] if flip else code
    return "".join(codes)
