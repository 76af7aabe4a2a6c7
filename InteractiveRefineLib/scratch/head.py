"""A small head that learns from strokes what classes look like and where they lie: class-balanced kernel regression.

Logistic regression over Gaussian similarities to the strokes and to a sample of unmarked voxels, which count as
background until the user says otherwise (learning from positive and unlabeled examples).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..geometry import extent_mm
from ..progress import ShouldCancel, never_cancel, raise_if_cancelled

#: Root mean square difference of features, in their spreads, at which two voxels hardly resemble each other.
FEATURE_LENGTH = 0.25
#: The same for the distance between them, as a part of the image's extent.
POSITION_LENGTH = 0.3
#: Voxels without a stroke that are looked at, and how many of them and of the strokes others are compared with.
N_UNMARKED, MOST_UNMARKED_LANDMARKS, MOST_STROKE_LANDMARKS = 1500, 150, 300
#: Voxels of one class that are learned from, of all those with a stroke. More of them teach hardly anything new, while
#: time grows with their number: a brush that marked 80,000 took half a minute.
MOST_OF_CLASS = 2000
#: Share of the unmarked voxels in the weight of the background, once it has strokes of its own.
UNMARKED_SHARE = 0.5
#: Pull of the weights to zero, against 1 for all examples together.
RIDGE = 1e-3
_STEPS = 60
_CHUNK = 20_000
_JITTER = 1e-4


def embedded(features: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
    """What the head compares, (N, F + 3): features and place, scaled so that a distance of 1 hardly resembles.

    Args:
        features: (F, *shape), each of spread one, or constant.
        spacing: in mm between neighbors along the three axes of `shape`.
    """
    shape = features.shape[1:]
    varying = max(1, int((features.flatten(1).amax(dim=1) > features.flatten(1).amin(dim=1)).sum()))
    extent = extent_mm(shape, spacing)
    axes = [
        (torch.arange(n, device=features.device, dtype=features.dtype) + 0.5) * (s / (POSITION_LENGTH * extent))
        for n, s in zip(shape, spacing)
    ]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    return torch.cat([features.flatten(1) / (varying**0.5 * FEATURE_LENGTH), place]).T.contiguous()


@dataclass(frozen=True, eq=False)
class StrokeHead:
    """A fitted head.

    Attributes:
        landmarks: (M, F) embedded voxels that others are compared with.
        weights: (M, classes) of the similarities.
        bias: (classes,).
    """

    landmarks: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def fit(
        cls,
        points: torch.Tensor,
        marked: np.ndarray,
        classes: np.ndarray,
        n_classes: int,
        unmarked: np.ndarray,
        seed: int = 0,
        should_cancel: ShouldCancel = never_cancel,
    ) -> StrokeHead:
        """Learn from marked voxels, of each class from at most `MOST_OF_CLASS`.

        Args:
            points: (N, F) embedded voxels.
            marked: (S,) rows of them with a stroke.
            classes: (S,) their classes, 0 = background.
            n_classes: with background.
            unmarked: (U,) candidates for voxels that count as background; a sample of them is taken.
            seed: of the samples.

        Raises:
            Cancelled.
        """
        random = np.random.default_rng(seed)
        if len(unmarked) > N_UNMARKED:
            unmarked = random.choice(unmarked, N_UNMARKED, replace=False)
        compared = marked
        if len(marked) > MOST_STROKE_LANDMARKS:
            compared = np.sort(random.choice(marked, MOST_STROKE_LANDMARKS, replace=False))
        learned = _some_of_each(classes, n_classes, random)
        marked, classes = marked[learned], classes[learned]
        landmarks = points[torch.as_tensor(np.concatenate([compared, unmarked[:MOST_UNMARKED_LANDMARKS]]))]
        # Nystroem: in these coordinates the plain squared length of the weights is the kernel's norm.
        kernel = similarity(landmarks, landmarks).double()
        kernel.diagonal().add_(_JITTER)
        root = torch.linalg.cholesky(kernel)
        rows = torch.as_tensor(np.concatenate([marked, unmarked]))
        columns = torch.linalg.solve_triangular(root, similarity(landmarks, points[rows]).double(), upper=False).T
        columns = F.pad(columns, (0, 1), value=1.0)
        target = torch.as_tensor(np.pad(classes, (0, len(unmarked))), device=points.device)
        amount = torch.as_tensor(_amounts(classes, n_classes, len(unmarked)), device=points.device)
        beta = _fit(columns, target, amount, n_classes, should_cancel)
        weights = torch.linalg.solve_triangular(root.T, beta[:-1], upper=True)
        return cls(landmarks, weights.float(), beta[-1].float())

    def probabilities(self, points: torch.Tensor, should_cancel: ShouldCancel = never_cancel) -> torch.Tensor:
        """(classes, N) of embedded voxels (N, F)."""
        out = points.new_empty((len(self.bias), len(points)))
        for first in range(0, len(points), _CHUNK):
            raise_if_cancelled(should_cancel)
            some = similarity(points[first : first + _CHUNK], self.landmarks) @ self.weights + self.bias
            out[:, first : first + _CHUNK] = some.softmax(dim=1).T
        return out


def similarity(some: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """(N, M) from 1 (the same) to 0, exp(-d^2 / 2) of rows (N, F) and (M, F)."""
    squares = torch.addmm((others * others).sum(dim=1)[None], some, others.T, alpha=-2)
    squares += (some * some).sum(dim=1, keepdim=True)
    return squares.clamp_min_(0).mul_(-0.5).exp_()


def _some_of_each(classes: np.ndarray, n_classes: int, random: np.random.Generator) -> np.ndarray:
    """Ascending rows of (S,) `classes`: all of a class, or a sample of `MOST_OF_CLASS` where it has more."""
    kept = []
    for label in range(n_classes):
        rows = np.flatnonzero(classes == label)
        kept.append(random.choice(rows, MOST_OF_CLASS, replace=False) if len(rows) > MOST_OF_CLASS else rows)
    return np.sort(np.concatenate(kept))


def _amounts(classes: np.ndarray, n_classes: int, n_unmarked: int) -> np.ndarray:
    """(S + U,) weight of every example: each class the same, however long its strokes are; of sum one."""
    counts = np.bincount(classes, minlength=n_classes)
    of_class = 1.0 / np.maximum(counts, 1)
    share = UNMARKED_SHARE if counts[0] else 1.0
    of_class[0] *= 1 - share
    amounts = np.concatenate([of_class[classes], np.full(n_unmarked, share / max(1, n_unmarked))])
    return amounts / amounts.sum()


def _fit(
    columns: torch.Tensor, target: torch.Tensor, amount: torch.Tensor, n_classes: int, should_cancel: ShouldCancel
) -> torch.Tensor:
    """(M + 1, classes) weights and bias of multinomial logistic regression, by L-BFGS from zero."""
    beta = columns.new_zeros((columns.shape[1], n_classes)).requires_grad_()
    wanted = F.one_hot(target, n_classes) * amount[:, None]
    optimizer = torch.optim.LBFGS([beta], max_iter=_STEPS, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        raise_if_cancelled(should_cancel)
        optimizer.zero_grad()
        loss = -(wanted * (columns @ beta).log_softmax(dim=1)).sum() + RIDGE / 2 * (beta[:-1] ** 2).sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return beta.detach()
