"""Find the voxels that the blended logits turn over, without computing all logits of all voxels.

Most voxels cannot change: no allowed pair of labels is there, the tuned network has no weight, or the initial one is
too certain. The network's grid, some ten times coarser than the image, tells in which of its cells a change is
possible; in these the two labels of a pair are compared, and only where the challenger wins all classes are computed.
The answer is exactly that of computing everything everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ..backbone.grid import Box, NetworkGrid, most_likely
from ..backbone.sampling import sample_product
from ..constraints import distinct
from ..geometry import box_of
from ..progress import ShouldCancel, raise_if_cancelled
from .blend import CHUNK, HOLD_ACCEPTED, BlendedLogits, slabs

Pairs = set[tuple[int, int]]


def turned_over(
    logits: BlendedLogits,
    labels: np.ndarray,
    manual: np.ndarray,
    pairs: Pairs,
    should_cancel: ShouldCancel,
) -> tuple[np.ndarray, np.ndarray]:
    """Image voxels (M, 3) whose blended label differs from the present one by an allowed pair.

    Args:
        labels: (*image shape) present labels.
        manual: (*image shape) bool, where the user or another program decided the label.
        pairs: allowed changes (from, to).

    Returns:
        the voxels in array order, and their new labels (M,) int64.
    """
    pairs = {(a, b) for a, b in pairs if b < logits.n_known}  # the network cannot vote for what it does not know
    allowed = np.zeros((logits.n_classes, logits.n_classes), dtype=bool)
    for pair in pairs:
        allowed[pair] = True
    challenged = [np.empty(0, np.int64)]
    for box, (a, b) in _promising_boxes(logits, labels, pairs):
        raise_if_cancelled(should_cancel)
        mask = _challenged(logits, box, a, b)
        mask &= labels[box] == a
        found = np.unravel_index(np.flatnonzero(mask), mask.shape)  # faster than nonzero of three axes
        challenged.append(np.ravel_multi_index([i + s.start for i, s in zip(found, box)], labels.shape))
    voxels = np.stack(np.unravel_index(distinct(np.concatenate(challenged)), labels.shape), axis=1)
    proposed = [np.empty(0, np.int64)]
    for first in range(0, len(voxels), CHUNK):
        raise_if_cancelled(should_cancel)
        some = voxels[first : first + CHUNK]
        at = tuple(some.T)
        proposed.append(most_likely(logits.at(some, labels[at], manual[at])).cpu().numpy())
    new = np.concatenate(proposed)
    changed = allowed[labels[tuple(voxels.T)], new]
    return voxels[changed], new[changed]


def _promising_boxes(logits: BlendedLogits, labels: np.ndarray, pairs: Pairs) -> Iterator[tuple[Box, tuple[int, int]]]:
    """Boxes of the image, slab by slab, around the cells of the grid in which some pair might turn over.

    A change needs some corner at which tuning helped b, and some corner at which b now leads.
    """
    grid = logits.grid
    believed = box_of((logits.weight > 0).cpu().numpy())
    if believed is None:
        return
    # One node more on each side: the cells around a node that is believed.
    region = tuple(slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(believed, grid.shape))
    initial, blended = logits.initial[(slice(None), *region)], logits.field[(slice(None), *region)]
    for a, b in sorted(pairs):
        if a < logits.n_known:
            lead = blended[b] - blended[a]
            cells = _at_a_corner(lead > 0) & _at_a_corner(lead > initial[b] - initial[a])
        else:  # held by an earlier round against all that the network says
            cells = _at_a_corner(blended[b] - initial[b] > HOLD_ACCEPTED)
        yield from _boxes_of_pair(cells.cpu().numpy(), region, grid, labels, a, b)


def _boxes_of_pair(
    cells: np.ndarray, region: Box, grid: NetworkGrid, labels: np.ndarray, a: int, b: int
) -> Iterator[tuple[Box, tuple[int, int]]]:
    """Boxes around voxels with label a in cells of the region."""
    index, cell_of = [], []
    for axis, (crop, side) in enumerate(zip(grid.crop, region)):
        line = np.arange(crop.start, crop.stop)
        cell = np.floor(grid.axis_positions(axis, line)).astype(np.int64) - side.start
        inside = (cell >= 0) & (cell < side.stop - side.start)
        index.append(line[inside])
        cell_of.append(cell[inside])
    if not all(len(i) for i in index):  # a coarse image has no voxel there
        return
    whole = tuple(slice(int(i[0]), int(i[-1]) + 1) for i in index)
    for slab in slabs(whole):
        rows = np.unique(cell_of[0][slice(slab[0].start - whole[0].start, slab[0].stop - whole[0].start)])
        used = cells[rows].any(axis=0)
        lines = [np.flatnonzero(used.any(axis=1 - n)[cell_of[n + 1]]) for n in range(2)]
        if not all(len(i) for i in lines):
            continue
        sides = [slice(int(i[0]) + s.start, int(i[-1]) + 1 + s.start) for i, s in zip(lines, whole[1:])]
        box = (slab[0], *sides)
        found = box_of(labels[box] == a)
        if found is not None:
            yield tuple(slice(s.start + f.start, s.start + f.stop) for s, f in zip(box, found)), (a, b)


def _at_a_corner(nodes: torch.Tensor) -> torch.Tensor:
    """Cells, named by their lowest corner, of which some corner holds; beyond the last node there is none."""
    for axis in range(3):
        n = nodes.shape[axis]
        before = nodes
        nodes = nodes.clone()
        nodes.narrow(axis, 0, n - 1).logical_or_(before.narrow(axis, 1, n - 1))
    return nodes


def _challenged(logits: BlendedLogits, box: Box, a: int, b: int) -> np.ndarray:
    """(*box shape) bool, where b may overtake a, whatever the other classes do."""
    region, positions = logits.grid.nodes_around(box)
    initial, blended = logits.initial[(slice(None), *region)], logits.field[(slice(None), *region)]
    if a < logits.n_known:
        lead = blended[b] - blended[a]
    else:
        lead = blended[b] - initial[b] - HOLD_ACCEPTED
    # Voxels at which they are equal but for rounding are looked at exactly.
    return (sample_product(lead[None], positions)[0] > -1e-3).cpu().numpy()
