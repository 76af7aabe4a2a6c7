"""Trained-model folders of nnU-Net with small random networks, and nnU-Net's own predictor to compare with."""

import contextlib
import copy
import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from InteractiveRefineLib.volume import Volume

DATASET = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "front": 1, "back": 2}, "file_ending": ".nii.gz"}
_SPLINE = "resample_data_or_seg_to_shape"


def architecture(dimensions=3, features=(4, 8)):
    """A U-Net of two stages as plans.json describes it."""
    sides = [[3] * dimensions] * 2
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": list(features),
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": sides,
            "strides": [[1] * dimensions, [2] * dimensions],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def configuration(**changes):
    """A configuration of plans.json; `dimensions` may be 2."""
    dimensions = changes.pop("dimensions", 3)
    said = {
        "data_identifier": "test",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [16] * dimensions,
        "median_image_size_in_voxels": [20] * dimensions,
        "spacing": [1.0] * dimensions,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": _SPLINE,
        "resampling_fn_seg": _SPLINE,
        "resampling_fn_probabilities": _SPLINE,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
        "architecture": architecture(dimensions),
        "batch_dice": False,
    }
    return {**said, **changes}


def plans(configurations=None, **changes):
    """plans.json."""
    statistics = {"mean": 40.0, "std": 90.0, "percentile_00_5": -150.0, "percentile_99_5": 220.0}
    said = {
        "dataset_name": "Dataset001_Test",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration()} if configurations is None else configurations,
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(c): statistics for c in range(4)},
    }
    return {**said, **changes}


def write_model(parent, said=None, dataset=None, name=None, folds=("0",), trained_as=None):
    """Write a trained-model folder with random weights, another for each fold; returns it."""
    said = plans() if said is None else said
    dataset = DATASET if dataset is None else dataset
    chosen = trained_as or next(iter(said["configurations"]))
    folder = parent / (name or f"nnUNetTrainer__nnUNetPlans__{chosen}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(said), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    for seed, fold in enumerate(folds):
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save(checkpoint(said, dataset, chosen, seed), folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def checkpoint(said, dataset, chosen, seed=0):
    """What nnU-Net's trainer saves, random weights of a seed."""
    labels = [v for k, v in dataset["labels"].items() if k != "ignore"]
    regions = any(isinstance(v, list) and len(v) > 1 for v in labels)
    network = random_network(said["configurations"][chosen], len(dataset["channel_names"]), len(labels) - regions, seed)
    return {
        "network_weights": OrderedDict(network.state_dict()),
        "optimizer_state": {},
        "grad_scaler_state": None,
        "logging": {"train_losses": [np.float32(0.5)], "ema_fg_dice": [np.float64(0.1)], "epochs": [np.int64(3)]},
        "_best_ema": np.float64(0.25),
        "current_epoch": 1,
        "init_args": {
            "plans": copy.deepcopy(said),
            "configuration": chosen,
            "fold": 0,
            "dataset_json": dataset,
            "device": torch.device("cpu"),
        },
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }


def random_network(said, n_channels, n_outputs, seed=0):
    """The U-Net of `architecture`, made by its own package; its answers differ from voxel to voxel."""
    unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    arguments = dict(said["architecture"]["arch_kwargs"])
    for key in said["architecture"]["_kw_requires_import"]:
        if arguments[key] is not None:
            arguments[key] = getattr(torch.nn, arguments[key].rsplit(".", 1)[1])
    torch.manual_seed(seed)
    network = unet.PlainConvUNet(n_channels, num_classes=n_outputs, deep_supervision=True, **arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
        # Balanced, so that every class wins somewhere.
        network.decoder.deep_supervision = False
        noise = torch.randn(1, n_channels, *[16] * len(said["patch_size"]))
        middle = network(F.avg_pool3d(noise, 3, 1, 1) if noise.ndim == 5 else F.avg_pool2d(noise, 3, 1, 1))
        network.decoder.seg_layers[-1].bias -= middle.flatten(2).median(dim=2)[0][0]
        network.decoder.deep_supervision = True
    return network


def random_volume(shape, spacing_ijk, channels=1, margin=0, offset=0.0, seed=0):
    """Smooth noise, zero in a margin of `margin` voxels; (K, J, I) or (C, K, J, I) float32."""
    from scipy import ndimage

    generator = np.random.default_rng(seed)
    image = np.zeros((channels, *shape), np.float32)
    inside = tuple(slice(margin, n - margin) if n > 2 * margin else slice(None) for n in shape)
    for channel in image:
        noise = ndimage.gaussian_filter(generator.normal(0, 1, shape), [min(1.5, n / 8) for n in shape])
        channel[inside] = (noise / noise.std() * 100 + offset)[inside]
        if margin:  # a round body with a hole, which belongs to the inside all the same
            index = np.stack(np.meshgrid(*[np.linspace(-1.3, 1.3, n) for n in shape], indexing="ij"))
            channel[(index**2).sum(axis=0) > 2] = 0
            channel[tuple(slice(n // 2, n // 2 + 3) for n in shape)] = 0
    matrix = np.diag([-spacing_ijk[0], -spacing_ijk[1], spacing_ijk[2], 1.0])
    return Volume(image if channels > 1 else image[0], matrix, "noise")


def predictor(folder, folds=("0",)):
    """nnU-Net's own predictor on the CPU, without mirroring."""
    module = pytest.importorskip("nnunetv2.inference.predict_from_raw_data", exc_type=ImportError)
    with contextlib.redirect_stdout(None):
        made = module.nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
        made.initialize_from_trained_model_folder(str(folder), folds)
    return made


def own_labels(predictor, image):
    """What nnU-Net's predictor says of an image (K, J, I) with axes as stored; (K, J, I)."""
    properties = {"spacing": [float(s) for s in image.geometry.spacing_kji]}
    with contextlib.redirect_stdout(None):
        return predictor.predict_single_npy_array(image.channels.astype(np.float32), properties)


class _TorchWithoutHalf:
    """torch, but what asks for 16-bit numbers gets 32 bits."""

    half = torch.float32

    def __getattr__(self, name):
        return getattr(torch, name)


def without_rounding(monkeypatch):
    """From here on nnU-Net's predictor adds windows up in 32 bits."""
    monkeypatch.setattr("nnunetv2.inference.predict_from_raw_data.torch", _TorchWithoutHalf())
