"""nnU-Net's way from overlapping regions to labels of image voxels: interpolate first, then decide, then paint."""

from __future__ import annotations

import numpy as np
import torch

from ..grid import NetworkGrid

#: Voxels decided together, to bound memory.
_CHUNK = 4_000_000


class PaintedRegions:
    """Which region is on top at every voxel of the image, where the network's grid is another than the image's.

    Class logits made on the grid and then interpolated give nearly the same; nnU-Net decides after interpolating.

    Args:
        grid: where the network's grid lies.
    """

    def __init__(self, grid: NetworkGrid) -> None:
        self._grid = grid

    def __call__(self, logits: torch.Tensor) -> np.ndarray:
        """The channel painted last of (C, *grid shape) at every image voxel, (*image shape) int16, -1 for none."""
        painted = np.full(self._grid.image_shape, -1, dtype=np.int16)
        crop = self._grid.crop
        plane = int(np.prod([side.stop - side.start for side in crop[1:]]))
        step = max(1, _CHUNK // (plane * logits.shape[0]))
        for first in range(crop[0].start, crop[0].stop, step):
            box = (slice(first, min(first + step, crop[0].stop)), *crop[1:])
            inside = (self._grid.sample_box(logits, box) > 0).cpu().numpy()  # a probability above one half
            for channel, region in enumerate(inside):
                painted[box][region] = channel
        return painted
