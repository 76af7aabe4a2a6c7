"""Recognize that a growing region squeezed through a narrow place and floods what lies behind it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: The front counts as leaking when it is this much larger, against free growth, than at its narrowest.
WIDENING = 4.0
#: A front smaller than this, plus a tenth of the number of seed voxels, never counts as leaking.
SMALLEST_FRONT = 30
#: Steps that must have passed; the median of three of them is the least that smooths a front.
_FIRST_STEPS = 4
#: Up to this multiple of the narrowest front, a step still belongs to the narrow place.
_NARROW = 1.5


class Leak(NamedTuple):
    """A region was stopped because it suddenly widened.

    Attributes:
        step: the last step that was kept, at the narrow place.
        n_voxels: size of the front that raised the alarm, which was not kept.
        kji: array index in KJI order of the narrow place.
    """

    step: int
    n_voxels: int
    kji: tuple[int, int, int]


def narrow_step(sizes: list[int], n_seeds: int) -> int | None:
    """The step after which a region leaked, or None as long as it did not.

    In free space the number of voxels that are new in step s, from any compact set of seeds, is about a + b*s + c*s^2
    with a, b, c >= 0: a plane of seeds has only a, a line a and b, a single voxel 4*s^2 + 2. So the size divided by
    s^2 never rises in a homogeneous organ, for a ball-shaped front (which does grow quadratically) as little as for
    any other, and walls only make it fall faster. In a narrow passage the size stays the same, and divided by s^2 it
    falls; behind the passage a new half ball begins, and it rises again. That rise is what we look for. Comparing
    plain sizes would not do: 4*s^2 is always four times the median of 4*1, ..., 4*(s-1)^2.

    The narrowest place is sought in medians over three steps, since noise makes the first, tiny fronts jump.

    Args:
        sizes: new voxels in step 1, 2, ..., the newest last.
        n_seeds: number of seed voxels.
    """
    if len(sizes) < _FIRST_STEPS or sizes[-1] < SMALLEST_FRONT + n_seeds / 10:
        return None
    relative = np.array(sizes) / np.arange(1, len(sizes) + 1) ** 2
    smooth = np.sort([relative[:-3], relative[1:-2], relative[2:-1]], axis=0)[1]
    narrowest = int(np.argmin(smooth)) + 1
    if relative[-1] <= WIDENING * smooth.min():
        return None
    narrow = np.flatnonzero(np.array(sizes[:-1]) <= _NARROW * sizes[narrowest])
    return int(narrow[-1]) + 1


def find_leak(
    fronts: list[np.ndarray], n_seeds: int, shape: tuple[int, int, int], start: tuple[int, int, int] = (0, 0, 0)
) -> Leak | None:
    """Say whether the newest of `fronts` reveals a leak (see `narrow_step`), and where.

    Args:
        fronts: flat indices (C order of K, J, I) of the new voxels of step 1, 2, ....
        n_seeds: number of seed voxels.
        shape: (K, J, I).
        start: array index of the first voxel of `shape` in the image, which the leak's place refers to.
    """
    step = narrow_step([len(front) for front in fronts], n_seeds)
    if step is None:
        return None
    flood = _indices(fronts[-1], shape, start).mean(axis=0)
    # The kept front may have parts elsewhere; the leak is at the part nearest to the flood.
    kept = _indices(fronts[step - 1], shape, start)
    nearest = kept[np.argmin(((kept - flood) ** 2).sum(axis=1))]
    return Leak(step, len(fronts[-1]), tuple(int(n) for n in nearest))


def _indices(flat: np.ndarray, shape: tuple[int, int, int], start: tuple[int, int, int]) -> np.ndarray:
    return np.stack(np.unravel_index(flat, shape), axis=1) + np.asarray(start)
