"""Grow the strokes of chosen classes into seeds for the decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .growing import grow
from .image_state import ImageFrame
from .noise import estimate_noise_near
from .progress import ShouldCancel
from .round_input import RoundInput
from .segmentation import BACKGROUND_STROKE
from .settings import RefineSettings

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
) -> Seeds:
    """The strokes, and what grows from those whose class the settings choose.

    For a class the network does not know, the grown strokes carry it; growing the strokes of known classes lowered
    Dice where it was measured, so it is off by default there.

    Args:
        blocked: (*frame shape) bool, locked voxels.
        n_known: labels below it are known to the network.
    """
    chosen = {"none": np.zeros(len(strokes), bool), "all": np.ones(len(strokes), bool)}.get(
        settings.grow, strokes.wanted >= n_known
    )
    if not chosen.any():
        return Seeds(strokes.voxels, strokes.wanted)
    seeds = np.zeros(frame.shape, dtype=np.uint16)
    # Strokes of the other classes do not grow, but nobody grows over them.
    blocked = blocked.copy()
    blocked[tuple(strokes.voxels[~chosen].T)] = True
    coded = np.where(strokes.wanted == 0, BACKGROUND_STROKE, strokes.wanted)
    seeds[tuple(strokes.voxels[chosen].T)] = coded[chosen]
    threshold = settings.threshold
    if threshold is None:
        noise = estimate_noise_near(frame.image, strokes.voxels[chosen], frame.spacing)
        threshold = settings.threshold_noise * noise
    blocked |= _unlike_strokes(frame.image, strokes.voxels[chosen], strokes.wanted[chosen], threshold)
    grown = grow(
        frame.image,
        seeds,
        frame.spacing,
        threshold,
        settings.max_distance_mm,
        blocked=blocked,
        rule=settings.growing_rule,
        should_cancel=should_cancel,
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
    extra = np.stack(np.nonzero(grown.labels), axis=1)
    extra_labels = grown.labels[tuple(extra.T)].astype(np.int64)
    extra_labels[extra_labels == BACKGROUND_STROKE] = 0
    return Seeds(np.concatenate([strokes.voxels, extra]), np.concatenate([strokes.wanted, extra_labels]), warnings)


def _unlike_strokes(image: np.ndarray, voxels: np.ndarray, wanted: np.ndarray, threshold: float) -> np.ndarray:
    """(*frame shape) bool, voxels whose intensity is typical for none of the growing classes.

    The chain rule creeps along partial volume from a kidney into the fat around it, and a stroke that crosses a dark
    sinus would seed that fat. A class's typical intensity is the median of its strokes, within 1.5 T.
    """
    unlike = np.ones(image.shape[1:], dtype=bool)
    for label in np.unique(wanted):
        own = tuple(voxels[wanted == label].T)
        near = np.ones(image.shape[1:], dtype=bool)
        for channel in image:
            near &= np.abs(channel - np.float32(np.median(channel[own]))) < TYPICAL * threshold
        unlike &= ~near
    return unlike
