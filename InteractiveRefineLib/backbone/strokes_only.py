"""The backbone that is no network: it knows no class, and everything is learned from the user's strokes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import BackboneError
from ..geometry import Geometry
from ..scratch.working_grid import averaged, working_grid
from .config import BackboneConfig
from .grid import NetworkGrid
from .load import Backbone
from .preprocessing import rounded_spacing
from .read_config import CONFIG_NAME

KIND = "no network"
NAME = "No network: learn from strokes only"
_DETAILS = ("It segments nothing by itself: add segments, draw strokes in them and in the background, and refine.",)
#: Its answer is background everywhere, for which a few nodes are enough.
_NODES = 4_000


def recognizes(folder: Path) -> bool:
    """Never by itself: only a backbone.json that says so asks for it."""
    return False


def describe(folder: Path, options: dict[str, Any]) -> BackboneConfig:
    """No classes, and the channels of `options`, {"channels": [{"name": ...}, ...]}, or a single one.

    Raises:
        BackboneError: another option, or channels that are no list of names.
    """
    for key in set(options) - {"channels"}:
        raise BackboneError(f"{folder / CONFIG_NAME}: the kind 'strokes' takes no option {key!r}. Remove it.")
    said = options.get("channels", [{"name": "image"}])
    named = isinstance(said, list) and all(isinstance(entry, dict) for entry in said)
    names = [entry.get("name") for entry in said] if named else []
    if not names or not all(isinstance(name, str) and name.strip() for name in names) or len(set(names)) < len(names):
        expected = 'a list like [{"name": "FLAIR"}, {"name": "T1c"}] with different names'
        raise BackboneError(f"{folder / CONFIG_NAME}: 'channels' must be {expected}, not {json.dumps(said)}.")
    return strokes_only_config(names)


def load(folder: Path, options: dict[str, Any]) -> Backbone:
    """See `describe`; nothing is read but backbone.json."""
    return _backbone(describe(folder, options), folder)


def strokes_only(channels: tuple[str, ...] = ("image",)) -> Backbone:
    """The same without any folder, for images of these channels."""
    return _backbone(strokes_only_config(channels), Path(NAME))


def strokes_only_config(channels: tuple[str, ...] | list[str]) -> BackboneConfig:
    """The description: three axes, of which one may have a single voxel, and nothing but background."""
    return BackboneConfig(NAME, 3, tuple(channels), (), (0,))


class CoarsePreprocessing:
    """A few nodes over the whole image, in any orientation brought to LPS as it is usual."""

    def codes_by_tensor_axis(self, geometry: Geometry) -> str:
        """See `Preprocessing`."""
        return "SPL"

    def __call__(self, image: np.ndarray, geometry: Geometry, device: torch.device) -> tuple[torch.Tensor, NetworkGrid]:
        """See `Preprocessing`."""
        grid = working_grid(image.shape[1:], rounded_spacing(geometry), _NODES)
        return averaged(image, grid, device), grid


def _backbone(config: BackboneConfig, folder: Path) -> Backbone:
    network = torch.nn.Conv3d(len(config.channels), 1, 1)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
        parameter.requires_grad_(False)
    return Backbone(config, network.eval(), folder, CoarsePreprocessing(), KIND, _DETAILS)
