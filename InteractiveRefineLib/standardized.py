"""Features of any kind made comparable: each channel divided by its standard deviation over the image."""

from __future__ import annotations

import numpy as np
import torch

from .backbone.sampling import VoxelSampler

#: Values of which a mean is about that of all, and values that are read together: they fit the processor's cache.
_SAMPLE, _PIECE = 3000, 1 << 17


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
        found = [part.movedim(0, -1)[index].float() * s for part, s in zip(self._parts, self.scales)]
        return torch.cat(found, dim=1)

    def sampled(self, positions: np.ndarray) -> torch.Tensor:
        """(N, sum of F_i) at continuous positions (N, 3), linearly interpolated."""
        sampler = VoxelSampler(positions.T, tuple(self._parts[0].shape[1:]), self._parts[0].device)
        columns = []
        for part in self._parts:
            last = part.movedim(0, -1)
            if last.is_contiguous():
                columns.append(sampler(last))
            else:  # one channel after the other, for a copy would double them
                columns += [sampler(channel[..., None]) for channel in part]
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
    spread = standard_deviations(features)
    return torch.where(spread > 1e-6, 1.0 / spread.clamp_min(1e-6), torch.zeros_like(spread))


def standard_deviations(features: torch.Tensor) -> torch.Tensor:
    """(F,) float32 standard deviation of each channel of (F, ...), with n - 1 as torch.std; several times faster.

    Values are read once, in the order of memory, a piece at a time: its sums stay exact enough in float32 because the
    channel's mean was about subtracted, and pieces are added up in float64.
    """
    last = features.movedim(0, -1)
    if last.is_contiguous():
        return _spread_of_rows(last.reshape(-1, features.shape[0]))
    return torch.cat([_spread_of_rows(channel.reshape(-1, 1)) for channel in features])


def _spread_of_rows(rows: torch.Tensor) -> torch.Tensor:
    """(F,) float32 standard deviation of the columns of (N, F)."""
    some = rows[:: max(1, len(rows) // _SAMPLE)].double()
    about = some.mean(dim=0)
    first = about.float()
    total, squares = torch.zeros_like(about), torch.zeros_like(about)
    size = _PIECE * (128 if rows.is_cuda else 1)  # a graphics card wants more at a time
    for piece in rows.split(max(1, size // rows.shape[1])):
        away = piece - first
        total += away.sum(dim=0)
        squares += away.square_().sum(dim=0)
    variance = (squares - total.square() / len(rows)) / (len(rows) - 1)
    return variance.clamp_min(0).sqrt().float()
