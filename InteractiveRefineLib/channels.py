"""Several scans of one patient put together as the channels of one image, such as FLAIR and T1c."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from .errors import InputError
from .resample import axis_codes, reorient, resample_labels, resample_volume
from .volume import Volume

log = logging.getLogger(__name__)

#: A part of the first image this small may lie outside of another one without a word: faces that touch, rounding.
_UNSEEN = 1e-3


def combine_channels(
    volumes: Sequence[Volume],
    names: Sequence[str] = (),
    *,
    given: Sequence[str] = (),
    warn: Callable[[str], object] = log.warning,
) -> Volume:
    """Put several images together as the channels of one, on the grid of the first.

    Positions in the patient decide what belongs together. Voxel axes in another order or direction are turned without
    a change of values; an image on another grid is interpolated linearly, and beyond its end its nearest voxel
    counts. Nothing is registered: the scans must lie in the same space.

    Args:
        volumes: at least one, each (K, J, I), or (C, K, J, I) which counts as its C channels, in this order.
        names: the channels that are wanted, in order: those of the network. Empty: as many as there are.
        given: for each volume the name of its channel, to be put into the order of `names`. Empty: they are in order.
        warn: is told, in one sentence, which image was resampled, and how much of the first image it does not cover.

    Returns:
        Volume (C, K, J, I), or the only volume as it is; the common dtype where all are of one type and on one grid,
        else float32.

    Raises:
        InputError: a channel is missing, too many, unknown or named twice, or two images share no place.
    """
    if not volumes:
        raise InputError("There is no image. Give one for each channel.")
    if given:
        _check_given(given, volumes, names)
    else:
        _check_count(volumes, names)
    first = volumes[0]
    labels = given or names if len(given or names) == len(volumes) else [""] * len(volumes)
    parts = [first, *(_on_grid_of(first, v, labels[0], label, warn) for v, label in zip(volumes[1:], labels[1:]))]
    if given and names:
        order = [_key(name) for name in given]
        parts = [parts[order.index(_key(name))] for name in names]
    if len(parts) == 1:
        return first
    dtypes = {part.array.dtype for part in parts}
    dtype = dtypes.pop() if len(dtypes) == 1 else np.float32
    array = np.concatenate([part.channels for part in parts], dtype=dtype)
    return Volume(array, first.ijk_to_ras, " + ".join(part.name for part in parts))


def _check_given(given: Sequence[str], volumes: Sequence[Volume], names: Sequence[str]) -> None:
    """Every named image is one channel, named once, that the network has; and none of the network's is missing."""
    if len(given) != len(volumes):
        raise InputError(f"There are {len(volumes)} images and {len(given)} names. Name every image or none.")
    wanted = ", ".join(names)
    known = [_key(name) for name in names]
    keys = [_key(name) for name in given]
    for name, key, volume in zip(given, keys, volumes):
        if keys.count(key) > 1:
            raise InputError(f"The channel {name} is named twice. Give one image for each channel.")
        if known and key not in known:
            raise InputError(f"{name} is no channel of this network; its channels are {wanted}.")
        if len(volume.channels) > 1:
            raise InputError(
                f"{volume.name} has {len(volume.channels)} channels itself, so it cannot be the channel {name}. "
                "Give it without a name, or an image of one channel."
            )
    missing = [name for name, key in zip(names, known) if key not in keys]
    if missing:
        raise InputError(f"The channel {' and '.join(missing)} is missing: this network needs an image for {wanted}.")


def _check_count(volumes: Sequence[Volume], names: Sequence[str]) -> None:
    """Unnamed images have as many channels together as the network wants."""
    found = sum(len(volume.channels) for volume in volumes)
    if not names or found == len(names):
        return
    wanted = f"This network needs {len(names)} channel{'s' if len(names) > 1 else ''} ({', '.join(names)})"
    counts = ", ".join(f"{volume.name} ({len(volume.channels)})" for volume in volumes)
    if found < len(names):
        missing = " and ".join(names[found:])
        raise InputError(f"{wanted}, but there are only {found}: {counts}. Add an image for {missing}, in this order.")
    raise InputError(f"{wanted}, but there are {found}: {counts}. Leave out what is not one of these.")


def _on_grid_of(first: Volume, volume: Volume, first_label: str, label: str, warn: Callable[[str], object]) -> Volume:
    """`volume` on the grid of `first`, with a warning unless it has the same voxels anyway."""
    turned = reorient(volume, axis_codes(first.geometry))  # axes that run otherwise need no interpolation
    if turned.geometry.matches(first.geometry):
        return turned
    name, first_name = _titled(volume, label), _titled(first, first_label)
    everywhere = np.ones(volume.geometry.shape, dtype=np.uint8)
    unseen = 1 - float(resample_labels(everywhere, volume.geometry, first.geometry).mean())
    if unseen == 1:
        raise InputError(
            f"{name} and {first_name} share no place in the patient: {volume.geometry.describe()}, and "
            f"{first.geometry.describe()}. Are they of the same patient and examination?"
        )
    sentence = (
        f"{name} was resampled to the grid of {first_name}: from {volume.geometry.describe()} "
        f"to {first.geometry.describe()}."
    )
    if unseen > _UNSEEN:
        sentence += f" It does not cover {max(1, round(100 * unseen))}% of it; there its nearest voxels are repeated."
    warn(sentence)
    return resample_volume(volume, first.geometry)


def _titled(volume: Volume, label: str) -> str:
    return f"{label} ({volume.name})" if label else volume.name


def _key(name: str) -> str:
    return name.strip().lower()
