"""`interactive-refine batch`: many cases from a table, on one computer or many."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from typing import TYPE_CHECKING

from tqdm import tqdm

from ..errors import Cancelled, InputError
from . import common
from .interrupt import interrupt_requested

if TYPE_CHECKING:
    from ..batch import Outcome

NAME = "batch"
SUMMARY = "refine many cases that a table lists, on one computer or many"
DESCRIPTION = """\
Refine all cases of a table (CSV, one row per case). The whole table is checked before the first case runs. Each case
gets a folder of its own with the refined segmentation and a report; summary.csv and summary.md tell about all of them.
A case that fails does not stop the others.

Columns: case, image; and as needed backbone, strokes, not-strokes, prompts, current, locks, new-classes, settings,
truth. Paths are relative to the table; semicolons separate several entries of a cell. See Docs/batch.md.

Exit code 5: some cases failed; the others are finished."""
EXAMPLE = """\
  interactive-refine batch cases.csv --backbone my-backbone --output results --resume"""

#: In a log, a line at most every so many seconds, and one for each failed case.
_LOG_INTERVAL_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("manifest", metavar="MANIFEST", help="the table: a .csv with commas, semicolons or tabs")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--backbone", metavar="FOLDER", help="network of the cases whose row names none")
    parser.add_argument(
        "--settings", metavar="JSON", help="settings of all cases: a JSON file, or text; a row may say otherwise"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="leave cases alone that are finished with the same inputs, settings, network and program",
    )
    parser.add_argument("--preview", action="store_true", help="also write a picture of each case")
    parser.add_argument("--check", action="store_true", help="only check the table, compute nothing")
    group = parser.add_argument_group("where to compute (needs the package distributed, except for one worker)")
    group.add_argument("--workers", type=int, default=1, metavar="N", help="processes on this computer (1)")
    group.add_argument("--threads", type=int, metavar="T", help="threads of each worker (all cores, shared)")
    group.add_argument("--scheduler", default="", metavar="ADDRESS", help="a Dask scheduler: tcp:// or tls://host:port")
    group.add_argument(
        "--tls", nargs=3, metavar=("CA", "CERT", "KEY"), help="certificate files, for a scheduler at tls://"
    )
    group.add_argument(
        "--resources",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=N",
        help="what a case needs of a worker, such as GPU=1",
    )
    group.add_argument(
        "--retries", type=int, default=3, metavar="N", help="how often a case is given to another worker (3)"
    )
    group.add_argument(
        "--apart", action="store_true", help="one worker in a process of its own: a crash ends one case only"
    )


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    from pathlib import Path

    from ..batch import CasesFailedError, Computing, run_batch
    from ..batch.cells import settings_of
    from ..batch.run import prepare
    from ..settings import RefineSettings

    settings = settings_of(args.settings, Path.cwd(), RefineSettings()) if args.settings else None
    computing = Computing(
        workers=args.workers,
        threads=args.threads,
        scheduler=args.scheduler,
        security=tuple(args.tls) if args.tls else None,
        resources=_resources(args.resources),
        retries=args.retries,
        apart=args.apart,
    )
    same = {"backbone": args.backbone, "settings": settings, "resume": args.resume}
    if args.check:
        cases = prepare(args.manifest, Path(args.output).absolute(), **same)
        common.say(f"{args.manifest}: {_cases(len(cases))}, no problem found")
        return
    if args.scheduler.startswith("tcp://") and not args.scheduler.startswith(("tcp://127.", "tcp://localhost")):
        common.warn(["Whoever reaches a scheduler without TLS can run programs as its workers; see Docs/batch.md."])
    with CaseBar(computing.workers) as bar:
        result = run_batch(
            args.manifest,
            args.output,
            preview=args.preview,
            computing=computing,
            on_case=bar.on_case,
            progress=bar.on_step,
            should_cancel=interrupt_requested,
            **same,
        )
    common.warn(result.notes)
    common.warn(f"{outcome.name} failed: {outcome.reason}" for outcome in result.failed)
    common.say(str(result))
    if result.left and interrupt_requested():
        raise Cancelled(f"Cancelled: {_cases(len(result.left))} left; go on with --resume.")
    if result.failed or result.left:
        count = len(result.failed) + len(result.left)
        raise CasesFailedError(f"No result for {count} of {_cases(len(result.outcomes) + len(result.left))}.")


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


def _resources(words: list[str]) -> dict[str, float]:
    resources = {}
    for word in words:
        name, _, amount = word.partition("=")
        try:
            resources[name] = float(amount)
        except ValueError:
            raise InputError(f"--resources takes NAME=NUMBER such as GPU=1, not {word!r}.") from None
    return resources


class CaseBar:
    """Cases done and the time left: a bar on a terminal, now and then a line in a log. Use it in a `with` block."""

    def __init__(self, workers: int) -> None:
        self._workers = max(1, workers)
        self._computed: list[float] = []
        self._last_line = -_LOG_INTERVAL_S
        self._bar = None
        if sys.stderr.isatty():
            # Some terminals (in containers) claim to have no size, and tqdm would then show nothing at all.
            columns, rows = shutil.get_terminal_size()
            form = "case {n_fmt} of {total_fmt} |{bar:30}| {elapsed}{postfix}"
            self._bar = tqdm(total=1, file=sys.stderr, leave=False, bar_format=form, ncols=columns, nrows=rows)

    def __enter__(self) -> CaseBar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def on_case(self, outcome: Outcome, done: int, total: int) -> None:
        """A case has ended."""
        if not outcome.reused:
            self._computed.append(outcome.seconds)
        text = self.time_left(total - done)
        if self._bar is not None:
            self._bar.total, self._bar.n = total, done
            self._bar.set_postfix_str(text)
            return
        now = time.monotonic()
        if done == total or outcome.reason or now - self._last_line >= _LOG_INTERVAL_S:
            self._last_line = now
            mark = f" ({outcome.name} failed)" if outcome.reason else ""
            print(f"case {done} of {total}{mark}{', ' + text if text else ''}", file=sys.stderr, flush=True)

    def on_step(self, step: int, total: int, message: str) -> None:
        """The running case goes on."""
        if self._bar is not None:
            self._bar.set_postfix_str(message)

    def time_left(self, cases: int) -> str:
        """About how long `cases` more will take, by those that were computed; "" when nothing is known or left."""
        if not self._computed or not cases:
            return ""
        seconds = sum(self._computed) / len(self._computed) * cases / self._workers
        if seconds < 90:
            return f"about {max(1, round(seconds))} s left"
        return f"about {seconds / 60:.0f} min left" if seconds < 5400 else f"about {seconds / 3600:.1f} h left"
