"""Scans made unlike the ones a network was trained on; the same degradation every time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from InteractiveRefineLib.volume import Volume


def _inversion(image: np.ndarray) -> np.ndarray:
    return 1 - image


def _gamma(image: np.ndarray) -> np.ndarray:
    return image**2.5


def _blur_and_noise(image: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.08, image.shape)
    return ndimage.gaussian_filter(image, 1.0) + noise


def _bias_field(image: np.ndarray) -> np.ndarray:
    """A coil's sensitivity: along every axis three times as bright at the end as at the beginning."""
    sides = [[-1 if axis == a else 1 for a in range(3)] for axis in range(3)]
    ramps = [np.linspace(-1, 1, n).reshape(side) for n, side in zip(image.shape, sides)]
    return image * np.exp(0.55 * sum(ramps) / np.sqrt(3) * 1.7)


def _low_resolution(image: np.ndarray) -> np.ndarray:
    """Thick slices along the first axis: every third is kept and repeated."""
    kept = np.arange(image.shape[0]) // 3 * 3
    return ndimage.uniform_filter1d(image, 3, axis=0)[np.minimum(kept + 1, image.shape[0] - 1)]


DEGRADATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "inversion": _inversion,
    "gamma": _gamma,
    "blur and noise": _blur_and_noise,
    "bias field": _bias_field,
    "low resolution": _low_resolution,
}


def degraded(volume: Volume, kind: str) -> Volume:
    """One channel, scaled to 0..1 between its 0.5 and 99.5 percentiles, and degraded; float32.

    Args:
        kind: a key of `DEGRADATIONS`.
    """
    low, high = np.percentile(volume.array, [0.5, 99.5])
    scaled = np.clip((volume.array.astype(np.float64) - low) / (high - low), 0, 1)
    return Volume(DEGRADATIONS[kind](scaled).astype(np.float32), volume.ijk_to_ras, f"{volume.name}, {kind}")
