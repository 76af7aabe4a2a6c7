"""--image: one scan, or one for each channel of the network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from . import common

if TYPE_CHECKING:
    from ..volume import Volume


def add_image(parser: argparse.ArgumentParser) -> None:
    """The option --image; what it holds is for `Images`."""
    parser.add_argument(
        "--image",
        required=True,
        action="extend",
        nargs="+",
        metavar="FILE",
        help="the scan: a folder with one DICOM series, or a NRRD, NIfTI, MetaImage, PNG or TIFF file. For a network "
        "of several channels one for each, in the network's order, or named in any order: FLAIR=a.nii.gz T1c=b.nii.gz. "
        "The first one's voxel grid is that of the result",
    )


class Images:
    """The scans of --image, read before a network is loaded in vain.

    Attributes:
        files: without the channels' names.

    Raises:
        InputError: some are named and some not, or one cannot be read.
    """

    def __init__(self, options: Sequence[str]) -> None:
        from ..image_io import read_volume

        names, files = zip(*map(_split, options))
        if any(names) and not all(names):
            unnamed = files[names.index("")]
            raise InputError(f"--image {unnamed} has no channel's name, but others have. Name every image or none.")
        self.files: tuple[str, ...] = files
        self._names = names if all(names) else ()
        self._volumes = [read_volume(file, series_as_channels=True) for file in files]

    def combined(self, channels: Sequence[str] = ()) -> Volume:
        """One image with the channels of the network, or as many as there are; tells the user what was resampled.

        Raises:
            InputError: a channel is missing, too many, unknown or named twice, or two images share no place.
        """
        from ..channels import combine_channels

        return combine_channels(
            self._volumes, channels, given=self._names, warn=lambda sentence: common.warn([sentence])
        )  # fmt: skip


def files_of(options: Sequence[str]) -> list[str]:
    """The files among the values of --image, without the channels' names."""
    return [_split(option)[1] for option in options]


def _split(option: str) -> tuple[str, str]:
    """Channel name, or "", and file; a file may have an equals sign in its name."""
    name, equals, file = option.partition("=")
    is_file = not equals or not name.strip() or "/" in name or "\\" in name or Path(option).exists()
    return ("", option) if is_file else (name.strip(), file)
