"""Build the network that plans.json describes; only known building blocks, whatever the file asks for."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from ...errors import BackboneError
from .said import Said

_PACKAGE = "dynamic_network_architectures"
#: Where classes are looked for that moved since the plans were written.
_HOME = f"{_PACKAGE}.architectures.unet"


def build_network(architecture: Said, n_channels: int, n_outputs: int) -> torch.nn.Module:
    """The network with random weights, without deep supervision.

    Args:
        architecture: the object "architecture" of a configuration.

    Raises:
        BackboneError: a class that is not allowed, the package is missing, or the arguments do not fit.
    """
    name = architecture.text("network_class_name")
    arguments = dict(architecture.inner("arch_kwargs").raw)
    imported = architecture.value(
        "_kw_requires_import", "a list of names", lambda v: isinstance(v, (list, tuple)), default=[]
    )
    for key in imported:
        if arguments.get(key) is not None:
            arguments[key] = _part(architecture, key, arguments[key])
    network_class = _class(architecture, "network_class_name", name)
    try:
        with torch.random.fork_rng(devices=[]):  # the weights are replaced: nobody's random numbers change
            return network_class(
                **{**arguments, "input_channels": n_channels, "num_classes": n_outputs, "deep_supervision": False}
            )
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise BackboneError(
            f"{architecture.path}: {architecture.where}arch_kwargs does not fit {name}: {text}"
        ) from error


def _part(architecture: Said, key: str, name: Any) -> Any:
    """A layer's class that an argument names."""
    if isinstance(name, str) and name.startswith("torch.nn."):
        # By the last part only: torch.nn offers every layer, and no path leads out of it.
        found = getattr(torch.nn, name.rsplit(".", 1)[1], None)
        if isinstance(found, type) and issubclass(found, torch.nn.Module):
            return found
    return _class(architecture, f"arch_kwargs.{key}", name)


def _class(architecture: Said, key: str, name: Any) -> type[torch.nn.Module]:
    """A class of the package of architectures, and of no other."""
    what = f"{architecture.path}: {architecture.where}{key} is {name!r}"
    if not isinstance(name, str) or not name.startswith(f"{_PACKAGE}.") or not name.replace(".", "_").isidentifier():
        raise BackboneError(
            f"{what}, which is not built: only networks of the package {_PACKAGE} and layers of torch.nn are."
        )
    module, _, short = name.rpartition(".")
    try:
        importlib.import_module(_PACKAGE)
    except ImportError as error:
        raise BackboneError(
            f"{architecture.path} needs the Python package {_PACKAGE} ({error}). Install it with: pip install "
            "--no-deps dynamic-network-architectures (without --no-deps, pip may replace PyTorch)."
        ) from error
    missing = None
    for place in (module, _HOME):
        try:
            found = getattr(importlib.import_module(place), short, None)
        except ImportError as error:
            missing = error
            continue
        own = isinstance(found, type) and found.__module__.startswith(f"{_PACKAGE}.")
        if own and issubclass(found, torch.nn.Module):
            return found
    reason = f" ({missing})" if missing else ""
    raise BackboneError(f"{what}, which the installed {_PACKAGE} does not have{reason}. Install another version of it.")
