"""One attempt at one case: skip it when it is finished, else compute it and put it into its place."""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
import traceback
from pathlib import Path

from ..errors import Cancelled, InputError, OutOfMemoryError
from ..progress import Progress, ShouldCancel, never_cancel, no_progress
from .case import Case
from .fingerprint import case_key
from .networks import NetworkKeeper
from .outcome import FAILED, FINISHED, Outcome
from .store import CaseStore


def attempt_case(
    case: Case,
    store: CaseStore,
    networks: NetworkKeeper,
    *,
    preview: bool = False,
    progress: Progress = no_progress,
    should_cancel: ShouldCancel = never_cancel,
) -> Outcome:
    """Compute `case` unless it is finished; whatever goes wrong becomes an outcome, so that others can go on.

    Raises:
        Cancelled: the run is over or `should_cancel` said so; nothing of this case is left.
    """
    start = time.perf_counter()

    def seconds() -> float:
        return time.perf_counter() - start

    work: Path | None = None
    try:
        from .compute import compute_case

        key, files = case_key(case, preview, networks.hashes)
        done = store.finished_report(case.name, key)
        if done is not None:
            # A worker of this very run may have died after it had finished the case and before it could say so.
            reused = store.run_of(case.name) != store.run.name
            return Outcome(case.name, FINISHED, reused, seconds=seconds(), facts=done[0]["facts"], notes=done[1])
        work = store.new_work_folder(case.name)
        facts = compute_case(
            case, work, key, files, networks, run=store.run.name, preview=preview,
            progress=progress, should_cancel=should_cancel,
        )  # fmt: skip
        store.commit(work, case.name, key)
        return Outcome(case.name, FINISHED, seconds=seconds(), facts=facts)
    except Exception as error:
        if isinstance(error, Cancelled) or store.is_over():
            raise Cancelled("Cancelled: what was not finished was dropped.") from error
        if not isinstance(error, InputError):
            networks.forget()  # it may be broken, or too large
        reason = _reason(error)
        if work is not None:  # the user never sees where a case is prepared
            reason = reason.replace(str(work), str(store.folder(case.name)))
        details = "" if isinstance(error, InputError) else traceback.format_exc()
        again = not isinstance(error, InputError)
        return Outcome(case.name, FAILED, reason=reason, details=details, try_again=again, seconds=seconds())
    finally:
        if work is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(work)


def _reason(error: Exception) -> str:
    """One line for the summary."""
    if isinstance(error, OSError) and not isinstance(error, InputError):
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            return f"The disk is full ({error.filename or 'while the case was written'}). Free some space."
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}."
    if isinstance(error, MemoryError) and not isinstance(error, OutOfMemoryError):
        return "Out of memory. Close other programs, or use a smaller image."
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    from ..errors import RefineError

    return line if isinstance(error, RefineError) else f"Unexpected {type(error).__name__}: {line}"
