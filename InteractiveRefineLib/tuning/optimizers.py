"""The two optimizers of the update rules: gradient descent and Adam (Kingma and Ba, ICLR 2015).

torch.optim does the same, to the last bit, but imports torch's compiler with the first step: one to two seconds in
which a user waits for the first refinement.
"""

from __future__ import annotations

from typing import Protocol

import torch


class Optimizer(Protocol):
    """Changes parameters in place along their gradients."""

    def zero_grad(self) -> None:
        """Forget all gradients."""

    def step(self) -> None:
        """One step along the present gradients."""


class GradientDescent:
    """p <- p - rate * gradient."""

    def __init__(self, parameters: list[torch.Tensor], rate: float) -> None:
        self._parameters, self._rate = parameters, rate

    def zero_grad(self) -> None:
        """See `Optimizer`."""
        for p in self._parameters:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """See `Optimizer`."""
        for p in self._parameters:
            if p.grad is not None:
                p.add_(p.grad, alpha=-self._rate)


class Adam(GradientDescent):
    """p <- p - rate * mean gradient / root of the mean squared gradient, both corrected for their start at zero."""

    _BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, parameters: list[torch.Tensor], rate: float) -> None:
        super().__init__(parameters, rate)
        self._means = [torch.zeros_like(p) for p in parameters]
        self._squares = [torch.zeros_like(p) for p in parameters]
        self._steps = [0] * len(parameters)

    @torch.no_grad()
    def step(self) -> None:
        """See `Optimizer`."""
        for i, (p, mean, square) in enumerate(zip(self._parameters, self._means, self._squares)):
            if p.grad is None:
                continue
            self._steps[i] += 1
            mean.lerp_(p.grad, 1 - self._BETA_1)
            square.mul_(self._BETA_2).addcmul_(p.grad, p.grad, value=1 - self._BETA_2)
            root = (1 - self._BETA_2 ** self._steps[i]) ** 0.5
            spread = (square.sqrt() / root).add_(self._EPSILON)
            p.addcdiv_(mean, spread, value=-self._rate / (1 - self._BETA_1 ** self._steps[i]))
