"""How far strokes carry in this image, decided by the strokes themselves: some are held out, and must be predicted."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from ..progress import ShouldCancel, never_cancel
from .head import StrokeHead
from .look import Look
from .walk import pull_of, walked

#: What the usual length is tried to be multiplied by.
FACTORS = (0.7, 1.0, 1.4, 2.0)
#: By how much the best must predict held-out strokes better than the usual length, in the mean logarithm of the
#: probability of their class.
WORTHWHILE = 0.08
#: How often a part of the strokes is held out, each stroke once.
FOLDS = 3
#: Nodes of the grid on which the trials run.
TRIAL_NODES = 40_000
#: No held-out voxel counts as less likely: a single surprise must not decide.
_UNLIKELY = 0.02


def best_factor(
    look: Look,
    voxels: np.ndarray,
    classes: np.ndarray,
    n_classes: int,
    length: float,
    seed: int = 0,
    should_cancel: ShouldCancel = never_cancel,
) -> float:
    """The factor of the length with which held-out strokes are predicted best; 1 where nothing can be held out.

    A small structure of low contrast wants strokes that act nearby, a large organ wants them to be carried far: which
    it is can be told once a class has two strokes, as one of them must then be found from the other.

    Args:
        look: at the image, on a coarse grid.
        voxels: (S, 3) image voxels with a stroke.
        classes: (S,) their classes, 0 = background.
        n_classes: with background.
        length: the usual one, see `pull_of`.
        seed: of the head's samples.

    Raises:
        Cancelled.
    """
    look = look.listening_to(voxels, classes)
    nodes, of_node = look.marked(voxels, classes, n_classes)
    strokes = _strokes(nodes, of_node, n_classes, look.grid.shape)
    score, count = np.zeros(len(FACTORS)), 0
    for fold in range(FOLDS):
        held_out = [stroke for number, stroke in enumerate(strokes) if number % FOLDS == fold]
        kept = np.ones(len(nodes), dtype=bool)
        for stroke in held_out:
            kept[stroke] = False
        # A class of which nothing is left cannot be found again; its stroke is given back.
        left = set(of_node[kept].tolist())
        for stroke in [s for s in held_out if of_node[s[0]] not in left]:
            kept[stroke] = True
        held_out = [s for s in held_out if not kept[s[0]]]
        # With objects alone the farthest-reaching would always win, with background alone the nearest.
        if len({bool(of_node[s[0]]) for s in held_out}) == 2:
            score += _scores(look, nodes, of_node, kept, held_out, n_classes, length, seed, should_cancel)
            count += len(held_out)
    best = int(np.argmax(score))
    return FACTORS[best] if score[best] > score[FACTORS.index(1.0)] + WORTHWHILE * count else 1.0


def _strokes(nodes: np.ndarray, classes: np.ndarray, n_classes: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Rows of `nodes` per stroke: of one class and touching; class by class, background first."""
    found = []
    for label in range(n_classes):
        rows = np.flatnonzero(classes == label)
        drawn = np.zeros(shape, dtype=bool)
        drawn.reshape(-1)[nodes[rows]] = True
        parts, count = ndimage.label(drawn, structure=np.ones((3, 3, 3)))
        part = parts.reshape(-1)[nodes[rows]]
        found += [rows[part == number] for number in range(1, count + 1)]
    return found


def _scores(
    look: Look,
    nodes: np.ndarray,
    classes: np.ndarray,
    kept: np.ndarray,
    held_out: list[np.ndarray],
    n_classes: int,
    length: float,
    seed: int,
    should_cancel: ShouldCancel,
) -> np.ndarray:
    """Sum over held-out strokes of the mean log-probability of their class, for every factor."""
    marked, given = nodes[kept], classes[kept]
    unmarked = np.setdiff1d(np.arange(len(look.points)), marked, assume_unique=True)
    head = StrokeHead.fit(look.points, marked, given, n_classes, unmarked, seed, should_cancel)
    prior = head.probabilities(look.points, should_cancel)
    prior[:, marked] = F.one_hot(torch.as_tensor(given, device=prior.device), n_classes).T.float()
    fixed = torch.zeros(prior.shape[1], dtype=torch.bool, device=prior.device)
    fixed[torch.as_tensor(marked, device=prior.device)] = True
    prior, fixed = prior.view(-1, *look.grid.shape), fixed.view(look.grid.shape)
    scores = []
    for factor in FACTORS:
        pull = prior.new_full(look.grid.shape, pull_of(factor * length, look.grid.shape, look.spacing))
        solved = walked(look.intensities, look.spacing, prior, fixed, pull, look.channel_weights, should_cancel)
        logs = solved.flatten(1).clamp(_UNLIKELY, 1.0).log().cpu().numpy()
        scores.append(sum(float(logs[classes[s[0]], nodes[s]].mean()) for s in held_out))
    return np.array(scores)
