"""`interactive-refine refine`: a segmentation corrected from strokes, points and boxes."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING

from ..errors import InputError
from ..segmentation import BACKGROUND_STROKE
from ..settings import GROW_CLASSES, REACHES, UPDATES, RefineSettings
from ..stroke_files import BACKGROUND_NAME
from . import common
from .bar import ProgressReport
from .class_map import read_class_map
from .grow import add_growing
from .images import Images, add_image, files_of
from .interrupt import interrupt_requested
from .strokes import read_strokes

if TYPE_CHECKING:
    from ..constraints import Constraints
    from ..result import RefinementResult
    from ..segmentation import Segmentation
    from ..session import RefineSession
    from .remote import RemoteSession

NAME = "refine"
SUMMARY = "correct a segmentation from strokes, points and boxes"
DESCRIPTION = """\
Correct a segmentation: mark a few places where it is wrong, and get it back corrected.
Every marked voxel is obeyed; far from the marks nothing changes unless the marks call for it; locked structures keep
every voxel.

How to mark: in 3D Slicer, paint strokes as segments that are named like the structures (and one named "background"
where nothing should be), and save them as .seg.nrrd."""
EXAMPLE = """\
  interactive-refine refine --image ct.nrrd --backbone my-backbone --current before.seg.nrrd \\
      --scribbles strokes.seg.nrrd --lock spleen --output refined.seg.nrrd --preview refined.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_image(parser)
    common.add_network(parser)
    marks = parser.add_argument_group("what is wrong (at least one of these)")
    marks.add_argument(
        "--scribbles",
        metavar="FILE",
        help="strokes: a .seg.nrrd whose segments are named like the structures, or a label map on the image's grid "
        "(0 no stroke, k structure number k, 255 background)",
    )
    marks.add_argument(
        "--not-scribbles", metavar="FILE", help="strokes that mean 'anything but this structure', in the same form"
    )
    marks.add_argument(
        "--points", metavar="FILE", help="points: markups saved by 3D Slicer (.mrk.json), or JSON as in the README"
    )
    marks.add_argument("--boxes", metavar="FILE", help="boxes around structures, in the same forms as points")
    state = parser.add_argument_group("the segmentation")
    state.add_argument(
        "--current",
        metavar="FILE",
        help="the segmentation as it is now, edited by hand or made by any program; without it, the network's own",
    )
    state.add_argument(
        "--lock",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="structures that must neither gain nor lose a voxel",
    )
    state.add_argument(
        "--add-class",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="new structures, which the network does not know",
    )
    parser.add_argument(
        "--worker",
        metavar="COMMAND",
        help='compute in a worker that this command starts, such as "ssh gpu-box interactive-refine worker"; '
        "--backbone is then a folder over there, all other files are here",
    )
    common.add_output(parser)
    parser.add_argument("--report", metavar="FILE", help="also write what was done, as JSON")
    parser.add_argument("--preview", metavar="FILE", help="also write a picture (.png) of the slices that changed most")
    _add_settings(parser)
    add_growing(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    default = RefineSettings()
    group = parser.add_argument_group("how strokes spread (the defaults are what we measured to be best)")
    group.add_argument(
        "--reach",
        choices=REACHES,
        default=default.reach,
        help="how far from a stroke its structure may change: near it (local), all of it (whole), or decided from the "
        f"image ({default.reach})",
    )
    group.add_argument(
        "--grow",
        choices=GROW_CLASSES,
        default=default.grow,
        help="whose strokes are grown: those of structures that the network does not know (new), all or none "
        f"({default.grow})",
    )
    group.add_argument(
        "--update",
        choices=UPDATES,
        default=default.update,
        help=f"how the network is tuned; all but '{default.update}' ruin what was right, and exist for comparison "
        f"({default.update})",
    )
    group.add_argument(
        "--layers", type=int, metavar="L", help="tune the last L layers (3 of a 2-D network on one picture, else 1)"
    )
    group.add_argument("--steps", type=int, metavar="M", help="tune for at most M steps")
    group.add_argument("--learning-rate", type=float, metavar="ETA", help="size of a tuning step")
    group.add_argument(
        "--alpha",
        type=float,
        default=default.alpha,
        help=f"pull back to the original network, where the update uses it ({default.alpha:g})",
    )
    group.add_argument(
        "--seed", type=int, default=default.seed, help=f"of random choices; same seed, same result ({default.seed})"
    )


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    names = ("image", "backbone", "class_map", "current", "scribbles", "not_scribbles", "points", "boxes")
    files = {name: getattr(args, name) for name in names}
    if len(args.image) == 1:
        files["image"] = args.image[0]
    if not (args.scribbles or args.not_scribbles or args.points or args.boxes):
        raise InputError("Nothing says what is wrong: give --scribbles, --not-scribbles, --points or --boxes.")
    common.check_segmentation_name(args.output)
    if args.preview and not args.preview.lower().endswith(".png"):
        raise InputError(f"Cannot write {args.preview}: the preview is a .png. Choose such a name.")
    # Refining a segmentation in place is a fair wish: --current may be the output, no other input may.
    inputs = [*files_of(args.image), args.scribbles, args.not_scribbles, args.points, args.boxes]
    common.check_outputs([args.output, args.report, args.preview], inputs)
    settings = settings_from(args)

    from ..segmentation_io import read_segmentation, write_segmentation

    images = Images(args.image)
    current = read_segmentation(args.current) if args.current else None
    with contextlib.ExitStack() as stack:
        session, network = _session(args, images, settings, current, stack)
        if current is not None:
            common.warn(f"{args.current}: {sentence}" for sentence in current.warnings)
        constraints = _constraints(args, session)
        with ProgressReport() as progress:
            result = session.refine(constraints, progress=progress, should_cancel=interrupt_requested)
    write_segmentation(session.segmentation(), args.output)
    if args.report:
        from .report_file import write_report

        files["backbone"] = args.backbone or network  # the shipped one has no name on the command line
        write_report(args.report, result, settings, {**files, "lock": args.lock, "add_class": args.add_class})
    if args.preview:
        from ..preview import write_preview

        write_preview(args.preview, session.image, result, session.classes)
    _tell(result)
    for path in filter(None, (args.output, args.report, args.preview)):
        common.say(f"Wrote {path}")


def _session(
    args: argparse.Namespace,
    images: Images,
    settings: RefineSettings,
    current: Segmentation | None,
    stack: contextlib.ExitStack,
) -> tuple[RefineSession | RemoteSession, str]:
    """A session here, or in a worker that ends with `stack`; and the network's name."""
    if args.worker:
        from .remote import RemoteSession

        remote = RemoteSession(
            args.worker,
            images.combined,
            args.backbone,
            settings,
            current,
            args.add_class,
            None if args.class_map is None else read_class_map(args.class_map),
            should_cancel=interrupt_requested,
        )
        return stack.enter_context(remote), remote.backbone_name
    backbone = common.load_network(args.backbone, args.class_map)
    from ..session import RefineSession

    image = images.combined(backbone.config.channels)
    return RefineSession(image, backbone, settings, current, args.add_class), backbone.config.name


def settings_from(args: argparse.Namespace) -> RefineSettings:
    """The settings among the options; raises InputError for one that cannot be."""
    return RefineSettings(
        update=args.update,
        layers=args.layers,
        steps=args.steps,
        learning_rate=args.learning_rate,
        alpha=args.alpha,
        reach=args.reach,
        grow=args.grow,
        growing_rule=args.growing_rule,
        threshold=args.threshold,
        threshold_noise=args.threshold_noise,
        max_distance_mm=args.max_distance_mm,
        seed=args.seed,
        device=args.device,
    )


def _constraints(args: argparse.Namespace, session: RefineSession | RemoteSession) -> Constraints:
    from ..constraints import Constraints
    from ..prompt_files import read_boxes, read_points

    def label_of(name: str) -> int:
        return BACKGROUND_STROKE if name.strip().lower() == BACKGROUND_NAME else session.label_of(name)

    geometry = session.image.geometry
    constraints = Constraints(geometry, locked=[session.label_of(name) for name in args.lock])
    if args.boxes:
        constraints.add_boxes(read_boxes(args.boxes, label_of))
    if args.points:
        constraints.add_points(read_points(args.points, label_of))
    for path, forbidden in ((args.not_scribbles, True), (args.scribbles, False)):
        if path:
            labels, _ = read_strokes(path, geometry, session.classes)
            constraints.add_strokes(labels, forbidden=forbidden)
    return constraints


def _tell(result: RefinementResult) -> None:
    common.warn(result.warnings)
    for change in result.changes:
        reach = f" (reach: {change.reach})" if change.reach else ""
        added, removed = common.milliliters(change.added_ml), common.milliliters(change.removed_ml)
        common.say(f"{change.name}: +{added} ml, -{removed} ml{reach}")
    if result.changed_box is None:
        common.say("Nothing changed.")
