"""Where a user's mouse would go: drags along the middle of an error, in any of the three orthogonal views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.skeleton import middle_stroke

#: View -> array axis (K, J, I) that it looks along, for images whose axes run roughly along the patient's.
VIEW_OF_PATIENT_AXIS = {"Yellow": 0, "Green": 1, "Red": 2}
_TOUCHING = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Drag:
    """One stroke with the mouse.

    Attributes:
        view: "Red", "Green" or "Yellow".
        ras: (N, 3) positions in mm, in the order of the movement; all in one slice of the view.
        kji: (N, 3) int64 array indices (K, J, I) of the voxels at these positions.
    """

    view: str
    ras: np.ndarray
    kji: np.ndarray


def drag_into(mask: np.ndarray, geometry: Geometry, view: str, length: int = 25, apart: int = 0) -> Drag | None:
    """A drag along the middle of the largest part of `mask`, in the slice of a view that shows most of it.

    Args:
        mask: (K, J, I) bool, where something is wrong.
        geometry: of the mask.
        view: "Red" (axial), "Green" (coronal) or "Yellow" (sagittal).
        length: voxels at most.
        apart: voxels by which the mask is peeled first within the slice: rims one voxel thin are no errors to a user.

    Returns:
        The drag, None where nothing is left of the mask.
    """
    axis = _array_axis(geometry, VIEW_OF_PATIENT_AXIS[view])
    slices = np.moveaxis(mask, axis, 0)
    counts = slices.reshape(len(slices), -1).sum(axis=1)
    for index in np.argsort(-counts, kind="stable"):
        if counts[index] == 0:
            break
        blob = slices[index]
        if apart:
            blob = ndimage.binary_erosion(blob, _TOUCHING, iterations=apart)
        parts, count = ndimage.label(blob, _TOUCHING)
        if count:
            largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
            kji = np.insert(_in_order(middle_stroke(largest, length)), axis, index, axis=1)
            return Drag(view, geometry.to_ras(kji), kji)
    return None


def _array_axis(geometry: Geometry, patient_axis: int) -> int:
    """The array axis (0 = K) that runs most along a patient axis (0 = left-right)."""
    return int(np.argmax(np.abs(geometry.kji_to_ras[patient_axis, :3]) / geometry.spacing_kji))


def _in_order(pixels: np.ndarray) -> np.ndarray:
    """(N, 2) pixels in the order of a hand: from one end always to the nearest that is left."""
    left = pixels.tolist()
    far = max(range(len(left)), key=lambda n: np.abs(np.subtract(left[n], left[0])).sum())
    path = [left.pop(far)]
    while left:
        nearest = min(range(len(left)), key=lambda n: float(np.hypot(*np.subtract(left[n], path[-1]))))
        if np.hypot(*np.subtract(left[nearest], path[-1])) > 2:
            break  # a side branch: a hand draws one line
        path.append(left.pop(nearest))
    return np.array(path, dtype=np.int64)
