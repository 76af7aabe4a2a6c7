"""How much the tuned network is believed: near the fresh strokes, and far away where it is trusted and was taught."""

from __future__ import annotations

import numpy as np
import torch

from ..backbone.grid import Box, NetworkGrid
from ..geometry import box_around, padded_box
from .blend import Distances, blend_weight
from .distance import StrokeDistance

#: Share of the strokes that tuning may leave wrong with the network still believed as far as it goes, and the share
#: from which it is believed close to the strokes only: what could not be learned at the strokes was not learned beyond
#: them. (Left wrong: CT 0 to .33, nuclei 0 to .46, abdomen MR .53 to .85, brain tumor .49 to .80, hippocampus .22 to
#: .96. Right of what the blend changes beyond `UNTAUGHT_REACH`: nuclei .57 to .97, MR .68 falling to .05.)
TAUGHT, UNTAUGHT = 1 / 3, 1 / 2
#: What the user is told of such a network.
UNTAUGHT_SENTENCE = (
    "Even after tuning, the network gets half of what the strokes say wrong, so it is followed only close to them. "
    'Where the structure stands out clearly, strokes alone ("No network") may need fewer rounds.'
)
#: How far an untaught network is believed, in standard deviations of the weight.
UNTAUGHT_REACH = 1.0
#: Spacing of the lattice on which distances are computed, in standard deviations of the weight.
_LATTICE = 0.25


def belief_in(wrong_share: float) -> float:
    """How far beyond its strokes a tuned network is believed, 0 to 1.

    Args:
        wrong_share: of the strokes after tuning, see `TuningOutcome`.
    """
    return float(np.interp(wrong_share, (TAUGHT, UNTAUGHT), (1.0, 0.0)))


def tuned_weight(
    grid: NetworkGrid,
    strokes: np.ndarray,
    stretch: np.ndarray,
    spacing: tuple[float, float, float],
    lengths: Distances,
    trust: np.ndarray | None,
    belief: float = 1.0,
) -> torch.Tensor:
    """Weight of the tuned network on its grid, (*grid shape) float32 from 0 (keep) to 1 (believe it).

    Args:
        grid: where the network's grid lies.
        strokes: (N, 3) image voxels, the fresh ones.
        stretch: (N,) how much farther than usual each acts.
        spacing: of the image, in mm.
        lengths: how far strokes act.
        trust: (*grid shape) weight far from the strokes, or None.
        belief: see `belief_in`; it lessens the weight beyond `UNTAUGHT_REACH`.
    """
    weight = torch.zeros(grid.shape) if trust is None else torch.from_numpy(trust.astype(np.float32))
    if not len(strokes):
        return weight
    box, region = boxes_in_reach(grid, strokes, stretch, spacing, lengths, belief)
    distance = StrokeDistance(
        strokes, box, spacing, lengths.blend_limit, stretch, coarse_mm=_LATTICE * lengths.blend_sigma
    )
    if all(side.stop > side.start for side in region):
        index = [grid.image_positions(axis)[side] for axis, side in enumerate(region)]
        away = distance.at_product(index)
        near = blend_weight(away, lengths)
        near[away > UNTAUGHT_REACH * lengths.blend_sigma] *= belief
        weight[region] = torch.maximum(weight[region], near)
    return weight


def boxes_in_reach(
    grid: NetworkGrid,
    strokes: np.ndarray,
    stretch: np.ndarray,
    spacing: tuple[float, float, float],
    lengths: Distances,
    belief: float = 1.0,
) -> tuple[Box, Box]:
    """Where `tuned_weight` may be positive without trust: the box of the image, and that of the network's grid.

    Both are empty without strokes; the second also where no node is near.
    """
    if not len(strokes):
        return ((slice(0, 0),) * 3,) * 2
    limit = lengths.blend_limit if belief else UNTAUGHT_REACH * lengths.blend_sigma
    box = padded_box(box_around(strokes), limit * float(stretch.max()), spacing, grid.image_shape)
    nodes = []
    for axis, side in enumerate(box):
        # A node farther outside the image still counts for the voxels at its edge.
        positions = np.clip(grid.image_positions(axis), -0.999, grid.image_shape[axis] - 0.001)
        reached = np.flatnonzero((positions > side.start - 1) & (positions < side.stop))
        nodes.append(slice(int(reached[0]), int(reached[-1]) + 1) if len(reached) else slice(0, 0))
    return box, tuple(nodes)
