"""Intensities as methods that know no network want them: every channel between 0 and 1."""

from __future__ import annotations

import numpy as np

from Testing.evidence.case import Case

#: A scan that reaches so low is in Hounsfield units.
AIR_HU = -900.0
#: What a radiologist looks at an abdomen with, in Hounsfield units.
SOFT_TISSUE_HU = (-160.0, 240.0)
PERCENTILES = (0.5, 99.5)


def scaled(case: Case) -> np.ndarray:
    """(C, K, J, I) float32 between 0 and 1.

    A CT gets the usual soft-tissue window: in the window of its percentiles two organs look alike. Every channel of
    other images is scaled between two percentiles.
    """
    channels = []
    for channel in case.image.channels:
        values = channel.astype(np.float32)
        low, high = SOFT_TISSUE_HU if values.min() <= AIR_HU else np.percentile(values, PERCENTILES)
        channels.append(np.clip((values - low) / max(high - low, 1e-6), 0, 1))
    return np.stack(channels).astype(np.float32)


def one_channel(image: np.ndarray) -> np.ndarray:
    """(K, J, I) float32: of several channels (C, K, J, I) the mixture that varies most (first principal component)."""
    if len(image) == 1:
        return image[0]
    values = image.reshape(len(image), -1).astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(values @ values.T)
    axis = vectors[:, -1]
    mixed = (axis * np.sign(axis.sum() or 1.0)) @ values
    return (mixed - mixed.min()).reshape(image.shape[1:]).astype(np.float32)
