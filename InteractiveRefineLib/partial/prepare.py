"""Run a backbone once on an image and keep what refining needs: initial logits, features and the tuned part."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from ..backbone.config import BackboneConfig
from ..backbone.grid import NetworkGrid, flat_axis
from ..backbone.load import Backbone
from ..device import MemoryWatch, is_out_of_memory
from ..errors import BackboneError, OnCpuOnlyError, RefineError
from ..progress import Progress, ShouldCancel, never_cancel, no_progress, raise_if_cancelled
from .layers import Layer, last_layers
from .merging import Blend
from .parts import TunedPart
from .record import TapeError
from .recorded import RecordedWindows
from .store import CACHE_BYTES
from .tape import FrozenPrefix, Tape
from .windows import WindowPlan, blend_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PreparedNetwork:
    """A network at one image.

    Attributes:
        logits: (C, *grid shape) float32 initial logits, one row per output channel.
        features: (F, *grid shape) float32 input of the last layer, or None where it has no such form.
        part: the tuned part.
        notes: sentences for the user, e.g. why the slow path was taken.
    """

    logits: torch.Tensor
    features: torch.Tensor | None
    part: TunedPart
    notes: list[str]


class _Runner:
    """Calls the network on one window, hiding that a 2-D network has no third axis."""

    def __init__(self, backbone: Backbone, shape: tuple[int, int, int], device: torch.device) -> None:
        self.network, self._device = backbone.network.to(device), device
        self.flat_axis = flat_axis(backbone.config, shape)

    def runs(self, window: torch.Tensor) -> Callable[[], Any]:
        """What runs the network on one window (C, *window)."""
        there = self.squeeze(window).to(self._device)
        return lambda: _call(self.network, there)

    def squeeze(self, window: torch.Tensor) -> torch.Tensor:
        """(C, *window) -> the network's input (1, C, *spatial)."""
        return window[None] if self.flat_axis is None else window[None].squeeze(self.flat_axis + 2)

    def to_grid(self, output: torch.Tensor) -> torch.Tensor:
        """The network's output (1, C, *spatial) -> (C, *window)."""
        return output[0] if self.flat_axis is None else output.unsqueeze(self.flat_axis + 2)[0]

    def kernel_3d(self, weight: torch.Tensor) -> torch.Tensor:
        """A convolution weight with the missing axis put in."""
        return weight if self.flat_axis is None else weight.unsqueeze(self.flat_axis + 2)


def prepare(
    backbone: Backbone,
    grid: NetworkGrid,
    image: torch.Tensor,
    layers: int = 1,
    *,
    run_on: torch.device | None = None,
    or_fewer: bool = False,
    cache_bytes: int = CACHE_BYTES,
    progress: Progress = no_progress,
    should_cancel: ShouldCancel = never_cancel,
) -> PreparedNetwork:
    """Run the network once over the image's network grid.

    Args:
        image: (channels, *grid shape) what the network shall see, in the order of the tensor axes, on the device.
        layers: how many of the last layers will be tuned.
        run_on: where the network runs; None: where the image is. All that is returned lies where the image is.
        or_fewer: all layers will do where there are fewer.
        cache_bytes: for what the windows keep; those beyond it are run again when a stroke needs them.

    Raises:
        BackboneError: the network rejects the input, or its output does not fit the classes.
        Cancelled: between two windows.
    """
    config, device = backbone.config, image.device
    runner = _Runner(backbone, grid.shape, run_on or device)
    plan = WindowPlan.of(config, grid.shape)
    size, windows = plan.size, plan.windows
    resampled = _pad(image, plan.padded, plan.before, config.padding)
    blend = Blend(windows, blend_weights(size, config.window_blend).to(device), plan.padded, grid.shape, plan.before)
    parameters = backbone.parameters()
    tuned_layers = _find_layers(backbone, runner, resampled, size, layers, or_fewer, parameters)
    note = getattr(backbone.network, "note", None)  # what the user should know of the answer
    notes: list[str] = [note] if isinstance(note, str) else []

    def inputs(i: int) -> torch.Tensor:
        return resampled[(slice(None), *windows[i].slices(size))]

    def record(i: int) -> Tape | FrozenPrefix:
        return _record(runner.runs(inputs(i)), tuned_layers, notes)

    find = partial(_last_layers, backbone.network, parameters, layers, or_fewer)
    tuned_layers, first = _record_first(runner.runs(inputs(0)), tuned_layers, find, notes)
    recorded = RecordedWindows(record, runner.kernel_3d, runner.to_grid, device, cache_bytes, notes)
    logits_of, features_of = blend.merger(), None
    for i in range(len(windows)):
        raise_if_cancelled(should_cancel)
        progress(i, len(windows), "Running the network")
        tape, first = record(i) if i else first, None
        _check_output(config, tape.output, runner.squeeze(inputs(i)))
        logits_of.add(i, runner.to_grid(tape.output).to(device))
        seen = recorded.keep(i, tape, _parameters(tuned_layers))
        if i == 0 and seen is not None:
            features_of = blend.merger(_feature_type(len(seen), plan.padded, len(windows), cache_bytes))
        if seen is None:
            features_of = None
        if features_of is not None:
            features_of.add(i, _resize(seen, size).float())
        del tape  # what of it is not kept is let go before the next window runs
    progress(len(windows), len(windows), "Running the network")
    logits = logits_of.merged().float().contiguous()
    features = features_of.merged() if features_of is not None else None
    part = recorded.part(_parameters(tuned_layers), blend, logits, runner.flat_axis)
    notes[:] = dict.fromkeys(notes)  # the part adds to this list later
    return PreparedNetwork(logits, features, part, notes)


def _call(network: torch.nn.Module, inputs: torch.Tensor) -> Any:
    watch = MemoryWatch()
    try:
        # TorchScript's optimizer would merge equal weights and fuse operations, which hides them from the tape.
        with torch.jit.optimized_execution(False), watch:
            return network(inputs.clone())  # a network may overwrite its input, which later runs read again
    except Exception as error:
        if watch.error is not None:
            raise watch.error from error
        if is_out_of_memory(error) or isinstance(error, RefineError):
            raise
        if watch.several_devices:
            raise OnCpuOnlyError(
                "The network keeps or makes tensors on the CPU whatever its input's device (torch.jit.freeze and "
                "torch.jit.trace may do that), so that it runs on the CPU only. Choose the device 'cpu', or save the "
                "network by torch.jit.script."
            ) from error
        lines = [line for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
        raise BackboneError(
            f"The network rejects an input of shape {tuple(inputs.shape)}: {lines[-1][:300]} "
            "Check dimensions, channels, divisible_by, spatial_shape and patch_size in backbone.json."
        ) from error


def _find_layers(
    backbone: Backbone,
    runner: _Runner,
    image: torch.Tensor,
    size: tuple[int, int, int],
    count: int,
    or_fewer: bool,
    parameters: list[torch.Tensor],
) -> list[Layer]:
    """The order of execution rarely depends on the input's size: try small ones first."""
    multiple = backbone.config.divisible_by
    smaller = [tuple(min(n, max(side // multiple, 2) * multiple) for n in size) for side in (16, 32)]
    for shape in dict.fromkeys((*smaller, size)):
        run = runner.runs(image[(slice(None), *(slice(0, n) for n in shape))])
        try:
            return _last_layers(runner.network, parameters, count, or_fewer and shape == size, run)
        except BackboneError:
            if shape == size:
                raise
    raise AssertionError("unreachable")


def _last_layers(
    network: torch.nn.Module, parameters: list[torch.Tensor], count: int, or_fewer: bool, run: Callable[[], Any]
) -> list[Layer]:
    """The last layers; of averaged networks those of each, the common ones last."""
    together = getattr(network, "tuned_together", None) or [parameters]
    found = [last_layers(run, members, count, or_fewer) for members in together]
    own = [layer for layers in found for layer in layers if layer.weight is not found[0][-1].weight]
    return [*own, found[0][-1]]


def _parameters(layers: list[Layer]) -> list[torch.Tensor]:
    return [p for layer in layers for p in layer.parameters]


def _record_first(
    run: Callable[[], Any], layers: list[Layer], find: Callable[[Callable[[], Any]], list[Layer]], notes: list[str]
) -> tuple[list[Layer], Tape | FrozenPrefix]:
    """Record a window and see in the same run whether the network took the path that it took at the small size.

    Args:
        find: finds the last layers by a run.
    """
    recorded, first_notes = [], []

    def record() -> torch.Tensor:
        first_notes.clear()
        recorded[:] = [_record(run, layers, first_notes)]
        return recorded[0].output

    found = find(record)
    if [id(p) for p in _parameters(found)] != [id(p) for p in _parameters(layers)]:
        return found, _record(run, found, notes)
    notes += first_notes
    return layers, recorded[0]


def _record(run: Callable[[], Any], layers: list[Layer], notes: list[str]) -> Tape | FrozenPrefix:
    tuned, last_weight = _parameters(layers), layers[-1].weight
    try:
        return Tape.record(run, tuned, last_weight)
    except TapeError as error:
        note = f"The network runs as a whole in every step, which is slower: {error}."
        log.warning(note)
        notes.append(note)
        return FrozenPrefix(run, tuned, last_weight)


def _check_output(config: BackboneConfig, output: torch.Tensor, inputs: torch.Tensor) -> None:
    if output.ndim != inputs.ndim or output.shape[0] != 1 or output.shape[2:] != inputs.shape[2:]:
        raise BackboneError(
            f"The network of {config.name!r} returns shape {tuple(output.shape)} for an input of shape "
            f"{tuple(inputs.shape)}; logits of the same spatial size are needed."
        )
    if output.shape[1] != len(config.channel_labels):
        raise BackboneError(
            f"The network of {config.name!r} has {output.shape[1]} output channels, but backbone.json names "
            f"{len(config.channel_labels)} classes. List one class per output channel, in channel order."
        )


def _pad(image: torch.Tensor, shape: tuple[int, int, int], before: tuple[int, int, int], padding: str) -> torch.Tensor:
    after = [n - m - b for n, m, b in zip(shape, image.shape[1:], before)]
    if not any(after) and not any(before):
        return image
    pads = [side for axis in (2, 1, 0) for side in (before[axis], after[axis])]
    modes = {"zero-centered": "constant", "reflect-centered": "reflect"}
    return F.pad(image[None], pads, mode=modes.get(padding, "replicate"))[0]


def _resize(features: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    if tuple(features.shape[1:]) == tuple(size):
        return features
    return F.interpolate(features[None], size=size, mode="trilinear", align_corners=False)[0]


def _feature_type(channels: int, padded: tuple[int, int, int], n_windows: int, cache: int) -> torch.dtype:
    """Half precision where the features of all windows together would take too much memory."""
    size = 4 * channels * padded[0] * padded[1] * padded[2]
    return torch.float16 if n_windows > 1 and size > cache / 2 else torch.float32
