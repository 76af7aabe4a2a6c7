"""One drag of the mouse over slices, from press to release: what was marked so far, and what it says in the end.

No qt, no slicer: only numbers; RAS is the world of the slice views (see `brush`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.resolution import Source

from .brush import Plane, disc_voxels, split_inside, unique_voxels
from .shapes import box_voxels, point_voxels

#: A hand is never quite still: a press and release this many screen pixels apart are a click.
CLICK_PIXELS = 2.0


@dataclass(frozen=True, eq=False)
class Marks:
    """The voxels of one finished drag.

    Attributes:
        marked: ascending flat indices (C order of K, J, I) int64 of what is the class; of a box, its core.
        surrounding: flat indices of what is certainly not the class; of a box of a class only.
        whole: flat indices of all that was drawn over; differs from `marked` for a box only.
        source: stroke, point or box.
        n_outside: voxels that lie outside the image.
    """

    marked: np.ndarray
    surrounding: np.ndarray
    whole: np.ndarray
    source: Source
    n_outside: int


class BrushDrag:
    """A brush moved over one slice, or over several when the slice is changed on the way.

    Args:
        geometry: of the image.
        plane: of the slice view in which the button was pressed.
        ras: (3,) where, in mm.
        radius_mm: of the brush.
    """

    def __init__(self, geometry: Geometry, plane: Plane, ras: np.ndarray, radius_mm: float) -> None:
        self.plane = plane
        self.radius_mm = radius_mm
        self.trail: list[np.ndarray] = [ras]  # since the slice last changed
        self._geometry = geometry
        self._start = ras
        self._moved_px = 0.0
        self._pieces: list[np.ndarray] = []
        self._mark(ras, ras)

    def move(self, plane: Plane, ras: np.ndarray, moved_px: float) -> None:
        """Draw on to a position; on another slice, the brush starts anew there.

        Args:
            moved_px: how far the mouse is from where the button was pressed, in screen pixels.
        """
        self._moved_px = max(self._moved_px, moved_px)
        if plane.same_as(self.plane):
            self._mark(self.trail[-1], ras)
            self.trail.append(ras)
        else:
            self._moved_px = np.inf
            self.plane, self.trail = plane, [ras]
            self._mark(ras, ras)

    def finish(self) -> Marks:
        """The voxels passed over; those of a ball, when the mouse has not moved."""
        if self._moved_px <= CLICK_PIXELS:
            marked, n_outside = point_voxels(self._geometry, self._start, self.radius_mm)
            return Marks(marked, _NOTHING, marked, Source.POINT, n_outside)
        voxels = unique_voxels(self._pieces)
        marked, n_outside = split_inside(voxels, self._geometry.shape)
        return Marks(marked, _NOTHING, marked, Source.STROKE, n_outside)

    def _mark(self, start: np.ndarray, end: np.ndarray) -> None:
        self._pieces.append(disc_voxels(self._geometry, self.plane, start, end, self.radius_mm))


@dataclass(eq=False)
class BoxDrag:
    """A rectangle dragged over one slice (see `shapes.box_voxels`).

    Attributes:
        geometry: of the image.
        plane: of the slice in which the button was pressed; the rectangle stays there.
        start: (3,) RAS position in mm of the first corner.
        depth_mm: of the box across the slice; 0 for this slice only.
    """

    geometry: Geometry
    plane: Plane
    start: np.ndarray
    depth_mm: float
    end: np.ndarray = field(init=False)
    _moved_px: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.end = self.start

    def corners(self) -> list[np.ndarray]:
        """The outline so far, closed: RAS positions (3,) in mm."""
        across = self.end - self.start
        right, up = (across @ self.plane.x) * self.plane.x, (across @ self.plane.y) * self.plane.y
        return [self.start, self.start + right, self.start + right + up, self.start + up, self.start]

    def move(self, plane: Plane, ras: np.ndarray, moved_px: float) -> None:
        """Drag the second corner to a position; only where it lies in the first corner's plane counts."""
        normal = self.plane.normal
        self.end = ras - ((ras - self.plane.origin) @ normal) * normal
        self._moved_px = max(self._moved_px, moved_px)

    def finish(self) -> Marks | None:
        """The voxels of the box; None when it has no area."""
        across = np.array([self.plane.x, self.plane.y]) @ (self.end - self.start)
        if self._moved_px <= CLICK_PIXELS or np.abs(across).min() <= 0:
            return None
        core, ring, inside, n_outside = box_voxels(self.geometry, self.plane, self.start, self.end, self.depth_mm)
        return Marks(core, ring, inside, Source.BOX, n_outside)


_NOTHING = np.empty(0, dtype=np.int64)
