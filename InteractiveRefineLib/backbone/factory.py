"""Networks that a Python function builds, with weights from a file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ..errors import BackboneError
from .files import file_in
from .weights import read_weights


def load_factory(folder: Path, model: dict[str, Any]) -> torch.nn.Module:
    """Call the function that `model` names, and put in the weights that it names, if any.

    Args:
        model: {"factory": "file.py:function" or "module:function", "weights": file, "kwargs": arguments}.

    Raises:
        BackboneError: the function cannot be called, or the weights do not fit.
    """
    entry, arguments = model["factory"], model.get("kwargs", {})
    module_name, _, function_name = entry.partition(":")
    if not module_name or not function_name:
        raise BackboneError(f"{folder}: the factory must be 'file.py:function' or 'module:function', not {entry!r}.")
    try:
        module = _import_from(folder, module_name)
        if not callable(getattr(module, function_name, None)):
            raise BackboneError(f"{folder}: the factory's {module_name} has no function {function_name!r}.")
        network = getattr(module, function_name)(**arguments)
    except BackboneError:
        raise
    except Exception as error:  # the user's own code: any failure is theirs to read
        raise BackboneError(f"{folder}: the factory {entry!r} failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, torch.nn.Module):
        found = type(network).__name__
        raise BackboneError(f"{folder}: the factory {entry!r} must return a torch.nn.Module, not {found}.")
    if "weights" in model:
        path = file_in(folder, model["weights"], "the weights")
        state = read_weights(path)
        try:
            network.load_state_dict(state)
        except Exception as error:
            # The first line names only the class; the next ones say which weights.
            reason = " ".join(str(error).split())[:400]
            raise BackboneError(f"{path} does not fit the network of {entry!r}: {reason}") from error
    return network


def _import_from(folder: Path, module_name: str) -> ModuleType:
    if not module_name.endswith(".py"):
        return importlib.import_module(module_name)
    path = file_in(folder, module_name, "the factory's file")
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
