"""Free recorded operations from the window's extent, so that they can run on a part of it.

A norm over the whole window ties every voxel to every other one. With its statistics held at their values on this
image, as an affine of each channel, a voxel depends on its neighborhood only. The same held statistics must then
serve in tuning and in the final pass. Recorded upsampling names its output's size, which becomes a factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._pytree import tree_leaves, tree_map

from .program import Call, Program, Slot, filled

#: Operations that return (output, mean, reciprocal standard deviation), with the position of their `training` flag.
_BATCH_NORMS = {"native_batch_norm": 5, "_native_batch_norm_legit": 5, "cudnn_batch_norm": 5}
_VIEWS = {"view", "_unsafe_view", "reshape", "_reshape_alias"}


class NotLocal(Exception):
    """Single voxels cannot be computed from their neighborhood; the text says why."""


@dataclass(frozen=True)
class _Upsample:
    """An upsampling operation by factors in place of the recorded output size."""

    function: Any
    factors: tuple[int, ...]

    def __call__(self, x: torch.Tensor, size: list[int], *rest, **kwargs) -> torch.Tensor:
        return self.function(x, [n * f for n, f in zip(x.shape[2:], self.factors)], *rest, **kwargs)


def frozen_norm(
    x: torch.Tensor,
    mean: torch.Tensor,
    rstd: torch.Tensor,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Normalize (B, C, *spatial) with given statistics (C,)."""
    return F.batch_norm(x, mean, rstd**-2, weight, bias, training=False, eps=0.0)


def without_extent(program: Program, values: list[torch.Tensor]) -> tuple[Program, torch.Tensor, list[torch.Size]]:
    """The program with the norms' statistics at `values` and with relative sizes.

    Returns:
        The new program, its result at `values` and the shapes of all values that are no parameter.

    Raises:
        NotLocal: statistics are used elsewhere, too.
    """
    slots: dict[int, torch.Tensor] = dict(enumerate(values))
    same: dict[int, Slot] = {}  # a view that changes nothing -> what it is a view of
    statistics: set[int] = set()
    calls: list[Call] = []
    shapes: list[torch.Size] = []
    unused_after = _unused_after(program)
    for number, call in enumerate(program.calls):
        args, kwargs = tree_map(lambda leaf: same.get(getattr(leaf, "index", -1), leaf), (call.args, call.kwargs))
        call = Call(call.function, args, kwargs, call.outputs)
        if statistics.intersection(call.reads()):
            raise NotLocal("a norm's statistics are used a second time")
        name = call.function.overloadpacket.__name__
        inputs = filled(args, slots)
        if name in _VIEWS and isinstance(args[0], Slot) and list(inputs[0].shape) == list(inputs[1]):
            same[call.outputs[0]] = args[0]
            continue
        held = _held_norm(name, call, inputs)
        if held is not None:
            statistics.update(i for i in call.outputs[1:] if i is not None)
            call, inputs = held, filled(held.args, slots)
        call = _relative(name, call, inputs)
        calls.append(call)
        for index, leaf in zip(call.outputs, tree_leaves(call.function(*inputs, **filled(call.kwargs, slots)))):
            if index is not None:
                slots[index] = leaf
                shapes.append(leaf.shape)
        for index in unused_after[number]:
            slots.pop(index, None)
    result = same.get(program.result.index, program.result)
    return Program(calls, result), slots[result.index], shapes


def _unused_after(program: Program) -> list[list[int]]:
    """The slots that no later operation reads, a view's reader counting as its source's too, after each call."""
    source: dict[int, int] = {}
    last = {program.result.index: len(program.calls)}
    for number, call in enumerate(program.calls):
        reads = [source.get(i, i) for i in call.reads()]
        if call.function.overloadpacket.__name__ in _VIEWS and reads:
            source[call.outputs[0]] = reads[0]
        for index in (*reads, *call.reads(), *call.outputs):
            if index is not None:
                last[index] = max(number, last.get(index, 0))
    last[source.get(program.result.index, program.result.index)] = len(program.calls)
    return [[i for i, n in last.items() if n == number] for number in range(len(program.calls))]


def _relative(name: str, call: Call, inputs: tuple) -> Call:
    """The call without an absolute output size."""
    if not name.startswith("upsample_") or len(inputs) < 2 or not isinstance(inputs[1], (list, tuple)):
        return call
    sides = list(zip(inputs[1], inputs[0].shape[2:]))
    if any(n % m for n, m in sides):
        return call
    return Call(_Upsample(call.function, tuple(n // m for n, m in sides)), call.args, call.kwargs, call.outputs)


def _held_norm(name: str, call: Call, inputs: tuple) -> Call | None:
    """The call that does the same with held statistics; None where it is no norm over the window."""
    x = inputs[0]
    if name == "native_group_norm":
        _, mean, rstd = call.function(*inputs, **call.kwargs)
        repeats = x.shape[1] // mean.shape[1]
        mean, rstd = (s[0].repeat_interleave(repeats) for s in (mean, rstd))
    elif name in _BATCH_NORMS:
        flag = _BATCH_NORMS[name] - (2 if call.function._overloadname == "no_stats" else 0)
        if not inputs[flag]:
            return None
        # Running statistics would be updated in place.
        untracked = [v.clone() if i in (3, 4) and isinstance(v, torch.Tensor) else v for i, v in enumerate(inputs)]
        mean, rstd = call.function(*untracked, **call.kwargs)[1:3]
    else:
        return None
    if x.shape[0] != 1 or x.ndim < 3:
        raise NotLocal("a norm runs over something else than the voxels of each channel")
    return Call(frozen_norm, (call.args[0], mean, rstd, *call.args[1:3]), {}, call.outputs[:1])
