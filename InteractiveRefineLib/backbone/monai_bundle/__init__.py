"""MONAI bundles: folders with configs/, models/ and MONAI's own description of network and transforms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import has_configs

if TYPE_CHECKING:
    from ..config import BackboneConfig
    from ..load import Backbone

KIND = "MONAI bundle"


def recognizes(folder: Path) -> bool:
    """Whether the folder holds a bundle's configuration; only names of files are looked at."""
    return has_configs(folder)


def describe(folder: Path, options: dict[str, Any]) -> BackboneConfig:
    """What the bundle's files say. Nothing of the bundle is executed: no expression, no constructor, no weights.

    Raises:
        BackboneError: a file is missing or wrong; the text names file and key.
    """
    from .description import described

    return described(folder, options).config


def load(folder: Path, options: dict[str, Any]) -> Backbone:
    """The bundle's network with the bundle's own transforms and windows, on the CPU.

    Args:
        options: "trust" (False): also run what the rules of `check.py` refuse. "weights": the file in models/.
            "config": the file in configs/. "paint": names of overlapping classes, first painted to last.

    Raises:
        BackboneError: MONAI is missing, a file is missing or wrong, or the bundle asks for what is refused.
    """
    from .loading import load_bundle

    return load_bundle(folder, options)
