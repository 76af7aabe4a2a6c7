"""Weights out of nnU-Net's checkpoints, without executing what a pickle may hide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ...errors import BackboneError
from ..weights import read_plain

_ADVICE = (
    "A checkpoint of nnU-Net holds tensors, numbers and texts only. Copy or download the folder again; if nnU-Net was "
    "changed to store more, save the checkpoint without it."
)


class _Dropped:
    """Stands in for NumPy's numbers in the training log: nobody reads them here, and nothing of NumPy's is called."""

    def __init__(self, *ignored) -> None:
        pass

    def __setstate__(self, ignored) -> None:
        pass


_STOOD_IN_FOR = tuple(
    (_Dropped, name)
    for name in (
        "numpy.dtype",
        "numpy.ndarray",
        *(f"numpy.{core}.multiarray.{what}" for core in ("core", "_core") for what in ("scalar", "_reconstruct")),
    )
)


@dataclass(frozen=True)
class Checkpoint:
    """What is used of a checkpoint.

    Attributes:
        path: the file.
        weights: name -> tensor.
        trainer: name of nnU-Net's class that trained it, or "".
        configuration: what was trained, or "".
    """

    path: Path
    weights: dict[str, torch.Tensor]
    trainer: str
    configuration: str


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        BackboneError: no checkpoint of nnU-Net, a damaged one, or one that asks for more than plain values.
    """
    found = read_plain(path, _STOOD_IN_FOR, advice=_ADVICE)
    weights = found.get("network_weights") if isinstance(found, dict) else None
    plain = isinstance(weights, dict) and all(isinstance(v, torch.Tensor) for v in weights.values())
    if not plain or not weights or not all(isinstance(k, str) for k in weights):
        raise BackboneError(f"{path} has no 'network_weights' of names and tensors. {_ADVICE}")
    trained_with = found.get("init_args")
    configuration = trained_with.get("configuration") if isinstance(trained_with, dict) else None
    names = [name if isinstance(name, str) else "" for name in (found.get("trainer_name"), configuration)]
    return Checkpoint(path, weights, *names)


def put_weights(network: torch.nn.Module, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into a network; BackboneError when it has other layers."""
    expected = network.state_dict().keys()
    weights = {}
    for key, value in checkpoint.weights.items():
        for prefix in ("module.", "_orig_mod."):  # of training on several GPUs, and of torch.compile
            if key not in expected:
                key = key.removeprefix(prefix)
        weights[key] = value
    try:
        network.load_state_dict(weights)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        by = f" The trainer {checkpoint.trainer!r} may build another network." if checkpoint.trainer else ""
        raise BackboneError(
            f"{checkpoint.path} does not fit the network that plans.json describes.{by} {reason}"
        ) from error
