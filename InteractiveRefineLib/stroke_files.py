"""Strokes from files: which class each segment means, and where its voxels lie in the image."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from .errors import InputError
from .geometry import Geometry
from .segmentation import BACKGROUND_STROKE, Segment, Segmentation
from .segmentation_io import read_segmentation

BACKGROUND_NAME = "background"


def read_strokes(
    path: str | os.PathLike, geometry: Geometry, classes: Sequence[Segment] | None = None
) -> tuple[np.ndarray, list[Segment], list[str]]:
    """Read a stroke file onto the image's grid.

    A file with named segments (.seg.nrrd) is matched to `classes` by name, whatever its label values; a plain label
    map, or Slicer's own "Segment_k", by number.

    Args:
        path: label map or .seg.nrrd; Slicer crops the latter to what was drawn.
        geometry: of the image.
        classes: names and labels that exist; None takes those of the file.

    Returns:
        (K, J, I) uint16: 0 = no stroke, k = class k, 255 = background; the classes; and warnings.

    Raises:
        InputError: an unreadable file, another grid than the image's, or a segment whose name is no class.
    """
    drawn = read_segmentation(path)
    warnings = [f"{path}: {sentence}" for sentence in drawn.warnings]
    labels = drawn.labels
    by_number = all(segment.name == f"Segment_{segment.label}" for segment in drawn.segments)
    if classes is None:
        background = BACKGROUND_STROKE if by_number else None
        classes = [s for s in drawn.segments if s.label != background and s.name.strip().lower() != BACKGROUND_NAME]
    if not by_number:
        labels = _by_name(drawn, classes, path)
    labels, lost = _on_grid(labels, drawn.geometry, geometry, path)
    if lost:
        warnings.append(f"{path}: {lost} stroke voxels lie outside the image and were ignored.")
    return labels, list(classes), warnings


def _by_name(drawn: Segmentation, classes: Sequence[Segment], path: str | os.PathLike) -> np.ndarray:
    meaning = {segment.name.strip().lower(): segment.label for segment in classes}
    meaning[BACKGROUND_NAME] = BACKGROUND_STROKE
    table = np.zeros(int(max(drawn.labels.max(), *(s.label for s in drawn.segments))) + 1, dtype=np.uint16)
    for segment in drawn.segments:
        label = meaning.get(segment.name.strip().lower())
        if label is None:
            if not (drawn.labels == segment.label).any():
                continue  # an empty segment says nothing
            known = ", ".join([s.name for s in classes] + [BACKGROUND_NAME])
            raise InputError(
                f"{path}: the strokes' segment {segment.name!r} is no class; known are {known}. Rename the segment, or "
                f"add the class with --add-class {segment.name!r}."
            )
        table[segment.label] = label
    return table[drawn.labels]


def _on_grid(labels: np.ndarray, drawn: Geometry, image: Geometry, path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """Place labels of a cropped or enlarged version of the image's grid; refuse any other grid.

    Returns:
        (K, J, I) uint16, and the number of stroke voxels that lie outside the image.
    """
    if drawn.matches(image):
        return labels.astype(np.uint16), 0
    first = image.to_kji(drawn.to_ras(np.zeros((1, 3))))[0]
    offset = np.rint(first)
    shift = np.eye(4)
    shift[:3, 3] = offset[::-1]
    moved = Geometry(drawn.shape, image.ijk_to_ras @ shift)
    if not moved.matches(drawn):
        raise InputError(
            f"{path}: the strokes lie on another grid than the image: strokes {drawn.describe()}; image "
            f"{image.describe()}. Redraw them on the image, or resample them to it with nearest neighbor (tolerance "
            f"{min(drawn.tolerance_mm, image.tolerance_mm):.4g} mm)."
        )
    out = np.zeros(image.shape, dtype=np.uint16)
    here, there = [], []
    for start, size, limit in zip(offset.astype(int), drawn.shape, image.shape):
        low, high = max(0, start), max(0, min(limit, start + size))
        here.append(slice(low, high))
        there.append(slice(low - start, max(low, high) - start))
    out[tuple(here)] = labels[tuple(there)]
    return out, int(np.count_nonzero(labels)) - int(np.count_nonzero(out))
