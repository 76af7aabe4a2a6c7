"""Linear interpolation of fields on a grid: at all combinations of positions along the axes, or at single voxels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch


def sample_product(field: torch.Tensor, positions: Sequence[np.ndarray]) -> torch.Tensor:
    """Linear interpolation of (C, *shape) at every combination of ascending positions along the axes.

    Args:
        field: (C, n0, n1, n2).
        positions: three arrays of continuous indices, ascending, within the grid.

    Returns:
        (C, len of each of the positions) float32.
    """
    lows, highs, fractions, needed = [], [], [], []
    for axis, position in enumerate(positions):
        low = np.floor(position).astype(np.int64)
        fraction = (position - low).astype(np.float32)
        high = np.minimum(low + (fraction > 0), field.shape[axis + 1] - 1)  # on a node its neighbor does not count
        first = int(low[0])
        needed.append(slice(first, int(high[-1]) + 1))
        lows.append(low - first)
        highs.append(high - first)
        fractions.append(fraction)
    out = field[(slice(None), *needed)].float()
    # One row for each asked voxel already: equal lengths alone would not do where positions were clamped.
    done = [not f.any() and np.array_equal(low, np.arange(n)) for f, low, n in zip(fractions, lows, out.shape[1:])]
    if all(done):
        return out.clone(memory_format=torch.contiguous_format)
    if not done[2]:
        # The last axis by a matrix product, on the small grid: gathering single voxels would crawl through memory.
        matrix = np.zeros((out.shape[3], len(lows[2])), dtype=np.float32)
        np.add.at(matrix, (lows[2], np.arange(len(lows[2]))), 1 - fractions[2])
        np.add.at(matrix, (highs[2], np.arange(len(highs[2]))), fractions[2])
        out = out.contiguous() @ torch.from_numpy(matrix).to(out.device)
    for axis in (1, 0):  # whole rows, then whole planes
        if done[axis]:
            continue
        lower = out.index_select(axis + 1, torch.from_numpy(lows[axis]).to(out.device))
        upper = out.index_select(axis + 1, torch.from_numpy(highs[axis]).to(out.device))
        fraction = torch.from_numpy(fractions[axis]).to(out.device)
        out = lower.lerp_(upper, fraction.view([-1 if a == axis else 1 for a in range(3)]))
    return out


class VoxelSampler:
    """Linear interpolation at single places, prepared once for several fields on the same grid.

    Args:
        positions: (N, 3) continuous indices within the grid.
        shape: of the grid.
        device: of the fields.
    """

    def __init__(self, positions: Sequence[np.ndarray], shape: tuple[int, ...], device: torch.device) -> None:
        rows, weights = np.zeros((8, len(positions[0])), np.int64), np.ones((8, len(positions[0])), np.float32)
        for axis, position in enumerate(positions):
            low = np.floor(position).astype(np.int64)
            fraction = (position - low).astype(np.float32)
            sides = (low, 1 - fraction), (np.minimum(low + 1, shape[axis] - 1), fraction)
            for n, corner in enumerate(itertools.product((0, 1), repeat=3)):
                index, weight = sides[corner[axis]]
                rows[n] *= shape[axis]
                rows[n] += index
                weights[n] *= weight
        self._rows = torch.from_numpy(rows).to(device)
        self._weights = torch.from_numpy(weights).to(device)[..., None]

    def __call__(self, field: torch.Tensor) -> torch.Tensor:
        """(N, C) float32 of a field (*shape, C) whose last axis is contiguous."""
        table = field.reshape(-1, field.shape[-1])
        out = table.index_select(0, self._rows[0]).float().mul_(self._weights[0])
        for rows, weights in zip(self._rows[1:], self._weights[1:]):
            out.addcmul_(table.index_select(0, rows), weights)
        return out
