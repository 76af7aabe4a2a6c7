"""Hundreds of rounds and switches in one life: memory stays flat, and no file, process, thread or node is left over.

python -m Testing.long_life [--rounds 300] [--switches 100]
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.segmentation import Segmentation
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.worker.client import RefineRequest, WorkerClient
from Testing.faults.forked_worker import ForkedTransport, forking, process_count
from Testing.tests.cli_examples import scan, write_backbone
from Testing.tests.session_examples import a_session, hesitant

#: What counts as flat: so little more at the end than after the warm-up. Allocators keep some of what was freed.
MOST_MB, MOST_KB_A_TURN = 24.0, 40.0
#: The first part of a life, in which caches fill.
_WARM_UP = 0.3
_STEPS = 2


@dataclass
class Life:
    """What was looked at after each turn, and what was there before and after.

    Attributes:
        name: of the life.
        memory_mb: resident memory after each turn, of the process that works.
        before, after: open files, processes, threads, temporary files, and whatever else must not grow.
    """

    name: str
    memory_mb: list[float] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)

    @property
    def warm(self) -> np.ndarray:
        """Memory in MB after the warm-up."""
        return np.array(self.memory_mb[int(len(self.memory_mb) * _WARM_UP) :])

    @property
    def growth_mb(self) -> float:
        """How much more memory there was in the last tenth than just after the warm-up, in MB."""
        tenth = max(len(self.warm) // 10, 1)
        return float(np.median(self.warm[-tenth:]) - np.median(self.warm[:tenth]))

    @property
    def slope_kb(self) -> float:
        """Trend after the warm-up, in KB a turn."""
        return float(np.polyfit(np.arange(len(self.warm)), self.warm, 1)[0] * 1024)

    @property
    def leaks(self) -> list[str]:
        """What grew, in words; empty when nothing did."""
        found = [f"{name}: {self.before[name]} before, {n} after" for name, n in self.after.items()
                 if n > self.before[name]]  # fmt: skip
        if self.memory_mb and self.growth_mb > MOST_MB and self.slope_kb > MOST_KB_A_TURN:
            found.append(f"memory: {self.growth_mb:.1f} MB more, {self.slope_kb:.0f} KB a turn")
        return found

    def __str__(self) -> str:
        kept = ", ".join(f"{n} {name}" for name, n in self.after.items())
        return (
            f"{self.name}: {len(self.memory_mb)} turns, {self.warm[0]:.1f} MB after the warm-up, "
            f"{self.memory_mb[-1]:.1f} MB at the end ({self.growth_mb:+.1f} MB, {self.slope_kb:+.1f} KB a turn); "
            f"left: {kept}{''.join(f'; GREW {leak}' for leak in self.leaks)}"
        )


@contextlib.contextmanager
def watched(name: str) -> Iterator[Life]:
    """Count what is open before and after a life."""
    with _temporary_folder() as folder:
        gc.collect()
        life = Life(name, before=_open(folder))
        yield life
        gc.collect()
        life.after = _open(folder)


@contextlib.contextmanager
def _networks() -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory(prefix="interactive-refine-networks-") as folder:
        yield [write_backbone(Path(folder) / f"network {n}", hesitant(0.15 + 0.05 * n)) for n in range(2)]


def session_life(rounds: int) -> Life:
    """Rounds of one session, each with a stroke elsewhere; the strokes are taken back now and then, as a user would."""
    session = a_session(steps=_STEPS)
    strokes, random = Constraints(session.image.geometry), np.random.default_rng(0)
    session.refine(strokes)
    with watched("rounds of one session") as life:
        for turn in range(rounds):
            _draw(strokes, random, turn)
            result = session.refine(strokes)
            assert result.violated_strokes == 0
            life.memory_mb.append(resident_mb(os.getpid()))
    return life


def switching_life(switches: int) -> Life:
    """Another image and another network each time, in this process."""
    from InteractiveRefineLib.backbone import load_backbone

    settings = RefineSettings(device="cpu", steps=_STEPS)
    scans = [scan(seed) for seed in range(3)]
    with _networks() as networks, watched("switches of image and network") as life:
        for turn in range(switches):
            session = RefineSession(scans[turn % 3], load_backbone(networks[turn % 2]), settings)
            strokes = Constraints(session.image.geometry)
            _draw(strokes, np.random.default_rng(turn), turn)
            assert session.refine(strokes).violated_strokes == 0
            life.memory_mb.append(resident_mb(os.getpid()))
    return life


def worker_life(rounds: int, switches: int) -> Life:
    """Rounds and switches through client and worker; the memory is the worker's, also the client's is looked at."""
    settings = RefineSettings(device="cpu", steps=_STEPS)
    scans = [scan(seed) for seed in range(3)]
    random, own = np.random.default_rng(0), Life("the worker's client")
    forking()  # the process that workers are forked from stays for good, and so do the pipes to it
    with _networks() as networks, watched(f"the worker, {rounds} rounds and {switches} switches") as life:
        client = WorkerClient(ForkedTransport)
        told: list = []
        client.on_result = client.on_error = told.append
        strokes, image, network, current = Constraints(scans[0].geometry), scans[0], networks[0], None
        for turn in range(rounds + switches):
            if turn >= rounds:
                image, network, current = scans[turn % 3], networks[turn % 2], None
                strokes = Constraints(image.geometry)
            _draw(strokes, random, turn)
            client.submit(RefineRequest(image, network, strokes, settings, current))
            while client.waiting:
                client.transport.pump(1.0)
            assert getattr(told[-1], "violated_strokes", None) == 0, told[-1]
            current = Segmentation(told.pop().labels, image.geometry, client.segments)
            life.memory_mb.append(resident_mb(client.transport.process.pid))
            own.memory_mb.append(resident_mb(os.getpid()))
        transport = client.transport
        client.shutdown()
        transport.end()
        del client, transport
    life.after["leaks of its client"] = len(own.leaks)
    life.before["leaks of its client"] = 0
    return life


def _draw(strokes: Constraints, random: np.random.Generator, turn: int) -> None:
    """A stroke of three voxels of a random class in a new round; of thirty rounds only the newest stay."""
    strokes.next_round()
    while strokes.n_rounds > 30:
        strokes.undo_round()
    start = random.integers(0, [16, 24, 29])
    strokes.add_stroke_indices(start + [[0, 0, 0], [0, 0, 1], [0, 0, 2]], int(turn % 3))


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _open(folder: Path) -> dict[str, int]:
    return {
        "open files": len(os.listdir("/proc/self/fd")),
        "processes": process_count(),
        "threads": threading.active_count(),
        "temporary files": sum(path.is_file() for path in folder.rglob("*")),
    }


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder in which this process, and those that it starts, put their temporary files."""
    with tempfile.TemporaryDirectory(prefix="interactive-refine-long-life-") as folder:
        before, tempfile.tempdir = tempfile.tempdir, folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before


def main(arguments: list[str] | None = None) -> int:
    """Live all lives and print them; 0 when nothing grew."""
    parser = argparse.ArgumentParser(prog="python -m Testing.long_life", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--switches", type=int, default=100)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    lives = []
    for live in (
        lambda: session_life(args.rounds),
        lambda: switching_life(args.switches),
        lambda: worker_life(args.rounds, args.switches),
    ):
        lives.append(live())
        print(lives[-1], flush=True)
    return 1 if any(life.leaks for life in lives) else 0


if __name__ == "__main__":
    sys.exit(main())
