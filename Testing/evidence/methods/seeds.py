"""Seeds for methods that segment from seeds alone: the strokes, and the core of what was there before."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from Testing.evidence.case import Case
from Testing.evidence.method import Drawn

#: Layers of voxels taken off every structure of the segmentation that a case starts from.
PEELED = 2
#: Around strokes that contradict the start it is not believed: so far, as a share of the image's diagonal.
LEASH = 0.06


def seeds_of(case: Case, drawn: Drawn) -> np.ndarray:
    """(K, J, I) int16: -1 = unknown, else the label of a seed.

    Methods that know nothing of a segmentation to be corrected would start from nothing with a handful of strokes.
    They get the best chance we could think of: every structure of the start, background included, without its outer
    voxels and without what lies near a stroke of another class. Where a case starts from nothing, only strokes.
    """
    seeds = np.full(case.start.shape, -1, dtype=np.int16)
    if case.start.any():
        leash = LEASH * float(np.linalg.norm(np.array(case.start.shape) * case.spacing))
        for label in np.unique(case.start):
            mask = case.start == label
            # Beyond the image the structure goes on: its cut face is no border.
            core = ndimage.binary_erosion(mask, iterations=PEELED, border_value=1)
            against = (drawn.all >= 0) & (drawn.all != label)
            if against.any():
                core &= ndimage.distance_transform_edt(~against, sampling=case.spacing) > leash
            seeds[core] = label
    return np.where(drawn.all >= 0, drawn.all, seeds).astype(np.int16)
