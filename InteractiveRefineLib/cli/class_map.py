"""`--class-map FILE`: the network's classes under the user's names, from a small JSON file."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackboneError, InputError

if TYPE_CHECKING:
    from ..backbone import Backbone


def add_class_map(parser: argparse.ArgumentParser) -> None:
    """--class-map."""
    parser.add_argument(
        "--class-map",
        metavar="FILE",
        help='JSON that merges, renames, ignores or adds classes of the network: {"liver": ["liver", "liver vessel"], '
        '"ignore": ["skin"], "add": ["cyst"]}',
    )


def read_class_map(path: str) -> dict[str, Any]:
    """The class map in a file; InputError when it cannot be read or is no JSON object."""
    from ..backbone.read_config import read_json

    if not Path(path).is_file():
        raise InputError(f"{path} is not a file. --class-map takes a JSON file with one object.")
    try:
        return read_json(Path(path))
    except BackboneError as error:
        raise InputError(str(error)) from error


def with_class_map(backbone: Backbone, path: str | None) -> Backbone:
    """The same network with the classes of --class-map.

    Raises:
        InputError: the file cannot be read, or names what the network does not know; the text names it and the key.
    """
    if path is None:
        return backbone
    from ..backbone.class_map import apply_class_map

    try:
        return replace(backbone, config=apply_class_map(backbone.config, read_class_map(path)))
    except BackboneError as error:
        raise InputError(f"{path}: {error}") from error
