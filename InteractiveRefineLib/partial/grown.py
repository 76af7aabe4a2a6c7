"""A tuned part whose head has grown: one more output channel for every class that the network does not know."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..standardized import StandardizedFeatures
from .parts import LogitsAt, TunedPart

#: Bias of a new channel that has learned nothing: its class has a probability of 2e-9 everywhere.
SILENT = -20.0


class GrownPart:
    """Any `TunedPart` with `count` more channels, which are linear in the network's last features.

    The old channels are those of the part itself, untouched. A new channel is the log-odds of its class against all
    old ones together, so that it needs not know how large this network's logits are (see `grown_classes`); before
    tuning it is `SILENT`.

    Args:
        part: the network's own.
        features: of all voxels of the grid.
        count: of new channels.

    Attributes:
        initial: the part's values, then the new weights (count, F) and biases (count,); the weights are about features
            without their mean.
    """

    def __init__(self, part: TunedPart, features: StandardizedFeatures, count: int) -> None:
        self.part, self._features = part, features
        self._mean = features.means()
        weight = self._mean.new_zeros((count, len(self._mean)))
        self.initial = [*part.initial, weight, self._mean.new_full((count,), SILENT)]

    def columns(self, positions: np.ndarray) -> torch.Tensor:
        """What the new channels see at continuous grid positions (N, 3): (N, F), without the mean."""
        return self._features.sampled(positions) - self._mean

    def at(self, positions: np.ndarray) -> LogitsAt:
        """See `TunedPart.at`."""
        old, columns = self.part.at(positions), self.columns(positions)

        def logits(values: list[torch.Tensor]) -> torch.Tensor:
            *own, weight, bias = values
            return torch.cat([old(own), F.linear(columns, weight, bias)], dim=1)

        return logits

    def new_everywhere(self, values: list[torch.Tensor]) -> torch.Tensor:
        """The new channels only, (count, *grid shape)."""
        *_, weight, bias = values
        with torch.no_grad():
            shift = bias - weight @ self._mean
            return self._features.weighted(weight) + shift.view(-1, 1, 1, 1)

    def everywhere(self, values: list[torch.Tensor]) -> torch.Tensor:
        """See `TunedPart.everywhere`."""
        return torch.cat([self.part.everywhere(values[:-2]), self.new_everywhere(values)])


def grown_classes(known: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """Class logits (..., known + new classes), in which a new class has the probability sigmoid(its channel) if alone.

    Args:
        known: (..., classes) class logits of the network.
        new: (..., count) new channels, log-odds against all known classes together.
    """
    return torch.cat([known, known.logsumexp(dim=-1, keepdim=True) + new], dim=-1)
