"""The update rules: what one step of tuning minimizes, and with which optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .optimizers import Adam, GradientDescent, Optimizer
from .problem import TuningProblem

#: Weight of the pull to the teacher at the anchors, against 1 for the strokes.
TEACHER_FACTOR = 5.0

#: Maps (problem, values, initial values, alpha) to (objective to minimize, loss to report).
Objective = Callable[
    [TuningProblem, list[torch.Tensor], list[torch.Tensor], float], "tuple[torch.Tensor, torch.Tensor]"
]


@dataclass(frozen=True)
class UpdateRule:
    """An objective with its optimizer.

    Attributes:
        objective: see `Objective`.
        optimizer: makes the optimizer from parameters and learning rate.
        learning_rate, steps: defaults.
        stop_when_satisfied: stop as soon as no stroke is violated, as Algorithm 1 does.
    """

    objective: Objective
    optimizer: Callable[[list[torch.Tensor], float], Optimizer]
    learning_rate: float
    steps: int
    stop_when_satisfied: bool


def _protected(problem, values, initial, alpha):
    """Class-balanced cross-entropy at the strokes + 5 x KL(teacher || tuned) at the anchors (measured recipe)."""
    cross_entropy = F.cross_entropy(problem.stroke_logits(values), problem.wanted, reduction="none")
    # Classes first: over a short last axis the CPU's softmax takes twenty times as long.
    log_probability = F.log_softmax(problem.anchor_logits(values).T.contiguous(), dim=0)
    divergence = F.kl_div(log_probability, problem.teacher.T.contiguous(), reduction="none").sum(dim=0)
    loss = (problem.balanced_weights() * cross_entropy).sum()
    loss = loss + TEACHER_FACTOR * (problem.anchor_weights * divergence).sum()
    return loss, loss.detach()


def _distance(values, initial):
    """||W - W_lambda|| over all tuned parameters; the tiny term only avoids 0/0 in the gradient at the first step."""
    return torch.sqrt(sum(((v - w) ** 2).sum() for v, w in zip(values, initial)) + 1e-12)


def _cross_entropy(problem, values, initial, alpha):
    """Cross-entropy at the strokes + alpha ||W - W_lambda||: equation 2 with the wanted class named."""
    loss = F.cross_entropy(problem.stroke_logits(values), problem.wanted)
    return loss + alpha * _distance(values, initial), loss.detach()


def _paper(problem, values, initial, alpha):
    """Algorithm 1 as printed (Sambaturu et al., MICCAI 2021).

    The step is g * dPsi/dW_lambda + alpha (W - W_lambda) / ||W - W_lambda||: g, the cross-entropy at the
    violated strokes, only scales the step; Psi, the log-likelihood of the current answer, is made less likely;
    and the regularizer's printed sign pushes away from W. Psi is averaged over the strokes and the anchors.
    """
    logits = torch.cat([problem.stroke_logits(values), problem.anchor_logits(values)])
    likelihood = F.log_softmax(logits, dim=1).max(dim=1).values.mean()
    stroke_logits = logits[: len(problem.wanted)].detach()
    violated = problem.violated(stroke_logits)
    g = stroke_logits.new_zeros(())
    if violated.any():
        g = F.cross_entropy(stroke_logits[violated], problem.wanted[violated])
    return g * likelihood - alpha * _distance(values, initial), g


UPDATE_RULES = {
    "protected": UpdateRule(_protected, Adam, 1e-2, 30, stop_when_satisfied=False),
    "cross-entropy": UpdateRule(_cross_entropy, Adam, 1e-2, 100, stop_when_satisfied=True),
    "paper": UpdateRule(_paper, GradientDescent, 1e-2, 100, stop_when_satisfied=True),
}
