"""Grow the strokes of chosen classes into seeds for the decoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable

import numpy as np

from .growing import grow
from .image_state import ImageFrame
from .noise import estimate_noise_near
from .progress import ShouldCancel
from .round_input import RoundInput
from .segmentation import BACKGROUND_STROKE
from .settings import RefineSettings


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
    return Seeds(
        np.concatenate([strokes.voxels, extra]), np.concatenate([strokes.wanted, extra_labels]), warnings
    )
