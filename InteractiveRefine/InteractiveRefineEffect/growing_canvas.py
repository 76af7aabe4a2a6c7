"""A small array that holds only the surroundings of the strokes, wherever they are: growing there is as in the image.

No qt, no slicer: only numbers.
"""

from __future__ import annotations

import numpy as np

from InteractiveRefineLib.geometry import box_around, padded_box

#: Strokes are cut into pieces of this many voxels a side before boxes are drawn around them: a long diagonal stroke
#: would else make one huge box.
_PIECE = 64


class Canvas:
    """Boxes around voxels of an image, stacked along K with space between them that nothing can cross.

    Args:
        indices: (N,) flat indices (C order of K, J, I) of voxels in the image, at least one.
        shape: (K, J, I) of the image.
        spacing: in mm along K, J, I.
        reach_mm: every voxel this close to one of them is on the canvas.

    Attributes:
        shape: (K, J, I) of the canvas.
        outside: (K, J, I) bool, True where the canvas shows nothing of the image.
    """

    def __init__(
        self,
        indices: np.ndarray,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
        reach_mm: float,
    ) -> None:
        self._image_shape = shape
        self._boxes = _disjoint_boxes(np.stack(np.unravel_index(indices, shape), axis=1), shape, spacing, reach_mm)
        # As far apart as no distance bound reaches, for growing measures it through the blocked space as well.
        gap = int(np.ceil(reach_mm / spacing[0])) + 1
        self._starts: list[int] = []
        height = 0
        for box in self._boxes:
            self._starts.append(height)
            height += box[0].stop - box[0].start + gap
        widths = [max(box[axis].stop - box[axis].start for box in self._boxes) for axis in (1, 2)]
        self.shape = (height - gap, *widths)
        self.outside = np.ones(self.shape, dtype=bool)
        for place in self._places():
            self.outside[place] = False

    def image(self, channels: np.ndarray) -> np.ndarray:
        """(C, *canvas shape) of an image (C, K, J, I) or (C, K, J, I) mask; 0 outside of the boxes."""
        canvas = np.zeros((len(channels), *self.shape), dtype=channels.dtype)
        for box, place in zip(self._boxes, self._places()):
            canvas[(slice(None), *place)] = channels[(slice(None), *box)]
        return canvas

    def flat_voxels(self, indices: np.ndarray) -> np.ndarray:
        """Flat indices (M,) into the canvas of flat indices (N,) into the image; what is in no box is left out."""
        kji = np.stack(np.unravel_index(indices, self._image_shape), axis=1)
        found = [np.empty(0, dtype=np.int64)]
        for box, place in zip(self._boxes, self._places()):
            low, high = [side.start for side in box], [side.stop for side in box]
            inside = kji[((kji >= low) & (kji < high)).all(axis=1)]
            moved = inside - low + [side.start for side in place]
            found.append(np.ravel_multi_index(tuple(moved.T), self.shape))
        return np.concatenate(found)

    def image_indices(self, voxels: np.ndarray) -> np.ndarray:
        """(N,) flat indices into the image, ascending within a box, of KJI indices (N, 3) on the canvas."""
        number = np.searchsorted(self._starts, voxels[:, 0], side="right") - 1
        low = np.array([[side.start for side in box] for box in self._boxes])[number]
        start = np.array([[side.start for side in place] for place in self._places()])[number]
        return np.ravel_multi_index(tuple((voxels - start + low).T), self._image_shape)

    def _places(self) -> list[tuple[slice, slice, slice]]:
        """Where each box lies on the canvas."""
        sizes = [[side.stop - side.start for side in box] for box in self._boxes]
        return [(slice(k, k + size[0]), slice(0, size[1]), slice(0, size[2])) for k, size in zip(self._starts, sizes)]


def _disjoint_boxes(kji: np.ndarray, shape: tuple, spacing: tuple, reach_mm: float) -> list[tuple[slice, ...]]:
    """Boxes around the surroundings of voxels (N, 3), merged until none meets another, in the image's order."""
    boxes = []
    for piece in np.unique(kji // _PIECE, axis=0):
        own = kji[(kji // _PIECE == piece).all(axis=1)]
        around = box_around(own)
        box = padded_box(around, reach_mm, spacing, shape)
        meeting = [other for other in boxes if _meet(box, other)]
        while meeting:
            boxes = [other for other in boxes if other not in meeting]
            box = tuple(
                slice(min(side.start for side in sides), max(side.stop for side in sides))
                for sides in zip(box, *meeting)
            )
            meeting = [other for other in boxes if _meet(box, other)]
        boxes.append(box)
    return sorted(boxes, key=lambda box: [side.start for side in box])


def _meet(a: tuple[slice, ...], b: tuple[slice, ...]) -> bool:
    """True when two boxes overlap or touch: a front could walk from one to the other."""
    return all(first.start <= second.stop and second.start <= first.stop for first, second in zip(a, b))
