"""Waits for a run without Qt's event loop: for scripts, the Python console and `--no-main-window`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .worker_process import pythonExecutable, workerEnvironment

#: How long one look at the worker's pipe lasts at most.
_SLICE_S = 0.1


class Waiter:
    """Starts the worker as a subprocess and does by waiting what Qt's event loop does in the application.

    Args:
        command: of the worker; "" = this Slicer's own interpreter.
    """

    def __init__(self, command: str = "") -> None:
        self._command = command.strip()
        self._calls: deque[Callable[[], None]] = deque()

    def startTransport(self, client):
        """`start_transport` of a WorkerClient."""
        from InteractiveRefineLib.worker.command import worker_command
        from InteractiveRefineLib.worker.subprocess_transport import SubprocessTransport

        command = worker_command(self._command, pythonExecutable())
        return SubprocessTransport(command, client, workerEnvironment(ownPython=not self._command))

    def later(self, function: Callable[[], None]) -> None:
        """Call a function once the present callback is over."""
        self._calls.append(function)

    def wait(self, run):
        """Until a `Run` is done; returns its `Outcome`, or raises its error. Ctrl+C ends the worker."""
        try:
            while not run.done:
                while self._calls:
                    self._calls.popleft()()
                transport = run.client.transport
                if not run.done and transport is not None:
                    transport.pump(_SLICE_S)
        finally:
            run.close()
        if run.error is not None:
            raise run.error
        return run.outcome
