"""Features of any kind made comparable: each channel divided by its standard deviation over the image."""

from __future__ import annotations

import torch


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


def standard_scales(features: torch.Tensor) -> torch.Tensor:
    """(F,) one over the standard deviation of each channel of (F, ...); 0 for constant channels."""
    if features.dtype == torch.float16:  # sums of many need more digits
        spread = torch.stack([channel.float().std() for channel in features])
    else:
        spread = features.flatten(1).std(dim=1)
    return torch.where(spread > 1e-6, 1.0 / spread.clamp_min(1e-6), torch.zeros_like(spread))
