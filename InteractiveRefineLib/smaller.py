"""What to try when memory runs out, or a network does not run on the card: less, then the CPU; the user is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch

from .backbone.load import Backbone
from .device import is_out_of_memory, out_of_memory_as_error, repeatable_on
from .errors import OnCpuOnlyError

log = logging.getLogger(__name__)

_CPU = torch.device("cpu")

T = TypeVar("T")

#: How often windows are halved at most; below, a network sees too little around each voxel.
_HALVINGS = 2
_ON_CPU_ONLY = (
    "This network keeps tensors on the CPU and cannot run on the graphics card (networks saved by torch.jit.trace or "
    "torch.jit.freeze may; by torch.jit.script they do not); everything is computed on the CPU, slower."
)


def run_smaller(
    work: Callable[[], T],
    backbone: Backbone,
    device: torch.device,
    use: Callable[[Backbone, torch.device, str], None],
) -> T:
    """Do the work; when memory runs out, again with less; where the network cannot use the card, again on the CPU.

    Args:
        work: may be repeated.
        use: takes the network and the device of the next attempt, and a sentence for the user.

    Raises:
        OutOfMemoryError: there is nothing smaller left to try.
        OnCpuOnlyError: it does not even run on the CPU.
    """
    with out_of_memory_as_error():
        attempts = smaller_attempts(backbone, device)
        while True:
            try:
                with repeatable_on(device):
                    return work()
            except OnCpuOnlyError:
                if device == _CPU:
                    raise
                attempt, attempts = (backbone, _CPU, _ON_CPU_ONLY), smaller_attempts(backbone, _CPU)
            except (MemoryError, RuntimeError) as error:
                attempt = next(attempts, None) if is_out_of_memory(error) else None
                if attempt is None:
                    raise
            # Here the error is gone, which kept alive what filled the memory.
            _, device, sentence = attempt
            log.warning(sentence)
            use(*attempt)


def smaller_attempts(backbone: Backbone, device: torch.device) -> Iterator[tuple[Backbone, torch.device, str]]:
    """What needs less memory than the network on a device as it is, one after the other, with a sentence for the user.

    Windows are halved along their longest sides where the network has windows and its input may have any size; then
    all is tried on the CPU, first with the windows as they were.
    """
    for where in dict.fromkeys((device, _CPU)):
        changed = backbone
        if where != device:
            yield backbone, where, "The graphics card has too little memory; everything is computed on the CPU, slower."
        for _ in range(_HALVINGS):
            halved = _halved(changed)
            if halved is None:
                break
            changed = halved
            size = " x ".join(map(str, halved.config.patch_size[: halved.config.dimensions]))
            on = "" if where.type == "cpu" else " on the graphics card"
            yield changed, where, f"Memory ran out{on}; the network's windows were halved to {size} voxels (I, J, K)."


def _halved(backbone: Backbone) -> Backbone | None:
    """The same network with half the window along the longest sides; None where that is not possible."""
    config = backbone.config
    patch = config.patch_size
    if patch is None or config.spatial_shape is not None or config.window_step is not None or 0 in patch:
        return None
    step = config.divisible_by
    longest = max(patch)
    smaller = tuple(-(-(n // 2) // step) * step if 2 * n > longest and n > 1 else n for n in patch)
    if smaller == patch or min(n for n in smaller if n > 1) < 2 * step:
        return None
    return replace(backbone, config=replace(config, patch_size=smaller))
