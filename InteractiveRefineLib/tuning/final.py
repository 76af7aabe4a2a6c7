"""The tuned network's answer, computed once after the last step, where it matters."""

from __future__ import annotations

import torch

from ..backbone.grid import Box
from ..image_state import NetworkState


def tuned_logits(state: NetworkState, values: list[torch.Tensor], region: Box | None) -> torch.Tensor:
    """Class logits (C, *grid shape) with the tuned `values`; outside a box of the grid, if given, the initial ones."""
    if region is not None and any(side.start >= side.stop for side in region):
        return state.logits
    output = state.part.everywhere(values, region).movedim(0, -1)
    tuned = state.to_classes(output.contiguous()).movedim(-1, 0)
    if region is None:
        return tuned
    everywhere = state.logits.clone()
    everywhere[(slice(None), *region)] = tuned
    return everywhere
