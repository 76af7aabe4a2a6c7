"""The kind of folder that holds a backbone.json and the network that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import BackboneError
from .config import BackboneConfig
from .load import Backbone
from .read_config import CONFIG_NAME, read_config

KIND = f"folder with {CONFIG_NAME}"


def recognizes(folder: Path) -> bool:
    """Whether the folder has a backbone.json."""
    return (folder / CONFIG_NAME).is_file()


def describe(folder: Path, options: dict[str, Any]) -> BackboneConfig:
    """What backbone.json says; BackboneError when it cannot be used."""
    for key in options:
        raise BackboneError(f"{folder / CONFIG_NAME} takes no option {key!r}; change that file instead.")
    return read_config(folder)


def load(folder: Path, options: dict[str, Any]) -> Backbone:
    """The network that backbone.json names, on the CPU; BackboneError when it cannot be used."""
    config = describe(folder, options)
    return Backbone(config, _network(folder, config), folder)


def _network(folder: Path, config: BackboneConfig) -> torch.nn.Module:
    model = config.model
    if "torchscript" in model:
        from .torchscript import load_torchscript

        return load_torchscript(folder, model["torchscript"])
    if "exported" in model:
        from .exported import load_exported

        return load_exported(folder, model["exported"], config)
    from .factory import load_factory

    return load_factory(folder, model)
