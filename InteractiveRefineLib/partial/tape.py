"""The tape: everything of a network's run on this image that depends on the tuned parameters.

For a fixed input all other values are constant. The network runs once; operations that descend from a tuned
parameter are recorded together with their constant operands, and replayed with new parameter values as often
as needed: exact, for any architecture, TorchScript included, because it sees the executed operations only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakIdKeyDictionary

from ..errors import BackboneError
from .layers import first_tensor, written_by


class TapeError(RuntimeError):
    """This network cannot be replayed exactly; use the frozen prefix instead."""


@dataclass(frozen=True)
class Slot:
    """Stands for a value that depends on the tuned parameters."""

    index: int


@dataclass(frozen=True)
class _Call:
    function: Any
    args: tuple
    kwargs: dict
    outputs: tuple[int | None, ...]


class Tape:
    """A recorded run; make one with `Tape.record`.

    Attributes:
        output: (1, C, *spatial) the network's output at the recorded parameter values; None once dropped.
        features: input of the last layer at these values, or None where it has none of the output's kind.
        calls: the recorded operations.
        result: which of their values is the output.
    """

    def __init__(self, calls: list[_Call], result: Slot, output: torch.Tensor, features: torch.Tensor | None) -> None:
        self.calls = calls
        self.result = result
        self.output: torch.Tensor | None = output
        self.features = features

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
        recorder = _Recorder(tuned, last_weight)
        with torch.no_grad(), recorder:
            output = first_tensor(run())
        result = recorder.slot_of(output)
        if result is None:
            raise TapeError("the output does not depend on the tuned parameters")
        recorder.check()
        tape = cls(recorder.calls, result, output, recorder.features)
        with torch.no_grad():
            replayed = tape.replay([p.detach() for p in tuned])
        if replayed.shape != output.shape or not torch.equal(replayed, output):
            raise TapeError("the replay differs from the recorded run")
        return tape

    def replay(self, values: list[torch.Tensor]) -> torch.Tensor:
        """The network's output (1, C, *spatial) with `values` in place of the tuned parameters; differentiable."""
        slots: dict[int, torch.Tensor] = dict(enumerate(values))

        def fill(value):
            return slots[value.index] if isinstance(value, Slot) else value

        for call in self.calls:
            args = tree_map(fill, call.args)
            kwargs = tree_map(fill, call.kwargs)
            result = call.function(*args, **kwargs)
            for index, leaf in zip(call.outputs, tree_leaves(result)):
                if index is not None:
                    slots[index] = leaf
        return slots[self.result.index]


class _Recorder(TorchDispatchMode):
    def __init__(self, tuned: list[torch.Tensor], last_weight: torch.Tensor) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        #: Why the run cannot be replayed. Raised after the run only: on the way out of the network an exception
        #: would change its type (TorchScript) or be caught.
        self.problem = ""
        self._features: tuple[torch.Tensor, int] | None = None
        self._slot = WeakIdKeyDictionary()
        self._n_slots = 0
        self._constants: list[tuple[torch.Tensor, int]] = []  # cached operands with their version
        self._last_weight = WeakIdKeyDictionary()
        self._last_weight[last_weight] = True
        for parameter in tuned:
            self._new_slot(parameter)

    @property
    def features(self) -> torch.Tensor | None:
        """Input of the last layer, unless it was overwritten later."""
        if self._features is None or self._features[0]._version != self._features[1]:
            return None
        return self._features[0]

    def slot_of(self, tensor: torch.Tensor) -> Slot | None:
        return self._slot.get(tensor)

    def _new_slot(self, tensor: torch.Tensor) -> int:
        slot = Slot(self._n_slots)
        self._slot[tensor] = slot
        self._n_slots += 1
        return slot.index

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        leaves = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        self._note_features(leaves)
        if not any(t in self._slot for t in leaves):
            output = func(*args, **kwargs)
            self._follow_last_weight(leaves, output)
            return output
        if any(t not in self._slot for t in written_by(func, args, kwargs)):
            # It would also change every other view of that tensor, which the tape does not see.
            self.problem = f"{func} writes a tuned value into a constant tensor"
        template_args, template_kwargs = tree_map(self._template, (args, kwargs))
        output = func(*args, **kwargs)
        outputs = []
        for leaf in tree_leaves(output):
            if isinstance(leaf, torch.Tensor):
                outputs.append(self._new_slot(leaf))
            elif leaf is None:
                outputs.append(None)
            else:
                # .item() on a value that depends on the weights: the network's path itself would change.
                self.problem = f"{func} reads a number out of a tuned value"
        self.calls.append(_Call(func, tuple(template_args), dict(template_kwargs), tuple(outputs)))
        self._follow_last_weight(leaves, output)
        return output

    def _template(self, value):
        if not isinstance(value, torch.Tensor):
            return value
        if value in self._slot:
            return self._slot[value]
        if value.is_inference():
            self.problem = "the network computes in inference mode"
        else:
            self._constants.append((value, value._version))
        return value

    def _note_features(self, leaves: list[torch.Tensor]) -> None:
        if any(t in self._last_weight for t in leaves):
            data = [t for t in leaves if t not in self._last_weight and t.ndim >= 4]
            if data and not data[0].is_inference():
                self._features = data[0], data[0]._version

    def _follow_last_weight(self, leaves: list[torch.Tensor], output) -> None:
        # A transposed or cast weight is still the last weight.
        if leaves and all(t in self._last_weight for t in leaves) and isinstance(output, torch.Tensor):
            self._last_weight[output] = True

    def check(self) -> None:
        if self.problem:
            raise TapeError(self.problem)
        for tensor, version in self._constants:
            if tensor._version != version:
                raise TapeError("a cached tensor was overwritten later in the run")


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
        recorder = _Recorder([], tuned[-1] if last_weight is None else last_weight)
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
