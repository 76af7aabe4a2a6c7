"""Load a MONAI bundle: its network with weights, its transforms and its windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...errors import BackboneError
from ..load import Backbone
from ..torchscript import load_torchscript
from ..weights import read_plain
from .answer import OwnAnswer
from .components import make_components
from .description import described
from .files import model_path
from .paint import paint_order
from .preprocessing import BundlePreprocessing
from .windows import window_fields

#: Under which names training scripts keep the network's weights beside other things.
_STATE_KEYS = ("state_dict", "model", "network", "net", "model_state_dict")


def load_bundle(folder: Path, options: dict[str, Any]) -> Backbone:
    """See `load` of the package."""
    description = described(folder, options)
    model = model_path(folder, options)
    program = model.suffix == ".ts"
    parts = make_components(folder, description, trust=options.get("trust", False), with_network=not program)
    if program:
        network = load_torchscript(folder, model.relative_to(folder).as_posix())
    else:
        network = _with_weights(parts.network, model)
    if description.overlapping and not description.config.paint:
        order = paint_order(parts.postprocessing, len(description.config.channel_labels))
        description = description.painted(order) if order else description
    windows = window_fields(parts.inferer, description.config.dimensions, description.path)
    config = replace(description.config, **windows)
    answer = OwnAnswer(parts.postprocessing, description, parts.image_keys[0])
    preprocessing = BundlePreprocessing(
        parts.preprocessing, parts.image_keys, config, answer, description.path,
        takes_slices=type(parts.inferer).__name__ == "SliceInferer",
    )  # fmt: skip
    return Backbone(config, network.eval(), folder, preprocessing, details=description.notes)


def _with_weights(network: Any, path: Path) -> torch.nn.Module:
    if not isinstance(network, torch.nn.Module):
        raise BackboneError(f"{path}: the configuration makes a {type(network).__name__} instead of a network.")
    state = read_plain(path)
    for key in _STATE_KEYS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BackboneError(f"{path} must hold a state dict (name -> tensor), not a {type(state).__name__}.")
    try:
        network.load_state_dict(state)
    except Exception as error:
        reason = " ".join(str(error).split())[:400]
        raise BackboneError(f"{path} does not fit the network of the configuration: {reason}") from error
    return network
