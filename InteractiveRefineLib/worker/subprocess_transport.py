"""A worker process without Qt: for the command line, for tests, and for a script that waits."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..progress import ShouldCancel, never_cancel
from .command import own_group, worker_command, worker_environment
from .failure import reason_of_exit

if TYPE_CHECKING:
    from .client import Inlet, WorkerClient

_CHUNK = 1 << 20
_STDERR_TAIL = 8000
#: How long a process that is done with may take to leave before it is killed.
_LEAVE_S = 5.0


class SubprocessTransport:
    """One worker process; threads move its bytes, and `pump` hands them over in the caller's thread.

    Args:
        command: program and arguments.
        inlet: gets `feed`, `transport_closed` and `tick`.
        environment: of the process; None for this one's.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(self, command: Sequence[str], inlet: Inlet, environment: Mapping[str, str] | None = None) -> None:
        self._inlet = inlet
        self._heard: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._to_write: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._stderr = bytearray()
        self._deaf = False
        # A group of its own: Ctrl+C at the terminal is for the client, and a wrapper is killed with what it started.
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=None if environment is None else dict(environment),
            **own_group(),
        )
        self._threads = [
            threading.Thread(target=work, name=f"worker {work.__name__.strip('_')}", daemon=True)
            for work in (self._write_all, self._read_stdout, self._read_stderr)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> bool:
        """True while the process lives."""
        return self.process.poll() is None

    @property
    def stderr_tail(self) -> str:
        """The last of what the process wrote to stderr."""
        return bytes(self._stderr).decode("utf-8", "replace")

    def write(self, data: bytes) -> None:
        """Queue bytes; a process that does not read blocks nobody."""
        self._to_write.put(data)

    def close_input(self) -> None:
        """Close its stdin once everything is written."""
        self._to_write.put(None)

    def kill(self) -> None:
        """End the process, and those it started here, at once; nothing is handed over afterward."""
        self._deaf = True
        self._kill()
        self._reap()

    def close(self, timeout: float = _LEAVE_S) -> None:
        """Wait until a process whose input was closed has left; kill it when it does not."""
        self._deaf = True
        self.close_input()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._kill()
        self._reap()

    def pump(self, timeout: float) -> None:
        """Hand over what was heard; when there is nothing, wait for it for at most `timeout` seconds, and tick."""
        try:
            data = self._heard.get(timeout=timeout)
        except queue.Empty:
            if not self._deaf:
                self._inlet.tick()
            return
        if self._deaf:
            return
        if data is not None:
            self._inlet.feed(data)
            self._inlet.tick()
            return
        returncode = self._wait_for_end()
        self._reap()
        self._deaf = True
        self._inlet.transport_closed(reason_of_exit(returncode), self.stderr_tail)

    def _wait_for_end(self) -> int:
        """Exit code of a process that closed its stdout; one that lives on all the same is killed."""
        try:
            return self.process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._kill()
            return self.process.wait()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "nt":
                self.process.kill()
            else:
                os.killpg(self.process.pid, signal.SIGKILL)

    def _reap(self) -> None:
        """No zombie, no thread and no open pipe remains."""
        self._to_write.put(None)
        self.process.wait()
        for thread in self._threads:
            # A grandchild in another group may hold the pipes open: then the threads end with it, not now.
            thread.join(timeout=2.0)
        for pipe, thread in zip((self.process.stdin, self.process.stdout, self.process.stderr), self._threads):
            if not thread.is_alive():
                with contextlib.suppress(OSError):
                    pipe.close()

    def _write_all(self) -> None:
        with contextlib.suppress(OSError):
            while (data := self._to_write.get()) is not None:
                rest = memoryview(data)
                while rest:
                    rest = rest[self.process.stdin.write(rest[:_CHUNK]) :]
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def _read_stdout(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.process.stdout.read(_CHUNK):
                self._heard.put(data)
        self._heard.put(None)

    def _read_stderr(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.process.stderr.read(_CHUNK):
                self._stderr += data
                del self._stderr[:-_STDERR_TAIL]


def subprocess_starter(setting: str = "", python: str = "") -> Callable[[Inlet], SubprocessTransport]:
    """`start_transport` of a `WorkerClient` for a command as in `worker_command`."""

    def start(inlet: Inlet) -> SubprocessTransport:
        return SubprocessTransport(worker_command(setting, python), inlet, worker_environment(setting))

    return start


def run_until_idle(client: WorkerClient, should_cancel: ShouldCancel = never_cancel, poll_s: float = 0.1) -> None:
    """Pump the client's worker until everything that was asked is answered; its transport is a `SubprocessTransport`.

    Args:
        should_cancel: asked again and again; once it says True, the request is cancelled.
        poll_s: how often, in seconds.
    """
    while client.waiting:
        if should_cancel():
            client.cancel()
        if client.waiting:  # a cancel may have ended it
            client.transport.pump(poll_s)


def close_worker(client: WorkerClient) -> None:
    """Let the client's worker leave and wait for it; no process, thread or pipe remains."""
    transport = client.transport
    client.shutdown()
    if transport is not None:
        transport.close()
