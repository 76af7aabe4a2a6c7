"""The tape: everything of a network's run on this image that depends on the tuned parameters.

For a fixed input all other values are constant. The network runs once; operations that descend from a tuned
parameter are recorded together with their constant operands, and replayed with new parameter values as often
as needed: exact, for any architecture, TorchScript included, because it sees the executed operations only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakIdKeyDictionary

from .layers import first_tensor


class TapeError(RuntimeError):
    """This network cannot be replayed exactly; use the frozen prefix instead."""


@dataclass(frozen=True)
class _Slot:
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
        output: (1, C, *spatial) the network's output at the recorded parameter values.
        features: input of the last layer, or None; constant only where one layer is tuned.
        calls: the recorded operations.
    """

    def __init__(self, parameters, calls, result, output, features) -> None:
        self._n_parameters = len(parameters)
        self.calls: list[_Call] = calls
        self._result: _Slot = result
        self.output: torch.Tensor = output
        self.features: torch.Tensor | None = features

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
        recorder.check_constants()
        tape = cls(tuned, recorder.calls, result, output, recorder.features)
        with torch.no_grad():
            replayed = tape.replay([p.detach() for p in tuned])
        if replayed.shape != output.shape or not torch.equal(replayed, output):
            raise TapeError("the replay differs from the recorded run")
        return tape

    def replay(self, values: list[torch.Tensor]) -> torch.Tensor:
        """The network's output (1, C, *spatial) with `values` in place of the tuned parameters; differentiable."""
        slots: dict[int, torch.Tensor] = dict(enumerate(values))

        def fill(value):
            return slots[value.index] if isinstance(value, _Slot) else value

        for call in self.calls:
            args = tree_map(fill, call.args)
            kwargs = tree_map(fill, call.kwargs)
            result = call.function(*args, **kwargs)
            for index, leaf in zip(call.outputs, tree_leaves(result)):
                if index is not None:
                    slots[index] = leaf
        return slots[self._result.index]


class _Recorder(TorchDispatchMode):
    def __init__(self, tuned: list[torch.Tensor], last_weight: torch.Tensor) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self.features: torch.Tensor | None = None
        self._slot = WeakIdKeyDictionary()
        self._n_slots = 0
        self._constants: list[tuple[torch.Tensor, int]] = []  # cached operands with their version
        self._last_weight = WeakIdKeyDictionary()
        self._last_weight[last_weight] = True
        for parameter in tuned:
            self._new_slot(parameter)

    def slot_of(self, tensor: torch.Tensor) -> _Slot | None:
        return self._slot.get(tensor)

    def _new_slot(self, tensor: torch.Tensor) -> int:
        slot = _Slot(self._n_slots)
        self._slot[tensor] = slot
        self._n_slots += 1
        return slot.index

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        leaves = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        if not any(t in self._slot for t in leaves):
            return func(*args, **kwargs)
        self._refuse_hidden_writes(func, args, kwargs)
        self._note_features(leaves)
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
                raise TapeError(f"{func} reads a number out of a tuned value")
        self.calls.append(_Call(func, tuple(template_args), dict(template_kwargs), tuple(outputs)))
        self._follow_last_weight(leaves, output)
        return output

    def _template(self, value):
        if not isinstance(value, torch.Tensor):
            return value
        if value in self._slot:
            return self._slot[value]
        self._constants.append((value, value._version))
        return value

    def _refuse_hidden_writes(self, func, args, kwargs) -> None:
        # Writing a tuned value into a constant tensor would also change every other view of that tensor,
        # which the tape does not see.
        for index, argument in enumerate(func._schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            target = args[index] if index < len(args) else kwargs.get(argument.name)
            for tensor in tree_leaves(target):
                if isinstance(tensor, torch.Tensor) and tensor not in self._slot:
                    raise TapeError(f"{func} writes a tuned value into a constant tensor")

    def _note_features(self, leaves: list[torch.Tensor]) -> None:
        if any(t in self._last_weight for t in leaves):
            data = [t for t in leaves if t not in self._last_weight and t.ndim >= 4]
            if data:
                self.features = data[0]

    def _follow_last_weight(self, leaves: list[torch.Tensor], output) -> None:
        # A transposed or cast weight is still the last weight.
        if leaves and all(t in self._last_weight for t in leaves) and isinstance(output, torch.Tensor):
            self._last_weight[output] = True

    def check_constants(self) -> None:
        for tensor, version in self._constants:
            if tensor._version != version:
                raise TapeError("a cached tensor was overwritten later in the run")


class FrozenPrefix:
    """Fallback with the tape's interface: runs the whole network each time, gradients only in the tuned part."""

    calls: list = []

    def __init__(self, run: Callable[[], Any], tuned: list[torch.Tensor]) -> None:
        self._run, self._tuned = run, tuned
        self.features = None
        with torch.no_grad():
            self.output = first_tensor(run())

    def replay(self, values: list[torch.Tensor]) -> torch.Tensor:
        """The network's output with `values` in place of the tuned parameters; differentiable."""
        return _RunWith.apply(self._run, self._tuned, *values)


class _RunWith(torch.autograd.Function):
    """Puts values into the network's own parameters for one run, so that it works for TorchScript too."""

    @staticmethod
    def forward(ctx, run, tuned, *values):
        before = [p.detach().clone() for p in tuned]
        try:
            for parameter, value in zip(tuned, values):
                parameter.data.copy_(value)
                parameter.requires_grad_(True)
            with torch.enable_grad():
                output = first_tensor(run())
                ctx.gradients = lambda g: torch.autograd.grad(output, tuned, g, allow_unused=True, retain_graph=True)
            ctx.swap = (tuned, [v.detach().clone() for v in values], before)
            return output.detach()
        finally:
            for parameter, value in zip(tuned, before):
                parameter.data.copy_(value)
                parameter.requires_grad_(False)

    @staticmethod
    def backward(ctx, gradient):
        tuned, values, before = ctx.swap
        try:
            for parameter, value in zip(tuned, values):
                parameter.data.copy_(value)
                parameter.requires_grad_(True)
            gradients = ctx.gradients(gradient)
        finally:
            for parameter, value in zip(tuned, before):
                parameter.data.copy_(value)
                parameter.requires_grad_(False)
        zeros = [g if g is not None else torch.zeros_like(p) for g, p in zip(gradients, tuned)]
        return (None, None, *zeros)
