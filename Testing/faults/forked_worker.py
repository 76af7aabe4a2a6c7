"""Real worker processes in a few milliseconds each: forked from one that has loaded torch already."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import select
import signal
import struct
import sys
import termios
import time
from multiprocessing.connection import Connection
from pathlib import Path

from InteractiveRefineLib.worker.failure import reason_of_exit

ROOT = Path(__file__).resolve().parents[2]
_CHUNK = 1 << 20


def forking() -> multiprocessing.context.BaseContext:
    """The context whose processes are forked from one that has imported the library."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["Testing.faults.preload"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [before])])
    try:
        from multiprocessing import forkserver

        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def in_a_fork(target, *args, timeout: float = 60.0) -> int:
    """Run `target(*args)` in a process of its own; its exit code (negative: the signal that killed it)."""
    process = forking().Process(target=target, args=args)
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"{target.__name__} did not end within {timeout:g} s")
    code = process.exitcode
    process.close()
    return code


def _serve(source: Connection, sink: Connection, prepare) -> None:
    """What the forked process does: serve as `interactive-refine worker` does."""
    from InteractiveRefineLib.worker.server import Server

    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if prepare is not None:
        prepare()
    code = Server(os.fdopen(os.dup(source.fileno()), "rb", 0), os.fdopen(os.dup(sink.fileno()), "wb", 0)).run()
    os._exit(code)


class ForkedTransport:
    """A worker behind real pipes; `pump` moves the bytes in the caller's thread.

    Args:
        inlet: gets `feed`, `transport_closed` and `tick`.
        prepare: called in the worker before it serves.
    """

    def __init__(self, inlet, prepare=None) -> None:
        self.inlet = inlet
        context = forking()
        theirs, self._to = context.Pipe(duplex=False)
        self._from, ours = context.Pipe(duplex=False)
        self.process = context.Process(target=_serve, args=(theirs, ours, prepare), daemon=True)
        self.process.start()
        theirs.close()
        ours.close()
        os.set_blocking(self._to.fileno(), False)
        self._pending = bytearray()
        self._closing = self._closed = False

    @property
    def running(self) -> bool:
        return not self._closed and self.process.is_alive()

    def write(self, data: bytes) -> None:
        self._pending += data

    def close_input(self) -> None:
        self._closing = True
        self._push()

    def kill(self) -> None:
        self.strike()
        self.end()

    def strike(self, number: int = signal.SIGKILL) -> None:
        """Send the process a signal."""
        if not self._closed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def end(self) -> None:
        """Wait for the process, killing it when it does not leave; no pipe stays open."""
        if self._closed:
            return
        self._push()
        self._to.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.exitcode = self.process.exitcode
        self._closed = True
        self._from.close()
        self.process.close()

    def pump(self, timeout: float) -> None:
        """Move what can be moved; wait at most `timeout` seconds for something to hear, and tick."""
        if self._closed:
            return
        self._push()
        wanting = [self._to] if self._pending else []
        readable, _, _ = select.select([self._from], wanting, [], timeout)
        self._push()
        if readable:
            data = os.read(self._from.fileno(), _CHUNK)
            if not data:
                self.end()
                self.inlet.transport_closed(reason_of_exit(self.exitcode), "")
                return
            self.heard(data)
        if not self._closed:
            self.inlet.tick()

    def heard(self, data: bytes) -> None:
        """What a subclass disturbs."""
        self.inlet.feed(data)

    def drain(self, seconds: float = 20.0) -> None:
        """Wait until the worker has taken everything that was written."""
        end = time.monotonic() + seconds
        while self._pending or self._unread():
            assert time.monotonic() < end, "the worker does not read"
            self._push()
            time.sleep(0.0005)

    def _unread(self) -> int:
        raw = fcntl.ioctl(self._to.fileno(), termios.FIONREAD, b"\0\0\0\0")
        return struct.unpack("i", raw)[0]

    def _push(self) -> None:
        if self._closed or self._to.closed:
            return
        with contextlib.suppress(BlockingIOError):
            try:
                while self._pending:
                    del self._pending[: os.write(self._to.fileno(), self._pending)]
            except (BrokenPipeError, ConnectionResetError):
                self._pending.clear()
        if self._closing and not self._pending:
            self._to.close()


def process_count() -> int:
    """Processes that this one started and that still run, the two helpers of multiprocessing left out."""
    return len(multiprocessing.active_children())


assert sys.platform != "win32", "the fault matrix runs where processes can be forked"
