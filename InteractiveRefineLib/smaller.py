"""What to try when memory runs out, or a network does not run on the card; the user is told each time."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch

from .backbone.load import Backbone
from .device import Devices, is_out_of_memory, out_of_memory_as_error, repeatable_on
from .errors import OnCpuOnlyError

log = logging.getLogger(__name__)

_CPU = torch.device("cpu")
_ALL_ON_CPU = Devices.only(_CPU)

T = TypeVar("T")

#: How often windows are halved at most; below, a network sees too little around each voxel.
_HALVINGS = 2
_ON_CPU = "The graphics card has too little memory; everything is computed on the CPU, slower."
_FIELDS_ON_CPU = (
    "Memory ran out on the graphics card; only the network runs there from now on, the rest on the CPU, slower."
)
_HALVED = (
    "Memory ran out; the network's windows were halved to {} voxels (I, J, K). It now sees less around each voxel, and "
    "its answer may be worse: crop the image instead, or close other programs, and start again."
)
_ON_CPU_ONLY = (
    "This network keeps tensors on the CPU and cannot run on the graphics card (networks saved by torch.jit.trace or "
    "torch.jit.freeze may; by torch.jit.script they do not); everything is computed on the CPU, slower."
)


def run_smaller(
    work: Callable[[], T],
    backbone: Backbone,
    devices: Devices,
    use: Callable[[Backbone, Devices, str], None],
) -> T:
    """Do the work; when memory runs out, again with less; where the network cannot use the card, again on the CPU.

    Args:
        work: may be repeated.
        use: takes the network and the devices of the next attempt, and a sentence for the user.

    Raises:
        OutOfMemoryError: there is nothing smaller left to try.
        OnCpuOnlyError: it does not even run on the CPU.
    """
    with out_of_memory_as_error():
        attempts = smaller_attempts(backbone, devices)
        while True:
            try:
                with repeatable_on(devices.network):
                    return work()
            except OnCpuOnlyError:
                if devices.network == _CPU:
                    raise
                attempt, attempts = (backbone, _ALL_ON_CPU, _ON_CPU_ONLY), smaller_attempts(backbone, _ALL_ON_CPU)
            except (MemoryError, RuntimeError) as error:
                attempt = next(attempts, None) if is_out_of_memory(error) else None
                if attempt is None:
                    raise
            # Here the error is gone, which kept alive what filled the memory, but for what tracebacks hold in circles.
            gc.collect()
            _, devices, sentence = attempt
            log.warning(sentence)
            use(*attempt)


def smaller_attempts(backbone: Backbone, devices: Devices) -> Iterator[tuple[Backbone, Devices, str]]:
    """What needs less memory than the network on its devices as it is, one after the other, each with a sentence.

    First what changes no answer: the whole image leaves the graphics card, where one window at a time stays; then all
    is tried on the CPU. Then windows are halved along their longest sides where the network has windows and its input
    may have any size. That comes last, for the network sees less around each voxel: on real networks halved windows
    took the mean Dice from .85 to .41 and from .63 to .10, too (Docs/benchmarks/less-memory.md).
    """
    if devices.network != _CPU:
        if devices.fields != _CPU:
            yield backbone, Devices(devices.network, _CPU), _FIELDS_ON_CPU
        yield backbone, _ALL_ON_CPU, _ON_CPU
    for changed, size in _with_halved_windows(backbone):
        yield changed, _ALL_ON_CPU, _HALVED.format(size)


def _with_halved_windows(backbone: Backbone) -> Iterator[tuple[Backbone, str]]:
    """The same network with smaller and smaller windows, and their size in voxels."""
    for _ in range(_HALVINGS):
        halved = _halved(backbone)
        if halved is None:
            return
        backbone = halved
        yield backbone, " x ".join(map(str, backbone.config.patch_size[: backbone.config.dimensions]))


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
