"""Run an update rule from the pretrained weights: at most M steps, guarded against NaN, best iterate kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from ..progress import Progress, ShouldCancel, never_cancel, no_progress, raise_if_cancelled
from ..settings import RefineSettings
from .problem import TuningProblem
from .rules import UPDATE_RULES


@dataclass(frozen=True, eq=False)
class TuningOutcome:
    """Tuned parameters and how they were found.

    Attributes:
        values: the tuned parameters, detached.
        loss_curve: the reported loss before each step and after the last one.
        violated: stroke voxels whose most likely class is still not the wanted one.
        wrong_share: what share of all stroke voxels these are, 0 to 1, every class counting the same.
        notes: sentences for the user.
    """

    values: list[torch.Tensor]
    loss_curve: list[float]
    violated: int
    wrong_share: float
    notes: list[str] = field(default_factory=list)


def number_of_steps(settings: RefineSettings) -> int:
    """How many steps tuning takes at most."""
    return UPDATE_RULES[settings.update].steps if settings.steps is None else settings.steps


def tune(
    problem: TuningProblem,
    settings: RefineSettings,
    *,
    progress: Progress = no_progress,
    should_cancel: ShouldCancel = never_cancel,
) -> TuningOutcome:
    """Algorithm 1 with the update rule of the settings, always from the pretrained weights.

    "protected" keeps the iterate with the lowest loss; the rules that exist for comparison keep their last one
    without NaN, as printed.

    Raises:
        Cancelled: at any step.
    """
    rule = UPDATE_RULES[settings.update]
    steps = number_of_steps(settings)
    rate = rule.learning_rate if settings.learning_rate is None else settings.learning_rate
    initial = [p.detach() for p in problem.part.initial]
    values = [p.clone().requires_grad_(True) for p in initial]
    optimizer = rule.optimizer(values, rate)
    best, best_loss = [p.clone() for p in initial], math.inf
    curve: list[float] = []
    notes: list[str] = []
    for step in range(steps + 1):
        raise_if_cancelled(should_cancel)
        optimizer.zero_grad()
        objective, loss = rule.objective(problem, values, initial, settings.alpha)
        reported = float(loss)
        finite = math.isfinite(reported) and math.isfinite(float(objective.detach()))
        if not finite:
            notes.append(f"Tuning became unstable after {step} steps; the last good weights were used.")
            break
        curve.append(reported)
        progress(step, steps, f"Tuning, loss {reported:.4f}")
        if rule.stop_when_satisfied or reported < best_loss:
            best, best_loss = [v.detach().clone() for v in values], reported
        if step == steps or (rule.stop_when_satisfied and not _any_violated(problem, values)):
            break
        objective.backward()
        optimizer.step()
    with torch.no_grad():
        violated = problem.violated(problem.stroke_logits(best))
        wrong_share = float(problem.balanced_weights()[violated].sum())
    return TuningOutcome(best, curve, int(violated.sum()), wrong_share, notes)


def _any_violated(problem: TuningProblem, values: list[torch.Tensor]) -> bool:
    with torch.no_grad():
        return bool(problem.violated(problem.stroke_logits(values)).any())
