"""In which form the recorded windows of one image are kept, and the tuned part that is made of them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from .extent import NotLocal
from .local import LocalTape
from .merging import Blend
from .parts import ConvolutionPart, TapePart, TunedPart
from .program import Slot
from .store import AnyTape, ConvolutionInput, TapeStore
from .tape import FrozenPrefix, Tape

log = logging.getLogger(__name__)

#: TorchScript calls the second one; the first nine arguments are the same.
_CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten._convolution.default)


class RecordedWindows:
    """Where every window is one plain convolution of its features, they stay as they are; else they become local.

    Args:
        record: runs a window by its number.
        kernel_3d: puts the axis into a convolution weight that a 2-D network lacks.
        to_grid: turns (1, C, *spatial) into (C, *window size).
        device: where the features are kept and what the part gives lies; the network may run elsewhere.
        budget: bytes for all windows together.
        notes: where sentences for the user are added.
    """

    def __init__(
        self,
        record: Callable[[int], Tape | FrozenPrefix],
        kernel_3d: Callable[[torch.Tensor], torch.Tensor],
        to_grid: Callable[[torch.Tensor], torch.Tensor],
        device: torch.device,
        budget: int,
        notes: list[str],
    ) -> None:
        self._record, self._kernel_3d, self._to_grid, self._notes = record, kernel_3d, to_grid, notes
        self._device = device
        self._store = TapeStore(self._again, budget)
        self._convolution = True
        self._tuned: list[torch.Tensor] = []

    def keep(self, i: int, tape: Tape | FrozenPrefix, tuned: list[torch.Tensor]) -> torch.Tensor | None:
        """Keep the record of window i as long as there is room; its output and features are let go.

        Returns:
            the input of the last layer (F, *its own size), in the same memory where it is kept; None where the last
            layer's input is of another kind than its output.
        """
        self._tuned = tuned
        if self._convolution and not (isinstance(tape, Tape) and _is_same_convolution(tape, tuned)):
            self._convolution = False
            self._store.clear()  # what was kept as a convolution; recorded again if it is needed
            if tuned[0].device != self._device:
                self._store.budget = 0  # tapes stay where the network runs, which has little memory: one at a time
        features = None
        if tape.features is not None and tape.features.ndim == tape.output.ndim:
            features = self._to_grid(tape.features).to(self._device)
        kept = self._reduced(tape)
        self._store.put(i, kept)
        return kept.features if isinstance(kept, ConvolutionInput) else features

    def part(self, tuned: list[torch.Tensor], blend: Blend, logits: torch.Tensor, flat_axis: int | None) -> TunedPart:
        """The tuned part once all windows are recorded; `logits` (C, *grid shape) are the initial ones."""
        initial = [p.detach().to(self._device, copy=True) for p in tuned]
        if self._convolution:
            initial[0] = self._kernel_3d(initial[0])
            bias = initial[1] if len(initial) > 1 else None
            return ConvolutionPart(initial[0], bias, lambda i: self._store[i].features, blend)
        return TapePart(
            initial, self._store, self._to_grid, blend,
            run_on=tuned[0].device, flat_axis=flat_axis, logits=logits, notes=self._notes,
        )  # fmt: skip

    def _again(self, i: int) -> AnyTape:
        with torch.no_grad():
            return self._reduced(self._record(i))

    def _reduced(self, tape: Tape | FrozenPrefix) -> AnyTape:
        if self._convolution:
            features = self._to_grid(tape.calls[0].args[0]).to(self._device)
            kept = ConvolutionInput(features.movedim(0, -1).contiguous().movedim(-1, 0))
        else:
            kept = _localized(tape, [p.detach() for p in self._tuned], self._notes)
        tape.output = tape.features = None
        return kept


def _localized(
    tape: Tape | FrozenPrefix, initial: list[torch.Tensor], notes: list[str]
) -> Tape | FrozenPrefix | LocalTape:
    """A tape that can be replayed near chosen voxels only, where that is possible."""
    if isinstance(tape, FrozenPrefix):
        return tape
    try:
        return LocalTape(tape, initial)
    except NotLocal as reason:
        if str(reason):
            note = f"Tuning computes whole windows in every step, which is slower: {reason}."
            log.warning(note)
            notes.append(note)
        return tape


def _is_same_convolution(tape: Tape, tuned: list[torch.Tensor]) -> bool:
    if len(tape.calls) != 1 or tape.calls[0].function not in _CONVOLUTIONS:
        return False
    call = tape.calls[0]
    inputs, weight, bias, stride, padding, dilation, transposed, _, groups = call.args[:9]
    slots = (weight, bias) if len(tuned) > 1 else (weight,)
    if slots != tuple(Slot(i) for i in range(len(tuned))) or (len(tuned) == 1 and bias is not None):
        return False
    same = all(p == k // 2 and k % 2 == 1 for p, k in zip(padding, tuned[0].shape[2:]))
    plain = not transposed and groups == 1 and set(stride) == {1} and set(dilation) == {1}
    return same and plain and tape.result.index == call.outputs[0] and inputs.dtype == tuned[0].dtype
