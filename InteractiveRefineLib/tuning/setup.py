"""Set up tuning for one round: strokes, anchors and the teacher's answer at them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..image_state import NetworkState
from .anchors import anchor_weights, choose_anchors, similarity_to_strokes
from .problem import TuningProblem


def tuning_problem(
    state: NetworkState, labels: np.ndarray, voxels: np.ndarray, wanted: np.ndarray, seed: int
) -> TuningProblem:
    """The tuning problem of one round.

    Args:
        labels: (*image shape) present labels; the teacher is the network's initial answer, replaced by the present
            label where the two differ.
        voxels: (S, 3) image voxels of the strokes of classes that the network knows.
        wanted: (S,) their labels.
        seed: of the sample of anchors.
    """
    device, n_classes = state.device, state.logits.shape[0]
    positions = state.grid.positions(voxels)
    nearest = np.round(positions).astype(np.int64)
    present = state.on_grid(labels)
    # The network has no logits for classes it does not know: nothing to hold there.
    known = np.where(present < n_classes, present, 0)
    excluded = present >= n_classes
    excluded[tuple(nearest.T)] = True
    anchors = choose_anchors(known, excluded, np.random.default_rng(seed))
    at = tuple(torch.as_tensor(column, device=device) for column in anchors.T)
    anchor_labels = known[tuple(anchors.T)]
    initial = state.logits[(slice(None), *at)].T.softmax(dim=1)
    accepted = torch.as_tensor(anchor_labels.astype(np.int64), device=device)
    differs = accepted != torch.as_tensor(state.grid_labels[tuple(anchors.T)], device=device)
    teacher = torch.where(differs[:, None], F.one_hot(accepted, n_classes).float(), initial)

    features = state.similarity_features
    under_strokes = features.at(tuple(torch.as_tensor(c, device=device) for c in nearest.T))
    similarity = similarity_to_strokes(features.at(at), under_strokes)
    return TuningProblem(
        part=state.part,
        to_classes=state.to_classes,
        at_strokes=state.part.at(positions),
        wanted=torch.as_tensor(wanted.astype(np.int64), device=device),
        at_anchors=state.part.at(anchors.astype(np.float64)),
        teacher=teacher,
        anchor_weights=anchor_weights(similarity, anchor_labels),
    )
