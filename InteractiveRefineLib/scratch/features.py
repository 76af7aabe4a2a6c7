"""What a voxel looks like without a network: its intensity, and means, spreads and edges around it at several scales.

Scales are in mm. Intensities are equalized first: only their order in the image counts, not their units.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

#: Standard deviations of the Gaussians in mm.
SCALES_MM = (1.0, 2.0, 4.0, 8.0)
#: A Gaussian narrower than this part of a voxel changes nothing along that axis.
_NARROW = 0.3
#: Scales below this part of the smallest voxel side, or above this part of the image's smallest side, are left out.
_SMALLEST, _LARGEST = 0.6, 0.25
_BINS = 1024
#: No intensity counts for more than this many times the average: air would else take half of the range.
_MOST_OFTEN = 3.0


def equalized(channel: np.ndarray) -> np.ndarray:
    """Intensities by their rank in the image, 0 to 1, float32; frequent ones count up to a limit.

    A window of soft tissue on CT, or the contrast of an MR sequence, then needs not be known. Any increasing change of
    the image's units changes nothing but the binning.

    Args:
        channel: any shape, finite numbers.
    """
    low, high = np.percentile(channel, [0.2, 99.8])
    if not high > low:
        low, high = float(channel.min()), float(channel.max())
    if not high > low:
        return np.zeros(channel.shape, dtype=np.float32)
    clipped = np.clip(channel, low, high)
    counts, limits = np.histogram(clipped, _BINS, (low, high))
    counts = np.convolve(np.pad(counts.astype(np.float64), 8, mode="symmetric"), _bell(8, 4.0), mode="valid")
    for _ in range(10):
        counts = np.minimum(counts, _MOST_OFTEN * counts.sum() / _BINS)
    ranks = np.concatenate([[0.0], np.cumsum(counts)])
    return np.interp(clipped, limits, ranks / ranks[-1]).astype(np.float32)


def filter_bank(
    channels: torch.Tensor, spacing: tuple[float, ...], scales: tuple[float, ...] = SCALES_MM
) -> torch.Tensor:
    """Features (F, *shape) float32, each centered and of spread one.

    Per channel: the intensity itself; then at every scale that fits the image the Gaussian mean, the standard deviation
    under the Gaussian, and the length of the mean's gradient.

    Args:
        channels: (C, *shape) float32, three spatial axes, of which any may have a single voxel.
        spacing: in mm along the three axes.
        scales: standard deviations in mm.
    """
    shape = tuple(channels.shape[1:])
    sides = [n * s for n, s in zip(shape, spacing) if n > 1]
    fitting = [s for s in scales if _SMALLEST * min(spacing) <= s <= _LARGEST * min(sides, default=0.0)]
    features = []
    for channel in channels:
        features.append(channel)
        for scale in fitting:
            mean = smoothed(channel, spacing, scale)
            spread = (smoothed(channel * channel, spacing, scale) - mean * mean).clamp_min(0).sqrt()
            features += [mean, spread, scale * gradient_length(mean, spacing)]
    stack = torch.stack(features)
    flat = stack.flatten(1)
    flat -= flat.mean(dim=1, keepdim=True)
    spread = flat.std(dim=1, keepdim=True)
    flat *= torch.where(spread > 1e-6, 1 / spread.clamp_min(1e-6), torch.zeros_like(spread))
    return stack


def smoothed(field: torch.Tensor, spacing: tuple[float, ...], sigma_mm: float) -> torch.Tensor:
    """Gaussian mean of a field (three axes), along each axis with its own voxel size; the border is repeated."""
    for axis, step in enumerate(spacing):
        sigma = sigma_mm / step
        if sigma <= _NARROW or field.shape[axis] == 1:
            continue
        radius = max(1, round(4 * sigma))
        kernel = torch.as_tensor(_bell(radius, sigma), dtype=field.dtype, device=field.device)
        rows = field.movedim(axis, -1)
        lines = F.pad(rows.reshape(-1, 1, rows.shape[-1]), (radius, radius), mode="replicate")
        field = F.conv1d(lines, kernel[None, None]).view(rows.shape).movedim(-1, axis)
    return field.contiguous()


def gradient_length(field: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
    """Length of the gradient per mm, (*shape); central differences, one-sided at the border."""
    squares = torch.zeros_like(field)
    for axis, step in enumerate(spacing):
        if field.shape[axis] > 1:
            squares += torch.gradient(field, spacing=float(step), dim=axis)[0] ** 2
    return squares.sqrt_()


def _bell(radius: int, sigma: float) -> np.ndarray:
    """A Gaussian at -radius to radius, of sum one."""
    bell = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return bell / bell.sum()
