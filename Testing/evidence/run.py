"""Run methods on cases, several at a time; what is stored already is not computed again.

python -m Testing.evidence run --methods "ours" --datasets hippocampus --situations "own errors" --half tune
"""

from __future__ import annotations

import argparse
from pathlib import Path

from Testing.evidence.case import Spot
from Testing.evidence.cases import spots
from Testing.evidence.commands import add_commands, say
from Testing.evidence.experiments import Experiment
from Testing.evidence.jobs import available, play_all
from Testing.evidence.methods import METHODS
from Testing.evidence.networks import Networks
from Testing.evidence.robot_user import RobotUser

DEFAULT_OUTPUT = Path("evidence-output")


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
    asked = Experiment("run", "", lambda spot: _is_asked(spot, options), cases=options.cases)
    methods = available(options.methods, say)
    jobs = {(spot, RobotUser()): methods for spot in asked.choose(spots(networks), options.half)}
    fine = play_all(
        jobs, options.output, rounds=options.rounds, at_once=options.jobs, keep_old=options.keep_old, say=say
    )
    return int(not fine)


def _is_asked(spot: Spot, options: argparse.Namespace) -> bool:
    return (not options.datasets or spot.dataset in options.datasets) and (
        not options.situations or spot.situation in options.situations
    )
