"""Benchmark: how much faster a batch gets with more workers.

Run `python -m Testing.benchmarks.batch_scaling` (some minutes; `--cases 4` is a quick look). Phantoms are refined with
the shipped network by 1 and by 2 workers of one thread each. For 1, 2 and 8 workers there is a simulation as well: the
same batch on a Dask cluster, but each case only sleeps as long as it took one worker. It shows what handing out
cases costs, and nothing about memory, disks and cores that workers share on a real machine; its lines for 1 and 2
workers tell how far to believe it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from InteractiveRefineLib.batch import BatchResult, Computing, on_dask, run_batch
from InteractiveRefineLib.batch.outcome import FINISHED, Outcome
from InteractiveRefineLib.image_io import write_volume
from InteractiveRefineLib.phantom import make_phantom
from InteractiveRefineLib.resources import embedded_backbone
from InteractiveRefineLib.segmentation_io import write_segmentation

SIMULATED_WORKERS = (1, 2, 8)


def make_cases(folder: Path, n_cases: int) -> list[dict[str, object]]:
    """Phantoms with a stroke of 30 voxels through their livers; returns the rows of a manifest."""
    rows = []
    for number in range(n_cases):
        image, truth = make_phantom(seed=9000 + number)
        liver = truth.segment_named("liver").label
        inside = np.argwhere(truth.labels == liver)
        drawn = np.zeros(truth.labels.shape, dtype=truth.labels.dtype)
        drawn[tuple(inside[len(inside) // 2 : len(inside) // 2 + 30].T)] = liver
        write_volume(image, folder / f"{number}.nrrd")
        truth.labels[...] = drawn
        write_segmentation(truth, folder / f"{number}.seg.nrrd")
        rows.append({"case": f"{number:03}", "image": f"{number}.nrrd", "strokes": f"{number}.seg.nrrd"})
    return rows


class Watch:
    """How long a batch takes, and how long after its first case, when all workers are up and have their network."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.ends: list[float] = []

    def on_case(self, outcome: Outcome, done: int, total: int) -> None:
        self.ends.append(time.perf_counter() - self.start)

    def row(self, label: str, cores: str, first: float | None) -> tuple[str, float]:
        """A line of the table, and the seconds per case once all workers run."""
        wall = self.ends[-1]
        skipped = max(1, len(self.ends) // 4)
        steady = (self.ends[-1] - self.ends[skipped - 1]) / (len(self.ends) - skipped)
        ratio = 1.0 if first is None else first / steady
        return f"| {label} | {cores} | {wall:.1f} | {steady:.2f} | {ratio:.2f} |", steady


def run(rows: list[dict[str, object]], folder: Path, output: str, computing: Computing) -> tuple[BatchResult, Watch]:
    """Run a batch; SystemExit when a case failed."""
    watch = Watch()
    result = run_batch(
        rows, folder / output, base=folder, backbone=embedded_backbone(), computing=computing, on_case=watch.on_case
    )
    if result.failed:
        raise SystemExit(f"{result.failed[0].name} failed: {result.failed[0].reason}")
    return result, watch


@contextlib.contextmanager
def sleeping_cluster(workers: int, seconds: dict[str, float]) -> Iterator[str]:
    """Address of a scheduler whose workers, threads of this process, only sleep."""
    from distributed import LocalCluster

    def sleep(case: object, *arguments: object, **options: object) -> Outcome:
        time.sleep(seconds[case.name])
        return Outcome(case.name, FINISHED, seconds=seconds[case.name])

    real, lock = on_dask.attempt_case, on_dask._one_at_a_time
    on_dask.attempt_case, on_dask._one_at_a_time = sleep, contextlib.nullcontext()
    try:
        with LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=False, protocol="tcp://", host="127.0.0.1",
            dashboard_address=None,
        ) as cluster:  # fmt: skip
            yield cluster.scheduler_address
    finally:
        on_dask.attempt_case, on_dask._one_at_a_time = real, lock


def table(n_cases: int, sleep: float | None) -> list[str]:
    """The Markdown lines."""
    lines = [
        "| workers | cores each | all (s) | per case, steady (s) | ratio to 1 worker |",
        "|---|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = make_cases(folder, n_cases if sleep is None else 1)
        if sleep is None:
            result, watch = run(rows, folder, "one", Computing(threads=1))
            seconds = {outcome.name: outcome.seconds for outcome in result.outcomes}
            line, one = watch.row("1", "1", None)
            lines.append(line)
            _, watch = run(rows, folder, "two", Computing(workers=2, threads=1))
            lines.append(watch.row("2", "1", one)[0])
        else:
            rows = [{**rows[0], "case": f"{number:03}"} for number in range(n_cases)]
            seconds = {str(row["case"]): sleep for row in rows}
        first = None
        for workers in SIMULATED_WORKERS:
            with sleeping_cluster(workers, seconds) as address:
                _, watch = run(rows, folder, f"simulated-{workers}", Computing(scheduler=address))
            line, steady = watch.row(f"{workers}, simulated: each case sleeps", "none", first)
            first = first or steady
            lines.append(line)
            print(line, file=sys.stderr, flush=True)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=32, help="how many phantoms (32)")
    parser.add_argument(
        "--sleep", type=float, metavar="S", help="measure nothing: only simulate cases that take S seconds each"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the table here (Markdown)")
    args = parser.parse_args()
    if args.cases < 2:
        parser.error("two cases at least")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    what = "phantoms, the shipped network" if args.sleep is None else f"cases that sleep {args.sleep:g} s"
    lines = [
        "# Batch: what more workers bring on this machine",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the start; {args.cases} {what}. Steady: "
        "without the first quarter of the cases, in which workers start and load the network.",
        "",
        *table(args.cases, args.sleep),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.output:
        args.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
