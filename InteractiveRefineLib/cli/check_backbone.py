"""`interactive-refine check-backbone`: what is in a network's folder, or what is wrong with it."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from ..trust import code_in, licenses_in
from . import common
from .images import Images
from .interrupt import interrupt_requested

if TYPE_CHECKING:
    from ..backbone import Backbone
    from ..partial.cost import Cost
    from ..partial.layers import Layer

NAME = "check-backbone"
SUMMARY = "tell what is in a network's folder, or what is wrong with it"
DESCRIPTION = """\
Read the folder of a network, tell which of its files are programs, load it, tell what was understood and which layers
can be tuned, and run the network once. With --image, also estimate time and memory for that image. When something is
missing or wrong, say what, and show how the folder should look."""
EXAMPLE = "  interactive-refine check-backbone my-backbone --image ct.nrrd"

#: Side in voxels of the trial image, when the network asks for no size of its own; rounded up to what it divides by.
_TRIAL_SIDE = 32
#: As many of the last layers as are listed.
_LISTED_LAYERS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "backbone",
        nargs="?",
        metavar="FOLDER",
        help="the folder to check; without it, the network that comes with this program",
    )
    parser.add_argument(
        "--image",
        action="extend",
        nargs="+",
        metavar="FILE",
        help="estimate time and memory for this scan; one file for each channel of the network, as for refine",
    )
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="of the estimate: auto, cpu, cuda:0 (auto)")
    parser.add_argument("--json", action="store_true", help="print one JSON object for scripts instead of text")


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    say = _silent if args.json else common.say
    programs = [] if args.backbone is None else code_in(args.backbone)
    if programs:  # before anything of them runs
        say(f"Programs    {' '.join(programs)} Use only networks of people you trust.")
    images = Images(args.image) if args.image else None  # read before a network is loaded in vain
    backbone = common.load_network(args.backbone)
    say(backbone.describe())
    layers = tunable_layers(backbone)
    say(_layer_table(backbone, layers))
    found = _summary(args.backbone, backbone, layers, programs)
    if images:
        cost = _cost(backbone, images, args.device)
        notes = cost.notes
        say(_estimate_text(backbone, cost))
        found["estimate"] = {
            "grid_ijk": list(backbone.config.by_tensor_axis(cost.grid)),
            "window_ijk": list(backbone.config.by_tensor_axis(cost.window)),
            "windows": cost.windows,
            "seconds": round(cost.seconds, 3),
            "memory_bytes": cost.memory_bytes,
        }
    else:
        shape, seconds, notes = _trial_run(backbone)
        say(f"Trial run   passed in {seconds:.1f} s on {_by(shape)} voxels (I, J, K)")
        found["trial_run"] = {"shape_ijk": list(shape), "seconds": round(seconds, 3)}
    if args.json:
        common.say(json.dumps(found | {"warnings": notes}, indent=1))
    else:
        common.warn(notes)


def tunable_layers(backbone: Backbone) -> list[Layer]:
    """The last layers that can be tuned, last one last, at most six; [] where the network fails on zeros.

    It is run on a small image first: the order of the layers rarely depends on the size.
    """
    import torch

    from ..errors import BackboneError
    from ..partial.layers import last_layers

    config = backbone.config
    for along_ijk in dict.fromkeys((_sides(backbone), _trial_shape(backbone))):
        shape = [n for n, axis in zip(config.by_tensor_axis(along_ijk), config.tensor_axes)
                 if config.dimensions == 3 or axis != "K"]  # fmt: skip
        image = torch.zeros(1, len(config.channels), *shape)

        def run_network(image: torch.Tensor = image) -> Any:
            with torch.jit.optimized_execution(False):
                return backbone.network(image)

        for count in range(_LISTED_LAYERS, 0, -1):
            try:
                return last_layers(run_network, backbone.parameters(), count)
            except BackboneError as error:
                if not str(error).startswith(f"{count} layers were asked for"):
                    break
            except Exception:  # whatever a network raises; the trial run tells it properly
                break
    return []


def _layer_table(backbone: Backbone, layers: list[Layer]) -> str:
    names = {id(p): name for name, p in backbone.network.named_parameters()}
    lines = ["Layers      that --layers 1, 2, ... tunes: the last one, the last two, ..."]
    total = 0
    for number, layer in enumerate(reversed(layers), start=1):
        total += _values(layer)
        name = names.get(id(layer.weight), "constant")
        lines.append(f"  {number}  {name}, {_by(layer.weight.shape)}: {_values(layer):,} values, together {total:,}")
    return "\n".join(lines)


def _summary(folder: str | None, backbone: Backbone, layers: list[Layer], programs: list[str]) -> dict[str, Any]:
    """What was recognized, for scripts; the names of the keys stay."""
    config = backbone.config
    names = {id(p): name for name, p in backbone.network.named_parameters()}
    return {
        "folder": str(backbone.folder),
        "kind": backbone.kind,
        "name": config.name,
        "dimensions": config.dimensions,
        "channels": list(config.channels),
        "classes": [{"label": 0, "name": "background"}, *({"label": s.label, "name": s.name} for s in config.classes)],
        "activation": config.activation,
        "axis_codes": config.axis_codes,
        "spacing": None if config.spacing is None else list(config.spacing),
        "patch_size": None if config.patch_size is None else list(config.patch_size),
        "intensity": config.intensity.rule,
        "parameters": backbone.n_parameters,
        "layers": [
            {
                "layers": number,
                "weight": names.get(id(layer.weight)),
                "shape": list(layer.weight.shape),
                "values": _values(layer),
            }
            for number, layer in enumerate(reversed(layers), start=1)
        ],
        "license": config.license,
        "license_files": [] if folder is None else licenses_in(folder),
        "programs": programs,
        "details": list(backbone.details),
    }


def _cost(backbone: Backbone, images: Images, device: str) -> Cost:
    from ..device import choose_device
    from ..image_state import ImageFrame
    from ..partial.cost import estimate_cost

    frame = ImageFrame(images.combined(backbone.config.channels), backbone)
    return estimate_cost(
        backbone, frame.image, frame.geometry, device=choose_device(device), should_cancel=interrupt_requested
    )


def _estimate_text(backbone: Backbone, cost: Cost) -> str:
    grid, window = (backbone.config.by_tensor_axis(shape) for shape in (cost.grid, cost.window))
    times = "once" if cost.windows == 1 else f"{cost.windows} times, each time"
    return (
        f"This image  is brought to {_by(grid)} voxels (I, J, K); the network runs {times} on {_by(window)}\n"
        f"Estimate    {cost.seconds:.1f} s and {cost.memory_bytes / 1e9:.2g} GB for its first run, from one window; "
        "the program and the image come on top"
    )


def _trial_run(backbone: Backbone) -> tuple[tuple[int, ...], float, list[str]]:
    """Run the network as a refinement would: only that shows whether its output fits the classes.

    Returns:
        The trial image's size along I, J, K, how long it took, and what is unusual about the network.

    Raises:
        BackboneError: the network rejects the input, or its output does not fit the description.
    """
    import torch

    from ..backbone.grid import NetworkGrid
    from ..partial.prepare import prepare

    config = backbone.config
    along_ijk = _trial_shape(backbone)
    shape = config.by_tensor_axis(along_ijk)
    grid = NetworkGrid(shape, tuple(slice(0, n) for n in shape), shape)
    start = time.perf_counter()
    with torch.no_grad():
        image = torch.zeros(len(config.channels), *shape)
        prepared = prepare(backbone, grid, image, should_cancel=interrupt_requested)
    return along_ijk, time.perf_counter() - start, prepared.notes


def _sides(backbone: Backbone) -> tuple[int, int, int]:
    """A small size along I, J, K that the network should take."""
    multiple = backbone.config.divisible_by
    side = -(-_TRIAL_SIDE // multiple) * multiple
    return side, side, side if backbone.config.dimensions == 3 else 1


def _trial_shape(backbone: Backbone) -> tuple[int, int, int]:
    """The size along I, J, K that the network asks for, or a small one."""
    return backbone.config.spatial_shape or backbone.config.patch_size or _sides(backbone)


def _values(layer: Layer) -> int:
    return sum(p.numel() for p in layer.parameters)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


def _silent(text: str) -> None:
    """Instead of `common.say`, where only JSON is wanted."""
