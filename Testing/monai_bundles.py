"""MONAI bundles for tests, made with MONAI's own tools, and what MONAI itself predicts with them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from Testing.real_data import require_data

HIPPOCAMPUS = ("background", "anterior hippocampus", "posterior hippocampus")
#: What the shared hippocampus networks were trained on, as MONAI's transforms.
HIPPOCAMPUS_INTENSITY = [
    {"_target_": "ClipIntensityPercentilesd", "keys": "@image_key", "lower": 0.5, "upper": 99.5},
    {"_target_": "NormalizeIntensityd", "keys": "@image_key"},
]
_SMALL_UNET = {
    "_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8, 8],
    "strides": [2, 2], "num_res_units": 1,
}  # fmt: skip


def small_unet(**changes: Any) -> dict[str, Any]:
    """The configuration of MONAI's own UNet, in a size for tests."""
    return {**_SMALL_UNET, **changes}


def metadata(classes: Sequence[str], channels: Sequence[str] = ("T1",), dimensions: int = 3) -> dict[str, Any]:
    """A metadata.json as the Model Zoo has them."""

    def entry(names: Sequence[str]) -> dict[str, Any]:
        shape = [32] * dimensions
        names = {str(n): name for n, name in enumerate(names)}
        return {"type": "image", "num_channels": len(names), "spatial_shape": shape, "channel_def": names}

    return {
        "version": "0.1.0",
        "monai_version": "1.6.1",
        "name": "Test bundle",
        "network_data_format": {"inputs": {"image": entry(channels)}, "outputs": {"pred": entry(classes)}},
    }


def inference(
    network: dict[str, Any],
    steps: Sequence[dict[str, Any]] = (),
    *,
    inferer: dict[str, Any] | None = None,
    post: Sequence[dict[str, Any]] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """An inference.json as the Model Zoo has them, evaluator and file writing included.

    Args:
        network: `network_def`.
        steps: of preprocessing, after the image was loaded and has its channel first.
        post: of postprocessing; None for softmax, Invertd with interpolated probabilities, argmax.
    """
    if post is None:
        post = [activations(softmax=True), inverted(), discrete(argmax=True)]
    loading = [{"_target_": name, "keys": "@image_key"} for name in ("LoadImaged", "EnsureChannelFirstd")]
    saving = {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "separate_folder": False}
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "image_key": "image",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": ".",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": [*loading, *steps]},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': i} for i in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": inferer or {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": [*post, saving]},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        },
        "initialize": ["$@checkpointloader(@evaluator)"],
        "run": ["$@evaluator.run()"],
        **changes,
    }


def activations(**kind: bool) -> dict[str, Any]:
    """Activationsd(softmax=True) or (sigmoid=True)."""
    return {"_target_": "Activationsd", "keys": "pred", **kind}


def discrete(**kind: Any) -> dict[str, Any]:
    """AsDiscreted(argmax=True) or (threshold=0.5)."""
    return {"_target_": "AsDiscreted", "keys": "pred", **kind}


def inverted(nearest: bool = False) -> dict[str, Any]:
    """Invertd, interpolating as the image was interpolated, or by nearest neighbor."""
    return {
        "_target_": "Invertd",
        "keys": "pred",
        "transform": "@preprocessing",
        "orig_keys": "@image_key",
        "nearest_interp": nearest,
        "to_tensor": True,
    }


def seeded(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random weights that make patchy answers; every class wins somewhere."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.4)
    return network.eval()


def make_bundle(
    folder: Path, config: dict[str, Any], meta: dict[str, Any], network: torch.nn.Module | None = None, seed: int = 0
) -> Path:
    """Write a bundle with MONAI's init_bundle; without a `network` the configured one with random weights."""
    from monai.bundle import ConfigParser, init_bundle

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if network is None:
            network = seeded(ConfigParser(dict(config)).get_parsed_content("network_def"), seed)
        init_bundle(folder, network=network, metadata_str=meta, inference_str=config)
    (folder / "LICENSE").unlink()  # init_bundle's says that one should be chosen
    return folder


def hippocampus_network() -> dict[str, Any]:
    """The architecture of the shared hippocampus networks, written in a bundle's own terms: parts of `network_def`."""
    parts: dict[str, Any] = {}

    def block(name: str, inside: int, outside: int) -> None:
        parts[name] = {
            "_target_": "Convolution", "spatial_dims": 3, "in_channels": inside, "out_channels": outside,
            "adn_ordering": "NA", "norm": ["INSTANCE", {"affine": True}],
            "act": ["LEAKYRELU", {"negative_slope": 0.1}],
        }  # fmt: skip

    widths = (12, 24, 48, 96)
    for level, width in enumerate(widths):
        block(f"e{level}a", widths[level - 1] if level else 1, width)
        block(f"e{level}b", width, width)
    for level, width in enumerate(widths[:3]):
        block(f"d{level}a", 2 * width, width)
        block(f"d{level}b", width, width)
        parts[f"u{level}"] = {
            "_target_": "torch.nn.ConvTranspose3d", "in_channels": widths[level + 1], "out_channels": width,
            "kernel_size": 2, "stride": 2,
        }  # fmt: skip
    parts["pool"] = {"_target_": "torch.nn.MaxPool3d", "kernel_size": 2}
    parts["head"] = {"_target_": "torch.nn.Conv3d", "in_channels": 12, "out_channels": 3, "kernel_size": 1}
    below = "@e3a, @e3b"
    for level in (2, 1, 0):
        parts[f"below{level}"] = f"$torch.nn.Sequential(@pool, {below}, @u{level})"
        parts[f"skip{level}"] = {"_target_": "SkipConnection", "submodule": f"@below{level}", "mode": "cat"}
        below = f"@e{level}a, @e{level}b, @skip{level}, @d{level}a, @d{level}b"
    parts["network_def"] = f"$torch.nn.Sequential({below}, @head)"
    return parts


def hippocampus_state(name: str, network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The real weights of net_hippocampus/`name`.ts under the names of `hippocampus_network`'s layers."""
    source = torch.jit.load(str(require_data() / "net_hippocampus" / f"{name}.ts"))
    order = [f"{side}{level}{half}" for side, level in _levels() for half in _halves(side)]
    weights = source.state_dict()
    values = [weights[key] for part in order for key in weights if key.split(".")[0] == part]
    return dict(zip(network.state_dict(), values, strict=True))


def _levels() -> list[tuple[str, str]]:
    """Parts in the order of execution, which is that of the nested Sequentials."""
    down = [("e", "0"), ("e", "1"), ("e", "2"), ("e", "3")]
    return [*down, ("u", "2"), ("d", "2"), ("u", "1"), ("d", "1"), ("u", "0"), ("d", "0"), ("head", "")]


def _halves(side: str) -> tuple[str, ...]:
    return ("a", "b") if side in "ed" else ("",)


def hippocampus_bundle(folder: Path, name: str = "full", steps: Sequence[dict[str, Any]] = (), **changes: Any) -> Path:
    """A bundle whose own configuration builds the shared hippocampus network, with its real weights in model.pt."""
    from monai.bundle import ConfigParser

    padding = {"_target_": "DivisiblePadd", "keys": "@image_key", "k": 8, "mode": "edge"}
    parts = hippocampus_network()
    config = inference(parts["network_def"], [*steps, *HIPPOCAMPUS_INTENSITY, padding], **{**parts, **changes})
    network = ConfigParser(dict(config)).get_parsed_content("network_def")
    network.load_state_dict(hippocampus_state(name, network))
    return make_bundle(folder, config, metadata(HIPPOCAMPUS), network)


def export_torchscript(folder: Path) -> Path:
    """Turn model.pt into model.ts with MONAI's ckpt_export, and take model.pt away."""
    from monai.bundle import ckpt_export

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ckpt_export(
            net_id="network_def", config_file=str(folder / "configs" / "inference.json"), bundle_root=str(folder)
        )
    (folder / "models" / "model.pt").unlink()
    return folder


def monai_prediction(folder: Path, image: Path | list[Path]) -> np.ndarray:
    """What the bundle itself makes of a file: its own transforms, inferer and post-processing, without writing.

    Returns:
        (channels, I, J, K) of the image file.
    """
    from monai.bundle import ConfigParser

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        parser = ConfigParser()
        parser.read_config(str(folder / "configs" / "inference.json"))
        parser.read_meta(str(folder / "configs" / "metadata.json"))
        parser["bundle_root"] = str(folder)
        parser["postprocessing"]["transforms"].pop()  # SaveImaged
        network = parser.get_parsed_content("network_def")
        network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
        files = [str(p) for p in image] if isinstance(image, list) else str(image)
        data = parser.get_parsed_content("preprocessing")({"image": files})
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network.eval())[0]
        return np.asarray(parser.get_parsed_content("postprocessing")(data)["pred"])
