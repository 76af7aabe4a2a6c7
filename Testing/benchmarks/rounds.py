"""Benchmark: a refinement on a real CT beside the network alone and the paper's loop; and against the volume's size.

Run `python -m Testing.benchmarks.rounds` (some ten minutes; needs the real data for its first table). The naive loop is
Algorithm 1 as people write it: in every one of its 100 steps the whole network runs forward and backward. Of it some
steps are measured and multiplied, which the table says. The second table needs no data: the same organ on grids from 64
cubed to 300 x 512 x 512, segmented by a small random network with a fixed input size.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from InteractiveRefineLib.backbone import Backbone, load_backbone
from InteractiveRefineLib.backbone.config import BackboneConfig, IntensityRule
from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.image_state import ImageFrame
from InteractiveRefineLib.metrics import dice
from InteractiveRefineLib.partial.layers import first_tensor
from InteractiveRefineLib.result import RefinementResult
from InteractiveRefineLib.robot import robot_organ_strokes
from InteractiveRefineLib.segmentation import Segment
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.tuning.rules import UPDATE_RULES
from InteractiveRefineLib.volume import Volume
from Testing.benchmarks.growing import SPACING, scan
from Testing.benchmarks.measuring import machine, peak_megabytes, plot, seconds_of
from Testing.real_backbones import make_backbone_folder
from Testing.real_data import chaos_ct

CPU = torch.device("cpu")
SIZES = ((64, 64, 64), (96, 128, 128), (128, 256, 256), (200, 384, 384), (300, 512, 512))
#: Strokes drawn at first, and the volume they are drawn in, where their number grows.
STROKE_COUNTS, STROKES_IN = (1, 4, 16, 64), (128, 256, 256)


def a_session(image: Volume, backbone: Backbone, layers: int) -> RefineSession:
    return RefineSession(image, backbone, RefineSettings(device="cpu", layers=layers))


def next_strokes(constraints: Constraints, truth: np.ndarray, labels: np.ndarray, label: int) -> None:
    for stroke in robot_organ_strokes(truth, labels, label, max_strokes=3, length=25, rim_voxels=1):
        constraints.add_stroke_indices(stroke.kji, stroke.label, stroke.forbidden)
    constraints.next_round()


def naive_step_seconds(backbone: Backbone, inputs: torch.Tensor, repeats: int) -> float:
    """One step of Algorithm 1: the network forward and backward, gradients of all weights."""
    parameters = backbone.parameters()

    def step() -> None:
        logits = first_tensor(backbone.network(inputs[None].clone()))
        at = logits[0, :, ::29, ::29, ::29].flatten(1).T
        F.cross_entropy(at, at.detach().argmin(dim=1)).backward()
        for p in parameters:
            p.grad = None

    for p in parameters:
        p.requires_grad_(True)
    try:
        return statistics.median(seconds_of(step) for _ in range(repeats + 1))
    finally:
        for p in parameters:
            p.requires_grad_(False)


def real_ct(work: Path, layers: int, repeats: int) -> list[str]:
    """The table of the real CT."""
    image, truth = chaos_ct()
    backbone = load_backbone(make_backbone_folder("abdomen", work / "abdomen"))
    frame = ImageFrame(image, backbone)
    inputs, grid = backbone.preprocessing(frame.image, frame.geometry, CPU)

    def forward() -> None:
        with torch.no_grad():
            backbone.network(inputs[None].clone())

    forward()
    plain, firsts, later, curve = [], [], [], []
    for _ in range(repeats):
        plain.append(seconds_of(forward))
        session, constraints = a_session(image, backbone, layers), Constraints(image.geometry)
        label = session.label_of("liver")
        start = a_session(image, backbone, layers).predict()
        next_strokes(constraints, truth, start, label)
        results = []
        firsts.append(seconds_of(lambda s=session, c=constraints, r=results: r.append(s.refine(c))))
        curve = [dice(start == label, truth), dice(results[-1].labels == label, truth)]
        for _ in range(4):
            next_strokes(constraints, truth, results[-1].labels, label)
            later.append(seconds_of(lambda s=session, c=constraints, r=results: r.append(s.refine(c))))
            curve.append(dice(results[-1].labels == label, truth))
        plain.append(seconds_of(forward))
    naive = naive_step_seconds(backbone, inputs, 1) * UPDATE_RULES["paper"].steps
    one, first, more = (statistics.median(v) for v in (plain, firsts, later))
    gc.collect()
    peak_forward = peak_megabytes(forward)
    peak_predict = peak_megabytes(lambda: a_session(image, backbone, layers).predict())
    rows = [
        ("one plain forward pass of the network", one, "", peak_forward),
        ("first round: network, tuning, decoding", first, f"limit {1.3 * one + 1:.1f} s", float("nan")),
        ("later round, median", more, f"limit {max(1.0, 0.15 * one):.1f} s", float("nan")),
        ("later round, slowest", max(later), "", float("nan")),
        ("our prediction alone (loading features and labels, too)", float("nan"), "", peak_predict),
        ("Algorithm 1, 100 steps of the whole network (2 measured)", naive, "", float("nan")),
    ]
    lines = [
        f"## Real CT, 512 x 512 x 78, network grid {' x '.join(map(str, grid.shape))}, l = {layers}",
        "",
        f"Liver Dice: {', '.join(f'{d:.4f}' for d in curve)}.",
        "",
        "| what | seconds | in forward passes | peak MB | |",
        "|---|---:|---:|---:|---|",
    ]
    for what, seconds, note, peak in rows:
        lines.append(f"| {what} | {seconds:.2f} | {seconds / one:.2f} | {peak:.0f} | {note} |")
    lines += ["", f"A later round against Algorithm 1: **{naive / more:,.0f}x**."]
    return lines


def a_small_network() -> Backbone:
    """Knows organ 1 by its intensity, imperfectly; sees every image at 64 cubed."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(8, 8, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv3d(8, 2, 1),
    )  # fmt: skip
    config = BackboneConfig(
        name="small", dimensions=3, channels=("CT",), classes=(Segment("organ", 1),), channel_labels=(0, 1),
        axis_codes="RAS", spatial_shape=(64, 64, 64), intensity=IntensityRule("window", -200, 300),
    )  # fmt: skip
    return Backbone(config, network.eval().requires_grad_(False), None)


def an_organ(shape: tuple[int, int, int]) -> tuple[Volume, np.ndarray]:
    """A scan of this many voxels, always of the same size in mm, and where its organ is."""
    array, organs = scan(shape)
    scale = [s * 300 / n for s, n in zip(SPACING, (shape[0], shape[1] * 300 / 512, shape[2] * 300 / 512))]
    return Volume(array, np.diag([scale[2], scale[1], scale[0], 1.0]), "scan"), organs == 1


def play(
    session: RefineSession, constraints: Constraints, draw: Callable[[list[RefinementResult]], None], rounds: int
) -> tuple[list[RefinementResult], list[float], list[float]]:
    """Rounds in which `draw`, which sees all results so far, adds strokes first.

    Returns:
        results; seconds of every round; of the later ones the median seconds, of it tuning and decoding, and the peak
        memory of one more in MB.
    """
    results, seconds = [], []
    for _ in range(rounds):
        draw(results)
        seconds.append(seconds_of(lambda: results.append(session.refine(constraints))))
    peak = peak_megabytes(lambda: session.refine(constraints))
    tuning, decoding = (statistics.median(r.timings[k] for r in results[1:]) for k in ("tuning", "decoding"))
    return results, seconds, [statistics.median(seconds[1:]), tuning, decoding, peak]


def by_volume(repeats: int, sizes) -> tuple[list[str], list[float], dict[str, list[float]]]:
    """The table of growing volumes, its sizes in voxels, and what to plot."""
    lines = [
        "## The same organ on finer grids",
        "",
        "| volume (K x J x I) | network (s) | first round (s) | later round (s) | of it tuning | decoding "
        "| growth of the later round | of the volume | peak MB of a later round |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    backbone, voxels, times, base = a_small_network(), [], {"first round": [], "later round": []}, None
    for shape in sizes:
        image, truth = an_organ(shape)
        session, constraints = a_session(image, backbone, 1), Constraints(image.geometry)
        labels = session.predict()
        network = seconds_of(lambda i=image: a_session(i, backbone, 1).predict())

        def draw(results, c=constraints, t=truth, start=labels):
            next_strokes(c, t, results[-1].labels if results else start, 1)

        results, rounds, (later, tuning, decoding, peak) = play(session, constraints, draw, 2 + repeats)
        base = base or (later, truth.size)
        voxels.append(truth.size)
        times["first round"].append(network + rounds[0])
        times["later round"].append(later)
        lines.append(
            f"| {' x '.join(map(str, shape))} | {network:.2f} | {network + rounds[0]:.2f} | **{later:.2f}** | "
            f"{tuning:.2f} | {decoding:.2f} | {later / base[0]:.1f}x | {truth.size / base[1]:.0f}x | {peak:.0f} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
        del session, results, labels, image, truth, draw
        gc.collect()
    return lines, voxels, times


def by_strokes(repeats: int, counts=STROKE_COUNTS) -> list[str]:
    """The table of growing numbers of strokes on one volume: what the strokes drawn before cost a later round.

    A session that has seen so many strokes gets one more, of 25 voxels, as often as is measured.
    """
    lines = [
        "## More and more strokes, one new one a round",
        "",
        "| stroke voxels before | first round (s) | later round (s) | of it tuning | decoding "
        "| growth of the later round | peak MB of a later round |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    image, organ = an_organ(STROKES_IN)
    inside = np.argwhere(organ)
    base, first_session = None, a_session(image, a_small_network(), 1)
    first_session.predict()
    for count in counts:
        session, random = first_session.anew(first_session.settings), np.random.default_rng(0)
        constraints = Constraints(image.geometry)

        def draw(results, c=constraints, first=count, r=random):
            for _ in range(1 if results else first):
                line = inside[r.integers(len(inside))] + np.outer(np.arange(25), [0, 0, 1])
                c.add_stroke_indices(np.minimum(line, np.array(organ.shape) - 1), 1)
            c.next_round()

        results, rounds, (later, tuning, decoding, peak) = play(session, constraints, draw, 2 + repeats)
        base = base or later
        drawn = int((results[0].strokes > 0).sum())
        lines.append(
            f"| {drawn:,} | {rounds[0]:.2f} | **{later:.2f}** | {tuning:.2f} | {decoding:.2f} | {later / base:.1f}x "
            f"| {peak:.0f} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> int:
    """Print the tables and, if asked, write them with a plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="how many of the volumes, from the smallest on")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the tables here (Markdown), and a .png")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    lines = ["# Rounds", "", f"{machine()}; medians of {args.repeats}.", ""]
    with tempfile.TemporaryDirectory() as work:
        try:
            lines += real_ct(Path(work), args.layers, args.repeats)
        except FileNotFoundError as missing:
            lines += [f"The real CT is left out: {missing}"]
    print("\n".join(lines), flush=True)
    table, voxels, times = by_volume(args.repeats, SIZES[: args.sizes])
    table += ["", *by_strokes(args.repeats)]
    print("\n".join(["", *table]))
    if args.output:
        args.output.write_text("\n".join([*lines, "", *table]) + "\n", encoding="utf-8")
        plot(args.output.with_suffix(".png"), "Rounds by volume", voxels, times, "voxels of the volume")
    return 0


if __name__ == "__main__":
    sys.exit(main())
