"""The subcommands `experiment` and `report` of `python -m Testing.evidence`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from Testing.evidence.case import Spot
from Testing.evidence.cases import read_case, spots
from Testing.evidence.experiments import EXPERIMENTS, SPECIAL
from Testing.evidence.full_ct import play_full_ct
from Testing.evidence.jobs import available, play_all
from Testing.evidence.methods import METHODS
from Testing.evidence.networks import Networks
from Testing.evidence.robot_user import RobotUser
from Testing.evidence.store import Store
from Testing.evidence.summary import DATASETS, OURS, best_baseline, of_group, usual

DEFAULT_REPORT = Path("Docs/evidence")


def add_commands(commands: argparse._SubParsersAction, default_output: Path) -> None:
    """Tell the command line of both."""
    names = "\n".join(f"  {name:17}{e.question}" for name, e in EXPERIMENTS.items())
    names += "\n" + "\n".join(f"  {name:17}{question}" for name, question in SPECIAL.items())
    experiment = commands.add_parser(
        "experiment",
        help="play what an experiment of the paper needs and is not stored yet",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"experiments:\n{names}\n  all",
    )
    experiment.add_argument("names", nargs="+", choices=[*EXPERIMENTS, *SPECIAL, "all"], metavar="EXPERIMENT")
    experiment.add_argument("--half", choices=("report", "tune", "both"), default="report")
    experiment.add_argument("--datasets", nargs="+", help="only these")
    experiment.add_argument("--cases", type=int, help="at most so many of each dataset, situation and half")
    experiment.add_argument("--rounds", type=int, default=5)
    experiment.add_argument("--jobs", type=int, default=2)
    experiment.add_argument("--keep-old", action="store_true", help="do not repeat results of older versions")
    experiment.add_argument("--output", type=Path, default=default_output, help="folder of results and networks")
    experiment.set_defaults(call=run_experiments)
    report = commands.add_parser("report", help="write tables and figures from what is stored")
    report.add_argument("--results", type=Path, default=default_output, help="folder of `run` and `experiment`")
    report.add_argument("--output", type=Path, default=DEFAULT_REPORT)
    report.add_argument("--keep-old", action="store_true", help="also use results of older versions of a method")
    report.set_defaults(call=write_the_report)


def run_experiments(options: argparse.Namespace) -> int:
    """Everything the asked experiments need; a result that two of them share is computed once."""
    names = [*EXPERIMENTS, *SPECIAL] if "all" in options.names else list(dict.fromkeys(options.names))
    networks, store = Networks(options.output / "networks"), Store(options.output / "results", options.keep_old)
    networks.folder.mkdir(parents=True, exist_ok=True)
    playable = available(METHODS, say)
    # One job for every case and robot: a case is read once for all its methods.
    jobs: dict[tuple, list[str]] = {}
    half = None if options.half == "both" else options.half
    known_spots = [s for s in spots(networks) if not options.datasets or s.dataset in options.datasets]
    for name in names:
        if name in EXPERIMENTS:
            for choices, methods in EXPERIMENTS[name].plays(playable):
                for spot in EXPERIMENTS[name].choose(known_spots, half, options.cases):
                    wanted = jobs.setdefault((spot, RobotUser(**choices)), [])
                    wanted += [m for m in methods if m not in wanted]
    fine = play_all(
        jobs, options.output, rounds=options.rounds, at_once=options.jobs, keep_old=options.keep_old, say=say
    )
    if "full-ct" in names:
        for line in play_full_ct(store, networks, METHODS, options.rounds):
            say(line)
    if "overlays" in names:
        make_overlays(options.output, networks, current(store), say)
    return int(not fine)


def current(store: Store) -> list[dict]:
    """Stored results of methods that still exist; of their present version only, unless the store keeps old ones."""

    def counts(result: dict) -> bool:
        spot = Spot(*(result[key] for key in ("dataset", "situation", "name", "half")))
        method = METHODS.get(result["method"])
        return method is not None and store.find(spot, method, result["robot"]) is not None

    return [result for result in store.everything() if counts(result)]


def make_overlays(output: Path, networks: Networks, results: list[dict], say: Callable[[str], None]) -> None:
    """One picture for every data set: the case that starts worst, ours and the strongest baseline of its group."""
    from Testing.evidence.overlays import draw_case
    from Testing.evidence.summary import dice_curve

    folder = output / "overlays"
    folder.mkdir(parents=True, exist_ok=True)
    by_key = {(s.dataset, s.situation, s.name): s for s in spots(networks)}
    for dataset in DATASETS:
        own = of_group(usual(results), (dataset, "own errors"))
        ours = sorted((r for r in own if r["method"] == OURS), key=lambda r: (dice_curve(r)[0], r["name"]))
        strongest = best_baseline(own)
        if not ours or strongest is None:
            continue
        spot = by_key[(dataset, "own errors", ours[0]["name"])]
        methods = [METHODS[OURS], METHODS[strongest]]
        stamp = {"case": spot.key, "methods": {m.name: m.version for m in methods}}
        picture = folder / f"{dataset.replace(' ', '-')}.png"
        note = picture.with_suffix(".json")
        if picture.is_file() and note.is_file() and json.loads(note.read_text(encoding="utf-8")) == stamp:
            continue
        for line in draw_case(picture, read_case(spot, networks), methods):
            say(f"overlay {line}")
        note.write_text(json.dumps(stamp), encoding="utf-8")


def write_the_report(options: argparse.Namespace) -> int:
    """Tables and figures from the stored results."""
    from Testing.evidence.report import versions, write_report

    store = Store(options.results / "results", options.keep_old)
    everything, used = store.everything(), current(store)
    if not used:
        say(f"There are no results in {options.results}. Play some first: python -m Testing.evidence experiment all")
        return 2
    if len(used) < len(everything):
        say(f"{len(everything) - len(used)} results of older versions are left out; `experiment` plays them again.")
    write_report(options.output, used, METHODS, options.results / "overlays", versions())
    say(f"Written to {options.output}, from {len(used)} results.")
    return 0


def say(text: str) -> None:
    """Tell the user at once, also through a pipe."""
    print(text, flush=True)
