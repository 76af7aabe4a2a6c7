"""How much the tuned network is believed: near the fresh strokes, and far away where it is trusted."""

from __future__ import annotations

import numpy as np
import torch

from ..backbone.grid import Box, NetworkGrid
from ..geometry import box_around, padded_box
from .blend import Distances, blend_weight
from .distance import StrokeDistance

#: Spacing of the lattice on which distances are computed, in standard deviations of the weight.
_LATTICE = 0.25


def tuned_weight(
    grid: NetworkGrid,
    strokes: np.ndarray,
    stretch: np.ndarray,
    spacing: tuple[float, float, float],
    lengths: Distances,
    trust: np.ndarray | None,
) -> torch.Tensor:
    """Weight of the tuned network on its grid, (*grid shape) float32 from 0 (keep) to 1 (believe it).

    Args:
        grid: where the network's grid lies.
        strokes: (N, 3) image voxels, the fresh ones.
        stretch: (N,) how much farther than usual each acts.
        spacing: of the image, in mm.
        lengths: how far strokes act.
        trust: (*grid shape) weight far from the strokes, or None.
    """
    weight = torch.zeros(grid.shape) if trust is None else torch.from_numpy(trust.astype(np.float32))
    if not len(strokes):
        return weight
    box, region = boxes_in_reach(grid, strokes, stretch, spacing, lengths)
    distance = StrokeDistance(
        strokes, box, spacing, lengths.blend_limit, stretch, coarse_mm=_LATTICE * lengths.blend_sigma
    )
    if all(side.stop > side.start for side in region):
        index = [grid.image_positions(axis)[side] for axis, side in enumerate(region)]
        weight[region] = torch.maximum(weight[region], blend_weight(distance.at_product(index), lengths))
    return weight


def boxes_in_reach(
    grid: NetworkGrid,
    strokes: np.ndarray,
    stretch: np.ndarray,
    spacing: tuple[float, float, float],
    lengths: Distances,
) -> tuple[Box, Box]:
    """Where `tuned_weight` may be positive without trust: the box of the image, and that of the network's grid.

    Both are empty without strokes; the second also where no node is near.
    """
    if not len(strokes):
        return ((slice(0, 0),) * 3,) * 2
    box = padded_box(box_around(strokes), lengths.blend_limit * float(stretch.max()), spacing, grid.image_shape)
    nodes = []
    for axis, side in enumerate(box):
        # A node farther outside the image still counts for the voxels at its edge.
        positions = np.clip(grid.image_positions(axis), -0.999, grid.image_shape[axis] - 0.001)
        reached = np.flatnonzero((positions > side.start - 1) & (positions < side.stop))
        nodes.append(slice(int(reached[0]), int(reached[-1]) + 1) if len(reached) else slice(0, 0))
    return box, tuple(nodes)
