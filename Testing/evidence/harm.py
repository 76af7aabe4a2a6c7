"""Harm: what was right before the first stroke and is wrong now, by the distance from the strokes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from Testing.evidence.case import Case

#: Upper ends of the distance classes in mm; the last class is open.
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
    """Milliliters of classes without known truth that changed although no scored class has its place there."""
    scored = np.isin(case.truth, case.scored)
    known = (0, *case.scored)
    changed = (labels != case.start) & ~scored & (~np.isin(case.start, known) | ~np.isin(labels, known))
    return round(float(changed.sum()) * case.image.geometry.voxel_volume_ml, 5)
