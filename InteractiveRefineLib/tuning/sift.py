"""What grew from the strokes of a class is kept where the class is recognized, and needs to be surer farther away."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from scipy.spatial import cKDTree

from ..backbone.sampling import VoxelSampler
from ..image_state import NetworkState
from ..seeds import Seeds

#: Probability from which a voxel that grew beside a stroke is believed to be its class; farther away, more is needed.
RECOGNIZED = 0.2


def sifted(
    seeds: Seeds,
    n_strokes: int,
    classes: Iterable[int],
    probability: Callable[[int, VoxelSampler], torch.Tensor],
    state: NetworkState,
) -> Seeds:
    """The seeds without grown voxels of these classes that are not probable enough.

    Args:
        n_strokes: the first so many seeds are strokes, which always stay.
        probability: of a class at the (N,) voxels that the sampler reads fields of the network's grid at.
    """
    kept = np.ones(len(seeds.labels), dtype=bool)
    for label in classes:
        rows = n_strokes + np.flatnonzero(seeds.labels[n_strokes:] == label)
        if not len(rows):
            continue
        sampler = VoxelSampler(state.grid.positions(seeds.voxels[rows]).T, state.grid.shape, state.device)
        drawn = seeds.voxels[:n_strokes][seeds.labels[:n_strokes] == label]
        needed = needed_probability(seeds.voxels[rows], drawn, state)
        kept[rows] = probability(label, sampler).cpu().numpy() >= needed
    return Seeds(seeds.voxels[kept], seeds.labels[kept], seeds.warnings)


def needed_probability(voxels: np.ndarray, strokes: np.ndarray, state: NetworkState) -> np.ndarray:
    """(N,) probability that grown voxels (N, 3) need: the farther from their class's strokes (S, 3), the more."""
    spacing = np.array(state.frame.spacing)
    distance, _ = cKDTree(strokes * spacing).query(voxels * spacing)
    return 1 - (1 - RECOGNIZED) * np.exp(-0.5 * (distance / state.lengths.blend_sigma) ** 2)
