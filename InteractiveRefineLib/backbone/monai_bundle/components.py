"""Make network, transforms and inferer from a bundle's configuration with MONAI's own ConfigParser."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...errors import BackboneError
from .check import ConfigCheck
from .description import Description
from .plain import short_name

#: The image is handed over channel first and in memory, and the answer is not written to files.
_NOT_NEEDED = ("Load", "EnsureChannelFirst", "AsChannelFirst", "AddChannel", "Save", "Write", "DataStats")
_KEYS = "interactive_refine_image_keys"


@dataclass(frozen=True)
class Components:
    """The live parts of a bundle.

    Attributes:
        network: as configured, without weights; None where it was not asked for.
        preprocessing: MONAI's transforms that are applied to the image, in order.
        inferer: MONAI's inferer.
        postprocessing: MONAI's transforms that are applied to the network's output, in order; [] without any.
        image_keys: under which names the transforms expect the image or its channels.
    """

    network: torch.nn.Module | None
    preprocessing: list[Any]
    inferer: Any
    postprocessing: list[Any]
    image_keys: tuple[str, ...]


def make_components(folder: Path, description: Description, *, trust: bool, with_network: bool) -> Components:
    """Evaluate the parts of a bundle that inference needs, and no others.

    Args:
        trust: skip the check and let the bundle import what it wants, its own scripts included.
        with_network: whether the network comes from the configuration, not from a TorchScript file.

    Raises:
        BackboneError: something is missing, refused, or fails when it is made.
    """
    try:
        from monai.bundle import ConfigParser
    except ImportError as error:
        raise BackboneError(
            f"{folder} is a MONAI bundle; it needs the package 'monai' 1.4 or later. Install it: pip install monai"
        ) from error
    path = description.path
    config = copy.deepcopy(description.raw)
    config["_meta_"] = copy.deepcopy(description.metadata)
    config["bundle_root"] = str(folder)
    if not trust:
        _refuse_other_files(path, config)
    parser = ConfigParser(config)
    try:
        parser.resolve_macro_and_relative_ids()
    except Exception as error:
        raise BackboneError(f"{path}: a reference leads nowhere: {error}") from error
    full = parser.get()
    network = next((key for key in ("network_def", "network", "net") if key in full), None)
    if with_network and network is None:
        raise BackboneError(f"{path}: 'network_def' is missing; it must tell how the network is made.")
    for key in ("preprocessing", "inferer"):
        if key not in full:
            raise BackboneError(f"{path}: {key!r} is missing; it must tell what is done to the image.")
    wanted = [key for key in ("preprocessing", "inferer", "postprocessing") if key in full]
    wanted += [network] if with_network else []
    pruned = _needed(full, wanted)
    keys = [entry.get("keys") for entry in _without_files(pruned) if short_name(entry["_target_"]).startswith("LoadIm")]
    pruned[_KEYS] = keys[0] if keys else "image"
    pruned.update(_needed(full, _references(pruned[_KEYS])))
    if trust:
        pruned.update({key: value for key, value in full.items() if key in ("import", "imports")})
    else:
        ConfigCheck(path, parser.locator).check(pruned)
    small = ConfigParser(pruned)
    small.locator = parser.locator  # its table of all of MONAI takes a while
    with _own_scripts(folder, trust):
        made = {key: _made(small, key, description) for key in [*wanted, _KEYS]}
    image_keys = made[_KEYS] if isinstance(made[_KEYS], (list, tuple)) else [made[_KEYS]]
    return Components(
        network=made[network] if with_network else None,
        preprocessing=_flat(made["preprocessing"], path, "preprocessing"),
        inferer=made["inferer"],
        postprocessing=_flat(made.get("postprocessing"), path, "postprocessing"),
        image_keys=tuple(str(key) for key in image_keys),
    )


def _made(parser: Any, key: str, description: Description) -> Any:
    import monai

    path = description.path
    try:
        return parser.get_parsed_content(key)
    except Exception as error:  # whatever the bundle's constructors raise
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        made_with = description.metadata.get("monai_version", "an unknown version")
        raise BackboneError(
            f"{path}: {key!r} cannot be made: {type(cause).__name__}: {str(cause)[:300]}. The bundle was made with "
            f"MONAI {made_with}, installed is {monai.__version__}."
        ) from error


def _flat(found: Any, path: Path, key: str) -> list[Any]:
    """The transforms of a Compose, of a list, or of one transform, in order."""
    from monai.transforms import Compose

    if found is None:
        return []
    if isinstance(found, (list, tuple)):
        return [step for entry in found for step in _flat(entry, path, key)]
    if not isinstance(found, Compose):
        return [found]
    if type(found) is not Compose or found.lazy is not False:
        raise BackboneError(f"{path}: {key!r}: {type(found).__name__} with lazy or random transforms cannot be used.")
    return [step for entry in found.transforms for step in _flat(entry, path, key)]


def _references(found: Any) -> set[str]:
    """The top-level keys that a configuration refers to, directly."""
    from monai.bundle import ReferenceResolver

    if isinstance(found, dict):
        return {key for value in found.values() for key in _references(value)}
    if isinstance(found, list):
        return {key for value in found for key in _references(value)}
    if not isinstance(found, str):
        return set()
    return {reference.split("::")[0] for reference in ReferenceResolver.match_refs_pattern(found)}


def _needed(full: dict[str, Any], wanted: list[str] | set[str]) -> dict[str, Any]:
    """The wanted keys and all that they refer to."""
    todo, out = list(wanted), {}
    while todo:
        key = todo.pop()
        if key in full and key not in out:
            out[key] = full[key]
            todo += _references(full[key])
    return out


def _without_files(found: Any) -> list[dict[str, Any]]:
    """Switch off, in place, what reads, writes or looks for the channel axis; returns copies of what was there."""
    out: list[dict[str, Any]] = []
    if isinstance(found, dict) and short_name(found.get("_target_")).startswith(_NOT_NEEDED):
        out.append(dict(found))
        name = found["_target_"]
        found.clear()
        # Without arguments, which MONAI would evaluate all the same.
        found.update({"_target_": name, "_disabled_": True})
        return out
    if isinstance(found, (dict, list)):
        for value in found.values() if isinstance(found, dict) else found:
            out += _without_files(value)
    return out


def _refuse_other_files(path: Path, found: Any) -> None:
    """A "%file.json::key" makes MONAI read that file before anything could be checked."""
    if isinstance(found, (dict, list)):
        for value in found.values() if isinstance(found, dict) else found:
            _refuse_other_files(path, value)
    elif isinstance(found, str) and found.startswith("%") and "." in found:
        raise BackboneError(f"{path}: {found!r} reads another file, which was not done. Copy its content here.")


@contextmanager
def _own_scripts(folder: Path, trust: bool) -> Iterator[None]:
    """With trust, the bundle's folder is where Python looks for its `scripts`."""
    if trust:
        sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if trust:
            sys.path.remove(str(folder))
