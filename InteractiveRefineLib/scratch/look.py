"""What an image looks like on a grid of some fineness: equalized intensities, and what the head compares."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import numpy as np
import torch

from .channels import channel_weights
from .features import equalized, filter_bank
from .head import embedded
from .working_grid import averaged, marked_nodes, node_spacing, nodes_of, working_grid

if TYPE_CHECKING:
    from ..backbone.grid import NetworkGrid
    from ..image_state import ImageFrame


def equalized_at_nodes(frame: ImageFrame, grid: NetworkGrid, device: torch.device) -> np.ndarray:
    """(C, *grid) float32, what `features.equalized` makes of every channel's means over the cells of a grid."""
    means = averaged(frame.image, grid, device).cpu().numpy()
    return np.stack([equalized(channel) for channel in means])


class Look:
    """Computed once per image and fineness.

    Args:
        frame: the image.
        device: to compute on.
        most: nodes at most.

    Attributes:
        grid: where the nodes lie.
        spacing: of the nodes in mm.
        intensities: (C, *grid) float32.
        channel_weights: (C,) float32, how much each channel counts.
        points: (N, F) what the head compares, of all nodes.
    """

    def __init__(self, frame: ImageFrame, device: torch.device, most: int) -> None:
        self.grid = working_grid(frame.shape, frame.spacing, most)
        self.spacing = node_spacing(self.grid, frame.spacing)
        self.intensities = torch.as_tensor(equalized_at_nodes(frame, self.grid, device), device=device)
        self.channel_weights = torch.ones(len(self.intensities), device=device)
        self.points = embedded(filter_bank(self.intensities, self.spacing), self.spacing)

    def listening_to(self, voxels: np.ndarray, classes: np.ndarray) -> Look:
        """The same look, in which channels count as much as they tell these strokes apart.

        Args:
            voxels: (S, 3) image voxels with a stroke.
            classes: (S,) their classes, 0 = background.
        """
        count = len(self.intensities)
        if count == 1:
            return self
        nodes = np.ravel_multi_index(tuple(nodes_of(self.grid, voxels).T), self.grid.shape)
        weights = channel_weights(self.intensities.flatten(1).cpu().numpy(), nodes, classes)
        other = copy(self)
        other.channel_weights = torch.as_tensor(weights, dtype=torch.float32, device=self.points.device)
        # The filter bank lists channel after channel, each with as many features; the place comes last.
        each = (self.points.shape[1] - 3) // count
        factors = other.channel_weights.sqrt().repeat_interleave(each)
        other.points = self.points * torch.cat([factors, factors.new_ones(3)])
        return other

    def marked(
        self, voxels: np.ndarray, classes: np.ndarray, n_classes: int, fresh: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `working_grid.marked_nodes`, on this grid."""
        return marked_nodes(self.grid, voxels, classes, n_classes, fresh)
