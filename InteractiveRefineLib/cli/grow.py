"""`interactive-refine grow`: strokes spread by intensity, without any network."""

from __future__ import annotations

import argparse

import numpy as np

from ..segmentation import BACKGROUND_STROKE, Segment, Segmentation
from ..settings import GROWING_RULES, RefineSettings
from ..stroke_files import BACKGROUND_NAME
from . import common
from .images import Images, add_image, files_of
from .interrupt import interrupt_requested
from .strokes import read_strokes

NAME = "grow"
SUMMARY = "spread strokes over similar intensities, without any network"
DESCRIPTION = """\
Enlarge strokes: step by step, neighboring voxels of similar intensity join a stroke, up to a distance in mm.
Classes compete for voxels; a class that would flood through a narrow gap is stopped, and that is reported.
The result can be used as strokes, or as a first segmentation of a structure that no network knows."""
EXAMPLE = """\
  interactive-refine grow --image ct.nrrd --scribbles strokes.seg.nrrd --max-distance-mm 20 \\
      --output grown.seg.nrrd"""

_WHITE = (1.0, 1.0, 1.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_image(parser)
    parser.add_argument(
        "--scribbles", required=True, metavar="FILE", help="the strokes: a .seg.nrrd, or a label map (255 = background)"
    )
    common.add_output(parser)
    add_growing(parser)


def add_growing(parser: argparse.ArgumentParser) -> None:
    """The options of growing itself, which `refine` has as well."""
    default = RefineSettings()
    group = parser.add_argument_group("growing of strokes")
    group.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="voxels that differ by less than T join, in the image's units (such as HU); "
        "without it, T follows from the noise at the strokes",
    )
    group.add_argument(
        "--threshold-noise",
        type=float,
        default=default.threshold_noise,
        metavar="N",
        help=f"without --threshold: T is N times the noise ({default.threshold_noise:g})",
    )
    group.add_argument(
        "--max-distance-mm",
        type=float,
        default=default.max_distance_mm,
        metavar="R",
        help=f"no farther than R mm from a stroke ({default.max_distance_mm:g})",
    )
    group.add_argument(
        "--growing-rule",
        choices=GROWING_RULES,
        default=default.growing_rule,
        help=f"compare each voxel with its neighbor (chain) or with the stroke it came from (seed) "
        f"({default.growing_rule})",
    )


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    common.check_segmentation_name(args.output)
    common.check_outputs([args.output], [*files_of(args.image), args.scribbles])
    settings = RefineSettings(
        threshold=args.threshold,
        threshold_noise=args.threshold_noise,
        max_distance_mm=args.max_distance_mm,
        growing_rule=args.growing_rule,
    )
    from ..growing import grow
    from ..noise import estimate_noise_near
    from ..segmentation_io import write_segmentation

    image = Images(args.image).combined()
    seeds, classes = read_strokes(args.scribbles, image.geometry)
    spacing = image.geometry.spacing_kji
    threshold = settings.threshold
    if threshold is None:
        threshold = settings.threshold_noise * estimate_noise_near(image.array, np.argwhere(seeds), spacing)
    common.say(f"Growing with T = {threshold:.4g}, at most {settings.max_distance_mm:g} mm from a stroke")
    grown = grow(
        image.array,
        seeds,
        spacing,
        threshold,
        settings.max_distance_mm,
        rule=settings.growing_rule,
        should_cancel=interrupt_requested,
    )
    if (grown.labels == BACKGROUND_STROKE).any():
        classes = [*classes, Segment(BACKGROUND_NAME, BACKGROUND_STROKE, _WHITE)]
    write_segmentation(Segmentation(grown.labels, image.geometry, classes), args.output)
    names = {segment.label: segment.name for segment in classes}
    for label, n in grown.n_grown.items():
        common.say(f"{names[label]}: {int((seeds == label).sum())} stroke voxels, {n} more by growing")
    for label, leak in grown.leaks.items():
        place = ", ".join(f"{x:.1f}" for x in image.geometry.to_ras(np.array([leak.kji]))[0])
        common.warn([f"{names[label]} was stopped at RAS ({place}) mm, where it began to flood through a narrow gap."])
    if not seeds.any():
        common.warn(["There are no strokes in the image: nothing grew."])
    common.say(f"Wrote {args.output}")
