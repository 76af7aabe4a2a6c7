"""How strongly the outline that a structure has holds against the edges in the image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from ..metrics import dice
from .contrast import contrast

#: Pull to the present label of structures whose outline hardly, and of those whose outline easily gives way. It counts
#: against the sum of a node's edges, which is 6 where intensities are even: 1 holds within a node, .003 within twenty.
STIFF, LOOSE = 1.0, 0.003
#: Contrast up to which outlines stay, and from which they are loose.
PLAIN, CLEAR = 0.75, 0.84
#: What of the network's structure is still there (Dice) from which outlines stay, and up to which they are loose: a
#: network of which little had to be corrected is right where nobody looked, too.
KEPT, CHANGED = 0.95, 0.9
#: Pull at least far from all strokes, the same where the network could not be taught, and the distance at which most of
#: it is reached, as a part of the image's extent.
FAR, FAR_UNTAUGHT, FAR_LENGTH = 0.2, 0.02, 0.1


def pull_of_structure(
    intensities: Callable[[], np.ndarray],
    now: np.ndarray,
    before: np.ndarray,
    spacing: tuple[float, float, float],
    seed: int = 0,
    belief: float = 1.0,
) -> float | None:
    """Pull near strokes; None where the outline shall stay.

    Two things must come together for an outline to give way: that the user corrected much of it, and that the
    structure stands out clearly. Without the first, five rounds on the real CT ended at .968 instead of .972; without
    the second, the hippocampus at .87 instead of .90. Of a network that could not be taught its strokes, what little
    was corrected does not tell: its outlines give way wherever they can be seen. (With it, looser far away and with the
    longer leash: abdomen MR .804 .844 .861 .872 .883 -> .830 .863 .884 .901 .912, brain tumor .806 -> .841.)

    Args:
        intensities: gives (C, *grid); asked for only where they matter.
        now: (*grid) bool, the structure as it is.
        before: (*grid) bool, as the network alone had it; nowhere for a class that the network does not know.
        spacing: of the nodes in mm.
        seed: of samples.
        belief: in the tuned network, see `weight.belief_in`.
    """
    kept = dice(now, before) - (1 - belief) * (1 - CHANGED)
    if not kept < KEPT:
        return None
    clear = contrast(intensities(), now, spacing, seed)
    if clear is None or clear <= PLAIN:
        return None
    by_contrast = np.interp(clear, (PLAIN, CLEAR), np.log((STIFF, LOOSE)))
    by_change = np.interp(kept, (CHANGED, KEPT), np.log((LOOSE, STIFF)))
    return float(np.exp(max(by_contrast, by_change)))


def stiffer_far_away(
    pull: np.ndarray, drawn: np.ndarray, spacing: tuple[float, float, float], extent: float, belief: float = 1.0
) -> np.ndarray:
    """(*grid) pull, at least `FAR` where no stroke is near, falling to what is given at the strokes.

    Where nobody drew, only sharp edges may move an outline. (Spoiled farther than 10 mm from the strokes on the CT with
    its network's own errors, before `KEPT` was there: one pull everywhere 86 ml, at least .1 far away 26 ml, .3 14 ml.)

    Args:
        pull: (*grid) near strokes.
        drawn: (*grid) bool, nodes with a stroke.
        spacing: of the nodes in mm.
        extent: of the image in mm, see `geometry.extent_mm`.
        belief: in the tuned network: 1 means at least `FAR`, 0 `FAR_UNTAUGHT`.
    """
    far = FAR**belief * FAR_UNTAUGHT ** (1 - belief)
    if not drawn.any():
        return np.maximum(pull, far).astype(np.float32)
    distance = ndimage.distance_transform_edt(~drawn, sampling=spacing)
    near = np.exp(-0.5 * (distance / (FAR_LENGTH * extent)) ** 2)
    return np.maximum(pull, far ** (1 - near) * np.minimum(pull, far) ** near).astype(np.float32)
