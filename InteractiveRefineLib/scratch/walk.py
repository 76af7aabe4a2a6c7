"""From strokes and a head's probabilities to regions: a random walk over the image, weakly pulled to the head."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from ..decoding.walker import WalkerProblem, solve_walker
from ..geometry import extent_mm
from ..progress import ShouldCancel, never_cancel

#: How sharply differences of intensity stop the walk.
BETA = 3.0


def walked(
    intensities: torch.Tensor,
    spacing: tuple[float, float, float],
    prior: torch.Tensor,
    fixed: torch.Tensor,
    pull: torch.Tensor,
    channel_weights: torch.Tensor,
    should_cancel: ShouldCancel = never_cancel,
    beta: float = BETA,
) -> torch.Tensor:
    """Probabilities (classes, *grid) of the walk.

    Args:
        intensities: (C, *grid) equalized.
        spacing: in mm.
        prior: (classes, *grid) what the walk is pulled to; at fixed nodes what it gives.
        fixed: (*grid) bool.
        pull: (*grid) how strongly, see `pull_of`.
        channel_weights: (C,) of mean one, see `channels.channel_weights`.
        beta: how sharply differences of intensity stop the walk.
    """
    problem = WalkerProblem(intensities, channel_weights, prior[:-1], pull, fixed, spacing, beta=beta)
    solved = solve_walker(problem, should_cancel=should_cancel)
    return torch.cat([solved, 1 - solved.sum(dim=0, keepdim=True)])


def pull_of(length: float, shape: tuple[int, ...], spacing: tuple[float, ...]) -> float:
    """The pull with which, in even intensities, the walk believes a stroke up to a distance and its prior beyond.

    Args:
        length: that distance as a part of the image's extent.
        shape: of the grid.
        spacing: in mm.
    """
    steps = [s for n, s in zip(shape, spacing) if n > 1] or list(spacing)
    return (min(steps) / (length * extent_mm(shape, spacing))) ** 2


def without_loose_parts(probabilities: torch.Tensor, anchored: np.ndarray) -> torch.Tensor:
    """Give to background, in place, what looks like a class but hangs together with none of its strokes.

    Args:
        probabilities: (classes, *grid), background first.
        anchored: (*grid) the class that is sure at each node (strokes, and what the user decided), 0 elsewhere.
    """
    labels = probabilities.argmax(dim=0).cpu().numpy()
    loose = np.zeros(labels.shape, dtype=bool)
    for label in range(1, len(probabilities)):
        parts, _ = ndimage.label(labels == label)
        sure = np.unique(parts[anchored == label])
        loose |= (parts > 0) & ~np.isin(parts, sure)
    where = torch.as_tensor(loose, device=probabilities.device)
    probabilities[:, where] = 0
    probabilities[0, where] = 1
    return probabilities
