"""Compute the cases one after the other in a process of its own: PyTorch stays out of this one, and so does a crash."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from ..errors import BackboneError, InputError
from ..progress import Progress, ShouldCancel
from ..worker.command import own_group, worker_environment
from ..worker.failure import reason_of_exit
from .case import Case
from .check import Known
from .outcome import FAILED, Outcome
from .store import CaseStore

_CHILD = "InteractiveRefineLib.batch.child"
_POLL_S = 0.1
_LEAVE_S = 10.0
_TAIL_BYTES = 4000


def run_apart(
    cases: list[Case],
    store: CaseStore,
    *,
    preview: bool,
    threads: int | None,
    progress: Progress,
    should_cancel: ShouldCancel,
    python: str = "",
) -> Iterator[Outcome]:
    """Yields the outcome of each case, in order; after a cancel there are fewer of them.

    Args:
        python: interpreter of the process; "" = the one that runs this.

    Raises:
        InputError: the process cannot be started.
    """
    start = {"output": str(store.output), "run": str(store.run), "preview": preview, "threads": threads}
    child: _Child | None = None
    try:
        for case in cases:
            if should_cancel():
                return
            child = child or _Child(python or _interpreter(), start)
            outcome = child.compute(case, progress, should_cancel)
            if outcome is None:
                return
            if not child.alive:
                child.end()
                child = None
            yield outcome
    finally:
        if child is not None:
            child.end()


def describe_apart(folder: str) -> Known:
    """What the network in `folder` knows, found out in another process; BackboneError when it cannot be used."""
    python = _interpreter()
    try:
        run = subprocess.run(
            [python, "-m", _CHILD, folder], capture_output=True, env=worker_environment(), stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise _cannot_start(python, error) from error
    try:
        answer = json.loads(run.stdout)
    except ValueError as error:
        last = run.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [reason_of_exit(run.returncode)]
        raise BackboneError(f"{folder} cannot be described: {last[0]}") from error
    if "error" in answer:
        raise BackboneError(answer["error"])
    known = answer["known"]
    return Known(known["name"], tuple(known["channels"]), tuple(known["classes"]))


def _cannot_start(python: str, error: OSError) -> InputError:
    return InputError(f"{python} cannot be started: {error.strerror or error}. Is Python installed?")


def _interpreter() -> str:
    """The Python that runs this; an application that embeds Python, as 3D Slicer does, brings an interpreter along."""
    if "python" in os.path.basename(sys.executable or "").lower():
        return sys.executable
    beside = shutil.which("PythonSlicer", path=os.path.dirname(sys.executable or ""))
    return shutil.which("PythonSlicer") or beside or sys.executable


class _Child:
    """A process that computes cases; JSON lines go in and out."""

    def __init__(self, python: str, start: dict[str, Any]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 `end` closes it
        # A group of its own: Ctrl+C at the terminal is for the batch, which then ends this process.
        command = [python, "-m", _CHILD]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
                env=worker_environment(), **own_group(),
            )  # fmt: skip
        except OSError as error:
            self._stderr.close()
            raise _cannot_start(python, error) from error
        self._heard: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="batch child", daemon=True)
        self._reader.start()
        self.alive = True
        self._say(start)

    def compute(self, case: Case, progress: Progress, should_cancel: ShouldCancel) -> Outcome | None:
        """The outcome of a case; None after a cancel, and then the process is to be ended."""
        self._say(case.to_fields())
        while True:
            try:
                line = self._heard.get(timeout=_POLL_S)
            except queue.Empty:
                if should_cancel():
                    return None
                continue
            if line is None:
                return self._died(case)
            message = json.loads(line)
            if "step" in message:
                progress(*message["step"])
            elif message["outcome"] is None:
                return None
            else:
                return Outcome.from_fields(message["outcome"])

    def end(self) -> None:
        """No process, thread or pipe remains; what it was computing is dropped."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(_LEAVE_S)
        self._process.stdout.close()
        self._stderr.close()

    def _say(self, fields: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # that it died is found out when its answer is read
            self._process.stdin.write(json.dumps(fields).encode() + b"\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._heard.put(line)
        self._heard.put(None)

    def _died(self, case: Case) -> Outcome:
        self.alive = False
        reason = reason_of_exit(self._process.wait())
        guess = ", probably because memory ran out" if reason.endswith(" 9") else ""
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _TAIL_BYTES))
        tail = self._stderr.read().decode("utf-8", "replace")
        return Outcome(
            case.name, FAILED, reason=f"The process that computed it was lost: {reason}{guess}.", details=tail
        )
