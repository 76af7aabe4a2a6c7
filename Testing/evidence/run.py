"""Run methods on cases, several at a time; what is stored already is not computed again.

python -m Testing.evidence run --methods "ours" --datasets hippocampus --situations "own errors" --half tune
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from Testing.evidence.case import Spot
from Testing.evidence.cases import read_case, spots
from Testing.evidence.commands import add_commands
from Testing.evidence.methods import METHODS
from Testing.evidence.networks import Networks
from Testing.evidence.play import as_json, play
from Testing.evidence.robot_user import RobotUser
from Testing.evidence.store import Store

DEFAULT_OUTPUT = Path("evidence-output")


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


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="compute what is missing")
    run.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="NAME")
    run.add_argument("--datasets", nargs="+")
    run.add_argument("--situations", nargs="+")
    run.add_argument("--half", choices=("tune", "report"))
    run.add_argument("--cases", type=int, help="at most so many of each dataset, situation and half")
    run.add_argument("--rounds", type=int, default=5)
    run.add_argument("--jobs", type=int, default=2)
    run.add_argument("--keep-old", action="store_true", help="do not repeat results of older versions of a method")
    run.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    run.set_defaults(call=_run)
    add_commands(commands, DEFAULT_OUTPUT)
    options = parser.parse_args(arguments)
    return options.call(options)


def _run(options: argparse.Namespace) -> int:
    networks = Networks(options.output / "networks")
    networks.folder.mkdir(parents=True, exist_ok=True)
    chosen, counted = [], {}
    for spot in spots(networks):
        wanted = (
            (not options.datasets or spot.dataset in options.datasets)
            and (not options.situations or spot.situation in options.situations)
            and (options.half in (None, spot.half))
        )
        group = (spot.dataset, spot.situation, spot.half)
        if wanted and (options.cases is None or counted.get(group, 0) < options.cases):
            counted[group] = counted.get(group, 0) + 1
            chosen.append(spot)
    methods = []
    for name in options.methods:
        missing = METHODS[name].missing
        if missing:
            print(f"SKIPPED {missing}", flush=True)
        else:
            methods.append(name)
    failed = False
    # spawn: a process with torch's threads must not be forked.
    with ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        asked = [
            pool.submit(one, spot, methods, RobotUser(), options.output, options.rounds, options.keep_old)
            for spot in chosen
        ]
        for done in as_completed(asked):
            for line in done.result():
                failed |= line.startswith("FAILED")
                print(line, flush=True)
    return int(failed)
