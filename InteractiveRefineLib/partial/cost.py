"""What running a network on an image will take, in time and memory, told from one window."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves

from ..backbone.grid import NetworkGrid
from ..backbone.load import Backbone
from ..dispatch import PlainDispatchMode
from ..geometry import Geometry
from ..progress import ShouldCancel, never_cancel
from .prepare import prepare
from .store import CACHE_BYTES
from .windows import WindowPlan

#: A window that takes less than this, in seconds, is run again: the first run of a network is slower than the others.
_SHORT = 2.0
_BLOCK = 16
_CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten._convolution.default)


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes:
        grid: voxels that the network sees, in the order of its tensor axes.
        window: of them, how many it sees at once.
        windows: how often it runs.
        seconds: for all windows together, the preparation of the image included.
        memory_bytes: at most, for the network's values; the program itself and the image come on top.
        notes: sentences for the user, e.g. why tuning will be slow.
    """

    grid: tuple[int, int, int]
    window: tuple[int, int, int]
    windows: int
    seconds: float
    memory_bytes: int
    notes: list[str]


def estimate_cost(
    backbone: Backbone,
    image: np.ndarray,
    geometry: Geometry,
    layers: int = 1,
    device: torch.device | str = "cpu",
    should_cancel: ShouldCancel = never_cancel,
) -> Cost:
    """Run the middle window of an image as a refinement would, and multiply.

    Args:
        image: (C, A0, A1, A2) in the order and direction of the network's tensor axes, as `ImageFrame` turns it.
        geometry: of that image.
        layers: how many of the last layers will be tuned.

    Raises:
        BackboneError, InputError: the image does not fit the network.
    """
    device = torch.device(device)
    config = backbone.config
    start = time.perf_counter()
    with torch.no_grad():
        inputs, grid = backbone.preprocessing(image, geometry, device)
    preparing = time.perf_counter() - start
    plan = WindowPlan.of(config, grid.shape)
    window, windows = plan.size, len(plan.windows)
    middle = tuple(slice((n - min(n, w)) // 2, (n + min(n, w)) // 2) for n, w in zip(grid.shape, window))
    part = inputs[(slice(None), *middle)].contiguous()
    del inputs
    seconds, peak, kept, notes = _one_window(backbone, part, layers, should_cancel)
    # Windows' values stay as far as there is room for them, while logits and features are merged.
    channels = kept / (4 * np.prod(window))
    merging = 2 * 4 * channels * np.prod(grid.shape)
    memory = peak if windows == 1 else min(windows * kept, max(CACHE_BYTES, kept)) + max(peak - kept, merging)
    return Cost(tuple(grid.shape), window, windows, preparing + windows * seconds, int(memory), notes)


def _one_window(
    backbone: Backbone, part: torch.Tensor, layers: int, should_cancel: ShouldCancel
) -> tuple[float, int, int, list[str]]:
    """Seconds, bytes at most, bytes that stay, and notes of one window (C, *window)."""
    shape = tuple(part.shape[1:])
    grid = NetworkGrid(shape, tuple(slice(0, n) for n in shape), shape)

    def run() -> float:
        start = time.perf_counter()
        prepare(backbone, grid, part, layers, should_cancel=should_cancel)
        if part.device.type == "cuda":
            torch.cuda.synchronize(part.device)
        return time.perf_counter() - start

    with torch.no_grad():
        with _LiveBytes(part.device) as live:
            start = time.perf_counter()
            prepared = prepare(backbone, grid, part, layers, should_cancel=should_cancel)
            seconds = time.perf_counter() - start
            peak, kept, notes = live.peak, live.now(), prepared.notes
            del prepared
        if seconds < _SHORT:
            seconds = min(seconds, run())
    return seconds, peak, kept, notes


class _LiveBytes(PlainDispatchMode):
    """Adds up the memory of the tensors that exist at the same time, without asking the operating system.

    What a convolution needs for itself cannot be seen on the CPU and is estimated: oneDNN rewrites its input and its
    output with the channels in blocks of 16.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.peak = 0
        self._device = device
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def __enter__(self) -> _LiveBytes:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
        return super().__enter__()

    def now(self) -> int:
        """Bytes of the tensors that still exist."""
        if self._device.type == "cuda":
            self.peak = torch.cuda.max_memory_allocated(self._device)
            return torch.cuda.memory_allocated(self._device)
        self._storages = {key: pair for key, pair in self._storages.items() if not pair[0].expired()}
        return sum(size for _, size in self._storages.values())

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, kwargs, output)):
            if isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided:
                storage = tensor.untyped_storage()
                self._storages.setdefault(storage._cdata, (StorageWeakRef(storage), storage.nbytes()))
        if self._device.type != "cuda":
            own = _rewritten(args[0]) + _rewritten(output) if func in _CONVOLUTIONS else 0
            self.peak = max(self.peak, self.now() + own)
        return output


def _rewritten(tensor: torch.Tensor) -> int:
    """Bytes of (1, channels, *spatial) float32 with its channels in whole blocks."""
    channels = -(-tensor.shape[1] // _BLOCK) * _BLOCK
    return 4 * channels * tensor[:, 0].numel()
