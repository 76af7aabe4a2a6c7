"""Play cases with methods, several cases at a time; what is stored already is not computed again."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from Testing.evidence.case import Spot
from Testing.evidence.cases import read_case
from Testing.evidence.methods import METHODS
from Testing.evidence.networks import Networks
from Testing.evidence.play import as_json, play
from Testing.evidence.robot_user import RobotUser
from Testing.evidence.store import Store

#: What the cases of a data set may need.
NETWORKS_OF = {
    "hippocampus": ("hippocampus-full", "hippocampus-weak", "hippocampus-miss"),
    "abdomen CT": ("abdomen", "abdomen-without-liver"),
    "abdomen MR": ("abdomen-mr",),
    "brain tumor": ("tumor",),
    "nuclei": ("nuclei", "nuclei-strokes", "nuclei-extremes"),
}


def available(names: Iterable[str], say: Callable[[str], None]) -> list[str]:
    """Those of the methods whose libraries are installed; `say` hears of the others."""
    found = []
    for name in names:
        if METHODS[name].missing:
            say(f"SKIPPED {METHODS[name].missing}")
        else:
            found.append(name)
    return found


def play_all(
    jobs: Mapping[tuple[Spot, RobotUser], Sequence[str]],
    output: Path,
    *,
    rounds: int,
    at_once: int,
    keep_old: bool,
    say: Callable[[str], None],
) -> bool:
    """Play every case with its methods; `say` hears of each result.

    Args:
        jobs: names of methods for a case and a robot; a case is read once for all of them.
        output: folder of results and networks.
        at_once: so many cases.
        keep_old: results of older versions of a method are not repeated.

    Returns:
        True when nothing failed.
    """
    networks = Networks(output / "networks")
    for network in sorted({name for spot, _ in jobs for name in NETWORKS_OF.get(spot.dataset, ())}):
        networks.get(network)  # here, once: two cases at a time would train the same network twice
    fine = True
    # spawn: a process with torch's threads must not be forked.
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        asked = [
            pool.submit(one, spot, methods, robot, output, rounds, keep_old) for (spot, robot), methods in jobs.items()
        ]
        for done in as_completed(asked):
            for line in done.result():
                fine &= not line.startswith("FAILED")
                say(line)
    return fine


def one(spot: Spot, methods: Sequence[str], robot: RobotUser, output: Path, rounds: int, keep_old: bool) -> list[str]:
    """All missing results of one case; sentences about each."""
    import torch

    torch.set_num_threads(1)
    store, networks = Store(output / "results", keep_old), Networks(output / "networks")
    case, said = None, []
    for name in methods:
        method = METHODS[name]
        if store.find(spot, method, robot.key) is not None:
            continue
        case = case or read_case(spot, networks)
        if not method.suits(case):
            continue
        start = time.perf_counter()
        try:
            played, _ = play(case, method, robot, rounds)
        except Exception:  # one method's failure must not take the others' results away
            said.append(f"FAILED {spot.key} {name}\n{traceback.format_exc()}")
            continue
        store.keep(spot, method, robot.key, as_json(case, method, played))
        curve = " ".join(f"{np.nanmean(list(r.dice.values())):.3f}" for r in played)
        said.append(f"{spot.key} {name}: {curve} ({time.perf_counter() - start:.0f} s)")
    return said
