"""Bring intensities to the range a network was trained on."""

from __future__ import annotations

import numpy as np

from .config import IntensityRule


def normalize(image: np.ndarray, rule: IntensityRule) -> np.ndarray:
    """Apply an intensity rule to each channel of `image` (C, ...) and return float32.

    "window": clip to [low, high], then to 0..1, or (x - mean) / std where both are given.
    "percentile-zscore": clip to the two percentiles of the channel, subtract its mean, divide by its
    standard deviation. "percentile-scale": clip to the two percentiles, then to 0..1.
    With a percentile rule a channel becomes zero where the two percentiles are equal.
    """
    out = np.array(image, dtype=np.float32)  # always a copy: the caller's image stays as it is
    if rule.rule == "none":
        return out
    for channel in out:
        low, high = (rule.low, rule.high)
        if rule.rule != "window":
            low, high = np.percentile(channel, [rule.low, rule.high])
            if not low < high:  # nothing to scale; the standard deviation would be rounding errors
                channel[...] = 0
                continue
        np.clip(channel, low, high, out=channel)
        if rule.rule == "percentile-zscore":
            shift, scale = channel.mean(dtype=np.float64), channel.std(dtype=np.float64)
        elif rule.mean is not None and rule.std is not None:
            shift, scale = rule.mean, rule.std
        else:
            shift, scale = low, high - low
        channel -= shift
        channel /= scale
    return out
