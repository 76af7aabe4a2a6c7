"""Networks saved by torch.export: a list of tensor operations together with the weights."""

from __future__ import annotations

import itertools
import logging
import warnings
from pathlib import Path

import torch
from torch.fx.node import map_aggregate

from ..errors import BackboneError
from .config import BackboneConfig
from .exported_archive import checked_archive
from .files import file_in, first_line


class ExportedNetwork(torch.nn.Module):
    """The network of an exported program, which says so when it is given another size than it was exported for.

    Args:
        module: of the exported program.
        path: of its file, for messages.
        input_shape: the axes of its input, None where any size will do.
    """

    def __init__(self, module: torch.nn.Module, path: Path, input_shape: tuple[int | None, ...]) -> None:
        super().__init__()
        self.module = module
        self._path, self._input_shape = path, input_shape

    def train(self, mode: bool = True) -> ExportedNetwork:
        """Nothing: the mode was decided when the network was exported."""
        return self

    def _apply(self, fn, recurse=True):
        """What `to` does, also for constants and for tensors made on the way, whose device the export wrote down."""
        super()._apply(fn, recurse)
        weights = itertools.chain(self.parameters(), self.buffers())
        device = next((tensor.device for tensor in weights), torch.device("cpu"))
        for part in self.module.modules():
            for name, constant in list(vars(part).items()):
                if isinstance(constant, torch.Tensor):
                    setattr(part, name, fn(constant))
            if isinstance(part, torch.fx.GraphModule) and _make_on(device, part.graph):
                part.recompile()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, channels, *spatial) -> logits; BackboneError when its size is not the exported one."""
        if len(x.shape) != len(self._input_shape) or any(
            n is not None and n != given for n, given in zip(self._input_shape, x.shape)
        ):
            raise BackboneError(
                f"{self._path} was exported for inputs of shape {_shown(self._input_shape)}, not {_shown(x.shape)}. "
                "Set patch_size in backbone.json to that size, or export the network with dynamic_shapes."
            )
        return self.module(x)


def _make_on(device: torch.device, graph: torch.fx.Graph) -> bool:
    """Write another device into a graph; True where there was one to replace."""
    replaced = False

    def written(leaf):
        nonlocal replaced
        if not isinstance(leaf, torch.device) or leaf == device:
            return leaf
        replaced = True
        return device

    for node in graph.nodes:
        node.args, node.kwargs = map_aggregate(node.args, written), map_aggregate(node.kwargs, written)
    return replaced


def load_exported(folder: Path, name: str, config: BackboneConfig) -> torch.nn.Module:
    """The network of an exported program (.pt2), on the CPU.

    Raises:
        BackboneError: it is none, holds more than tensor operations, or was exported for another size than
            backbone.json asks for.
    """
    path = file_in(folder, name, "the network")
    archive = checked_archive(path)
    _check_size(path, archive.input_shape, config)
    quiet = logging.getLogger("torch.export")
    before = quiet.level
    quiet.setLevel(logging.ERROR)  # advice to developers, with tracebacks
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.export.load(archive.content).module()
    except Exception as error:  # whatever torch raises: damaged, or of another version
        raise BackboneError(
            f"{path} cannot be loaded by PyTorch {torch.__version__} ({first_line(error)}). Export the network again, "
            "by this version."
        ) from error
    finally:
        quiet.setLevel(before)
    return ExportedNetwork(module, path, archive.input_shape)


def _check_size(path: Path, shape: tuple[int | None, ...], config: BackboneConfig) -> None:
    if len(shape) != config.dimensions + 2:
        raise BackboneError(
            f"{path} was exported for inputs of shape {_shown(shape)}; a {config.dimensions}-D network takes "
            f"(1, channels, {'depth, ' * (config.dimensions - 2)}height, width). Check 'dimensions' in backbone.json."
        )
    if shape[0] not in (1, None) or shape[1] not in (len(config.channels), None):
        raise BackboneError(
            f"{path} was exported for inputs of shape {_shown(shape)}, but one image of {len(config.channels)} "
            f"channel(s) is (1, {len(config.channels)}, ...). Check 'channels' in backbone.json, or export it again."
        )
    fixed = shape[2:]
    if all(n is None for n in fixed):
        return
    in_2d = [code for code in config.tensor_axes if config.dimensions == 3 or code != "K"]
    along_ijk = [fixed[in_2d.index(axis)] for axis in "IJK"[: config.dimensions]]
    seen = config.patch_size or config.spatial_shape
    key = "patch_size" if config.patch_size or not seen else "spatial_shape"
    if seen is None or any(n is not None and n != given for n, given in zip(along_ijk, seen)):
        given = "is not given" if seen is None else f"is {list(seen[: config.dimensions])}"
        needed = [n if n is not None else "any" for n in along_ijk]
        raise BackboneError(
            f"{path} was exported for one size of input: set {key!r} in backbone.json to {needed} (I, J, K), or export "
            f"the network with dynamic_shapes. {key!r} {given}."
        )


def _shown(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
