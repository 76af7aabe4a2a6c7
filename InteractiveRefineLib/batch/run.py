"""Run a batch: check the manifest, compute every case here or on many machines, write the summary."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..progress import Progress, ShouldCancel, never_cancel, no_progress
from ..resources import backbone_folder
from ..settings import RefineSettings
from .case import Case, in_computing_order
from .check import Defaults, Known, ManifestError, checked_cases, describe_here
from .manifest import Problem, read_table, table_of
from .names import BATCH_FOLDER
from .outcome import BatchResult, Outcome
from .store import BatchFolder, is_ours
from .summary import write_summary

if TYPE_CHECKING:
    from distributed import Security

#: Told after every case: its outcome, how many cases are done, and of how many.
OnCase = Callable[[Outcome, int, int], None]


@dataclass(frozen=True)
class Computing:
    """Where and how cases are computed.

    Attributes:
        workers: processes on this computer; more than one needs the package `distributed`.
        threads: of each process; None = all cores, shared by the workers.
        scheduler: address of a Dask scheduler, such as "tcp://head:8786"; "" = none.
        security: of a scheduler that speaks TLS: paths of the certificate authority, certificate and key, or a
            `distributed.Security`.
        resources: what a case needs of a worker, such as {"GPU": 1}.
        retries: how often a case is tried again after its worker was lost or an error that is not its inputs' fault.
        apart: in a process of its own, where a crash ends one case and not the batch.
    """

    workers: int = 1
    threads: int | None = None
    scheduler: str = ""
    security: tuple[str, str, str] | Security | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    retries: int = 3
    apart: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1 or (self.threads is not None and self.threads < 1) or self.retries < 0:
            raise InputError("A batch needs at least one worker, one thread of each, and no fewer than 0 retries.")
        if self.scheduler and self.workers != 1:
            raise InputError("A scheduler has its own workers: give either its address or a number of workers.")


def run_batch(
    manifest: str | os.PathLike | Iterable[Mapping[str, object]],
    output: str | os.PathLike,
    *,
    backbone: str | os.PathLike | None = None,
    settings: RefineSettings | None = None,
    resume: bool = False,
    preview: bool = False,
    computing: Computing | None = None,
    base: str | os.PathLike = ".",
    on_case: OnCase | None = None,
    progress: Progress = no_progress,
    should_cancel: ShouldCancel = never_cancel,
) -> BatchResult:
    """Refine many cases; one that fails never stops the others.

    Args:
        manifest: path of a table (see Docs/batch.md), or its rows as mappings from column to value.
        output: folder; gets a folder for each case, summary.csv, summary.md and timings.csv.
        backbone: folder of the network of cases that name none.
        settings: of cases that name none, and of what the settings of a case leave out.
        resume: leave cases alone that are finished with the same inputs, settings, network and program.
        preview: also write a picture of each case.
        computing: where; None = one after the other in this process.
        base: what relative paths of rows from Python are relative to; those of a file are relative to it.
        on_case: told after every case, also of those that workers finished before they heard of a cancel.
        progress: of the running case, where they run one after the other.
        should_cancel: once it says True, the running case is dropped and the summary says what is left.

    Returns:
        What became of every case, also when it was cancelled.

    Raises:
        ManifestError: with all problems of the manifest; nothing was computed.
        InputError: the output folder cannot be used, or a package for several workers is missing.
    """
    computing = computing or Computing()
    output = Path(output).absolute()
    describe = describe_here
    if computing.apart:
        from .apart import describe_apart as describe
    cases = prepare(manifest, output, backbone=backbone, settings=settings, resume=resume, base=base, describe=describe)
    folder = BatchFolder(output)
    outcomes: dict[str, Outcome] = {}

    def ended(outcome: Outcome) -> None:
        outcomes[outcome.name] = outcome
        folder.record(outcome)
        if on_case is not None:
            on_case(outcome, len(outcomes), len(cases))

    try:
        folder.write_journal("begin", cases=len(cases), resume=resume)
        ordered = in_computing_order(cases)
        with contextlib.closing(_outcomes(ordered, folder, preview, computing, progress, should_cancel)) as stream:
            for outcome in stream:
                ended(outcome)
        # What workers finished after a cancel and before they heard of it is finished all the same.
        folder.end_run()
        for outcome in folder.store.finished_in_this_run(case.name for case in cases if case.name not in outcomes):
            ended(outcome)
    finally:
        folder.write_journal("end", done=len(outcomes), left=len(cases) - len(outcomes))
        folder.close()
    done = tuple(outcomes[case.name] for case in cases if case.name in outcomes)
    left = tuple(case.name for case in cases if case.name not in outcomes)
    notes = tuple(folder.notes) + tuple(note for outcome in done for note in outcome.notes)
    result = BatchResult(output, done, left, notes)
    write_summary(result, cases)
    return result


def prepare(
    manifest: str | os.PathLike | Iterable[Mapping[str, object]],
    output: Path,
    *,
    backbone: str | os.PathLike | None = None,
    settings: RefineSettings | None = None,
    resume: bool = False,
    base: str | os.PathLike = ".",
    describe: Callable[[str], Known] = describe_here,
) -> list[Case]:
    """The cases of a manifest, checked, in its order; ManifestError with all problems. Nothing is written."""
    if isinstance(manifest, (str, os.PathLike)):
        table = read_table(Path(manifest))
    else:
        table = table_of(manifest, Path(base))
    folder = "" if backbone is None else str(backbone_folder(backbone).absolute())
    cases, problems = checked_cases(table, Defaults(folder, settings or RefineSettings()), describe)
    problems = problems + _problems_with_output(cases, output, resume)
    if problems:
        raise ManifestError(str(table.source or "The list of cases"), problems)
    return cases


def _problems_with_output(cases: list[Case], output: Path, resume: bool) -> list[Problem]:
    """Whatever is there already must stay, unless it is an older result of the same case."""
    problems = [Problem(0, "", text) for text in _problems_with_place(output)]
    real_output = output.resolve()
    taken = {real_output / case.name: case.name for case in cases}
    before = []
    for case in cases:
        for column, path in [*case.files, ("backbone", case.backbone)]:
            real = Path(path).resolve()
            if real == real_output:
                problems.append(
                    Problem(case.row, column, f"{path} is the output folder itself. Choose another output.")
                )
            for folder in (real, *real.parents):
                if folder in taken:
                    text = (
                        f"{path} lies where the results of {taken[folder]!r} are written. Choose another output folder."
                    )
                    problems.append(Problem(case.row, column, text))
            if column == "backbone" and real in real_output.parents:
                problems.append(Problem(case.row, column, f"the output folder lies in {path}. Choose another output."))
        place = output / case.name
        if not os.path.lexists(place):
            continue
        if not is_ours(place):
            text = f"{place} is there already and is no result of this program. Move it away, or rename the case."
            problems.append(Problem(case.row, "case", text))
        elif any(place.iterdir()):
            before.append(case.name)
    if before and not resume:
        shown = ", ".join(before[:3]) + (", ..." if len(before) > 3 else "")
        text = f"{output} holds results of {len(before)} of these cases ({shown}). Go on with --resume (resume=True), "
        problems.append(Problem(0, "", text + "which leaves finished cases alone, or choose another output folder."))
    return problems


def _problems_with_place(output: Path) -> Iterator[str]:
    if output.exists() and not output.is_dir():
        yield f"{output} is a file. Name a folder for the output."
        return
    there = output if output.exists() else next((p for p in output.parents if p.exists()), output)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield f"{output} cannot be written. Choose another output folder."
    if output.is_dir() and (output / BATCH_FOLDER).exists() and not (output / BATCH_FOLDER).is_dir():
        yield f"{output / BATCH_FOLDER} is in the way: this program needs a folder of this name. Move it away."


def _outcomes(
    cases: list[Case],
    folder: BatchFolder,
    preview: bool,
    computing: Computing,
    progress: Progress,
    should_cancel: ShouldCancel,
) -> Generator[Outcome, None, None]:
    if computing.scheduler or computing.workers > 1 or computing.resources:
        from .on_dask import run_on_dask

        return run_on_dask(cases, folder, computing, preview=preview, should_cancel=should_cancel)
    if computing.apart:
        from .apart import run_apart

        return run_apart(
            cases,
            folder.store,
            preview=preview,
            threads=computing.threads,
            progress=progress,
            should_cancel=should_cancel,
        )
    from .serial import run_here

    if computing.threads is not None:
        import torch

        torch.set_num_threads(computing.threads)
    return run_here(cases, folder.store, preview=preview, progress=progress, should_cancel=should_cancel)
