"""Benchmark: what each way to need less memory does to a network's answer, on real scans with real networks.

Run `python -m Testing.benchmarks.less_memory` (a few minutes; trains three small networks first where the folder of
`--networks` lacks them). Half precision rounds each convolution's input to float16 or bfloat16, as torch.autocast does;
in TorchScript files, which it passes by, all weights and values. Windows: the network sees the image through windows of
the given size (I, J, K), then through windows halved once and twice along their longest sides, as when memory runs
out on the CPU.
All is compared with the same network in single precision that sees everything at once. That only the network runs on a
graphics card and all else on the CPU is left out: it changes nothing (Testing/tests/test_full_card.py).
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from InteractiveRefineLib.backbone import Backbone, load_backbone
from InteractiveRefineLib.device import Devices
from InteractiveRefineLib.image_state import ImageFrame, NetworkState
from InteractiveRefineLib.metrics import dice
from InteractiveRefineLib.smaller import smaller_attempts
from InteractiveRefineLib.volume import Volume
from Testing.benchmarks.measuring import machine, write_table
from Testing.evidence.networks import Networks
from Testing.real_data import chaos_ct, hippocampus, hippocampus_cases
from Testing.small_cases import abdomen_mr, held_out_cases, nuclei, tumor

CPU = torch.device("cpu")
HEADER = (
    "| network, scan | what | largest difference of probabilities | voxels beyond 0.001 | labels changed "
    "| least Dice of a class, with the answer as it was | mean Dice with the truth |\n"
    + "|---|---|---:|---:|---:|---:|---:|"
)


WHY = """Every row changes one thing and is compared with the same network in single precision that sees all at once
(`python -m Testing.benchmarks.less_memory`). The decisions that were taken from it:

* **Networks run in single precision**, on a graphics card, too: neither half precision stays within 0.001 of the
  probabilities, which is what the two devices may differ by, and one network overflows. Half precision is used where
  only its rounding counts: for the features of many windows that are kept between rounds.
* **Halved windows are the last thing that is tried** when memory runs out. First the whole image leaves the card, then
  the network, which both change nothing."""


class Subject(NamedTuple):
    """A network, how to read its scan and the truth, and a window that it could have."""

    network: str
    scan: str
    read: Callable[[], tuple[Volume, np.ndarray]]
    window: tuple[int, ...] | None


SUBJECTS = [
    Subject("abdomen", "CT", chaos_ct, None),
    Subject("hippocampus-full", "MR", lambda: hippocampus(hippocampus_cases()[0]), (32, 32, 32)),
    Subject("abdomen-mr", "MR", lambda: abdomen_mr(held_out_cases("abdomen-mr")[0]), (96, 96, 1)),
    Subject("tumor", "MR", lambda: tumor(held_out_cases("tumor")[0]), (48, 48, 48)),
    Subject("nuclei", "picture", lambda: nuclei(held_out_cases("nuclei")[0]), (128, 128, 1)),
]


class Rounded(torch.nn.Module):
    """A network that computes in half precision."""

    def __init__(self, network: torch.nn.Module, kind: torch.dtype) -> None:
        super().__init__()
        self._kind, self._scripted = kind, isinstance(network, torch.jit.ScriptModule)
        self.network = copy.deepcopy(network).to(kind) if self._scripted else network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See `torch.nn.Module`."""
        if self._scripted:
            return self.network(x.to(self._kind)).float()
        with torch.autocast("cpu", dtype=self._kind):
            return self.network(x).float()


def variants(backbone: Backbone, window: tuple[int, ...] | None) -> Iterator[tuple[str, Backbone]]:
    """What is compared with the network as it is."""
    for kind in (torch.float16, torch.bfloat16):
        yield str(kind).removeprefix("torch."), replace(backbone, network=Rounded(backbone.network, kind))
    if window:
        tiled = replace(backbone, config=replace(backbone.config, patch_size=window))
        for smaller in (tiled, *(b for b, *_ in smaller_attempts(tiled, Devices.only(CPU)))):
            size = smaller.config.patch_size[: smaller.config.dimensions]
            yield f"windows of {' x '.join(map(str, size))}", smaller


def answer(image: Volume, backbone: Backbone) -> tuple[np.ndarray, torch.Tensor]:
    """Labels in the user's axes, and probabilities on the network's grid."""
    frame = ImageFrame(image, backbone)
    state = NetworkState(frame, backbone, 1, CPU)
    return frame.to_user(state.labels), torch.softmax(state.logits, dim=0)


def rows(subject: Subject, networks: Networks) -> Iterator[str]:
    """Lines of the table."""
    image, truth = subject.read()
    backbone = load_backbone(networks.get(subject.network))
    if truth.dtype == bool:  # of the CT, the liver only
        truth = truth * np.uint16(next(s.label for s in backbone.config.classes if s.name == "liver"))
    truth = truth.reshape(image.geometry.shape)
    labels, probabilities = answer(image, backbone)
    classes = [s.label for s in backbone.config.classes if (truth == s.label).any()]
    name = f"{subject.network}, {subject.scan}"

    def mean_dice(found: np.ndarray) -> float:
        return float(np.mean([dice(found == c, truth == c) for c in classes]))

    yield f"| {name} | single precision, all at once | | | | | {mean_dice(labels):.4f} |"
    for what, changed in variants(backbone, subject.window):
        found, others = answer(image, changed)
        difference = (others - probabilities).abs().amax(dim=0)
        least = min(dice(found == c, labels == c) for c in classes)
        yield (
            f"| {name} | {what} | {difference.max():.4f} | {(difference > 1e-3).float().mean():.2%} "
            f"| {np.count_nonzero(found != labels):,} | {least:.4f} | {mean_dice(found):.4f} |"
        )


def main(argv: list[str] | None = None) -> int:
    """Print the table, and write it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=Path, default=Path("bench-output/networks"), help="where networks are kept")
    parser.add_argument("--output", type=Path, help="Markdown file")
    args = parser.parse_args(argv)
    lines = [f"# What needs less memory, and what it does to the answer\n\n{WHY}\n\n{machine()}.\n", HEADER]
    print("\n".join(lines), flush=True)
    for subject in SUBJECTS:
        for row in rows(subject, Networks(args.networks)):
            print(row, flush=True)
            lines.append(row)
    write_table(args.output, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
