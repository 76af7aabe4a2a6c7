"""Weight files, read without ever executing what hides in a pickle."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch

from ..errors import BackboneError
from .files import first_line


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """A state dict (name -> tensor) from a .safetensors file or a file of torch.save, on the CPU.

    Raises:
        BackboneError: the file holds anything else; the text says what was refused.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    state = read_plain(path)
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BackboneError(f"{path} must hold a state dict (name -> tensor), not a {type(state).__name__}.")
    return state


def read_plain(
    path: Path,
    allowed: tuple[Any, ...] = (),
    advice: str = "Save weights with torch.save(network.state_dict(), path).",
) -> Any:
    """What a file of torch.save holds: tensors, numbers, texts, lists and dicts, nothing that could run code.

    Args:
        allowed: functions and classes that the file may name besides, e.g. those of a NumPy number; each must be
            harmless whatever it is called with.
        advice: what the error's text says to do.

    Raises:
        BackboneError: the file asks for anything else, or is damaged.
    """
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(allowed)):
            warnings.simplefilter("ignore")  # about pickle protocols
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch raises: a refused pickle, a truncated archive
        # torch's own text advises to switch the protection off; only what was refused is passed on.
        refused = re.search(r"[Uu]nsupported (?:global: )?GLOBAL ([\w.]+)", str(error))
        reason = f"it asks for {refused[1]}, which could execute code" if refused else first_line(error)
        if "weights_only" in reason:
            reason = "no file of torch.save, or a damaged one"
        raise BackboneError(f"{path} holds no plain tensors and was not opened further ({reason}). {advice}") from error


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise BackboneError(f"{path}: reading .safetensors needs the package 'safetensors'; install it.") from error
    try:
        return load_file(str(path))
    except Exception as error:
        raise BackboneError(f"{path} is not a valid safetensors file: {error}") from error
