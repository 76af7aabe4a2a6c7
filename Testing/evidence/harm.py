"""Harm: what was right before the first stroke and is wrong now, by the distance from the strokes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from Testing.evidence.case import Case

#: Upper ends of the distance classes in mm, each included; the last class is open.
DISTANCES_MM = (5.0, 10.0, 20.0, 30.0)


def harm_by_distance(case: Case, labels: np.ndarray, drawn: np.ndarray) -> list[float]:
    """Milliliters that were right at the start and are wrong now, in the classes of `DISTANCES_MM` and beyond.

    Args:
        labels: (K, J, I) present labels.
        drawn: (K, J, I) bool, all strokes; without any, everything is far.
    """
    wrong = (case.start == case.truth) & (labels != case.truth)
    where = np.argwhere(wrong)
    counts = np.zeros(len(DISTANCES_MM) + 1)
    if len(where):
        if drawn.any():
            distance = ndimage.distance_transform_edt(~drawn, sampling=case.spacing)[tuple(where.T)]
        else:
            distance = np.full(len(where), np.inf)
        counts = np.bincount(np.searchsorted(DISTANCES_MM, distance), minlength=len(counts))
    return [round(float(n) * case.image.geometry.voxel_volume_ml, 5) for n in counts]


def others_changed_ml(case: Case, labels: np.ndarray) -> float:
    """Milliliters of classes without known truth that changed although no scored class is or was there.

    What the start falsely calls a scored class has to become something else, and what else nobody knows for certain.
    """
    concerned = np.isin(case.truth, case.scored) | np.isin(case.start, case.scored)
    known = (0, *case.scored)
    changed = (labels != case.start) & ~concerned & (~np.isin(case.start, known) | ~np.isin(labels, known))
    return round(float(changed.sum()) * case.image.geometry.voxel_volume_ml, 5)


def volume_changes_ml(case: Case, labels: np.ndarray) -> dict[int, tuple[float, float]]:
    """Milliliters at the start and now of every class whose truth is not known; classes that never occur left out."""
    ml, found = case.image.geometry.voxel_volume_ml, {}
    for label in np.union1d(np.unique(case.start), np.unique(labels)).tolist():
        if label not in (0, *case.scored):
            found[label] = tuple(round(float((a == label).sum()) * ml, 5) for a in (case.start, labels))
    return found
