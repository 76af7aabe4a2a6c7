"""The recorded windows of one image: as many as fit into memory, the others are run again when they are needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._pytree import tree_leaves

from .local import LocalTape
from .tape import FrozenPrefix, Tape

#: Memory for all windows together, where nobody chose another one; `RefineSettings.cache_gb` has the same default.
CACHE_BYTES = 4 * 2**30


@dataclass(frozen=True, eq=False)
class ConvolutionInput:
    """What is kept of a window of which one convolution is tuned and nothing follows it.

    Attributes:
        features: (F, *window size) what it sees, the channels last in memory: all of a voxel are read together.
    """

    features: torch.Tensor


#: What a window may be kept as.
AnyTape = Tape | FrozenPrefix | LocalTape | ConvolutionInput


class TapeStore:
    """Keeps tapes by the number of their window; over budget, the one that was not used for the longest time goes.

    Running a window again gives the same tape to the last bit, so the budget changes the time and nothing else. The
    window in use is kept whatever it takes.

    Args:
        record: runs the network on a window and returns its tape.
        budget: bytes.
    """

    def __init__(self, record: Callable[[int], AnyTape], budget: int) -> None:
        self.budget = budget
        self._record = record
        self._tapes: OrderedDict[int, tuple[AnyTape, int]] = OrderedDict()
        self._bytes = 0

    def put(self, number: int, tape: AnyTape) -> None:
        """Keep a tape as the latest used one."""
        if number in self._tapes:
            self._bytes -= self._tapes.pop(number)[1]
        size = bytes_of(tape)
        self._tapes[number] = (tape, size)
        self._bytes += size
        while self._bytes > self.budget and len(self._tapes) > 1:
            self._bytes -= self._tapes.popitem(last=False)[1][1]

    def __getitem__(self, number: int) -> AnyTape:
        if number not in self._tapes:
            self.put(number, self._record(number))
        self._tapes.move_to_end(number)
        return self._tapes[number][0]

    def clear(self) -> None:
        """Keep nothing."""
        self._tapes.clear()
        self._bytes = 0

    def kept(self) -> list[AnyTape]:
        """The tapes in memory, the one that was not used for the longest time first."""
        return [tape for tape, _ in self._tapes.values()]


def bytes_of(tape: AnyTape) -> int:
    """Memory of the constants that a tape keeps for its replay, each storage counted once."""
    if isinstance(tape, LocalTape):
        tape = tape.tape
    if isinstance(tape, FrozenPrefix):
        return 0
    if isinstance(tape, ConvolutionInput):
        return tape.features.untyped_storage().nbytes()
    leaves = [leaf for leaf in tree_leaves([(c.args, c.kwargs) for c in tape.calls]) if isinstance(leaf, torch.Tensor)]
    storages = {leaf.untyped_storage()._cdata: leaf.untyped_storage().nbytes() for leaf in leaves}
    return sum(storages.values())
