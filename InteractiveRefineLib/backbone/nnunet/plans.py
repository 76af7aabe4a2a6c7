"""What plans.json says: which grid, which intensities, which windows, which architecture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BackboneError
from .normalize import SCHEMES, ChannelRule
from .old_plans import architecture_of_old_plans
from .resample import Resampling
from .said import Said, is_number

#: Readers that leave the axes as the file stores them, and those that turn the image to RAS.
AS_STORED = ("SimpleITKIO", "NibabelIO", "NaturalImage2DIO", "Tiff3DIO")
TO_RAS = ("NibabelIOWithReorient", "SimpleITKIOWithReorient")
#: This reader knows no spacing: voxels are 1 wide, whatever the file says.
WITHOUT_SPACING = "NaturalImage2DIO"


@dataclass(frozen=True)
class Plans:
    """One configuration of plans.json. All axes are the network's tensor axes.

    Attributes:
        source: the file.
        dataset: the name of the dataset.
        configuration: its name, like "3d_fullres".
        transpose: tensor axis a is axis `transpose[a]` of the array (K, J, I) as it was read.
        reader: the class with which nnU-Net reads images.
        spacing: mm along the tensor axes; two for a 2-D network.
        patch_size: the window's sides; two for a 2-D network.
        channels: what is done to each channel's intensities.
        image_resampling, logits_resampling: how the image is brought to the grid, and logits back.
        architecture: class and arguments of the network, as written.
    """

    source: Path
    dataset: str
    configuration: str
    transpose: tuple[int, int, int]
    reader: str
    spacing: tuple[float, ...]
    patch_size: tuple[int, ...]
    channels: tuple[ChannelRule, ...]
    image_resampling: Resampling
    logits_resampling: Resampling
    architecture: Said

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return len(self.patch_size)


def read_plans(path: Path, configuration: str | None, n_channels: int) -> Plans:
    """Read one configuration.

    Args:
        configuration: its name; None where the folder's name does not tell, which is enough if there is only one.

    Raises:
        BackboneError: a key is missing or wrong, or the configuration needs what is not supported.
    """
    said = Said.read(path)
    if "configurations" not in said.raw and "plans_per_stage" in said.raw:
        raise BackboneError(f"{path} is of nnU-Net version 1, which is not supported. Train with version 2.")
    name = _configuration_name(said, configuration)
    chosen = _with_inheritance(said, name)
    if chosen.raw.get("previous_stage"):
        raise BackboneError(
            f"{path}: the configuration {name!r} is the second stage of a cascade, which sees the answer of "
            f"{chosen.raw['previous_stage']!r} as well; that is not supported. Choose the folder of that stage, of "
            "3d_fullres or of 2d."
        )
    _only(chosen, "preprocessor_name", ("DefaultPreprocessor",), "DefaultPreprocessor")
    _only(said, "label_manager", ("LabelManager",), "LabelManager")
    patch_size = chosen.numbers("patch_size", (2, 3), whole=True)
    return Plans(
        source=path,
        dataset=said.text("dataset_name", ""),
        configuration=name,
        transpose=tuple(
            said.value("transpose_forward", "an order of the axes 0, 1, 2", lambda v: _is_order(v), [0, 1, 2])
        ),
        reader=_only(said, "image_reader_writer", AS_STORED + TO_RAS, "SimpleITKIO"),
        spacing=chosen.numbers("spacing", (len(patch_size),)),
        patch_size=patch_size,
        channels=_channels(said, chosen, n_channels),
        image_resampling=Resampling.read(chosen, "resampling_fn_data", order=3),
        logits_resampling=Resampling.read(chosen, "resampling_fn_probabilities", order=1, linear=True),
        architecture=chosen.inner("architecture")
        if "architecture" in chosen.raw
        else architecture_of_old_plans(chosen),
    )


def _configuration_name(said: Said, configuration: str | None) -> str:
    known = said.inner("configurations").raw
    if configuration is None and len(known) == 1:
        return next(iter(known))
    if configuration not in known:
        named = "does not tell which one was trained" if configuration is None else f"says {configuration!r}"
        raise BackboneError(
            f"{said.path} knows the configurations {', '.join(known)}, but the folder's name {named}. Name it as "
            "nnU-Net does, TRAINER__PLANS__CONFIGURATION."
        )
    return configuration


def _with_inheritance(said: Said, name: str) -> Said:
    """A configuration with what it takes over from others ("inherits_from")."""
    configurations, chain, current = said.inner("configurations"), [], name
    while current is not None:
        if current in chain:
            raise BackboneError(f"{said.path}: 'inherits_from' goes in a circle: {' -> '.join([*chain, current])}.")
        chain.append(current)
        current = configurations.inner(current).raw.get("inherits_from")
        if current is not None and current not in configurations.raw:
            raise BackboneError(f"{said.path}: {chain[-1]!r} inherits from {current!r}, which is not there.")
    merged: dict[str, Any] = {}
    for ancestor in reversed(chain):
        merged.update(configurations.raw[ancestor])
    return Said(said.path, merged, f"configurations.{name}.")


def _only(said: Said, key: str, supported: tuple[str, ...], default: str) -> str:
    found = said.text(key, default)
    if found not in supported:
        raise BackboneError(
            f"{said.path}: {said.where + key!r} is {found!r}, a program of its own that is not supported; known are "
            f"{', '.join(supported)}."
        )
    return found


def _is_order(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int for v in value) and sorted(value) == [0, 1, 2]


def _channels(said: Said, chosen: Said, n_channels: int) -> tuple[ChannelRule, ...]:
    per_channel = f"a list of {n_channels}, one per channel of dataset.json"
    schemes = chosen.value("normalization_schemes", per_channel, lambda v: isinstance(v, list) and len(v) == n_channels)
    masked = chosen.value("use_mask_for_norm", per_channel, lambda v: isinstance(v, list) and len(v) == n_channels)
    rules = []
    for index, (scheme, use_mask) in enumerate(zip(schemes, masked)):
        if scheme not in SCHEMES:
            raise BackboneError(
                f"{chosen.path}: {chosen.where}normalization_schemes names {scheme!r}, which is not supported; known "
                f"are {', '.join(SCHEMES)}."
            )
        statistics = _statistics(said, index) if scheme == "CTNormalization" else {}
        rules.append(ChannelRule(scheme, bool(use_mask), **statistics))
    return tuple(rules)


def _statistics(said: Said, index: int) -> dict[str, float]:
    """Mean, standard deviation and limits of a channel's foreground over the training cases."""
    key = "foreground_intensity_properties_per_channel"
    old = "foreground_intensity_properties_by_modality"
    found = said.inner(old if key not in said.raw and old in said.raw else key).inner(str(index))
    names = {"mean": "mean", "std": "std", "low": "percentile_00_5", "high": "percentile_99_5"}
    return {ours: float(found.value(theirs, "a number", is_number)) for ours, theirs in names.items()}
