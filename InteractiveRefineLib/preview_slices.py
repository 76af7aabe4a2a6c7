"""Which slices of a result a reader should see, turned the way radiologists hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Geometry
from .orientation import AxisOrder

#: Array axes once everything is turned: head to feet, front to back, the patient's right to left. A slice across
#: the first axis then has the patient's right on the picture's left and the front up; the others follow suit.
READING_ORDER = "IPL"
VIEW_NAMES = ("Axial", "Coronal", "Sagittal")
#: Letters at the left, right, top and bottom edge of a picture across each axis.
EDGE_LETTERS = (("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I"))
#: Slices nearer than this show the same change again ...
SLICE_GAP_MM = 8.0
#: ... and so do slices nearer than this part of the changed region's extent, divided among the slices.
SLICE_GAP_PART = 0.6


@dataclass(frozen=True, eq=False)
class SliceSheet:
    """Parallel slices, chosen to be shown below each other.

    Attributes:
        order: how to turn (K, J, I) arrays into reading order.
        geometry: of the turned arrays.
        axis: the slices lie across this axis of the turned arrays; indexes VIEW_NAMES.
        indices: of the slices along `axis`, from head to feet (front to back, right to left).
    """

    order: AxisOrder
    geometry: Geometry
    axis: int
    indices: tuple[int, ...]

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Size in mm of a pixel along the picture's rows and columns."""
        spacing = self.geometry.spacing_kji
        return tuple(spacing[a] for a in range(3) if a != self.axis)

    def cut(self, array: np.ndarray, index: int) -> np.ndarray:
        """Slice `index` of `array` ((K, J, I) or (C, K, J, I)) as a picture: (rows, columns) or (C, rows, columns)."""
        return np.take(self.order.apply(array), index, axis=array.ndim - 3 + self.axis)

    def caption(self, index: int) -> str:
        """View, anatomical position of the slice's middle in mm, and its number as 3D Slicer counts, from 0."""
        middle = (np.array(self.geometry.shape) - 1) / 2.0
        middle[self.axis] = index
        coordinate = self.geometry.to_ras(middle[None])[0][2 - self.axis]
        letters = ("SI", "AP", "RL")[self.axis]
        letter = letters[0] if coordinate >= 0 else letters[1]
        number = index
        if self.order.flipped[self.axis]:
            number = self.geometry.shape[self.axis] - 1 - index
        return f"{VIEW_NAMES[self.axis]}  {letter} {abs(coordinate):.1f} mm  (slice {number})"


def choose_slices(
    geometry: Geometry, changed: np.ndarray, strokes: np.ndarray, labels: np.ndarray, n: int
) -> SliceSheet:
    """Choose up to `n` slices with the most changed voxels, in the view in which the strokes were drawn.

    With two slices or more, at least one shows a stroke.

    Args:
        geometry: of the arrays.
        changed: (K, J, I) bool, voxels whose label changed.
        strokes: (K, J, I) nonzero where the user drew; decides the view and stands in when nothing changed.
        labels: (K, J, I) nonzero inside structures; stands in when there are no strokes either.
        n: at most so many slices.
    """
    order = AxisOrder.toward(geometry, READING_ORDER)
    turned = order.apply_geometry(geometry)
    axis = _drawn_view(order.apply(strokes) != 0)
    across = tuple(a for a in range(3) if a != axis)
    counts = np.zeros(turned.shape[axis], dtype=np.int64)
    for mask in (changed, strokes != 0, labels != 0):
        counts = order.apply(mask).sum(axis=across)
        if counts.any():
            break
    if not counts.any():
        counts[len(counts) // 2] = 1
    extent = np.ptp(np.flatnonzero(counts))
    gap = max(SLICE_GAP_MM / turned.spacing_kji[axis], SLICE_GAP_PART * extent / max(1, n))
    chosen: list[int] = []
    # A stable sort: among equals the slice nearest the head comes first, whatever the machine.
    for index in np.argsort(-counts, kind="stable"):
        if counts[index] == 0 or len(chosen) == max(1, n):
            break
        if all(abs(index - other) >= gap for other in chosen):
            chosen.append(int(index))
    drawn = order.apply(strokes != 0).any(axis=across)
    if len(chosen) > 1 and drawn.any() and not drawn[chosen].any():
        # Strokes without any of them in sight would puzzle the reader: show the drawn slice that changed most.
        shown = int(np.argmax(np.where(drawn, counts, -1)))
        near = [n for n, other in enumerate(chosen) if abs(shown - other) < gap]
        chosen[near[0] if near else -1] = shown
    return SliceSheet(order, turned, axis, tuple(sorted(chosen)))


def _drawn_view(strokes: np.ndarray) -> int:
    """The axis (of turned arrays) across which the strokes lie in the fewest slices; axial when in doubt."""
    if 1 in strokes.shape:
        return strokes.shape.index(1)
    if not strokes.any():
        return 0
    occupied = [int(strokes.any(axis=tuple(b for b in range(3) if b != a)).sum()) for a in range(3)]
    # Points and boxes extend alike in all directions: only a clear difference speaks against axial.
    best = int(np.argmin(occupied))
    return best if 2 * occupied[best] <= occupied[0] else 0
