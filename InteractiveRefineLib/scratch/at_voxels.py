"""From probabilities on the working grid to labels of the image's voxels."""

from __future__ import annotations

import numpy as np
import torch

from ..backbone.grid import Box, NetworkGrid, most_likely
from ..backbone.sampling import sample_product
from ..decoding.accept import accept_changes
from ..decoding.blend import slabs
from ..progress import ShouldCancel, never_cancel, raise_if_cancelled
from .working_grid import nodes_along


def labels_at_voxels(
    solved: torch.Tensor,
    grid: NetworkGrid,
    labels: np.ndarray,
    walking: np.ndarray,
    rows: np.ndarray,
    pairs: set[tuple[int, int]],
    region: Box,
    where: np.ndarray | None = None,
    should_cancel: ShouldCancel = never_cancel,
) -> np.ndarray:
    """New labels (*image shape): probabilities on the grid are interpolated, and changes that strokes show accepted.

    Args:
        solved: (W, *grid shape) probabilities.
        labels: (*image shape) present labels.
        walking: (W,) the label of every row, background first.
        rows: (labels,) the row of every label, 0 for those that take no part.
        pairs: changes (from, to) that are allowed.
        region: nodes outside of which nothing changes.
        where: (*grid shape) bool, only in the cells of these nodes voxels may change; None = in all.

    Raises:
        Cancelled.
    """
    out = labels.copy()
    for box in slabs(_voxels_of(region, grid)):
        raise_if_cancelled(should_cancel)
        nodes, positions = grid.nodes_around(box)
        best = most_likely(sample_product(solved[(slice(None), *nodes)], positions)).cpu().numpy()
        before = out[box]
        # The rest: background where a walking class stood, and what it was elsewhere.
        rest = np.where(rows[before] != 0, 0, before)
        proposed = np.where(best == 0, rest, walking[best])
        if where is not None:
            proposed = np.where(where[_cells_of(box, grid)], proposed, before)
        out[box] = accept_changes(before, proposed, pairs)
    return out


def _voxels_of(region: Box, grid: NetworkGrid) -> Box:
    """The image's voxels that nodes of a region have a part in by interpolation."""
    return tuple(
        slice(max(0, (s.start - 1) * n // m), min(n, -(-(s.stop + 1) * n // m)))
        for s, n, m in zip(region, grid.image_shape, grid.shape)
    )


def _cells_of(box: Box, grid: NetworkGrid) -> tuple[np.ndarray, ...]:
    """Open mesh of the nodes in whose cells the voxels of a box of the image lie."""
    return np.ix_(*(nodes_along(grid, axis, np.arange(s.start, s.stop)) for axis, s in enumerate(box)))
