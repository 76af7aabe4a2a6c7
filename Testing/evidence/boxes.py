"""Boxes of the robot user: around a whole structure, as the product means them, and filled ones inside an error."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from InteractiveRefineLib.prompts import Box
from InteractiveRefineLib.robot import ErrorPart
from Testing.evidence.case import Case

#: A box says that its core is the class and its surroundings are not (see `InteractiveRefineLib.prompts.Box`). It is
#: drawn where this share of each is true: an organ that bends around its box's middle has no box.
TRUE_CORE, TRUE_RING = 0.9, 0.99
#: Where more than this share of a structure is there already, a box around it says nothing new.
FOUND = 0.5


def box_around(case: Case, labels: np.ndarray, part: ErrorPart) -> tuple[Box, np.ndarray] | None:
    """The product's box around the true structure that an error belongs to.

    Args:
        labels: (K, J, I) present labels.
        part: voxels that are wrong.

    Returns:
        The box, and the voxels (N, 3) in KJI order of its core that are truly the class: what a method that only
        takes labels is told. None for errors in background; where the box says nothing new, because most of the
        structure or all of the core is there already; or where what the product makes of it would not be true.
    """
    wrong = np.argwhere(part.mask) + part.offset
    label, count = np.unique(case.truth[tuple(wrong.T)], return_counts=True)
    label = int(label[count.argmax()])
    if label == 0:
        return None
    true = case.truth == label
    structures, _ = ndimage.label(true, np.ones((3, 3, 3)))
    inside = structures[tuple(wrong.T)]
    structure = structures == np.bincount(inside[inside > 0]).argmax()
    if (labels[structure] == label).mean() > FOUND:
        return None
    where = np.argwhere(structure)
    geometry = case.image.geometry
    # Faces, not centers: half a voxel beyond the outermost ones.
    ends = np.stack([where.min(axis=0) - 0.5, where.max(axis=0) + 0.5])
    corners = np.array([[ends[a, 0], ends[b, 1], ends[c, 2]] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    ras = geometry.to_ras(corners)
    box = Box(tuple(ras.min(axis=0)), tuple(ras.max(axis=0)), label)
    core, ring, _ = box.voxels(geometry)
    truth = true.reshape(-1)
    if truth[core].mean() < TRUE_CORE or (len(ring) and truth[ring].mean() > 1 - TRUE_RING):
        return None
    certain = core[truth[core]]
    if (labels.reshape(-1)[certain] == label).all():
        return None
    return box, np.stack(np.unravel_index(certain, case.truth.shape), axis=1)


def largest_rectangle(blob: np.ndarray, longest: int) -> np.ndarray:
    """Pixels (N, 2), rows and columns, of the largest rectangle inside a 2-D mask, ties in scan order of its end.

    Args:
        blob: (rows, columns) bool with at least one pixel.
        longest: pixels of a side at most.
    """
    # How far each column reaches up from each pixel, and the least of that over ever more columns to the left.
    heights = np.zeros(blob.shape, dtype=np.int64)
    for row in range(len(blob)):
        heights[row] = np.where(blob[row], 1 + (heights[row - 1] if row else 0), 0)
    heights = np.minimum(heights, longest)
    best, found = 0, (0, 0, 0, 0)
    reach = heights
    for width in range(1, min(longest, blob.shape[1]) + 1):
        if width > 1:
            reach = np.minimum(reach[:, :-1], heights[:, width - 1 :])
        area = reach * width
        if area.max() > best:
            best = int(area.max())
            row, left = np.unravel_index(int(area.argmax()), area.shape)
            found = (int(row), int(left), int(reach[row, left]), width)
    row, left, height, width = found
    rows, columns = np.mgrid[row - height + 1 : row + 1, left : left + width]
    return np.stack([rows.ravel(), columns.ravel()], axis=1)
