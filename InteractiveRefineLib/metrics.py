"""How good a segmentation is, and what a correction spoiled far away from the strokes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.spatial import cKDTree

from .errors import InputError


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two masks, 2 |a and b| / (|a| + |b|), between 0 and 1.

    Args:
        a: bool array of any shape.
        b: bool array of the same shape.

    Returns:
        The Dice coefficient; nan when both masks are empty, because then there is nothing to measure.

    Raises:
        InputError: the shapes differ.
    """
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    _same_shape(a, b)
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return float(2 * np.count_nonzero(a & b) / total) if total else float("nan")


def dice_per_class(truth: np.ndarray, labels: np.ndarray, classes: Iterable[int]) -> dict[int, float]:
    """Dice coefficient of every class of two label maps of the same shape; nan where neither has the class.

    Raises:
        InputError: the shapes differ.
    """
    _same_shape(truth, labels)
    return {int(c): dice(truth == c, labels == c) for c in classes}


def far_damage_ml(
    truth: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    label: int,
    stroke_mask: np.ndarray,
    spacing_kji: tuple[float, float, float],
    distance_mm: float = 30.0,
) -> tuple[float, float]:
    """Volume of one class that a correction spoiled farther than `distance_mm` from every stroke.

    Args:
        truth: (K, J, I) integers, the true labels.
        before: (K, J, I) integers, labels before the correction.
        after: (K, J, I) integers, labels after it.
        label: the class looked at.
        stroke_mask: (K, J, I) bool, all stroke voxels; when empty, every voxel counts as far.
        spacing_kji: voxel size in mm along K, J, I.
        distance_mm: how far is far; voxels at exactly this distance are still near.

    Returns:
        Milliliters lost (rightly the class before, no longer) and false (rightly not the class before, now it).

    Raises:
        InputError: the shapes differ.
    """
    _same_shape(truth, before, after, stroke_mask)
    true, was, now = truth == label, before == label, after == label
    voxel_ml = float(np.prod(spacing_kji)) / 1000.0
    lost = _count_far(true & was & ~now, stroke_mask, spacing_kji, distance_mm)
    false = _count_far(~true & ~was & now, stroke_mask, spacing_kji, distance_mm)
    return lost * voxel_ml, false * voxel_ml


def count_far_changes(
    before: np.ndarray,
    after: np.ndarray,
    truth: np.ndarray,
    stroke_mask: np.ndarray,
    distance_voxels: float,
) -> int:
    """Number of voxels that were right, are wrong now and lie farther than `distance_voxels` from every stroke.

    Args:
        before: (K, J, I) integers, labels before the correction.
        after: (K, J, I) integers, labels after it.
        truth: (K, J, I) integers, the true labels.
        stroke_mask: (K, J, I) bool, all stroke voxels; when empty, every voxel counts as far.
        distance_voxels: Euclidean distance in voxels, whatever their size in mm.

    Raises:
        InputError: the shapes differ.
    """
    _same_shape(before, after, truth, stroke_mask)
    spoiled = (before == truth) & (after != truth)
    return _count_far(spoiled, stroke_mask, (1.0, 1.0, 1.0), distance_voxels)


def _count_far(
    mask: np.ndarray, stroke_mask: np.ndarray, spacing_kji: tuple[float, float, float], distance: float
) -> int:
    """Voxels of `mask` farther than `distance` (in the unit of the spacing) from every voxel of `stroke_mask`."""
    # Few voxels are drawn and few are spoiled: a search tree is exact and far quicker than a distance map.
    spoiled, drawn = np.argwhere(mask), np.argwhere(stroke_mask)
    spacing = np.asarray(spacing_kji)
    # A hair of slack, so that rounding does not turn voxels at exactly `distance` into far ones.
    limit = distance + 1e-6
    # Without a stroke voxel within the limit, or without any, the tree answers infinity.
    nearest, _ = cKDTree(drawn * spacing).query(spoiled * spacing, distance_upper_bound=limit)
    return int(np.count_nonzero(np.isinf(nearest)))


def _same_shape(first: np.ndarray, *others: np.ndarray) -> None:
    """Refuse arrays of different shapes."""
    for other in others:
        if np.shape(other) != np.shape(first):
            raise InputError(f"Arrays of one comparison need one shape, not {np.shape(first)} and {np.shape(other)}.")
