"""The client of a worker: turns requests into messages and answers into results, without threads, processes or Qt."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..result import RefinementResult
from ..segmentation import Segment
from . import failure, wire
from .correspondence import Correspondence
from .failure import WorkerError
from .line import Line
from .messages import backbone_from_fields, holds_from_fields, job_of, progress_from_fields
from .patience import Deadlines
from .request import BackboneInfo, PredictResult, RefineRequest, Transport, WorkerInfo
from .wire import Message, WireError

__all__ = ["BackboneInfo", "Deadlines", "PredictResult", "RefineRequest", "Transport", "WorkerClient", "WorkerInfo"]

_log = logging.getLogger(__name__)


class Inlet:
    """The client as one transport sees it: a line that knows what the client waits for."""

    def __init__(self, client: WorkerClient, line: Line) -> None:
        self._client = client
        self.feed, self.transport_closed = line.feed, line.transport_closed

    def tick(self) -> None:
        self._client.tick()


@dataclass(eq=False)
class _Job:
    """A submitted request on its way."""

    number: int
    request: RefineRequest
    is_loading: bool = False
    is_sent: bool = False
    is_cancelled: bool = False


class WorkerClient:
    """Drives one worker, which it starts when it is needed and again after it died.

    How a controller uses it (everything below happens in the caller's thread, nothing blocks):

        client = WorkerClient(transportStarter(...))           # starts nothing yet; then set on_progress(step, total,
                                                               # message, loss), on_result(result), on_error(error)
        client.describe_backbone(folder, class_map)            # -> on_backbone(info), or on_error
        table = request_table(client.classes, current, image.geometry, new_classes)   # worker/table.py
        constraints = book.toConstraints(table.label_of, locked)
        client.submit(RefineRequest(image, folder, constraints, settings, current, manual, called, new_classes))
                                                               # exactly one of on_result, on_error follows
        client.manual, client.called                           # to be stored with the scene, given back after a reload
        client.segments                                        # table of the last answer: label -> Segment
        client.cancel()                                        # -> on_error("cancelled"), always within a deadline;
                                                               # client.kill(): no callback follows

    Args:
        start_transport: starts the worker's process; its argument has `feed`, `transport_closed` and `tick` for the
            transport to call, all in one thread. Raises OSError when it cannot.
        clock: monotonic seconds.
        deadlines: after which silence the worker is given up.
    """

    def __init__(
        self,
        start_transport: Callable[[Inlet], Transport],
        clock: Callable[[], float] = time.monotonic,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.on_progress: Callable[[int, int, str, float | None], None] = lambda step, total, message, loss: None
        self.on_backbone: Callable[[BackboneInfo], None] = lambda info: None
        self.on_result: Callable[[RefinementResult | PredictResult], None] = lambda result: None
        self.on_error: Callable[[WorkerError], None] = lambda error: None
        self.classes: list[Segment] = []
        self._start_transport = start_transport
        self._clock, self._deadlines = clock, deadlines or Deadlines()
        self._letters = Correspondence()
        self._line: Line | None = None
        self._job: _Job | None = None
        self._questions: dict[int, tuple[str, dict]] = {}  # backbones to be described, with class maps, by number
        self._unsent: list[int] = []
        self._n_jobs = 0

    @property
    def busy(self) -> bool:
        """True while a submitted request is not answered."""
        return self._job is not None

    @property
    def waiting(self) -> bool:
        """True while anything is not answered, a question about a backbone included."""
        return self._job is not None or bool(self._questions)

    @property
    def alive(self) -> bool:
        """True while a worker runs."""
        return self._line is not None and self._line.is_open

    @property
    def worker(self) -> WorkerInfo | None:
        """Who works; None while none said hello."""
        return self._line.worker if self._line is not None and self._line.is_open else None

    @property
    def transport(self) -> Transport | None:
        """The newest worker's process, also after it ended; None before the first."""
        return None if self._line is None else self._line.transport

    @property
    def segments(self) -> list[Segment]:
        """All classes of the last answer, by label: the network's, then those it does not know; empty before."""
        return [] if self._letters.memory is None else list(self._letters.memory.segments)

    @property
    def manual(self) -> np.ndarray | None:
        """(K, J, I) bool after the last answer: voxels the user or another program decided; None before."""
        memory = self._letters.memory
        return None if memory is None or memory.manual is None else memory.manual.copy()

    @property
    def called(self) -> tuple[np.ndarray, np.ndarray] | None:
        """What stroked voxels were called, after the last answer: flat indices and labels, int64; None before."""
        memory = self._letters.memory
        return None if memory is None else (memory.called[0].copy(), memory.called[1].copy())

    def describe_backbone(self, folder: str, class_map: dict[str, Any] | None = None) -> None:
        """Ask what is in a backbone folder ("" = the library's own); `on_backbone` or `on_error` is told."""
        number = self._next_number()
        self._questions[number] = (folder, dict(class_map or {}))
        self._unsent.append(number)
        self._advance()

    def submit(self, request: RefineRequest) -> None:
        """Refine, or predict; starts the worker when there is none. `on_result` or `on_error` is told, exactly once.

        Raises:
            RuntimeError: the request before is not answered.
        """
        if self._job is not None:
            raise RuntimeError("The worker is busy; wait for its answer, or cancel it first.")
        self._job = _Job(self._next_number(), request)
        self._advance()

    def cancel(self) -> None:
        """Give up what was asked; `on_error` is told "cancelled" once the worker stopped or was ended."""
        job, line = self._job, self._line
        if not self.waiting or line is None or (job is not None and job.is_cancelled):
            return
        if line.worker is None:  # it may wait in a queue, or for a password
            line.close(failure.cancelled())
        elif job is None or not job.is_sent:
            self._questions, self._unsent = {}, []
            self._fail(failure.cancelled())
        else:
            job.is_cancelled = True
            line.cancelled()
            line.send(wire.CANCEL, {"job": job.number})

    def shutdown(self) -> None:
        """Let the worker leave; nothing is called back any more."""
        self._leave(kill=False)

    def kill(self) -> None:
        """End the worker at once; nothing is called back any more."""
        self._leave(kill=True)

    def forget(self) -> None:
        """Kill the worker and forget every image and segmentation, as when the scene was closed."""
        self.kill()
        self._letters.forget()

    def feed(self, data: bytes) -> None:
        """Take bytes from the worker; whatever they are, errors go to `on_error`."""
        if self._line is not None:
            self._line.feed(data)

    def transport_closed(self, reason: str, stderr_tail: str) -> None:
        """Take note that the process ended; see `Line.transport_closed`."""
        if self._line is not None:
            self._line.transport_closed(reason, stderr_tail)

    def tick(self) -> None:
        """Look at the clock, about once a second: a worker that stopped answering is ended."""
        if self._line is not None:
            cancelling = self._job is not None and self._job.is_cancelled
            self._line.tick(waiting=self.waiting, cancelling=cancelling)

    def _advance(self) -> None:
        """Take every step that can be taken now: start the worker, load the backbone, send the request."""
        if not self.alive:
            self._letters.new_worker()
            self._line = Line(self._take, self._lost, self._clock, self._deadlines)
            line = self._line
            line.start(lambda _: self._start_transport(Inlet(self, line)))
        if self.worker is None:
            return
        for number in self._unsent:
            asked = dict(zip(("folder", "class_map"), self._questions[number]))
            self._line.send(wire.DESCRIBE, {"job": number, **asked})
        self._unsent = []
        job = self._job
        if job is None or job.is_sent or job.is_loading:
            return
        if self._letters.backbone != job.request.network:
            job.is_loading = True
            asked = {"folder": job.request.backbone, "class_map": job.request.class_map}
            self._line.send(wire.LOAD, {"job": job.number, **asked})
            return
        try:
            frames = self._letters.frames_for(job.number, job.request)
        except (InputError, WireError) as error:
            self._fail(WorkerError(failure.BAD_INPUT, str(error)))
            return
        except MemoryError:
            self._line.close(failure.no_memory())
            return
        job.is_sent = True
        for frame in frames:
            self._line.write(frame)

    def _take(self, message: Message) -> None:
        """Act on one message of the worker."""
        kind, fields, job = message.kind, message.fields, self._job
        concerned = job is not None and job_of(fields) == job.number
        if kind == wire.HELLO:
            self._advance()
        elif kind == wire.BACKBONE:
            self._take_backbone(fields)
        elif kind == wire.PROGRESS and concerned and not job.is_cancelled:
            self.on_progress(*progress_from_fields(fields))
        elif kind in (wire.RESULT, wire.PREDICTED) and concerned:
            if not job.is_sent or (kind == wire.PREDICTED) != (job.request.constraints is None):
                raise WireError(f"The worker answered {kind!r}, which was not asked for.")
            result = self._letters.answer(message, deliver=not job.is_cancelled)
            if job.is_cancelled:
                self._fail(failure.cancelled())  # it was done before it heard of the cancel
            else:
                self._job = None
                self.on_result(result)
        elif kind == wire.ERROR:
            self._take_error(fields)

    def _take_backbone(self, fields: dict[str, Any]) -> None:
        info, number = backbone_from_fields(fields.get("info")), job_of(fields)
        self.classes = list(info.classes)
        self._questions.pop(number, None)
        if fields.get("loaded"):
            self._letters.loaded(info)
        if self._job is not None and number == self._job.number:
            self._job.is_loading = False
        self.on_backbone(info)
        self._advance()

    def _take_error(self, fields: dict[str, Any]) -> None:
        number = job_of(fields)
        error = WorkerError(str(fields.get("code")), str(fields.get("text")))
        if not number:  # it is about the line itself
            self._line.close(error)
            return
        self._letters.failed(holds_from_fields(fields))
        if self._questions.pop(number, None) is not None:
            self.on_error(error)
        elif self._job is not None and number == self._job.number:
            self._fail(error)

    def _lost(self, error: WorkerError) -> None:
        """The worker is gone, and with it whatever was asked."""
        was_asked, self._questions, self._unsent = bool(self._questions), {}, []
        if self._job is not None:
            self._fail(error)
        elif was_asked:
            self.on_error(error)
        else:
            _log.info("The worker left: %s", error)

    def _fail(self, error: WorkerError) -> None:
        """Answer the request with an error; whatever befell a cancelled one, it is cancelled."""
        job, self._job = self._job, None
        self.on_error(failure.cancelled() if job is not None and job.is_cancelled else error)

    def _leave(self, kill: bool) -> None:
        self._job, self._questions, self._unsent = None, {}, []
        if self._line is not None:
            self._line.close(kill=kill)

    def _next_number(self) -> int:
        self._n_jobs += 1
        return self._n_jobs
