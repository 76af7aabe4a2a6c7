"""Benchmark: a graphics card beside the processor, the same refinement in turns, with what the two disagree in.

Run `python -m Testing.benchmarks.card --output card.md` where torch finds a CUDA device; a few minutes. On the real CT
where the shared data lie, else on a phantom with the network that is shipped. Rows: the network's forward pass; the
first round and the median of four later ones; the same with only the network on the card, as it is done when the image
does not fit; the random walker on 2 million voxels with 3 classes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from InteractiveRefineLib.backbone import Backbone, load_backbone
from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.decoding.walker import WalkerProblem, solve_walker
from InteractiveRefineLib.device import Devices, choose_device
from InteractiveRefineLib.metrics import dice
from InteractiveRefineLib.phantom import make_phantom
from InteractiveRefineLib.resources import embedded_backbone
from InteractiveRefineLib.robot import robot_organ_strokes
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.volume import Volume
from Testing.benchmarks.measuring import machine, seconds_of, write_table
from Testing.benchmarks.walker import a_problem
from Testing.demo import SEED
from Testing.real_backbones import make_backbone_folder
from Testing.real_data import chaos_ct, data_folder

CPU = torch.device("cpu")
ROUNDS = 5
HEADER = "| what | CPU (s) | card (s) | ratio | the card's answer beside the CPU's |\n|---|---:|---:|---:|---|"


@dataclass
class Played:
    """One refinement: seconds of the forward pass and of every round, the labels after each, probabilities at first."""

    forward: float
    rounds: list[float]
    labels: list[np.ndarray]
    probabilities: torch.Tensor


def waited(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of a call until the card has done what it was asked for, too."""

    def whole() -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return seconds_of(whole)


def refined(
    image: Volume, truth: np.ndarray, organ: str, backbone: Backbone, devices: Devices, strokes: list[list]
) -> Played:
    """Play the rounds; strokes are drawn by the robot in the first run and repeated in all others.

    Args:
        truth: (K, J, I) bool of the organ.
        strokes: of every round; filled when empty, so that both devices get the same ones.
    """
    backbone.network.to(devices.network)
    session = RefineSession(image, backbone, RefineSettings(device=str(devices.network)))
    session._devices = devices
    label, constraints = session.label_of(organ), Constraints(image.geometry)
    forward = waited(session.predict, devices.network)
    labels, seconds, answers = session.predict(), [], []
    for number in range(ROUNDS):
        if number == len(strokes):
            strokes.append(robot_organ_strokes(truth, labels, label, max_strokes=3, length=25, rim_voxels=1))
        for stroke in strokes[number]:
            constraints.add_stroke_indices(stroke.kji, stroke.label, stroke.forbidden)
        seconds.append(waited(lambda: answers.append(session.refine(constraints).labels), devices.network))
        labels = answers[-1]
        constraints.next_round()
    return Played(forward, seconds, answers, torch.softmax(session._state.logits, dim=0).cpu())


def agreement(expected: np.ndarray, found: np.ndarray) -> str:
    """The least Dice over classes of two label maps."""
    classes = [c for c in np.unique(expected).tolist() if c]
    least = min((dice(found == c, expected == c) for c in classes), default=1.0)
    return f"Dice of classes at least {least:.5f}"


def refinement_rows(image: Volume, truth: np.ndarray, organ: str, backbone: Backbone, card: torch.device) -> list[str]:
    """Three rows with everything on the card, two with only the network there."""
    strokes: list[list] = []
    places = {"cpu": Devices.only(CPU), "card": Devices.only(card), "split": Devices(card, CPU)}
    for where in places.values():  # the first run on a device loads its libraries
        refined(image, truth, organ, backbone, where, strokes)
    played = {name: refined(image, truth, organ, backbone, where, strokes) for name, where in places.items()}
    cpu, rows = played["cpu"], []
    for name, said in (("card", ""), ("split", ", only the network on the card")):
        one = played[name]
        apart = float((one.probabilities - cpu.probabilities).abs().max())
        rows.append(
            row(f"network and first labels{said}", cpu.forward, one.forward, f"probabilities {apart:.1e} apart")
        )
        first = agreement(cpu.labels[0], one.labels[0])
        rows.append(row(f"first round{said}", cpu.rounds[0], one.rounds[0], first))
        later = [statistics.median(p.rounds[1:]) for p in (cpu, one)]
        rows.append(row(f"later round, median{said}", *later, agreement(cpu.labels[-1], one.labels[-1])))
    return rows


def walker_row(shape: tuple[int, int, int], card: torch.device, repeats: int = 3) -> str:
    """The random walker with three classes."""
    problem, *_ = a_problem(shape)
    answers, seconds = {}, {}
    for name, device in (("cpu", CPU), ("card", card)):
        there = on(problem, device)
        solve = partial(_solve_into, answers, name, there)
        taken = [waited(solve, device) for _ in range(repeats + 1)]
        seconds[name] = statistics.median(taken[1:])
    apart = float((answers["card"] - answers["cpu"]).abs().max())
    labels = [answers[name].argmax(dim=0).numpy() for name in ("cpu", "card")]
    said = f"probabilities {apart:.1e} apart, {agreement(*labels)}"
    return row(f"random walker, {np.prod(shape):,} voxels", seconds["cpu"], seconds["card"], said)


def _solve_into(answers: dict[str, torch.Tensor], name: str, problem: WalkerProblem) -> None:
    answers[name] = solve_walker(problem).cpu()


def on(problem: WalkerProblem, device: torch.device) -> WalkerProblem:
    """The problem with its tensors on a device."""
    values = {f.name: getattr(problem, f.name) for f in fields(problem)}
    return replace(problem, **{n: v.to(device) for n, v in values.items() if isinstance(v, torch.Tensor)})


def row(what: str, cpu: float, card: float, said: str) -> str:
    """A line of the table."""
    return f"| {what} | {cpu:.3f} | {card:.3f} | {cpu / card:.1f} | {said} |"


def subject(work: Path, phantom: bool) -> tuple[str, Volume, np.ndarray, str, Backbone]:
    """What is refined: its name, the image, the organ's truth and name, and the network."""
    if not phantom and data_folder() is not None:
        image, truth = chaos_ct()
        return "real CT, 512 x 512 x 78", image, truth, "liver", load_backbone(make_backbone_folder("abdomen", work))
    image, truth = make_phantom(SEED, shift="domain")
    liver = next(segment.label for segment in truth.segments if segment.name == "liver")
    return "the demo's phantom", image, truth.labels == liver, "liver", load_backbone(embedded_backbone())


def main(argv: list[str] | None = None) -> int:
    """Print the table, and write it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--phantom", action="store_true", help="also where the real CT is at hand")
    parser.add_argument("--walker", type=int, nargs=3, default=(126, 126, 126), metavar=("K", "J", "I"))
    parser.add_argument("--output", type=Path, help="Markdown file")
    args = parser.parse_args(argv)
    card = choose_device(args.device)
    with tempfile.TemporaryDirectory() as work:
        name, *asked = subject(Path(work) / "network", args.phantom)
        title = f"# A graphics card beside the processor: {name}\n"
        lines = [title, f"{torch.cuda.get_device_name(card)}; {machine()}.\n"]
        lines += [HEADER, *refinement_rows(*asked, card), walker_row(tuple(args.walker), card)]
    print("\n".join(lines))
    write_table(args.output, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
