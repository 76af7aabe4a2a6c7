"""A trained-model folder of nnU-Net v2: description, network and preprocessing in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...errors import BackboneError
from ..config import BackboneConfig, WindowBlend
from ..load import Backbone
from .checkpoint import Checkpoint, put_weights, read_checkpoint
from .ensemble import AveragedFolds
from .labels import Labels, read_labels
from .network import build_network
from .places import DATASET, PLANS, Place, find_place
from .plans import TO_RAS, Plans, read_plans
from .preprocess import NnunetPreprocessing

KIND = "nnU-Net v2 trained model"
#: nnU-Net's weights are 16-bit numbers from 0 to 10, the smallest of which is 2 to the power of -24.
_SMALLEST_WEIGHT = 2.0**-24 / 10


def describe(folder: Path, options: dict[str, Any]) -> BackboneConfig:
    """What the JSON files say; weights are not read.

    Args:
        options: see `load`.

    Raises:
        BackboneError: the folder, a file or an option cannot be used.
    """
    return _config(*_read(find_place(folder, options)))


def load(folder: Path, options: dict[str, Any]) -> Backbone:
    """The network with nnU-Net's own preprocessing, on the CPU.

    Args:
        folder: the trained model (…__nnUNetPlans__3d_fullres), a fold in it, or the folder above with only that one.
        options: "folds", a list like [0, 1, 2, 3, 4] or ["all"], several of which are averaged, and "checkpoint", the
            name of the weight files ("checkpoint_final.pth").

    Raises:
        BackboneError: the folder, a file or an option cannot be used.
    """
    place = find_place(folder, options)
    plans, labels = _read(place)
    config = _config(plans, labels)
    checkpoints = [read_checkpoint(path) for path in place.checkpoints]
    networks = [_network(plans, labels, checkpoint) for checkpoint in checkpoints]
    if len(networks) > 1 and not AveragedFolds.fits(networks):
        raise BackboneError(f"{place.folder}: networks of this kind cannot be averaged; choose one fold with 'folds'.")
    network = AveragedFolds(networks) if len(networks) > 1 else networks[0]
    preprocessing = NnunetPreprocessing(plans, config.name, labels.activation == "regions")
    return Backbone(config, network.eval(), place.folder, preprocessing, details=_details(place, plans, labels))


def _read(place: Place) -> tuple[Plans, Labels]:
    labels = read_labels(place.folder / DATASET)
    return read_plans(place.folder / PLANS, place.configuration, len(labels.channels)), labels


def _config(plans: Plans, labels: Labels) -> BackboneConfig:
    one = (1,) if plans.dimensions == 2 else ()  # the slice's own axis
    return BackboneConfig(
        name=f"{plans.dataset}, {plans.configuration}" if plans.dataset else plans.configuration,
        dimensions=plans.dimensions,
        channels=labels.channels,
        classes=labels.classes,
        channel_labels=labels.channel_labels,
        axis_codes="RAS" if plans.reader in TO_RAS else "LPS",  # otherwise the image's own, whatever they are
        spacing=(*plans.spacing[::-1], *(float(n) for n in one)),
        activation=labels.activation,
        patch_size=(*plans.patch_size[::-1], *one),
        overlap=0.5,
        window_blend=WindowBlend("nnunet", floor=_SMALLEST_WEIGHT),
        padding="zero-centered",
        license=labels.license,
    )


def _network(plans: Plans, labels: Labels, checkpoint: Checkpoint) -> torch.nn.Module:
    if checkpoint.configuration and checkpoint.configuration != plans.configuration:
        raise BackboneError(
            f"{checkpoint.path} was trained as {checkpoint.configuration!r}, but the folder's name says "
            f"{plans.configuration!r}. Name it as nnU-Net does, TRAINER__PLANS__CONFIGURATION."
        )
    network = build_network(plans.architecture, len(labels.channels), len(labels.channel_labels))
    put_weights(network, checkpoint)
    return network.float()


def _details(place: Place, plans: Plans, labels: Labels) -> tuple[str, ...]:
    axes = "turned to RAS" if plans.reader in TO_RAS else "as the image stores them"
    folds = ", ".join(place.folds)
    averaged = f"folds {folds}, averaged" if len(place.folds) > 1 else f"fold {folds}"
    rules = ", ".join(dict.fromkeys(rule.scheme for rule in plans.channels))
    lines = (
        f"{place.checkpoint} of {averaged}",
        f"Axes {axes}, cropped to what is not zero, {rules}; no mirroring",
    )
    if labels.activation != "regions":
        return lines
    names = {segment.label: segment.name for segment in labels.classes}
    painted = ", then ".join(names[label] for label in labels.channel_labels)
    return (*lines, f"Overlapping regions are painted in this order: {painted}; a class is what stays visible")
