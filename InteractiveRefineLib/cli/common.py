"""Options and steps that several commands share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..atomic import require_writable
from ..errors import InputError
from ..resources import backbone_folder
from .class_map import add_class_map, with_class_map

if TYPE_CHECKING:
    from ..backbone import Backbone

#: What `segmentation_io.write_segmentation` can write.
OUTPUT_ENDINGS = (".seg.nrrd", ".nrrd", ".nii", ".nii.gz")


def add_output(parser: argparse.ArgumentParser) -> None:
    """--output."""
    parser.add_argument(
        "--output",
        required=True,
        metavar="FILE",
        help="where the segmentation is written: .seg.nrrd for 3D Slicer, with names and colors; "
        "or a plain label map as .nrrd or .nii.gz",
    )


def add_network(parser: argparse.ArgumentParser) -> None:
    """--backbone, --class-map and --device."""
    parser.add_argument(
        "--backbone",
        metavar="FOLDER",
        help="folder with the pretrained network: nnU-Net's, a MONAI bundle, or one with a backbone.json; 'none' for "
        "no network: everything is then learned from the strokes; without this option the small network that comes "
        "with this program is used, which knows phantoms only and must not be used on patients",
    )
    add_class_map(parser)
    parser.add_argument(
        "--device",
        default="auto",
        metavar="DEVICE",
        help="where to compute: auto (a graphics card if there is a usable one), cpu, or cuda:0, cuda:1, ... (auto)",
    )


def load_network(folder: str | None, class_map: str | None = None) -> Backbone:
    """Load the network of --backbone, or the one that is shipped, with the classes of --class-map."""
    from ..backbone import load_backbone

    return with_class_map(load_backbone(backbone_folder(folder)), class_map)


def check_outputs(outputs: Iterable[str | None], inputs: Iterable[str | None]) -> None:
    """Before a long computation: can every output be written, and would none replace an input?

    Raises:
        InputError: an output cannot be written, is named twice, or is also an input.
    """
    read = {Path(name).resolve() for name in inputs if name}
    written = set()
    for name in outputs:
        if name is None:
            continue
        path = Path(name).resolve()
        if path in read:
            raise InputError(f"{name} is read and written at once. Choose another name for the output.")
        if path in written:
            raise InputError(f"{name} is named for two outputs. Choose another name for one of them.")
        written.add(path)
        require_writable(name)


def check_segmentation_name(path: str) -> None:
    """Raise InputError unless `path` has an ending of a segmentation."""
    if not path.lower().endswith(OUTPUT_ENDINGS):
        endings = ", ".join(OUTPUT_ENDINGS)
        raise InputError(f"Cannot write {path}: a segmentation is one of {endings}. Choose such a name for --output.")


def warn(sentences: Iterable[str]) -> None:
    """One line per sentence on stderr."""
    for sentence in sentences:
        print(f"interactive-refine: warning: {sentence}", file=sys.stderr)


def milliliters(ml: float) -> str:
    """A volume for people; small ones keep two digits, so that a lesion is not called 0.0 ml."""
    return f"{ml:.1f}" if ml >= 1 or ml == 0 else f"{ml:.2g}"


def say(text: str) -> None:
    """A line of the result on stdout."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # `| head` has read enough: that must not keep the files from being written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
