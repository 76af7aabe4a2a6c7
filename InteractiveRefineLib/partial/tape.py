"""The tape: everything of a network's run on this image that depends on the tuned parameters.

For a fixed input all other values are constant. The network runs once; operations that descend from a tuned
parameter are recorded together with their constant operands, and replayed with new parameter values as often
as needed: exact, for any architecture, TorchScript included, because it sees the executed operations only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from ..errors import BackboneError
from .layers import first_tensor
from .program import Call, Program, Slot
from .record import Recorder, TapeError


class Tape:
    """A recorded run; make one with `Tape.record`.

    Attributes:
        output: (1, C, *spatial) the network's output at the recorded parameter values; None once dropped.
        features: input of the last layer at these values, or None where it has none of the output's kind.
        calls: the recorded operations.
        result: which of their values is the output.
    """

    def __init__(self, calls: list[Call], result: Slot, output: torch.Tensor, features: torch.Tensor | None) -> None:
        self.calls = calls
        self.result = result
        self.program = Program(calls, result)
        self.output: torch.Tensor | None = output
        self.features = features
        leaves = tree_leaves([(call.args, call.kwargs) for call in calls])
        self._versions = [(leaf, leaf._version) for leaf in leaves if isinstance(leaf, torch.Tensor)]

    @classmethod
    def record(cls, run: Callable[[], Any], tuned: list[torch.Tensor], last_weight: torch.Tensor) -> Tape:
        """Run the network once and record what depends on `tuned`.

        Args:
            run: runs the network on this image; the result's first tensor is the output.
            tuned: the parameters that will change (the very objects the network uses).
            last_weight: weight of the last layer, whose input becomes `features`.

        Raises:
            TapeError: the run cannot be replayed, or the replay differs from the run.
        """
        recorder = Recorder(tuned, last_weight)
        with torch.no_grad(), recorder:
            output = first_tensor(run())
        calls, result = recorder.finish(output)
        tape = cls(calls, result, output, recorder.features)
        if len(calls) == 1 and calls[0].outputs == (result.index,):
            return tape  # the one operation that made the output: running it again proves nothing
        with torch.no_grad():
            replayed = tape.replay([p.detach() for p in tuned])
        if replayed.shape != output.shape or not torch.equal(replayed, output):
            raise TapeError("the replay differs from the recorded run")
        return tape

    def replay(self, values: list[torch.Tensor]) -> torch.Tensor:
        """The network's output (1, C, *spatial) with `values` in place of the tuned parameters; differentiable.

        Raises:
            BackboneError: see `check_unchanged`.
        """
        self.check_unchanged()
        return self.program.run(values)

    def check_unchanged(self) -> None:
        """Raises BackboneError when something wrote into a value that the tape keeps: the answer would be wrong."""
        if any(tensor._version != version for tensor, version in self._versions):
            raise BackboneError(
                "The network's weights or activations were changed after it ran on this image. Load the image again."
            )


class FrozenPrefix:
    """Fallback with the tape's interface: runs the whole network each time, gradients only in the tuned part.

    Attributes:
        output, features: as of a tape.
    """

    def __init__(
        self, run: Callable[[], Any], tuned: list[torch.Tensor], last_weight: torch.Tensor | None = None
    ) -> None:
        """Args: last_weight as in `Tape.record`; without it there are no features."""
        self._run, self._tuned = run, tuned
        recorder = Recorder([], tuned[-1] if last_weight is None else last_weight)
        with torch.no_grad(), recorder:
            self.output: torch.Tensor | None = first_tensor(run())
        self.features = None if last_weight is None else recorder.features

    def replay(self, values: list[torch.Tensor]) -> torch.Tensor:
        """The network's output with `values` in place of the tuned parameters; differentiable.

        Raises:
            BackboneError: gradients are wanted, but the network switches them off.
        """
        wanted = torch.is_grad_enabled() and any(v.requires_grad for v in values)
        return _RunWith.apply(self._run, self._tuned, wanted, *values)


class _RunWith(torch.autograd.Function):
    """Puts values into the network's own parameters for one run, so that it works for TorchScript too."""

    @staticmethod
    def forward(ctx, run, tuned, gradients_wanted, *values):
        with _Swapped(tuned, values), torch.set_grad_enabled(gradients_wanted):
            output = first_tensor(run())
        if gradients_wanted and not output.requires_grad:
            raise BackboneError(
                "The network computes without gradients (torch.no_grad or torch.inference_mode in its forward), so "
                "that it cannot be tuned. Save it without."
            )
        # The caller may change its values in place (an optimizer does) before it asks for gradients.
        ctx.held = (tuned, [v.detach().clone() for v in values], output)
        return output.detach()

    @staticmethod
    def backward(ctx, gradient):
        tuned, values, output = ctx.held
        with _Swapped(tuned, values):  # the run's graph reads the parameters again
            found = torch.autograd.grad(output, tuned, gradient, allow_unused=True, retain_graph=True)
        zeros = [torch.zeros_like(p) if g is None else g for g, p in zip(found, tuned)]
        return (None, None, None, *zeros)


class _Swapped:
    """Other values in a network's parameters, and gradients for them, for the time of a `with` block."""

    def __init__(self, parameters: list[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
        self._parameters, self._values = parameters, values

    def __enter__(self) -> None:
        self._before = [p.detach().clone() for p in self._parameters]
        self._put(self._values, True)

    def __exit__(self, *error) -> None:
        self._put(self._before, False)

    def _put(self, values: Sequence[torch.Tensor], gradients: bool) -> None:
        for parameter, value in zip(self._parameters, values):
            parameter.data.copy_(value)  # unlike copy_ on the parameter itself, autograd does not object to this
            parameter.requires_grad_(gradients)
