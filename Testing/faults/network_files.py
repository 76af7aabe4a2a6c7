"""A good network file of every kind that is read, to be damaged by tests, and a trap that hides in one."""

from __future__ import annotations

import importlib.util
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from Testing.tests.network_examples import write_folder

_FACTORY = "import torch\ndef build():\n    return torch.nn.Conv3d(1, 3, 3, padding=1)\n"


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def _network(classes: int = 3) -> torch.nn.Module:
    return torch.nn.Conv3d(1, classes, 3, padding=1).eval()


def torchscript(folder: Path) -> Path:
    write_folder(folder, _network())
    return folder / "model.ts"


def _weights(name: str, save: Callable[[dict, Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_folder(folder, model={"factory": "network.py:build", "weights": name})
        (folder / "network.py").write_text(_FACTORY, encoding="utf-8")
        save(_network().state_dict(), folder / name)
        return folder / name

    return make


def save_safetensors(state: dict, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(state, path)


def _exported(folder: Path) -> Path:
    write_folder(folder, model={"exported": "model.pt2"}, patch_size=[8, 8, 8])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(_network(), (torch.zeros(1, 1, 8, 8, 8),)), folder / "model.pt2")
    return folder / "model.pt2"


def _nnunet(folder: Path) -> Path:
    from Testing.tests.nnunet_examples import write_model

    return write_model(folder.parent, name=folder.name) / "fold_0" / "checkpoint_final.pth"


def _monai(folder: Path) -> Path:
    from monai.networks.nets import UNet

    from Testing.monai_bundles import inference, metadata, small_unet

    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    said = {"metadata": metadata(("background", "liver", "spleen")), "inference": inference(small_unet())}
    for name, content in said.items():
        (folder / "configs" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    network = UNet(**{k: v for k, v in small_unet().items() if k != "_target_"})
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder / "models" / "model.pt"


@dataclass(frozen=True)
class Format:
    """A kind of network file.

    Attributes:
        name: for people.
        make: writes a good one into a folder and returns the file that will be damaged.
        needs: the package without which it cannot be made here.
        hides_pickles: whether a pickle can hide in it.
    """

    name: str
    make: Callable[[Path], Path]
    needs: str = "torch"
    hides_pickles: bool = True

    @property
    def is_here(self) -> bool:
        return importlib.util.find_spec(self.needs) is not None


FORMATS = (
    Format("TorchScript", torchscript),
    Format("weights.pt", _weights("weights.pt", torch.save)),
    Format("weights.safetensors", _weights("weights.safetensors", save_safetensors), "safetensors", False),
    Format("exported program", _exported, "torch.export.pt2_archive"),
    Format("nnU-Net checkpoint", _nnunet, "dynamic_network_architectures"),
    Format("MONAI bundle", _monai, "monai"),
)
