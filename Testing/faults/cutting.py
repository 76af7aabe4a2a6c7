"""A worker that is struck at a chosen message or byte of its conversation."""

from __future__ import annotations

import signal
import struct
from dataclasses import dataclass

from InteractiveRefineLib.worker import wire

from .forked_worker import ForkedTransport

TO_WORKER, FROM_WORKER = "to the worker", "from the worker"
BEFORE, DURING, AFTER = "before", "during", "after"
MOMENTS = (BEFORE, DURING, AFTER)
_PREFIX = struct.Struct("<4sIQ")


@dataclass
class Strike:
    """Where the worker is struck, and whether that has happened.

    Attributes:
        direction: of the message.
        kind: of the message; "" to count bytes.
        moment: relative to it.
        byte: with an empty kind, after how many bytes.
        signal: SIGKILL, or SIGSTOP for a worker that hangs.
        struck: the transport that was struck.
    """

    direction: str = ""
    kind: str = ""
    moment: str = BEFORE
    byte: int = 0
    signal: int = signal.SIGKILL
    struck: ForkedTransport | None = None

    def __str__(self) -> str:
        what = "stopped" if self.signal == signal.SIGSTOP else "killed"
        where = f"{self.moment} {self.kind!r}" if self.kind else f"after byte {self.byte}"
        return f"{what} {where} {self.direction}"

    def cut(self, direction: str, kind: str, frame: bytes, n_before: int) -> int | None:
        """After how many bytes of this frame the worker is to be struck, None for another frame."""
        if self.struck is not None or direction != self.direction:
            return None
        if not self.kind:
            at = self.byte - n_before
            return at if 0 <= at <= len(frame) else None
        if kind != self.kind:
            return None
        return {BEFORE: 0, DURING: len(frame) // 2, AFTER: len(frame)}[self.moment]


class CutTransport(ForkedTransport):
    """A worker that is struck as planned; it passes on whole frames, so that a cut lies exactly where it was asked for.

    Attributes:
        n_bytes: passed on so far, by direction.
        kinds: of the messages passed on, by direction.
    """

    def __init__(self, inlet, strike: Strike) -> None:
        self._strike = strike
        self._raw = bytearray()
        self.n_bytes = {TO_WORKER: 0, FROM_WORKER: 0}
        self.kinds: dict[str, list[str]] = {TO_WORKER: [], FROM_WORKER: []}
        super().__init__(inlet)

    def write(self, data: bytes) -> None:
        at = self._strike.cut(TO_WORKER, self._note(TO_WORKER, data), data, self.n_bytes[TO_WORKER])
        self.n_bytes[TO_WORKER] += len(data)
        if at is None:
            super().write(data)
            return
        super().write(data[:at])
        self.drain()
        self._do_strike()
        if self._strike.signal != signal.SIGKILL:
            super().write(data[at:])

    def heard(self, data: bytes) -> None:
        self._raw += data
        while len(self._raw) >= _PREFIX.size and not self._closed:
            _, n_header, n_payload = _PREFIX.unpack_from(self._raw)
            size = _PREFIX.size + n_header + n_payload
            if len(self._raw) < size:
                return
            frame = bytes(self._raw[:size])
            del self._raw[:size]
            at = self._strike.cut(FROM_WORKER, self._note(FROM_WORKER, frame), frame, self.n_bytes[FROM_WORKER])
            self.n_bytes[FROM_WORKER] += size
            if at is None:
                self.inlet.feed(frame)
                continue
            self._do_strike()
            self._raw.clear()  # what else it said never arrived
            if at:
                self.inlet.feed(frame[:at])
            if self._strike.signal == signal.SIGKILL and not self._closed:
                self.end()
                self.inlet.transport_closed("killed by signal 9", "")

    def _do_strike(self) -> None:
        self._strike.struck = self
        self.strike(self._strike.signal)
        if self._strike.signal == signal.SIGKILL:
            self.process.join(5)

    def _note(self, direction: str, frame: bytes) -> str:
        decoder = wire.FrameDecoder()
        decoder.feed(frame)
        kind = decoder.next().kind
        self.kinds[direction].append(kind)
        return kind
