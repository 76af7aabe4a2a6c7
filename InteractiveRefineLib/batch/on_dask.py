"""Compute the cases on Dask workers: a cluster on this computer, or the workers of a scheduler that is there."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import Cancelled, InputError
from ..progress import ShouldCancel
from .attempt import attempt_case
from .case import Case
from .networks import NetworkKeeper
from .outcome import FAILED, Outcome
from .store import BatchFolder, CaseStore

if TYPE_CHECKING:
    from distributed import Client, Future

    from .run import Computing

#: A worker sees a new folder of a network file system only after a while.
_SHARED_FOLDER_S = 30.0
#: How often is looked whether results came or the user wants to stop.
_POLL_S = 0.1
#: How often a worker looks whether the run is over.
_LOOK_S = 1.0
#: How often is looked for cases whose end nobody told.
_LOOK_AGAIN_S = 5.0

_keeper: NetworkKeeper | None = None
#: A worker may have several threads; networks and their memory are for one case at a time.
_one_at_a_time = threading.Lock()


def run_on_dask(
    cases: list[Case], folder: BatchFolder, computing: Computing, *, preview: bool, should_cancel: ShouldCancel
) -> Iterator[Outcome]:
    """Yields the outcome of each case once, in the order in which they end; after a cancel there are fewer.

    A case whose worker is lost is given to another one.

    Raises:
        InputError: the package `distributed` is missing, or the scheduler does not answer.
    """
    if importlib.util.find_spec("distributed") is None:
        raise InputError(
            "Several workers need the package distributed: pip install 'interactive-refine[batch]'. Without it, "
            "leave out --workers, --scheduler and --resources."
        )
    # Lazily, so that workers which are not there yet cannot be waited for before the user may cancel.
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(_connected(computing))
        yield from _collect(client, cases, folder, computing, preview, should_cancel)


def compute_on_worker(
    fields: dict[str, Any], output: str, run: str, preview: bool, threads: int | None, version: str
) -> dict[str, Any] | None:
    """One case, in a worker's process.

    Returns:
        Fields of its outcome; None when the run was ended meanwhile.
    """
    global _keeper
    case, store = Case.from_fields(fields), CaseStore(Path(output), Path(run))
    if version != __version__:
        reason = f"This worker has interactive-refine {__version__}, but the batch was started by {version}."
        return Outcome(case.name, FAILED, reason=reason + " Install one version everywhere.").to_fields()
    if not _appears(store.run):
        if store.run.parent.is_dir():
            return None
        reason = f"This worker does not see {output}. The workers need the same folders as the computer that leads."
        return Outcome(case.name, FAILED, reason=reason).to_fields()
    with _one_at_a_time:
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        _keeper = _keeper or NetworkKeeper()
        try:
            outcome = attempt_case(case, store, _keeper, preview=preview, should_cancel=_now_and_then(store.is_over))
        except Cancelled:
            return None
    from distributed import get_worker

    return {**outcome.to_fields(), "worker": get_worker().address}


def _appears(folder: Path) -> bool:
    end = time.monotonic() + _SHARED_FOLDER_S
    while not folder.is_dir():
        if folder.parent.is_dir() or time.monotonic() > end:
            return folder.is_dir()
        time.sleep(0.5)
    return True


def _now_and_then(question: ShouldCancel) -> ShouldCancel:
    """The answer to a question that is slow to ask, at most one second old."""
    answer, asked = False, time.monotonic()

    def ask() -> bool:
        nonlocal answer, asked
        if time.monotonic() - asked >= _LOOK_S:
            answer, asked = question(), time.monotonic()
        return answer

    return ask


@contextlib.contextmanager
def _connected(computing: Computing) -> Iterator[Client]:
    """A client of the scheduler, or of a cluster on this computer which ends with the block."""
    import dask
    from distributed import Client, LocalCluster, Security

    if computing.scheduler:
        security = computing.security
        if isinstance(security, tuple):
            authority, certificate, key = security
            security = Security(
                tls_ca_file=authority, tls_client_cert=certificate, tls_client_key=key, require_encryption=True
            )
        try:
            client = Client(computing.scheduler, security=security, set_as_default=False)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"The scheduler {computing.scheduler} cannot be used: {reason}") from error
        with client:
            yield client
        return
    settings = {
        "distributed.scheduler.allowed-failures": computing.retries,
        # Pages about the cluster's state, which nobody needs on a port.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.worker.preload": [],
    }
    with dask.config.set(settings):
        cluster = LocalCluster(
            n_workers=computing.workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",  # never reachable from elsewhere
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            preload=[f"{__package__}.uninterrupted"],
            memory_limit=None,  # a worker near the limit would be killed in the middle of a case
            resources=dict(computing.resources),
            security=_own_certificates(),
            silence_logs=logging.CRITICAL,
        )
        with cluster, Client(cluster, set_as_default=False) as client:
            yield client


def _own_certificates() -> Any:
    """On a computer with several users only our own processes shall talk to the scheduler, where that can be had."""
    from distributed import Security

    try:
        return Security.temporary()
    except ImportError:  # the package cryptography is missing
        return None


def _threads(computing: Computing) -> int | None:
    """Of each worker; the workers of this computer share its cores, those of a cluster know their own number."""
    if computing.threads is not None or computing.scheduler:
        return computing.threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // computing.workers)


def _collect(
    client: Client,
    cases: list[Case],
    folder: BatchFolder,
    computing: Computing,
    preview: bool,
    should_cancel: ShouldCancel,
) -> Iterator[Outcome]:
    from distributed import as_completed

    store, threads = folder.store, _threads(computing)
    pending: dict[str, tuple[Future, Case]] = {}
    attempts: dict[str, int] = {}

    def submit(case: Case) -> Future:
        number = attempts[case.name] = attempts.get(case.name, 0) + 1
        future = client.submit(
            compute_on_worker, case.to_fields(), str(store.output), str(store.run), preview, threads, __version__,
            key=f"{case.name}-{number}-{folder.id}", pure=False, resources=dict(computing.resources) or None,
        )  # fmt: skip
        pending[future.key] = (future, case)
        return future

    # With results: a worker may die after its case is finished and before anybody heard of it. Then the client asks for
    # the result once more, and another worker finds the finished case.
    waiting = as_completed([submit(case) for case in cases], loop=client.loop, with_results=True)
    looked, stuck = time.monotonic(), set()
    while pending:
        if should_cancel():
            client.cancel([future for future, _ in pending.values()], force=True)
            return
        ready = [(future.key, result) for future, result in waiting.next_batch(block=False)]
        if time.monotonic() - looked > _LOOK_AGAIN_S:
            looked = time.monotonic()
            bad = {key for key, (future, _) in pending.items() if future.status in ("error", "cancelled", "lost")}
            ready += [(key, None) for key in bad & stuck]  # nobody told us, twice
            stuck = bad
        for key, result in ready:
            if key not in pending:
                continue
            future, case = pending.pop(key)
            outcome = _outcome_of(future.status, result, case)
            if outcome is None:
                folder.notes.append(f"{case.name} was given back by the scheduler; what is left needs --resume.")
                return
            if outcome.try_again and attempts[case.name] <= computing.retries:
                folder.write_journal("again", case=case.name, reason=outcome.reason)
                waiting.add(submit(case))
            else:
                yield outcome
        if not ready:
            time.sleep(_POLL_S)


def _outcome_of(status: str, result: Any, case: Case) -> Outcome | None:
    """What came of a case: the worker's answer, or (type, error, traceback); None when the scheduler dropped it."""
    if isinstance(result, dict):
        return Outcome.from_fields(result)
    if status != "error":
        return None
    error = result[1] if isinstance(result, tuple) else RuntimeError("the scheduler tells no reason")
    if type(error).__name__ == "KilledWorker":
        reason = f"Its worker was lost again and again ({error.last_worker.address}): out of memory, or a crash."
        return Outcome(case.name, FAILED, reason=reason)
    reason = f"Unexpected {type(error).__name__} on a worker: {' '.join(str(error).split())[:300]}"
    return Outcome(case.name, FAILED, reason=reason, try_again=True)
