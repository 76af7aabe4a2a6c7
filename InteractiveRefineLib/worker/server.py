"""The worker's process: one thread listens, the main thread computes, and only frames leave through stdout."""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from .. import __version__
from ..progress import Progress, ShouldCancel, raise_if_cancelled
from ..segmentation import Segment
from . import wire
from .coded import coded_errors
from .constraint_codec import constraints_from_fields
from .desk import Desk
from .failure import KEPT, OUT_OF_MEMORY, PROTOCOL, WorkerError
from .memory import changes
from .messages import (
    backbone_to_fields,
    hello_fields,
    image_from_fields,
    job_of,
    network_from_fields,
    require_same_protocol,
    result_to_fields,
    segments_from_fields,
    settings_from_fields,
)
from .wire import FrameDecoder, Message, WireError

_log = logging.getLogger(__name__)

#: More progress than that, of one stage, only fills the channel.
_PROGRESS_INTERVAL_S = 0.05
#: While a large message comes in, the client hears this often that it does.
_SIGN_OF_LIFE_S = 2.0
#: The client is gone; a computation that does not end by then is ended.
_GRACE_S = 30.0
_CHUNK = 1 << 20


def main() -> int:
    """Serve the client at stdin and stdout until it says goodbye or goes away; returns the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # Ctrl+C reaches every process at the terminal; what it means is for the client to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever prints, also from C, must not get between the frames: from here on fd 1 is stderr, and fd 0 is empty.
    source, sink = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    sys.stdin, sys.stdout = open(os.devnull, encoding="utf-8"), sys.stderr  # noqa: SIM115 - for the process's life
    return Server(source, sink).run()


class Server:
    """Answers the messages of one client.

    Args:
        source: unbuffered; its end means that the client is gone.
        sink: for frames only.
        give_up: called when the client is gone and the computation does not end.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO, give_up: Callable[[], None] = lambda: os._exit(1)) -> None:
        self._source, self._sink, self._give_up = source, sink, give_up
        self._sending = threading.Lock()
        self._messages: queue.SimpleQueue[Message | WireError | WorkerError | None] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._gone = threading.Event()
        self._finished = threading.Event()
        self._failed_job: int | None = None
        self._last_progress, self._stage = 0.0, ""
        self._desk: Desk | None = None

    def run(self) -> int:
        """Serve until the client leaves; 0, or 1 when it did not speak the protocol."""
        listener = threading.Thread(target=self._listen, name="listener", daemon=True)
        listener.start()
        try:
            while (message := self._messages.get()) is not None:
                if isinstance(message, (WireError, WorkerError)):
                    code = getattr(message, "code", PROTOCOL)
                    self._send(wire.ERROR, {"job": 0, "code": code, "text": str(message)})
                    return 1
                if message.kind == wire.SHUTDOWN:
                    return 0
                if not self._answer(message):
                    return 1
            return 0
        except OSError as error:
            _log.info("The client is gone: %s", error)
            return 0
        finally:
            self._finished.set()

    # -- the listening thread ------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Read messages; answer a ping and note a cancel at once, also during a computation."""
        decoder, last_sign = FrameDecoder(), time.monotonic()
        try:
            while data := self._source.read(_CHUNK):
                decoder.feed(data)
                while (message := decoder.next()) is not None:
                    self._hear(message)
                if not decoder.is_between_frames and time.monotonic() - last_sign > _SIGN_OF_LIFE_S:
                    self._send(wire.PONG)
                    last_sign = time.monotonic()
        except WireError as error:
            self._messages.put(error)
        except OSError as error:
            _log.info("The client is gone: %s", error)
        except MemoryError:
            text = f"The worker ran out of memory while it received a message. {KEPT} Crop the image."
            self._messages.put(WorkerError(OUT_OF_MEMORY, text))
        self._gone.set()
        self._messages.put(None)
        if not self._finished.wait(_GRACE_S):
            _log.error("The client is gone, and the computation does not end; leaving.")
            self._give_up()

    def _hear(self, message: Message) -> None:
        job = job_of(message.fields)
        if message.kind == wire.PING:
            self._send(wire.PONG)
        elif message.kind == wire.CANCEL:
            self._cancelled.add(job)
        else:
            self._messages.put(message)

    # -- the main thread -----------------------------------------------------------------------------------------

    def _answer(self, message: Message) -> bool:
        """Do what a message asks; False when the client cannot be served at all."""
        job = message.fields.get("job", 0)
        if message.kind == wire.HELLO:
            return self._hello(message)
        if self._desk is None:
            self._send(wire.ERROR, {"job": job, "code": PROTOCOL, "text": "The client did not say hello."})
            return False
        if job == self._failed_job:
            return True  # what belongs to it was told already
        handler = _HANDLERS.get(message.kind)
        try:
            with coded_errors(self._torch):
                if handler is None:
                    raise WireError(f"The worker does not know the message {message.kind!r}.")
                handler(self, self._desk, message)
        except WorkerError as error:
            self._failed_job = job
            fields = {"job": job, "code": error.code, "text": str(error), "holds": self._desk.holds}
            self._send(wire.ERROR, fields)
        return True

    def _hello(self, message: Message) -> bool:
        """Tell who we are; False when the client speaks another protocol, which it is told."""
        from ..torch_probe import probe

        self._torch = probe()
        self._desk = Desk(self._torch)
        torch = dataclasses.asdict(self._torch)
        about = {"python": platform.python_version(), "host": platform.node(), "torch": torch}
        self._send(wire.HELLO, {**hello_fields(__version__), **about})
        try:
            require_same_protocol(message.fields)
        except WireError as error:
            self._send(wire.ERROR, {"job": 0, "code": PROTOCOL, "text": str(error)})
            return False
        return True

    def _describe(self, desk: Desk, message: Message) -> None:
        self._tell_backbone(message, desk.describe(*network_from_fields(message.fields)), False)

    def _load(self, desk: Desk, message: Message) -> None:
        self._tell_backbone(message, desk.load(*network_from_fields(message.fields)), True)

    def _tell_backbone(self, message: Message, info: Any, loaded: bool) -> None:
        self._send(wire.BACKBONE, {"job": message.fields["job"], "info": backbone_to_fields(info), "loaded": loaded})

    def _image(self, desk: Desk, message: Message) -> None:
        desk.set_image(str(message.fields.get("key")), image_from_fields(message.fields, message.arrays))

    def _state(self, desk: Desk, message: Message) -> None:
        segments: list[Segment] = segments_from_fields(message.fields.get("segments"))
        desk.set_state(message.fields, segments, message.arrays)

    def _refine(self, desk: Desk, message: Message) -> None:
        fields, arrays = message.fields, []
        settings = settings_from_fields(fields.get("settings"))
        constraints = constraints_from_fields(fields.get("constraints"), desk.image.geometry, message.arrays)
        with desk.round() as held:
            result = desk.refine(constraints, settings, *self._callbacks(fields["job"]))
            answer = result_to_fields(result, held, desk.memory, arrays)
            self._send(wire.RESULT, {"job": fields["job"], **answer}, arrays)

    def _predict(self, desk: Desk, message: Message) -> None:
        fields, arrays = message.fields, []
        settings = settings_from_fields(fields.get("settings"))
        with desk.round() as held:
            warnings = desk.predict(settings, *self._callbacks(fields["job"]))
            answer = {"warnings": warnings, "memory": changes(held, desk.memory, arrays)}
            self._send(wire.PREDICTED, {"job": fields["job"], **answer}, arrays)

    def _callbacks(self, job: int) -> tuple[Progress, ShouldCancel]:
        """`progress` and `should_cancel` of a job; Cancelled when it was cancelled while it waited."""

        def progress(step: int, total: int, message: str) -> None:
            now, stage = time.monotonic(), message.split(",")[0]
            if stage != self._stage or now - self._last_progress >= _PROGRESS_INTERVAL_S:
                self._last_progress, self._stage = now, stage
                fields = {"job": job, "step": step, "total": total, "message": message, "loss": _loss_in(message)}
                self._send(wire.PROGRESS, fields)

        def should_cancel() -> bool:
            return self._gone.is_set() or job in self._cancelled

        raise_if_cancelled(should_cancel)
        self._stage = ""
        return progress, should_cancel

    def _send(self, kind: str, fields: dict[str, Any] | None = None, arrays: list | None = None) -> None:
        data = memoryview(wire.encode(kind, fields, arrays or []))
        with self._sending:
            while data:
                data = data[self._sink.write(data) :]


def _loss_in(message: str) -> float | None:
    """The loss that a progress message ends with."""
    _, found, number = message.partition(", loss ")
    try:
        return float(number) if found else None
    except ValueError:
        return None


_HANDLERS: dict[str, Callable[[Server, Desk, Message], None]] = {
    wire.DESCRIBE: Server._describe,
    wire.LOAD: Server._load,
    wire.IMAGE: Server._image,
    wire.STATE: Server._state,
    wire.REFINE: Server._refine,
    wire.PREDICT: Server._predict,
}
