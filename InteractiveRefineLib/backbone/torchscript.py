"""Networks saved as TorchScript: a program together with its weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from ..errors import BackboneError
from .files import file_in, first_line


def load_torchscript(folder: Path, name: str) -> torch.nn.Module:
    """The network in a TorchScript file, on the CPU; BackboneError when it is none."""
    path = file_in(folder, name, "the network")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's advice to developers
            # Given a path, torch opens it in Windows' code page, and not below the folder of a user with an umlaut.
            with path.open("rb") as file:
                return torch.jit.load(file, map_location="cpu")
    except Exception as error:  # whatever torch raises: no archive, a truncated one, another kind of file
        raise BackboneError(
            f"{path} is not a TorchScript file ({first_line(error)}). Save the network with "
            "torch.jit.script(...).save() or torch.jit.trace(...).save(); a plain torch.save() pickle is never "
            "opened here."
        ) from error


def graph_constants(graph: torch._C.Graph) -> list[torch.Tensor]:
    """The floating-point constants of a TorchScript graph, except running statistics."""
    nodes, pending = [], [graph]
    while pending:
        inside = list(pending.pop().nodes())
        nodes += inside
        pending += [block for node in inside for block in node.blocks()]
    statistics = set()
    for node in nodes:
        if node.kind() in ("aten::batch_norm", "aten::instance_norm"):
            statistics |= {value.debugName() for value in list(node.inputs())[3:5]}
    constants = [n for n in nodes if n.kind() == "prim::Constant" and n.hasAttribute("value")]
    constants = [n for n in constants if n.kindOf("value") == "t" and n.output().debugName() not in statistics]
    tensors = [n.t("value") for n in constants]
    return [t for t in tensors if t.is_floating_point() and t.ndim > 0]
