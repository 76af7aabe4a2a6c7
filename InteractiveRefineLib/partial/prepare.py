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
from ..backbone.grid import NetworkGrid, by_image_axis, flat_axis
from ..backbone.load import Backbone
from ..device import MemoryWatch, is_out_of_memory
from ..errors import BackboneError, RefineError
from ..progress import Progress, ShouldCancel, never_cancel, no_progress, raise_if_cancelled
from .extent import NotLocal
from .layers import Layer, last_layers
from .local import LocalTape
from .parts import Blend, ConvolutionPart, TapePart, TunedPart
from .program import Slot
from .record import TapeError
from .tape import FrozenPrefix, Tape
from .windows import blend_weights, padded_shape, plan_windows

log = logging.getLogger(__name__)

#: TorchScript calls the second one; the first nine arguments are the same.
_CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten._convolution.default)


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

    def __init__(self, backbone: Backbone, shape: tuple[int, int, int]) -> None:
        self.network = backbone.network
        self.flat_axis = flat_axis(backbone.config, shape)

    def runs(self, window: torch.Tensor) -> Callable[[], Any]:
        """What runs the network on one window (C, *window)."""
        return lambda: _call(self.network, self.squeeze(window))

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
    progress: Progress = no_progress,
    should_cancel: ShouldCancel = never_cancel,
) -> PreparedNetwork:
    """Run the network once over the image's network grid.

    Args:
        image: (channels, *grid shape) what the network shall see, in the order of the tensor axes, on the device.
        layers: how many of the last layers will be tuned.

    Raises:
        BackboneError: the network rejects the input, or its output does not fit the classes.
        Cancelled: between two windows.
    """
    config, device = backbone.config, image.device
    backbone.network.to(device)
    runner = _Runner(backbone, grid.shape)
    patch = by_image_axis(config, config.patch_size, grid.shape) if config.patch_size else None
    patch = tuple(p or n for p, n in zip(patch, grid.shape)) if patch else None
    step = by_image_axis(config, config.window_step, grid.shape) if config.window_step else None
    padded = padded_shape(grid.shape, config.divisible_by, patch, runner.flat_axis)
    before = tuple((n - m) // 2 if config.padding.endswith("-centered") else 0 for n, m in zip(padded, grid.shape))
    resampled = _pad(image, padded, before, config.padding)
    size = tuple(1 if a == runner.flat_axis else n for a, n in enumerate(patch or padded))  # slice by slice
    windows = plan_windows(padded, size, config.overlap, step)
    blend = Blend(windows, blend_weights(size, config.window_blend).to(device), padded, grid.shape, before)
    parameters = backbone.parameters()
    tuned_layers = _find_layers(backbone, runner, resampled, size, layers, parameters)
    tapes: list[Tape | FrozenPrefix] = []
    note = getattr(backbone.network, "note", None)  # what the user should know of the answer
    notes: list[str] = [note] if isinstance(note, str) else []
    for i, window in enumerate(blend.windows):
        raise_if_cancelled(should_cancel)
        progress(i, len(blend.windows), "Running the network")
        inputs = resampled[(slice(None), *window.slices(size))]
        if i == 0:
            find = partial(_last_layers, backbone.network, parameters, layers)
            tuned_layers, tape = _record_first(runner.runs(inputs), tuned_layers, find, notes)
        else:
            tape = _record(runner.runs(inputs), tuned_layers, notes)
        _check_output(config, tape.output, runner.squeeze(inputs))
        tapes.append(tape)
    progress(len(blend.windows), len(blend.windows), "Running the network")

    logits = blend.merge(lambda i: runner.to_grid(tapes[i].output)).float().contiguous()
    features = None
    if all(t.features is not None and t.features.ndim == tapes[0].output.ndim for t in tapes):
        features = blend.merge(lambda i: _resize(runner.to_grid(tapes[i].features), size)).float()
    tuned = _parameters(tuned_layers)
    part = _convolution_part(tapes, tuned, runner, blend)
    if part is None:
        initial = [p.detach().clone() for p in tuned]
        local = [_localized(tape, initial, notes) for tape in tapes]
        notes = list(dict.fromkeys(notes))
        part = TapePart(
            initial, local, runner.to_grid, blend, flat_axis=runner.flat_axis, logits=logits, notes=notes
        )  # fmt: skip
    for tape in tapes:  # merged; only what the replay needs stays in memory
        tape.output = tape.features = None
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
    parameters: list[torch.Tensor],
) -> list[Layer]:
    """The order of execution rarely depends on the input's size: try a small one first."""
    multiple = backbone.config.divisible_by
    small = tuple(min(n, max(32 // multiple, 2) * multiple) for n in size)
    for shape in dict.fromkeys((small, size)):
        run = runner.runs(image[(slice(None), *(slice(0, n) for n in shape))])
        try:
            return _last_layers(runner.network, parameters, count, run)
        except BackboneError:
            if shape == size:
                raise
    raise AssertionError("unreachable")


def _last_layers(
    network: torch.nn.Module, parameters: list[torch.Tensor], count: int, run: Callable[[], Any]
) -> list[Layer]:
    """The last layers; of averaged networks those of each, the common ones last."""
    together = getattr(network, "tuned_together", None) or [parameters]
    found = [last_layers(run, members, count) for members in together]
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


def _convolution_part(
    tapes: list[Tape | FrozenPrefix], tuned: list[torch.Tensor], runner: _Runner, blend: Blend
) -> ConvolutionPart | None:
    """The fast form, when the recorded run is one stride-1 "same" convolution in every window."""
    if not all(isinstance(tape, Tape) and _is_same_convolution(tape, tuned) for tape in tapes):
        return None
    weight = runner.kernel_3d(tuned[0].detach().clone())
    bias = tuned[1].detach().clone() if len(tuned) > 1 else None
    return ConvolutionPart(weight, bias, [runner.to_grid(tape.calls[0].args[0]) for tape in tapes], blend)


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
