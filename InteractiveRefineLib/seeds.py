"""Grow the strokes of chosen classes into seeds for the decoder."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .growing import Box, GrowthResult, grow_voxels
from .noise import estimate_noise_near
from .progress import ShouldCancel, never_cancel
from .round_input import RoundInput
from .segmentation import BACKGROUND_STROKE
from .settings import RefineSettings

if TYPE_CHECKING:
    from .image_state import ImageFrame

#: How far from its strokes' median intensity a class may grow, as a multiple of the threshold T.
TYPICAL = 1.5


@dataclass(frozen=True, eq=False)
class Seeds:
    """Voxels whose label is taken as given by the decoder; only the strokes among them are enforced.

    Attributes:
        voxels: (N, 3) in the frame, the strokes first.
        labels: (N,) int64.
        warnings: sentences for the user (leaks).
    """

    voxels: np.ndarray
    labels: np.ndarray
    warnings: list[str] = field(default_factory=list)


def make_seeds(
    strokes: RoundInput,
    frame: ImageFrame,
    blocked: np.ndarray,
    n_known: int,
    settings: RefineSettings,
    name_of: Callable[[int], str],
    should_cancel: ShouldCancel,
    missing: Collection[int] = (),
    missing_distance_mm: float = 0.0,
) -> Seeds:
    """The strokes, and what grows from those whose class the settings choose.

    For a class the network does not know, the grown strokes carry it; growing the strokes of known classes lowered
    Dice where it was measured, so it is off by default there.

    Args:
        blocked: (*frame shape) bool, locked voxels.
        n_known: labels below it are known to the network.
        missing: known labels whose strokes grow as well, unless nothing shall grow at all.
        missing_distance_mm: no farther than this from a stroke, where nothing else grows.
    """
    chosen = which_grow(strokes.wanted, n_known, settings)
    if missing and settings.grow != "none":
        if not chosen.any():
            settings = replace(settings, max_distance_mm=min(settings.max_distance_mm, missing_distance_mm))
        chosen |= np.isin(strokes.wanted, list(missing))
    if not chosen.any():
        return Seeds(strokes.voxels, strokes.wanted)
    grown, _ = grow_strokes(
        frame.image, frame.spacing, strokes.voxels, strokes.wanted, chosen, blocked, settings, should_cancel
    )
    warnings = []
    for label, leak in grown.leaks.items():
        name = name_of(0 if label == BACKGROUND_STROKE else label)
        x, y, z = frame.geometry.to_ras(np.array([leak.kji]))[0]
        warnings.append(
            f"Growing of {name} was stopped at a leak near RAS ({x:.0f}, {y:.0f}, {z:.0f}) mm. "
            "Lower the threshold, or draw a background stroke there."
        )
    grown.labels[tuple(strokes.voxels.T)] = 0  # the strokes themselves come first
    inside = grown.labels[grown.box]
    extra = np.stack(np.nonzero(inside != 0), axis=1) + [side.start for side in grown.box]
    extra_labels = grown.labels[tuple(extra.T)].astype(np.int64)
    extra_labels[extra_labels == BACKGROUND_STROKE] = 0
    return Seeds(np.concatenate([strokes.voxels, extra]), np.concatenate([strokes.wanted, extra_labels]), warnings)


def which_grow(wanted: np.ndarray, n_known: int, settings: RefineSettings) -> np.ndarray:
    """(N,) bool, which strokes with the labels `wanted` (N,) grow, as `settings.grow` says."""
    if settings.grow == "new":
        return wanted >= n_known
    return np.full(len(wanted), settings.grow == "all")


def grow_strokes(
    image: np.ndarray,
    spacing: tuple[float, float, float],
    voxels: np.ndarray,
    wanted: np.ndarray,
    chosen: np.ndarray,
    blocked: np.ndarray,
    settings: RefineSettings,
    should_cancel: ShouldCancel = never_cancel,
) -> tuple[GrowthResult, float]:
    """Grow the chosen strokes; neither needs nor loads a network, so that it can be shown while the user draws.

    Args:
        image: (C, K, J, I) intensities.
        spacing: in mm along K, J, I.
        voxels: (N, 3) stroked voxels in KJI order.
        wanted: (N,) their labels, 0 = background.
        chosen: (N,) bool, which of them grow, at least one; nobody grows over the others.
        blocked: (K, J, I) bool, locked voxels.
        settings: threshold, distance and rule.

    Returns:
        what grew (255 = background, strokes included), and the threshold that was used, in units of the image.

    Raises:
        Cancelled: `should_cancel()` returned True.
    """
    shape = image.shape[1:]
    others = voxels[~chosen]
    voxels, wanted = voxels[chosen], wanted[chosen]
    threshold = settings.threshold
    if threshold is None:
        threshold = settings.threshold_noise * estimate_noise_near(image, voxels, spacing)

    def blocked_in(box: Box) -> np.ndarray:
        closed = _unlike_strokes(image, box, voxels, wanted, threshold)
        closed |= blocked[box]
        local = others - [side.start for side in box]
        local = local[((local >= 0) & (local < closed.shape)).all(axis=1)]
        closed[tuple(local.T)] = True
        return closed

    flat, last = np.unique(np.ravel_multi_index(tuple(voxels.T), shape)[::-1], return_index=True)
    labels = np.where(wanted == 0, BACKGROUND_STROKE, wanted)[::-1][last].astype(np.uint16)
    grown = grow_voxels(
        image,
        np.stack(np.unravel_index(flat, shape), axis=1),
        labels,
        spacing,
        threshold,
        settings.max_distance_mm,
        blocked_in=blocked_in,
        rule=settings.growing_rule,
        should_cancel=should_cancel,
    )
    return grown, float(threshold)


def _unlike_strokes(
    image: np.ndarray, box: Box, voxels: np.ndarray, wanted: np.ndarray, threshold: float
) -> np.ndarray:
    """(*box shape) bool, voxels whose intensity is typical for none of the growing classes.

    The chain rule creeps along partial volume from a kidney into the fat around it, and a stroke that crosses a dark
    sinus would seed that fat. A class's typical intensity is the median of its strokes, within 1.5 T.
    """
    part = image[(slice(None), *box)]
    medians = [
        [np.float32(np.median(channel[tuple(voxels[wanted == label].T)])) for channel in image]
        for label in np.unique(wanted)
    ]
    unlike = np.ones(part.shape[1:], dtype=bool)
    for k, out in enumerate(unlike):  # slice by slice, which stays in the processor's cache
        for typical in medians:
            near = [np.abs(channel[k] - middle) < TYPICAL * threshold for channel, middle in zip(part, typical)]
            out &= ~np.logical_and.reduce(near)
    return unlike
