"""The robot user: draws the strokes a careful user would draw, knowing the true segmentation.

It stands in for the expert in the demo, the tests and the benchmarks. Everything is deterministic: among equals,
the first in scan order wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .errors import InputError
from .geometry import box_of
from .segmentation import BACKGROUND_STROKE
from .skeleton import middle_stroke

_TOUCHING_3D = np.ones((3, 3, 3), dtype=bool)
_TOUCHING_2D = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Stroke:
    """One stroke of the robot.

    Attributes:
        kji: (N, 3) int64 voxel indices in array order (K, J, I).
        label: the class the stroke asks for, 0 = background; with `forbidden` the class it excludes.
        forbidden: True for "not this class", where the user does not say which class instead.
    """

    kji: np.ndarray
    label: int
    forbidden: bool = False


def robot_strokes(
    truth: np.ndarray,
    prediction: np.ndarray,
    *,
    length: int = 15,
    classes: list[int] | None = None,
    min_voxels: int = 5,
) -> np.ndarray:
    """Draw one stroke per class into its largest missed part.

    For every class, background included: the largest 26-connected part of the voxels that are this class and
    are not called so; of all slices of the three orthogonal views the one with most of this part; there its
    largest 8-connected blob; in it a stroke along the middle (see `skeleton.middle_stroke`).

    Args:
        truth: (K, J, I) integers, the true labels; label 255 is not possible, it means background in strokes.
        prediction: (K, J, I) integers, the labels to be corrected.
        length: voxels of one stroke at most.
        classes: labels to correct, 0 = background; None for every label in `truth`.
        min_voxels: parts with fewer voxels are left alone.

    Returns:
        (K, J, I) uint16: 0 where nothing was drawn, the class's label on its stroke, 255 for background. Drawn
        voxels are always wrong ones and carry their true class.

    Raises:
        InputError: the shapes differ, or `truth` uses label 255.
    """
    _check(truth, prediction, length)
    strokes = np.zeros(truth.shape, dtype=np.uint16)
    box = box_of(truth != prediction)
    if box is None:
        return strokes
    inner, drawn = truth[box], strokes[box]
    wrong = inner != prediction[box]
    present = np.unique(inner[wrong]).tolist()
    if BACKGROUND_STROKE in present:
        raise InputError("Label 255 means background in strokes; give the segment another label.")
    for label in present if classes is None else sorted(set(classes) & set(present)):
        for component in error_parts(wrong & (inner == label), min_voxels)[:1]:
            stroke = _stroke_in(component, length, axes=(0, 1, 2))
            drawn[tuple(stroke.T)] = BACKGROUND_STROKE if label == 0 else label
    return strokes


def robot_organ_strokes(
    truth_mask: np.ndarray,
    prediction_labels: np.ndarray,
    label: int,
    *,
    max_strokes: int = 3,
    length: int = 25,
    min_voxels: int = 5,
    rim_voxels: int = 0,
    replacement: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[Stroke]:
    """Correct one organ in axial slices, the way a radiologist scrolls through a CT.

    The missed and the false 26-connected parts of the organ, largest first over both kinds; in each part's axial
    slice (axis 0) with most of its voxels, a stroke along the middle of the largest blob there. A missed part
    gets the organ's label; a false one gets "not this class".

    Args:
        truth_mask: (K, J, I) bool, the true organ.
        prediction_labels: (K, J, I) integers, the labels to be corrected.
        label: of the organ in `prediction_labels`.
        max_strokes: parts to correct at most.
        length: voxels of one stroke at most.
        min_voxels: parts with fewer voxels are left alone.
        rim_voxels: errors are first peeled by this many voxels within each axial slice. A rim one or two voxels
            thin all around an organ is nothing a user would call an error, but it joins the real ones into one part.
        replacement: says for voxels (N, 3) in KJI order which label each should have instead, as (N,) integers;
            a false part then gets ordinary strokes, one for each label named, in place of the forbidding one.

    Returns:
        The strokes, of the largest part first; empty when nothing is left to correct.

    Raises:
        InputError: the shapes differ.
    """
    truth_mask = np.asarray(truth_mask, dtype=bool)
    _check(truth_mask, prediction_labels, length)
    called = prediction_labels == label
    missed_mask, false_mask = (peeled(m, rim_voxels) for m in (truth_mask & ~called, called & ~truth_mask))
    candidates = [(component, True) for component in error_parts(missed_mask, min_voxels)]
    candidates += [(component, False) for component in error_parts(false_mask, min_voxels)]
    # A stable sort: at equal size the missed part comes first.
    candidates.sort(key=lambda item: -item[0].size)
    strokes: list[Stroke] = []
    for component, missed in candidates[:max_strokes]:
        kji = _stroke_in(component, length, axes=(0,))
        if missed:
            strokes.append(Stroke(kji, int(label)))
        elif replacement is None:
            strokes.append(Stroke(kji, int(label), forbidden=True))
        else:
            labels = np.asarray(replacement(kji))
            strokes += [Stroke(kji[labels == other], int(other)) for other in np.unique(labels)]
    return strokes


def stroke_map(strokes: list[Stroke], shape: tuple[int, int, int]) -> np.ndarray:
    """Paint strokes into one label map, later ones over earlier ones.

    Returns:
        (K, J, I) uint16: 0 where nothing was drawn, 255 for background, else the label.

    Raises:
        InputError: a stroke only forbids a class, which a label map cannot say.
    """
    painted = np.zeros(shape, dtype=np.uint16)
    for stroke in strokes:
        if stroke.forbidden:
            raise InputError('A stroke that says "not this class" needs a replacement label first.')
        painted[tuple(stroke.kji.T)] = BACKGROUND_STROKE if stroke.label == 0 else stroke.label
    return painted


@dataclass(frozen=True, eq=False)
class ErrorPart:
    """One connected part, cropped: `mask` (k, j, i) lies at `offset` (K, J, I) and has `size` voxels."""

    mask: np.ndarray
    offset: np.ndarray
    size: int


def error_parts(mask: np.ndarray, min_voxels: int) -> list[ErrorPart]:
    """26-connected parts of `mask` with at least `min_voxels` voxels, largest first, ties in scan order."""
    box = box_of(mask)
    if box is None:
        return []
    # Labeling only the box around the errors keeps full-resolution CT fast.
    parts, _ = ndimage.label(mask[box], structure=_TOUCHING_3D)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    boxes = ndimage.find_objects(parts)
    corner = np.array([side.start for side in box])
    found = []
    for part in np.argsort(-sizes, kind="stable"):
        if sizes[part] < max(1, min_voxels):
            break
        own = boxes[part - 1]
        offset = corner + [side.start for side in own]
        found.append(ErrorPart(parts[own] == part, offset, int(sizes[part])))
    return found


def peeled(mask: np.ndarray, voxels: int) -> np.ndarray:
    """`mask` without its outer `voxels` voxels in every slice across axis 0."""
    box = box_of(mask)
    if box is None or voxels == 0:
        return mask
    out = np.zeros_like(mask)
    # The box of the mask is framed, as erosion would otherwise take its border for the inside or outside at will.
    framed = np.pad(mask[box], ((0, 0), (1, 1), (1, 1)))
    eroded = ndimage.binary_erosion(framed, structure=_TOUCHING_2D[None], iterations=voxels)
    out[box] = eroded[:, 1:-1, 1:-1]
    return out


def blob_in(part: ErrorPart, axes: tuple[int, ...]) -> tuple[int, int, np.ndarray]:
    """The largest 8-connected blob of the slice across one of `axes` that shows most of an error.

    Returns:
        axis: across which the slice lies (0 = K, 1 = J, 2 = I).
        index: of the slice within the part.
        blob: (rows, columns) bool, the two other axes of the part in their order.
    """
    mask = part.mask
    counts = {axis: mask.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in axes}
    axis = max(axes, key=lambda a: counts[a].max())
    index = int(np.argmax(counts[axis]))
    return axis, index, largest_blob(mask.take(index, axis=axis))


def largest_blob(mask: np.ndarray) -> np.ndarray:
    """The largest 8-connected part of a 2-D mask with at least one pixel, ties in scan order."""
    blobs, _ = ndimage.label(mask, structure=_TOUCHING_2D)
    sizes = np.bincount(blobs.ravel())
    sizes[0] = 0
    return blobs == int(np.argmax(sizes))


def in_image(part: ErrorPart, axis: int, index: int, pixels: np.ndarray) -> np.ndarray:
    """Voxels (N, 3) in KJI order of pixels (N, 2), rows and columns in a slice of the part."""
    return np.insert(pixels, axis, index, axis=1) + part.offset


def _stroke_in(part: ErrorPart, length: int, axes: tuple[int, ...]) -> np.ndarray:
    """Voxels (N, 3) in KJI order of a stroke in the slice across `axes` that shows most of the part."""
    axis, index, blob = blob_in(part, axes)
    return in_image(part, axis, index, middle_stroke(blob, length))


def _check(truth: np.ndarray, prediction: np.ndarray, length: int) -> None:
    """Refuse arrays of different shapes and strokes without voxels."""
    if truth.ndim != 3 or truth.shape != prediction.shape:
        raise InputError(f"Truth {truth.shape} and prediction {prediction.shape} must both be (K, J, I) and equal.")
    if length < 1:
        raise InputError(f"A stroke needs at least one voxel, not {length}.")
