"""One step of tuning, computed in three ways side by side: `python -m Testing.benchmarks.tuning_step`.

naive   the whole network forward and backward, gradients of all weights (Algorithm 1 as people write it)
frozen  the same with gradients of the tuned layers only
tape    the recorded operations of the tuned layers over the whole window
local   what the product does: the tuned layers at the strokes only

Every step is the cross-entropy at the same stroke voxels, its gradients and one step of Adam. The ways take turns, so
that a busy machine slows all of them; medians are given. "Off" is the largest difference to the network's own logits
at the strokes after the weights moved: the local way holds the norms' statistics, the tape none.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from InteractiveRefineLib.backbone.grid import NetworkGrid
from InteractiveRefineLib.partial.layers import first_tensor, last_layers
from InteractiveRefineLib.partial.prepare import prepare
from InteractiveRefineLib.partial.tape import Tape
from Testing.benchmarks import measuring
from Testing.benchmarks.architectures import ARCHITECTURES
from Testing.tests.network_examples import a_backbone

DEFAULT = ("PlainConvUNet", "ResidualEncoderUNet", "UNet", "SegResNet", "SwinUNETR", "AttentionUnet", "MeshNet")
HEADER = (
    "| network | l | naive s | frozen s | tape s | local s | tape x | local x | local x, to frozen | "
    "off: tape, local | peak MB: naive, frozen, tape, local |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)

Step = Callable[[], None]


def strokes(size: int, count: int, length: int) -> np.ndarray:
    """Voxels (N, 3) of wandering strokes, each in one slice, as a user draws them."""
    rng = np.random.default_rng(0)
    voxels = []
    for _ in range(count):
        position, angle = rng.uniform(0.2 * size, 0.8 * size, 3), rng.uniform(0, 2 * np.pi)
        for _ in range(length):
            voxels.append(np.clip(np.round(position), 0, size - 1))
            angle += rng.normal(0, 0.3)
            position = position + [0, np.sin(angle), np.cos(angle)]
    return np.unique(np.array(voxels, dtype=np.int64), axis=0)


def a_step(logits: Callable[[list], torch.Tensor], values: list[torch.Tensor], wanted: torch.Tensor) -> Step:
    """Cross-entropy of logits (N, 2), backward, Adam; also of the gradients that nobody steps with."""
    optimizer = torch.optim.Adam(values, lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(logits(values), wanted).backward()
        optimizer.step()

    return step


class Ways:
    """The four ways of one network for one number of layers."""

    def __init__(self, name: str, layers: int, size: int, voxels: np.ndarray, device: torch.device) -> None:
        torch.manual_seed(0)
        self.network = ARCHITECTURES[name].make(ARCHITECTURES[name].width).eval().requires_grad_(False).to(device)
        self.image = torch.randn(1, size, size, size).to(device)
        self.wanted = torch.as_tensor(voxels.sum(axis=1) % 2, device=device)
        at = tuple(torch.as_tensor(column, device=device) for column in voxels.T)

        def run():
            return self.network(self.image[None].clone())

        found = last_layers(run, list(self.network.parameters()), layers)
        self.tuned = [p for layer in found for p in layer.parameters]
        self.initial = [p.detach().clone() for p in self.tuned]
        tape = Tape.record(run, self.tuned, found[-1].weight)
        tape.output = tape.features = None
        grid = NetworkGrid((size,) * 3, (slice(0, size),) * 3, (size,) * 3)
        with torch.no_grad():
            prepared = prepare(a_backbone(self.network, 2), grid, self.image, layers)
        self.notes = prepared.notes
        self.logits = {
            "naive": lambda values: first_tensor(run())[(0, slice(None), *at)].T,
            "tape": lambda values: tape.replay(values)[(0, slice(None), *at)].T,
            "local": prepared.part.at(voxels.astype(np.float64)),
        }

    def step(self, way: str) -> Step:
        """One step from the initial weights on."""
        if way in ("naive", "frozen"):
            for parameter in self.network.parameters():
                parameter.requires_grad_(way == "naive")
            for parameter in self.tuned:
                parameter.requires_grad_(True)
            optimized = a_step(self.logits["naive"], self.tuned, self.wanted)

            def step() -> None:
                self.network.zero_grad()
                optimized()

            return step
        return a_step(self.logits[way], [p.clone().requires_grad_(True) for p in self.initial], self.wanted)

    def reset(self) -> None:
        """The network as it was."""
        self.network.zero_grad()
        self.network.requires_grad_(False)
        for parameter, value in zip(self.tuned, self.initial):
            parameter.data.copy_(value)

    def off(self) -> dict[str, float]:
        """Largest difference to the network's own logits after the weights moved."""
        generator = torch.Generator().manual_seed(1)
        moved = [p + 0.05 * p.abs().mean() * torch.randn(p.shape, generator=generator).to(p) for p in self.initial]
        with torch.no_grad():
            found = {way: self.logits[way](moved) for way in ("tape", "local")}
            for parameter, value in zip(self.tuned, moved):
                parameter.data.copy_(value)
            own = self.logits["naive"](moved)
        self.reset()
        return {way: float((logits - own).abs().max()) for way, logits in found.items()}


def seconds(step: Step, device: torch.device, at_least: float) -> float:
    """Mean time of one step over `at_least` seconds, and over one step at least."""
    count, start = 0, time.perf_counter()
    while True:
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        count += 1
        passed = time.perf_counter() - start
        if passed >= at_least:
            return passed / count


def peak_megabytes(step: Step, device: torch.device) -> float:
    """How much memory one step adds to what is held already; NaN where the system does not tell."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    return measuring.peak_megabytes(step)


def measure(
    name: str, layers: int, size: int, voxels: np.ndarray, device: torch.device, repeats: int
) -> tuple[str, float]:
    """One row of the table, and how many times faster the local way is than the naive one."""
    ways = Ways(name, layers, size, voxels, device)
    off = ways.off()
    times: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    for repeat in range(repeats + 1):
        for way in ("naive", "frozen", "tape", "local"):
            step = ways.step(way)
            if repeat == 0:  # warms up
                peaks[way] = peak_megabytes(step, device)
            else:
                # The shortest steps are many, so that the clock does not decide.
                times.setdefault(way, []).append(seconds(step, device, 0.3 if way == "local" else 0.0))
            ways.reset()
    t = {way: statistics.median(values) for way, values in times.items()}
    cells = [
        name, str(layers), f"{t['naive']:.3g}", f"{t['frozen']:.3g}", f"{t['tape']:.3g}", f"{t['local']:.3g}",
        f"{t['naive'] / t['tape']:.3g}", f"**{t['naive'] / t['local']:,.0f}**", f"{t['frozen'] / t['local']:,.0f}",
        f"{off['tape']:.0e}, {off['local']:.0e}",
        ", ".join(f"{peaks[way]:.0f}" for way in ("naive", "frozen", "tape", "local")),
    ]  # fmt: skip
    for note in ways.notes:
        print(f"{name}, l = {layers}: {note}", file=sys.stderr)
    return f"| {' | '.join(cells)} |", t["naive"] / t["local"]


def main() -> None:
    """Print the table and, if asked, write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=sorted(ARCHITECTURES), default=DEFAULT, metavar="NAME")
    parser.add_argument("--layers", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--size", type=int, default=64, help="of the cubic window")
    parser.add_argument("--strokes", type=int, default=3)
    parser.add_argument("--length", type=int, default=25, help="voxels of a stroke")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the table here (Markdown), and a .png")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    voxels = strokes(arguments.size, arguments.strokes, arguments.length)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {arguments.threads} thread(s)"
    lines = [
        "# One step of tuning",
        "",
        f"One step of tuning, {arguments.size}³ voxels, {len(voxels)} stroke voxels, torch {torch.__version__}, "
        f"{name}; medians of {arguments.repeats}.",
        "",
        "Naive, frozen and tape compute the whole window, local only what the strokes need; all four took turns.",
        "",
        *HEADER.split("\n"),
    ]
    print("\n".join(lines), flush=True)
    ratios: dict[str, dict[str, float]] = {}
    for network in arguments.networks:
        if not ARCHITECTURES[network].is_installed:
            print(f"{network} is left out: {ARCHITECTURES[network].library} is not installed", file=sys.stderr)
            continue
        for layers in arguments.layers:
            row, ratio = measure(network, layers, arguments.size, voxels, device, arguments.repeats)
            lines.append(row)
            ratios.setdefault(f"l = {layers}", {})[network] = ratio
            print(row, flush=True)
            gc.collect()
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
        measuring.plot_ratios(
            arguments.output.with_suffix(".png"), "A step of tuning, this program against the whole network",
            list(next(iter(ratios.values()))), {group: list(some.values()) for group, some in ratios.items()},
            "times faster",
        )  # fmt: skip


if __name__ == "__main__":
    main()
