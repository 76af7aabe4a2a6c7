"""What the random walker compares between neighbors: intensities in a window, and the network's last features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..backbone.grid import Box, NetworkGrid

#: Factor of the squared intensity difference against the mean over feature channels.
INTENSITY_FACTOR = 12.0
#: Intensity difference, in standard deviations of the window, at which a voxel hardly looks like a seed any more.
RESEMBLANCE_SIGMA = 0.25


@dataclass(frozen=True)
class IntensityWindow:
    """The range of intensities that matters, per channel, with the spread inside it.

    Attributes:
        low, high: clip limits, one per channel.
        scale: standard deviation of the clipped intensities, one per channel.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def around(cls, image: np.ndarray, sample: np.ndarray) -> IntensityWindow:
        """Window that holds the intensities of interest with half their range as margin on both sides.

        Args:
            image: (C, N) intensities of the scan (a sample of it is enough).
            sample: (C, M) intensities of strokes and labeled structures.
        """
        low, high, scale = [], [], []
        for channel, wanted in zip(image, sample):
            a, b = np.percentile(wanted, [1, 99])
            margin = 0.5 * (b - a)
            if not b > a:
                a, b = np.percentile(channel, [1, 99])
                margin = 0.0
            low.append(float(a - margin))
            high.append(float(b + margin))
            inside = channel[(channel > a - margin) & (channel < b + margin)]
            spread = float(inside.std()) if len(inside) else 0.0
            scale.append(spread if spread > 0 else 1.0)
        return cls(tuple(low), tuple(high), tuple(scale))

    def apply(self, image: torch.Tensor) -> torch.Tensor:
        """Clip and scale intensities (C, ...); float32."""
        out = torch.empty(image.shape, dtype=torch.float32, device=image.device)
        for c in range(image.shape[0]):
            out[c] = image[c].float().clamp(self.low[c], self.high[c]) / self.scale[c]
        return out


class EdgeFeatures:
    """Everything that cuts the walker's edges, on the image's grid.

    Args:
        image: (C, *image shape) intensities in the order of the tensor axes.
        window: see `IntensityWindow`.
        features: (F, *grid shape), or None when the network has no usable ones.
    """

    def __init__(
        self, image: np.ndarray, window: IntensityWindow, features: torch.Tensor | None, grid: NetworkGrid
    ) -> None:
        self._image, self._window, self._grid = image, window, grid
        self.n_intensities = image.shape[0]  # they come first among the features
        self._features = standardized(features) if features is not None else None

    def in_box(self, box: Box, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (F + C, *box shape) and the factor of each channel's squared difference (F + C,)."""
        image = torch.as_tensor(np.ascontiguousarray(self._image[(slice(None), *box)]), device=device)
        intensities = self._window.apply(image)
        n = intensities.shape[0]
        factors = [INTENSITY_FACTOR / n] * n
        stacked = intensities
        if self._features is not None:
            sampled = self._grid.sample_box(self._features, box)
            stacked = torch.cat([intensities, sampled])
            factors += [1.0 / sampled.shape[0]] * sampled.shape[0]
        return stacked, torch.tensor(factors)


def resemblance(intensities: torch.Tensor, seeds: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """How much each voxel looks like some seed: 1 = the same intensity, 0 = none near; (*box) float32.

    Args:
        intensities: (C, *box), scaled by their spread; of several channels the least similar counts.
        seeds: index arrays (N,) per axis of the box.
    """
    worst = torch.zeros_like(intensities[0])
    for channel in intensities:
        values = channel[seeds].sort().values
        place = torch.searchsorted(values, channel.contiguous())
        above = values[place.clamp_max(len(values) - 1)]
        below = values[(place - 1).clamp_min(0)]
        nearest = torch.minimum((channel - above).abs_(), (channel - below).abs_())
        worst = torch.maximum(worst, nearest)
    return torch.exp(-0.5 * (worst / RESEMBLANCE_SIGMA) ** 2)


def standardized(features: torch.Tensor) -> torch.Tensor:
    """Each channel (F, ...) divided by its standard deviation; differences need no mean. Constant channels -> 0."""
    spread = features.flatten(1).std(dim=1)
    scale = torch.where(spread > 1e-6, 1.0 / spread.clamp_min(1e-6), torch.zeros_like(spread))
    return features * scale.view(-1, *[1] * (features.ndim - 1))
