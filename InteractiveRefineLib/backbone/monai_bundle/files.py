"""The files of a MONAI bundle: which there are, and reading them as plain data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import BackboneError

METADATA = "configs/metadata.json"
#: The configuration with network and transforms, the first that exists; .yaml needs PyYAML.
_CONFIGS = tuple(f"{stem}.{ending}" for stem in ("inference", "predict") for ending in ("json", "yaml", "yml"))
#: Weights before the program: what is plain data is preferred.
_MODELS = ("model.pt", "model.ts")
_OPTIONS = {"trust": bool, "weights": str, "config": str, "paint": list}


def has_configs(folder: Path) -> bool:
    """Whether the files are there that make a folder a bundle."""
    return (folder / METADATA).is_file() and any((folder / "configs" / name).is_file() for name in _CONFIGS)


def checked_options(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The options as they are; BackboneError for an unknown one or one of the wrong type."""
    for key, value in options.items():
        if key not in _OPTIONS:
            raise BackboneError(f"{folder}: unknown option {key!r} for a MONAI bundle; known: {', '.join(_OPTIONS)}.")
        if not isinstance(value, _OPTIONS[key]):
            raise BackboneError(f"{folder}: option {key!r} must be a {_OPTIONS[key].__name__}, not {value!r}.")
    return options


def config_path(folder: Path, options: dict[str, Any]) -> Path:
    """The configuration with network and transforms."""
    return _first_of(folder / "configs", options.get("config"), _CONFIGS, ": is the bundle complete?")


def model_path(folder: Path, options: dict[str, Any]) -> Path:
    """The file with the weights."""
    advice = (
        ". The weights of MONAI's Model Zoo come with: python -m monai.bundle download --name NAME --bundle_dir FOLDER"
    )
    return _first_of(folder / "models", options.get("weights"), _MODELS, advice)


def _first_of(folder: Path, chosen: str | None, usual: tuple[str, ...], advice: str) -> Path:
    """The chosen file of a folder, else the first usual one; BackboneError, ending with `advice`, without any."""
    names = usual if chosen is None else (chosen,)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise BackboneError(f"{folder} has none of {', '.join(names)}{advice}")


def read_plain_file(path: Path) -> dict[str, Any]:
    """A JSON or YAML file as plain data; BackboneError when it is missing, damaged or no object."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise BackboneError(f"{path} cannot be read: {error}.") from error
    try:
        content = json.loads(text) if path.suffix == ".json" else _yaml(path).safe_load(text)
    except BackboneError:
        raise
    except Exception as error:  # json's or yaml's own errors, and recursion
        raise BackboneError(f"{path} is not valid {path.suffix[1:].upper()}: {error}. Correct the file.") from error
    if not isinstance(content, dict):
        raise BackboneError(f"{path} must hold one object, not a {type(content).__name__}.")
    return content


def _yaml(path: Path) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise BackboneError(f"{path}: reading YAML needs the package 'pyyaml'; install it.") from error
    return yaml
