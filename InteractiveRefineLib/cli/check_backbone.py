"""`interactive-refine check-backbone`: what is in a backbone folder, or what is wrong with it."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from . import common
from .interrupt import interrupt_requested

if TYPE_CHECKING:
    from ..backbone import Backbone

NAME = "check-backbone"
SUMMARY = "tell what is in a backbone folder, or what is wrong with it"
DESCRIPTION = """\
Read a backbone folder (backbone.json and model.ts), load the network, tell what was understood, and run the network
once on an empty image. When something is missing or wrong, say what, and show how the folder should look."""
EXAMPLE = "  interactive-refine check-backbone my-backbone"

#: Side in voxels of the trial image, when the network asks for no size of its own; rounded up to what it divides by.
_TRIAL_SIDE = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "backbone",
        nargs="?",
        metavar="FOLDER",
        help="the folder to check; without it, the network that comes with this program",
    )


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    backbone = common.load_network(args.backbone)
    common.say(backbone.describe())
    shape, seconds, notes = _trial_run(backbone)
    common.say(f"Trial run   passed in {seconds:.1f} s on {' x '.join(map(str, shape))} voxels (I, J, K)")
    common.warn(notes)


def _trial_run(backbone: Backbone) -> tuple[tuple[int, ...], float, list[str]]:
    """Run the network as a refinement would: only that shows whether its output fits the classes.

    Returns:
        The trial image's size along I, J, K, how long it took, and what is unusual about the network.

    Raises:
        BackboneError: the network rejects the input, or its output does not fit backbone.json.
    """
    import torch

    from ..backbone.grid import NetworkGrid
    from ..partial.prepare import prepare

    config = backbone.config
    side = -(-_TRIAL_SIDE // config.divisible_by) * config.divisible_by
    along_ijk = config.spatial_shape or config.patch_size or (side, side, side if config.dimensions == 3 else 1)
    shape = config.by_tensor_axis(along_ijk)
    grid = NetworkGrid(shape, tuple(slice(0, n) for n in shape), shape)
    start = time.perf_counter()
    with torch.no_grad():
        image = torch.zeros(len(config.channels), *shape)
        prepared = prepare(backbone, grid, image, should_cancel=interrupt_requested)
    return along_ijk, time.perf_counter() - start, prepared.notes
