"""Load a pretrained network from a backbone folder."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import BackboneError
from .config import BackboneConfig
from .preprocessing import ConfigPreprocessing, Preprocessing
from .read_config import FOLDER_LAYOUT, read_config


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained network with its description.

    Attributes:
        config: what backbone.json says.
        network: maps (1, channels, *spatial) float32 to logits (1, classes, *spatial); in eval mode.
        folder: where it was loaded from.
        own_preprocessing: what is done to an image first, where that is not what `config` describes.
    """

    config: BackboneConfig
    network: torch.nn.Module
    folder: Path
    own_preprocessing: Preprocessing | None = None

    @property
    def preprocessing(self) -> Preprocessing:
        """From an image to the network's input."""
        return self.own_preprocessing or ConfigPreprocessing(self.config)

    @property
    def n_parameters(self) -> int:
        """Number of trainable values of the network."""
        return sum(p.numel() for p in self.parameters())

    def parameters(self) -> list[torch.Tensor]:
        """The network's weights, the very objects; those of a frozen TorchScript network are constants of its graph."""
        found = list(self.network.parameters())
        if not found and isinstance(self.network, torch.jit.ScriptModule):
            found = _graph_constants(self.network.inlined_graph)
        return found

    def describe(self) -> str:
        """Several lines for the user: what was recognized in the folder."""
        c = self.config
        grid = "the image's own spacing"
        if c.spatial_shape:
            grid = "fixed shape " + " x ".join(map(str, c.spatial_shape[: c.dimensions])) + " voxels (I, J, K)"
        elif c.spacing:
            grid = " x ".join(f"{s:g}" for s in c.spacing[: c.dimensions]) + " mm (I, J, K)"
        windows = "whole image at once"
        if c.patch_size:
            size = " x ".join(map(str, c.patch_size[: c.dimensions]))
            windows = f"windows of {size} voxels, overlap {c.overlap:.0%}"
        rule = c.intensity
        intensity = rule.rule if rule.rule == "none" else f"{rule.rule} {rule.low:g} to {rule.high:g}"
        lines = [
            f"Backbone    {c.name} ({self.folder})",
            f"Network     {c.dimensions}-D, {self.n_parameters:,} parameters, {c.activation}",
            f"Channels    {', '.join(c.channels)}",
            f"Orientation {c.axis_codes}",
            f"Grid        {grid}, crop: {c.crop.mode}; {windows}",
            f"Intensity   {intensity}",
            *([f"License     {c.license}"] if c.license else []),
            "Classes",
            "  0  background",
            *[f"  {s.label:<2} {s.name}" for s in c.classes],
        ]
        return "\n".join(lines)


def load_backbone(path: str | Path) -> Backbone:
    """Load the network described by `path`/backbone.json onto the CPU, in eval mode.

    A TorchScript file or a factory is code: load only folders you trust. Weight files are read without
    executing pickles.

    Raises:
        BackboneError: the folder, the description, the network or its weights cannot be used; the text
            names the file and says what is expected.
    """
    folder = Path(path)
    config = read_config(folder)
    if "torchscript" in config.model:
        network = _load_torchscript(folder, config.model["torchscript"])
    else:
        network = _load_factory(folder, config.model)
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return Backbone(config, network, folder)


def _file_in(folder: Path, name: str, role: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise BackboneError(f"{folder} has no {name}, which backbone.json names as {role}.\n{FOLDER_LAYOUT}")
    return path


def _load_torchscript(folder: Path, name: str) -> torch.nn.Module:
    path = _file_in(folder, name, "the network")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's advice to developers
            return torch.jit.load(str(path), map_location="cpu")
    except Exception as error:  # whatever torch raises: no archive, a truncated one, another kind of file
        raise BackboneError(
            f"{path} is not a TorchScript file ({_first_line(error)}). Save the network with "
            "torch.jit.script(...).save() or torch.jit.trace(...).save(); a plain torch.save() pickle is never "
            "opened here."
        ) from error


def _graph_constants(graph) -> list[torch.Tensor]:
    """The floating-point constants of a TorchScript graph, except running statistics."""
    nodes, pending = [], [graph]
    while pending:
        inside = list(pending.pop().nodes())
        nodes += inside
        pending += [block for node in inside for block in node.blocks()]
    statistics = set()
    for node in nodes:
        if node.kind() in ("aten::batch_norm", "aten::instance_norm"):
            statistics |= {value.debugName() for value in list(node.inputs())[3:5]}
    constants = [n for n in nodes if n.kind() == "prim::Constant" and n.hasAttribute("value")]
    constants = [n for n in constants if n.kindOf("value") == "t" and n.output().debugName() not in statistics]
    tensors = [n.t("value") for n in constants]
    return [t for t in tensors if t.is_floating_point() and t.ndim > 0]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _load_factory(folder: Path, model: dict[str, str]) -> torch.nn.Module:
    entry = model["factory"]
    module_name, _, function_name = entry.partition(":")
    if not module_name or not function_name:
        raise BackboneError(f"{folder}: the factory must be 'file.py:function' or 'module:function', not {entry!r}.")
    try:
        module = _import_from(folder, module_name)
        if not callable(getattr(module, function_name, None)):
            raise BackboneError(f"{folder}: the factory's {module_name} has no function {function_name!r}.")
        network = getattr(module, function_name)()
    except BackboneError:
        raise
    except Exception as error:  # the user's own code: any failure is theirs to read
        raise BackboneError(f"{folder}: the factory {entry!r} failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, torch.nn.Module):
        found = type(network).__name__
        raise BackboneError(f"{folder}: the factory {entry!r} must return a torch.nn.Module, not {found}.")
    if "weights" in model:
        path = _file_in(folder, model["weights"], "the weights")
        state = _read_weights(path)
        try:
            network.load_state_dict(state)
        except Exception as error:
            # The first line names only the class; the next ones say which weights.
            reason = " ".join(str(error).split())[:400]
            raise BackboneError(f"{path} does not fit the network of {entry!r}: {reason}") from error
    return network


def _import_from(folder: Path, module_name: str):
    if not module_name.endswith(".py"):
        return importlib.import_module(module_name)
    path = _file_in(folder, module_name, "the factory's file")
    # A name of its own, so that two backbone folders may both hold a network.py.
    unique = f"_interactive_refine_backbone_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(unique, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses and the like look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise BackboneError(f"{path}: reading .safetensors needs the package 'safetensors'; install it.") from error
        try:
            return load_file(str(path))
        except Exception as error:
            raise BackboneError(f"{path} is not a valid safetensors file: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch raises: a refused pickle, a truncated archive
        # torch's own text advises to switch the protection off; only what was refused is passed on.
        refused = re.search(r"[Uu]nsupported (?:global: )?GLOBAL ([\w.]+)", str(error))
        reason = f"it asks for {refused[1]}, which could execute code" if refused else _first_line(error)
        if "weights_only" in reason:
            reason = "no file of torch.save, or a damaged one"
        raise BackboneError(
            f"{path} holds no plain tensors and was not opened further ({reason}). "
            "Save weights with torch.save(network.state_dict(), path)."
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BackboneError(f"{path} must hold a state dict (name -> tensor), not a {type(state).__name__}.")
    return state
