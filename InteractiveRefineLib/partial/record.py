"""Record what of a network's run depends on the tuned parameters, so that it can be replayed without the rest.

Networks write in place, also into tensors that are constant so far or that an earlier recorded operation reads.
Memory is therefore followed by storage: what a recorded operation needs is copied before it is overwritten, and a
constant storage that receives a tuned value becomes a value of the tape, through which all its views are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakIdKeyDictionary

from ..dispatch import PlainDispatchMode
from .layers import written_by
from .program import Call, Slot


class TapeError(RuntimeError):
    """This network cannot be replayed exactly; use the frozen prefix instead."""


@dataclass(frozen=True)
class _Constant:
    """Stands for a constant operand while recording."""

    index: int


class Recorder(PlainDispatchMode):
    """Follows the tuned parameters through one run; `finish` gives the recorded operations."""

    def __init__(self, tuned: list[torch.Tensor], last_weight: torch.Tensor) -> None:
        super().__init__()
        #: Why the run cannot be replayed. Raised after the run only: on the way out of the network an exception
        #: would change its type (TorchScript) or be caught.
        self.problem = ""
        self._calls: list[Call] = []
        self._slot = WeakIdKeyDictionary()
        self._n_slots = 0
        self._constants: list[tuple[torch.Tensor, int]] = []  # cached operands with their version
        self._constant_of = WeakIdKeyDictionary()  # tensor -> its constant's number, while not overwritten
        self._features: int | None = None  # a constant's number
        self._tuned_storages = {_storage(p) for p in tuned}
        #: Storages that were constant until a tuned value was written into them: the slot of a copy of all of it, and
        #: a tensor that keeps the storage alive, for a number may be given again to another one.
        self._written: dict[int, tuple[Slot, torch.Tensor]] = {}
        self._last_weight = WeakIdKeyDictionary()
        self._last_weight[last_weight] = True
        for parameter in tuned:
            self._new_slot(parameter)

    @property
    def features(self) -> torch.Tensor | None:
        """Input of the last layer as that layer saw it."""
        if self._features is None:
            return None
        tensor, version = self._constants[self._features]
        return tensor if tensor._version == version else None

    def finish(self, output: torch.Tensor) -> tuple[list[Call], Slot]:
        """The recorded operations and the slot of `output`.

        Raises:
            TapeError: they cannot be replayed.
        """
        result = self._as_slot(output)
        if result is None:
            raise TapeError("the output does not depend on the tuned parameters")
        if self.problem:
            raise TapeError(self.problem)
        if any(tensor._version != version for tensor, version in self._constants):
            raise TapeError("a cached tensor was overwritten later in the run")

        def resolve(value):
            return self._constants[value.index][0] if isinstance(value, _Constant) else value

        def resolved(call: Call) -> Call:
            return Call(call.function, tree_map(resolve, call.args), tree_map(resolve, call.kwargs), call.outputs)

        return [resolved(call) for call in self._calls], result

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        leaves = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        self._note_features(leaves)
        slots = [self._as_slot(t) for t in leaves]
        written = written_by(func, args, kwargs) if func._schema.is_mutable else []
        if written:
            self._before_writing(func, written, kwargs, any(slots))
            slots = [self._as_slot(t) for t in leaves]
        if not any(slots):
            output = func(*args, **kwargs)
            self._follow_last_weight(leaves, output)
            return output
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
        self._calls.append(Call(func, tuple(template_args), dict(template_kwargs), tuple(outputs)))
        self._follow_last_weight(leaves, output)
        return output

    def _new_slot(self, tensor: torch.Tensor) -> int:
        slot = Slot(self._n_slots)
        self._slot[tensor] = slot
        self._n_slots += 1
        return slot.index

    def _as_slot(self, tensor: torch.Tensor) -> Slot | None:
        """The slot that holds the tensor's value; a view of a written storage gets one now."""
        slot = self._slot.get(tensor)
        if slot is None and self._written and _storage(tensor) in self._written:
            whole, keeper = self._written[_storage(tensor)]
            if tensor.dtype != keeper.dtype:
                self.problem = f"a tensor of {keeper.dtype} with tuned values is read as {tensor.dtype}"
            view = (whole, tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset())
            slot = Slot(self._new_slot(tensor))
            self._calls.append(Call(torch.ops.aten.as_strided.default, view, {}, (slot.index,)))
        return slot

    def _before_writing(self, func, written: list[torch.Tensor], kwargs: dict, tuned_value: bool) -> None:
        """Save what will be overwritten, and take over constant storages that receive a tuned value."""
        storages = {_storage(t) for t in written}
        if storages & self._tuned_storages:
            self.problem = f"{func} writes into a tuned parameter"
            return
        for index, (tensor, version) in enumerate(self._constants):
            if _storage(tensor) in storages and tensor._version == version:
                copy = tensor.clone()
                self._constants[index] = copy, copy._version
                self._constant_of.pop(tensor, None)
        for t in written:
            if not tuned_value or t in self._slot or _storage(t) in self._written:
                continue
            if any(t is value for value in tree_leaves(kwargs)):  # autograd has no out=
                self.problem = f"{func} writes a tuned value through out="
                return
            if t.is_inference():
                self.problem = "the network computes in inference mode"
                return
            length = t.untyped_storage().nbytes() // t.element_size()
            if t.is_contiguous() and t.numel() == length:
                copy = t.clone()
                slot = Slot(self._new_slot(t))
            else:
                copy = torch.as_strided(t, (length,), (1,), 0).clone()
                slot = Slot(self._n_slots)
                self._n_slots += 1
            self._calls.append(Call(torch.ops.aten.clone.default, (self._constant(copy),), {}, (slot.index,)))
            self._written[_storage(t)] = slot, t

    def _constant(self, tensor: torch.Tensor) -> _Constant:
        index = self._constant_of.get(tensor)
        if index is None:
            index = len(self._constants)
            self._constants.append((tensor, tensor._version))
            self._constant_of[tensor] = index
        return _Constant(index)

    def _template(self, value):
        if not isinstance(value, torch.Tensor):
            return value
        slot = self._as_slot(value)
        if slot is not None:
            return slot
        if value.is_inference():
            self.problem = "the network computes in inference mode"
            return value
        return self._constant(value)

    def _note_features(self, leaves: list[torch.Tensor]) -> None:
        if any(t in self._last_weight for t in leaves):
            data = [t for t in leaves if t not in self._last_weight and t.ndim >= 4]
            if data and not data[0].is_inference():
                self._features = self._constant(data[0]).index

    def _follow_last_weight(self, leaves: list[torch.Tensor], output) -> None:
        # A transposed or cast weight is still the last weight.
        if leaves and all(t in self._last_weight for t in leaves) and isinstance(output, torch.Tensor):
            self._last_weight[output] = True


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata
