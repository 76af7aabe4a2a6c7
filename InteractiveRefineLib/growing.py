"""Region growing: enlarge strokes over voxels of similar intensity, step by step, within a distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .distance_bound import reach_box
from .errors import InputError
from .growing_race import Race
from .leak_guard import Leak
from .progress import ShouldCancel, never_cancel
from .settings import GROWING_RULES

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class GrowthResult:
    """The grown strokes.

    Attributes:
        labels: (K, J, I) of the seeds' type and coding (0 = none), seeds included.
        n_grown: voxels that each label gained.
        leaks: labels that the leak guard stopped, and where.
        steps: after how many steps all fronts stood still.
        box: slices of `labels`, outside of which all is 0.
    """

    labels: np.ndarray
    n_grown: dict[int, int] = field(default_factory=dict)
    leaks: dict[int, Leak] = field(default_factory=dict)
    steps: int = 0
    box: Box = (slice(0),) * 3


def grow(
    image: np.ndarray,
    seeds: np.ndarray,
    spacing_kji: tuple[float, float, float],
    threshold: float,
    max_distance_mm: float,
    *,
    blocked: np.ndarray | None = None,
    rule: str = "chain",
    leak_guard: bool = True,
    should_cancel: ShouldCancel = never_cancel,
) -> GrowthResult:
    """Grow seeds over the 6-neighbors whose intensity differs by less than `threshold` (paper, section 2.2).

    All labels advance in step. A voxel that one label reaches first is that label's; one that several labels reach in
    the same step stays unlabeled for good, and so do voxels where the image is not a number.

    Args:
        image: (K, J, I) or (C, K, J, I) intensities; of several channels the largest difference counts.
        seeds: (K, J, I) integers: 0 = none, any other value is a label, also 255 for background.
        spacing_kji: voxel size in mm.
        threshold: T, in units of the image; a difference of exactly T is too much.
        max_distance_mm: R; a label stays within this Euclidean distance of its nearest seed voxel.
        blocked: (K, J, I) bool, voxels nobody may take; a seed there still grows.
        rule: "chain" compares with the neighbor that it came from (the paper's), "seed" with the seed voxel that it
            came from; of several seed voxels of one label that arrive at once, the one closest in intensity, then the
            one that comes first in the array.
        leak_guard: stop a label before it floods (see `leak_guard.narrow_step`).
        should_cancel: asked before every step.

    Raises:
        InputError: shapes that do not fit, or numbers that cannot be used.
        Cancelled: `should_cancel()` returned True.
    """
    _check_arrays(image, seeds, blocked)
    voxels = _nonzero(seeds)
    return grow_voxels(
        image if image.ndim == 4 else image[None],
        voxels,
        seeds[tuple(voxels.T)],
        spacing_kji,
        threshold,
        max_distance_mm,
        blocked_in=None if blocked is None else lambda box: blocked[box].astype(bool, copy=False),
        rule=rule,
        leak_guard=leak_guard,
        should_cancel=should_cancel,
    )


def grow_voxels(
    image: np.ndarray,
    voxels: np.ndarray,
    labels: np.ndarray,
    spacing_kji: tuple[float, float, float],
    threshold: float,
    max_distance_mm: float,
    *,
    blocked_in: Callable[[Box], np.ndarray] | None = None,
    rule: str = "chain",
    leak_guard: bool = True,
    should_cancel: ShouldCancel = never_cancel,
) -> GrowthResult:
    """Like `grow`, from a list of seeds, and looking only at the box that they can reach.

    Args:
        image: (C, K, J, I) intensities.
        voxels: (N, 3) seeds in KJI order, ascending, each once.
        labels: (N,) integers, not 0; the result's labels get this type.
        blocked_in: (*box shape) bool of a box, voxels nobody may take; asked once.
    """
    _check_numbers(spacing_kji, threshold, max_distance_mm, rule)
    grown = np.zeros(image.shape[1:], dtype=labels.dtype)
    if not len(voxels):
        return GrowthResult(grown)
    spacing_kji = tuple(float(s) for s in spacing_kji)
    box = reach_box(voxels, grown.shape, spacing_kji, max_distance_mm)
    blocked = None if blocked_in is None else blocked_in(box)
    race = Race(image, voxels, labels, box, spacing_kji, threshold, max_distance_mm, blocked, rule == "seed")
    race.run(leak_guard, should_cancel)
    grown[tuple(voxels.T)] = labels
    race.write(grown)
    n_grown = {front.label: sum(len(voxels) for voxels in front.history) for front in race.fronts}
    return GrowthResult(grown, n_grown, race.leaks, max(len(front.history) for front in race.fronts), box)


def _nonzero(seeds: np.ndarray) -> np.ndarray:
    """(N, 3) indices of nonzero voxels, ascending; many times faster than `np.argwhere` where they are few."""
    found = [np.empty((0, 3), dtype=np.intp)]
    for k, plane in enumerate(seeds):
        if np.count_nonzero(plane):
            j, i = np.nonzero(plane != 0)
            found.append(np.stack([np.full(len(j), k), j, i], axis=1))
    return np.concatenate(found)


def _check_arrays(image, seeds, blocked) -> None:
    if seeds.ndim != 3 or seeds.dtype.kind not in "ui":
        raise InputError(f"Seeds are (K, J, I) integers, not {seeds.dtype} of shape {seeds.shape}.")
    for what, array in (("image", image), ("mask of blocked voxels", blocked)):
        if array is not None and (array.shape[-3:] != seeds.shape or array.ndim > (4 if array is image else 3)):
            raise InputError(f"The {what} has shape {array.shape}, but the seeds have {seeds.shape} (K, J, I).")


def _check_numbers(spacing_kji, threshold, max_distance_mm, rule) -> None:
    if len(spacing_kji) != 3 or not all(s > 0 for s in spacing_kji):
        raise InputError(f"The spacing needs three positive numbers in mm (K, J, I), not {tuple(spacing_kji)}.")
    for what, value in (("threshold", threshold), ("max_distance_mm", max_distance_mm)):
        if not value >= 0:
            raise InputError(f"{what} must be 0 or more, not {value}.")
    if rule not in GROWING_RULES:
        raise InputError(f"The growing rule must be one of {', '.join(GROWING_RULES)}, not {rule!r}.")
