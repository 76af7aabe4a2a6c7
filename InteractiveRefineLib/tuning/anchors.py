"""Choose the voxels at which the tuned network should keep its answer, and how strongly each is held."""

from __future__ import annotations

import numpy as np
import torch

#: Anchors per class; the background is more varied than any organ.
BACKGROUND_ANCHORS = 3000
CLASS_ANCHORS = 750
#: Feature distance (in standard deviations) within which a voxel counts as similar to a stroked one.
SIMILARITY_SIGMA = 0.7
#: Strokes compared with each anchor at most; neighboring stroke voxels say the same.
_MAX_STROKES = 1500


def choose_anchors(labels: np.ndarray, excluded: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A stratified sample of grid voxels.

    Args:
        labels: (*grid shape) teacher's labels, 0 = background.
        excluded: (*grid shape) bool, voxels under a stroke.
        rng: seeded, so that the same input gives the same sample.

    Returns:
        (A, 3) int64 voxel indices, sorted by class.
    """
    flat = labels.reshape(-1)
    allowed = ~excluded.reshape(-1)
    chosen = []
    for label in np.flatnonzero(np.bincount(flat)):
        mask = flat == label
        mask &= allowed
        candidates = np.flatnonzero(mask)
        count = BACKGROUND_ANCHORS if label == 0 else CLASS_ANCHORS
        if len(candidates) > count:
            candidates = np.sort(rng.choice(candidates, count, replace=False))
        chosen.append(candidates)
    return np.stack(np.unravel_index(np.concatenate(chosen), labels.shape), axis=1)


def anchor_weights(similarity: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    """Weight of each anchor: small where it looks like a stroke, the same sum for every class; sum 1.

    Args:
        similarity: (A,) 1 = looks exactly like some stroked voxel, 0 = like none.
        labels: (A,) class of each anchor.
    """
    weights = 1.0 - similarity
    classes = np.unique(labels)
    for label in classes:
        members = torch.as_tensor(labels == label, device=weights.device)
        weights = torch.where(members, weights / weights[members].sum().clamp_min(1e-6), weights)
    return weights / weights.sum().clamp_min(1e-6)


def similarity_to_strokes(anchors: torch.Tensor, strokes: torch.Tensor) -> torch.Tensor:
    """exp(-min over strokes of the mean squared feature distance / 2 sigma^2), (A,), from (A, F) and (S, F)."""
    if strokes.shape[0] > _MAX_STROKES:
        step = strokes.shape[0] / _MAX_STROKES
        strokes = strokes[(torch.arange(_MAX_STROKES, device=strokes.device) * step).long()]
    if not len(strokes):
        return torch.zeros(anchors.shape[0], device=anchors.device)
    nearest = torch.full((anchors.shape[0],), float("inf"), device=anchors.device)
    for part in strokes.split(64):
        squared = torch.cdist(anchors, part).square_() / anchors.shape[1]
        nearest = torch.minimum(nearest, squared.min(dim=1).values)
    return torch.exp(-nearest / (2 * SIMILARITY_SIGMA**2))
