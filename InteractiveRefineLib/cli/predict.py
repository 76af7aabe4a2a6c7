"""`interactive-refine predict`: the network alone."""

from __future__ import annotations

import argparse

from . import common
from .bar import ProgressReport
from .images import Images, add_image, files_of
from .interrupt import interrupt_requested

NAME = "predict"
SUMMARY = "segment an image with the network, nothing else"
DESCRIPTION = """\
Segment an image with the network alone, as the starting point of corrections.
Look at the result in 3D Slicer, paint strokes where it is wrong, then use the command refine."""
EXAMPLE = "  interactive-refine predict --image ct.nrrd --backbone my-backbone --output predicted.seg.nrrd"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_image(parser)
    common.add_network(parser)
    common.add_output(parser)


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    common.check_segmentation_name(args.output)
    common.check_outputs([args.output], [*files_of(args.image), args.class_map])
    from ..segmentation_io import write_segmentation

    images = Images(args.image)
    backbone = common.load_network(args.backbone, args.class_map)
    image = images.combined(backbone.config.channels)
    from ..session import RefineSession
    from ..settings import RefineSettings

    session = RefineSession(image, backbone, RefineSettings(device=args.device))
    with ProgressReport() as progress:
        labels = session.predict(progress=progress, should_cancel=interrupt_requested)
    write_segmentation(session.segmentation(), args.output)
    for segment in session.classes:
        volume = float((labels == segment.label).sum()) * image.geometry.voxel_volume_ml
        common.say(f"{segment.name}: {common.milliliters(volume)} ml")
    common.say(f"Wrote {args.output}")
