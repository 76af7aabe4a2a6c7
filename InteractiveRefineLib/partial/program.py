"""A list of recorded operations that can be executed again with other values of the tuned parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map


@dataclass(frozen=True)
class Slot:
    """Stands for a value that depends on the tuned parameters."""

    index: int


@dataclass(frozen=True)
class Call:
    """One recorded operation.

    Attributes:
        function: the aten operation.
        args, kwargs: its arguments, with a `Slot` for everything that depends on the tuned parameters.
        outputs: the slot of each leaf of its result, None where that is no tensor.
    """

    function: Any
    args: tuple
    kwargs: dict
    outputs: tuple[int | None, ...]

    def reads(self) -> list[int]:
        """The slots among its arguments."""
        return [leaf.index for leaf in tree_leaves((self.args, self.kwargs)) if isinstance(leaf, Slot)]


class Program:
    """Operations and which of their values is the result."""

    def __init__(self, calls: list[Call], result: Slot) -> None:
        self.calls, self.result = calls, result
        last: dict[int, int] = {}
        for number, call in enumerate(calls):
            for index in [*call.reads(), *(i for i in call.outputs if i is not None)]:
                last[index] = number
        last.pop(result.index, None)
        self._unused_after = [[i for i, n in last.items() if n == number] for number in range(len(calls))]

    def run(self, values: list[torch.Tensor]) -> torch.Tensor:
        """The result with `values` in the first slots; what no later operation reads is let go."""
        slots: dict[int, torch.Tensor] = dict(enumerate(values))
        for call, unused in zip(self.calls, self._unused_after):
            outcome = call.function(*filled(call.args, slots), **filled(call.kwargs, slots))
            for index, leaf in zip(call.outputs, tree_leaves(outcome)):
                if index is not None:
                    slots[index] = leaf
            del outcome
            for index in unused:
                del slots[index]
        return slots[self.result.index]


def filled(value: Any, slots: dict[int, torch.Tensor]) -> Any:
    """Arguments with the slots' values in them."""
    return tree_map(lambda leaf: slots[leaf.index] if isinstance(leaf, Slot) else leaf, value) if value else value
