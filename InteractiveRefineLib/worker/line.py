"""The line to one worker process: its transport, what it says, and how long it has been silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import __version__
from ..errors import InputError
from . import failure, wire
from .failure import WorkerError
from .messages import hello_fields, worker_from_fields
from .patience import Deadlines, Patience, Verdict
from .request import Transport, WorkerInfo
from .wire import FrameDecoder, Message, WireError


class Line:
    """One life of a worker; a transport is started with it and hands over what it hears.

    Once a line is closed it is deaf: what an old process still has to say is not mistaken for a new one's.

    Args:
        take: is given every message after the worker's hello, and that as well.
        lost: is told why the line was closed, when that was not asked for.

    Attributes:
        worker: who is at the other end; None before it said hello.
        transport: the process; None before it was started.
        is_open: False once the process ended, or was ended.
    """

    def __init__(
        self,
        take: Callable[[Message], None],
        lost: Callable[[WorkerError], None],
        clock: Callable[[], float],
        deadlines: Deadlines,
    ) -> None:
        self.worker: WorkerInfo | None = None
        self.transport: Transport | None = None
        self.is_open = True
        self._take, self._lost = take, lost
        self._decoder = FrameDecoder()
        self._patience = Patience(clock, deadlines)

    def start(self, start_transport: Callable[[Line], Transport]) -> None:
        """Start the process and say hello; what goes wrong is told to `lost`."""
        try:
            self.transport = start_transport(self)
        except (OSError, InputError) as error:
            text = f"The worker could not be started: {error}. Check the worker's command in the settings."
            self.close(WorkerError(failure.CANNOT_START, text))
            return
        self.send(wire.HELLO, hello_fields(__version__))

    def send(self, kind: str, fields: dict[str, Any] | None = None) -> None:
        """Say something small."""
        self.write(wire.encode(kind, fields))

    def write(self, frame: bytes) -> None:
        """Say a frame; a closed line swallows it."""
        if self.is_open and self.transport is not None:
            self.transport.write(frame)

    def cancelled(self) -> None:
        """From now on the worker has until the deadline to give up."""
        self._patience.cancelled()

    def close(self, error: WorkerError | None = None, kill: bool = True) -> None:
        """Be deaf from now on; `lost` is told the error if there is one. Without `kill` the worker may leave itself."""
        if not self.is_open:
            return
        self.is_open = False
        if self.transport is not None:
            if kill:
                self.transport.kill()
            else:
                self.transport.write(wire.encode(wire.SHUTDOWN))
                self.transport.close_input()
        if error is not None:
            self._lost(error)

    def feed(self, data: bytes) -> None:
        """Take bytes from the worker, whatever they are."""
        if not self.is_open:
            return
        self._patience.heard()
        self._decoder.feed(data)
        try:
            # A callback may close this line, and even start another worker.
            while self.is_open and (message := self._decoder.next()) is not None:
                if message.kind == wire.HELLO:
                    self.worker = worker_from_fields(message.fields, __version__)
                self._take(message)
        except WireError as error:
            self.close(WorkerError(failure.PROTOCOL, f"{error} {failure.KEPT}"))
        except MemoryError:
            self.close(failure.no_memory())

    def transport_closed(self, reason: str, stderr_tail: str) -> None:
        """Take note that the process ended.

        Args:
            reason: "ended with exit code 1" or "killed by signal 9", see `failure.reason_of_exit`.
            stderr_tail: the last of what it wrote to stderr.
        """
        self.close(failure.ended(reason, stderr_tail, greeted=self.worker is not None), kill=False)

    def tick(self, *, waiting: bool, cancelling: bool) -> None:
        """Look at the clock; a worker from which something is expected and that stopped answering is ended."""
        if not self.is_open:
            return
        seconds, greeted = self._patience.deadlines, self.worker is not None
        verdict = self._patience.tick(waiting=waiting, greeted=greeted, cancelling=cancelling)
        if verdict is Verdict.PING:
            self.send(wire.PING)
        elif verdict is Verdict.NOT_CANCELLED:
            self.close(failure.cancelled())
        elif verdict is Verdict.NOT_STARTED:
            self.close(self._hung("did not start", seconds.start))
        elif verdict is Verdict.HUNG:
            self.close(self._hung("stopped answering", seconds.answer))

    def _hung(self, what: str, seconds: float) -> WorkerError:
        words = failure.last_words(getattr(self.transport, "stderr_tail", ""))
        return WorkerError(
            failure.HUNG,
            f"The worker {what} within {seconds:g} s and was ended. {failure.KEPT} Refine again; it is restarted. If "
            f"this happens again, restart the computer that it runs on, or choose another one.{words}",
        )
