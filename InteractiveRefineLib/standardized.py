"""Features of any kind made comparable: each channel divided by its standard deviation over the image."""

from __future__ import annotations

import numpy as np
import torch

from .backbone.sampling import VoxelSampler


class StandardizedFeatures:
    """Several features on one grid, read at single voxels in units of their spread; no copy of them is made.

    Args:
        parts: tensors (F_i, *shape); their channels follow one another.
    """

    def __init__(self, parts: list[torch.Tensor]) -> None:
        self._parts = parts
        #: per part, (F_i,) factors that bring its channels to spread one
        self.scales = [standard_scales(part) for part in parts]

    def at(self, index: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """(N, sum of F_i) at the voxels of three index tensors (N,)."""
        found = [part[(slice(None), *index)].T.float() * s for part, s in zip(self._parts, self.scales)]
        return torch.cat(found, dim=1)

    def sampled(self, positions: np.ndarray) -> torch.Tensor:
        """(N, sum of F_i) at continuous positions (N, 3), linearly interpolated."""
        sampler = VoxelSampler(positions.T, tuple(self._parts[0].shape[1:]), self._parts[0].device)
        # One channel after the other: the sampler wants them last in memory, and a copy would double them.
        columns = [sampler(channel[..., None]) for part in self._parts for channel in part]
        return torch.cat(columns, dim=1) * torch.cat(self.scales)

    def means(self) -> torch.Tensor:
        """(sum of F_i,) mean of every channel."""
        means = [channel.float().mean() for part in self._parts for channel in part]
        return torch.stack(means) * torch.cat(self.scales)

    def weighted(self, weights: torch.Tensor) -> torch.Tensor:
        """Weighted sums (M, *shape) of all channels for weights (M, sum of F_i)."""
        out = weights.new_zeros((len(weights), self._parts[0][0].numel()))
        scaled = (weights * torch.cat(self.scales)).split([len(part) for part in self._parts], dim=1)
        for part, some in zip(self._parts, scaled):
            if part.dtype == torch.float32:
                out += some @ part.flatten(1)
            else:  # channel by channel: in full precision all at once would take the memory that was saved
                for channel, weight in zip(part, some.T):
                    out += weight[:, None] * channel.flatten().float()
        return out.view(-1, *self._parts[0].shape[1:])


def standard_scales(features: torch.Tensor) -> torch.Tensor:
    """(F,) one over the standard deviation of each channel of (F, ...); 0 for constant channels."""
    if features.dtype == torch.float16:  # sums of many need more digits
        spread = torch.stack([channel.float().std() for channel in features])
    else:
        spread = features.flatten(1).std(dim=1)
    return torch.where(spread > 1e-6, 1.0 / spread.clamp_min(1e-6), torch.zeros_like(spread))
