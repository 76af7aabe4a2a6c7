"""Garbage, oversized and slow bytes between client and worker, in both directions."""

from __future__ import annotations

import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from InteractiveRefineLib.result import RefinementResult
from InteractiveRefineLib.worker import failure, wire
from InteractiveRefineLib.worker import server as server_module
from InteractiveRefineLib.worker.client import BackboneInfo, Deadlines, RefineRequest, WorkerClient
from InteractiveRefineLib.worker.wire import FrameDecoder, WireError
from Testing.tests.worker_examples import IMAGE, same_account

from .conversation import SETTINGS, Conversation, make_backbone
from .cutting import FROM_WORKER, TO_WORKER, CutTransport, Strike
from .mutation import bounded, damaged, every_strange_field, with_strange_field
from .one_side import FakeLine, ServerHere
from .registry import Tally, row

_GROUP = "Garbage, oversized and slow bytes"


class _Recorded(CutTransport):
    """A worker whose conversation is written down, frame by frame."""

    frames: dict[str, list[bytes]]

    def __init__(self, inlet, strike: Strike) -> None:
        self.frames = {TO_WORKER: [], FROM_WORKER: []}
        super().__init__(inlet, strike)

    def _note(self, direction: str, frame: bytes) -> str:
        self.frames[direction].append(bytes(frame))
        return super()._note(direction, frame)


def _recorded(backbone: str, short: bool = True) -> tuple[dict[str, list[bytes]], Conversation]:
    talk = Conversation(backbone, Strike(), short)
    talk._start = lambda inlet: talk.transports.append(_Recorded(inlet, talk._strike)) or talk.transports[-1]
    talk.client._start_transport = talk._start
    try:
        talk.run()
    finally:
        talk.end()
    return talk.transports[0].frames, talk


@row(_GROUP, "damaged bytes into the decoder: a message or one clear error, no memory taken on trust")
def damaged_into_the_decoder(tally: Tally, folder: Path) -> None:
    frames, _ = _recorded(make_backbone(folder))
    stream = b"".join([*frames[FROM_WORKER][:4], *(f for f in frames[TO_WORKER] if _kind(f) != "image")])

    @bounded(250)
    @given(damaged(stream) | st.binary(max_size=200), st.integers(1, 5000))
    def decode(data: bytes, chunk: int) -> None:
        with tally.fault("damaged stream"):
            decoder = FrameDecoder()
            tracemalloc.start()
            try:
                for at in range(0, len(data), chunk):
                    decoder.feed(data[at : at + chunk])
                    while (message := decoder.next()) is not None:
                        assert isinstance(message.kind, str) and len(message.arrays) <= wire.MAX_ARRAYS
            except WireError as error:
                assert str(error)
            finally:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            assert peak < 40 * len(data) + 2**21, f"{peak} bytes of memory for {len(data)} bytes"

    decode()


@row(
    _GROUP, "fields of the wrong type or missing, to the worker: refused, and the next round is as if nothing had been"
)
def strange_fields_to_the_worker(tally: Tally, folder: Path) -> None:
    backbone = make_backbone(folder)
    frames, talk = _recorded(backbone, short=False)
    hello, *others = frames[TO_WORKER]
    of_kind = {_kind(frame): frame for frame in reversed(others)}  # the first of each kind
    expected = talk.answers["first round"]

    @bounded(40)
    @given(st.sampled_from(sorted(of_kind)).flatmap(lambda kind: with_strange_field(of_kind[kind])))
    def refuse(frame: bytes) -> None:
        with tally.fault(f"strange field in {frame[16:300]!r}"), ServerHere() as server:
            server.say(hello, of_kind["load"], of_kind["image"], of_kind["state"])
            server.say(frame)
            if not server.answers_a_ping():
                return  # it said goodbye properly, which `answers_a_ping` has checked
            client = WorkerClient(server.transport, time.monotonic)
            told, errors = [], []
            client.on_result, client.on_error = told.append, errors.append
            client.submit(RefineRequest(IMAGE, backbone, talk_strokes(talk), SETTINGS))
            server.pump_until(lambda: not client.waiting)
            assert not errors, errors
            tally.cases_done(1, len(told))
            tally.segments_kept(expected.labels, told[0].labels)
            assert same_account(told[0], expected)

    refuse()


@row(_GROUP, "damaged and strange bytes from the worker: one answer, nothing remembered, the next worker is believed")
def strange_fields_to_the_client(tally: Tally, folder: Path) -> None:
    frames, talk = _recorded(make_backbone(folder), short=False)
    answers = frames[FROM_WORKER]
    wanted = {"hello", "backbone", "progress", "result", "predicted", "error"}
    first = {kind: next(n for n, frame in enumerate(answers) if _kind(frame) == kind) for kind in wanted}

    @bounded(400)
    @given(st.sampled_from(sorted(wanted)).flatmap(
        lambda kind: st.tuples(
            st.just(first[kind]), with_strange_field(answers[first[kind]]) | damaged(answers[first[kind]])
        )
    ))  # fmt: skip
    def at_random(example: tuple[int, bytes]) -> None:
        believe(*example)

    def believe(n: int, frame: bytes) -> None:
        with tally.fault(f"strange answer {frame[:300]!r}"):
            line = FakeLine()
            client = WorkerClient(line.start, lambda: 0.0, Deadlines())
            told = []
            client.on_result = client.on_error = told.append
            client.on_progress, client.on_backbone = _progress_can_be_shown, _backbone_can_be_shown
            # The numbers of the jobs are those of the recorded conversation: 1 looked, 2 was the first round.
            client.describe_backbone(talk._folder)
            request = RefineRequest(IMAGE, talk._folder, talk_strokes(talk), SETTINGS)
            client.submit(request)
            for whole in [*answers[:n], frame]:
                client.feed(whole)
            for error in [t for t in told if isinstance(t, failure.WorkerError)]:
                assert error.code in failure.CODES
                # An error that the worker's own words make up may say less, but never less than nothing.
                assert str(error)
            for result in [t for t in told if isinstance(t, RefinementResult)]:
                _account_can_be_shown(result)
                delivered.append(result)
            assert len(told) <= 2, "more answers than questions"
            if not client.alive:
                assert not client.waiting, "it waits for a worker that is gone"
                assert client.segments == [] or any(not isinstance(t, failure.WorkerError) for t in told)
            client.kill()

    delivered: list[RefinementResult] = []
    at_random()
    for kind in ("result", "backbone", "progress"):
        for frame in every_strange_field(answers[first[kind]]):
            believe(first[kind], frame)
    assert delivered, "no result was ever believed, so that nothing was tried"


@row(_GROUP, "claims of gigabytes, zlib bombs, thousands of arrays, deep nesting: refused before memory is taken")
def oversized(tally: Tally, folder: Path) -> None:
    bomb = zlib.compress(bytes(200 * 2**20), 9)
    entry = '{"kind":"x","arrays":[{"type":"|u1","shape":[%s],"bytes":%d,"zlib":%s}]}'
    claims = {
        "a header of 4 GB": wire.PREFIX.pack(b"IRW1", 2**32 - 1, 0),
        "a payload of 16 EB": wire.PREFIX.pack(b"IRW1", 10, 2**64 - 1),
        "a payload of 33 GB": wire.PREFIX.pack(b"IRW1", 10, wire.MAX_PAYLOAD_BYTES + 1),
        "a zlib bomb": _frame(entry % ("1000", len(bomb), "true"), bomb),
        "an array of 2^62 bytes": _frame(entry % ("4611686018427387904", 8, "true"), bytes(8)),
        "65 arrays": _frame('{"kind":"x","arrays":[' + ",".join(['{"type":"|u1","shape":[0],"bytes":0}'] * 65) + "]}"),
        "nesting": _frame('{"kind":"x","a":' + "[" * 200_000 + "]" * 200_000 + "}"),
        "a number of a million digits": _frame('{"kind":"x","a":' + "9" * 10**6 + "}"),
    }  # fmt: skip
    for what, data in claims.items():
        with tally.fault(what):
            decoder = FrameDecoder()
            tracemalloc.start()
            try:
                decoder.feed(data)
                message = decoder.next()
                raise AssertionError(f"taken: {message}")
            except WireError:
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak < 20 * len(data) + 2**20, f"{peak} bytes of memory for {len(data)} bytes"
    with tally.fault("a payload of 30 GB that never comes"):
        decoder = FrameDecoder()
        decoder.feed(wire.PREFIX.pack(b"IRW1", 100, 30 * 2**30) + b"{")
        assert decoder.next() is None and len(decoder._buffer) < 100


class _Dripping(CutTransport):
    """A worker whose words, and to whom the words, come in bits of 1 to 100 bytes."""

    def __init__(self, inlet, strike: Strike) -> None:
        self._bits = np.random.default_rng(1)
        super().__init__(inlet, strike)

    def heard(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            size = int(self._bits.integers(1, 100))
            self.inlet.feed(data[at : at + size])
            at += size

    def _push(self) -> None:
        if self._closed or self._to.closed or len(self._pending) <= 1:
            return super()._push()
        rest, at = self._pending, 0
        while at < len(rest):
            size = int(self._bits.integers(1, 100))
            self._pending = rest[at : at + size]
            while self._pending and not self._to.closed and self.process.is_alive():
                super()._push()
            at += size


@row(_GROUP, "bytes that drip in both directions: the same answers")
def slow_bytes(tally: Tally, folder: Path) -> None:
    backbone = make_backbone(folder)
    _, expected = _recorded(backbone)
    with tally.fault("dripping"):
        talk = Conversation(backbone, Strike(), short=True)
        talk.client._start_transport = lambda inlet: (
            talk.transports.append(_Dripping(inlet, talk._strike)) or talk.transports[-1]
        )
        try:
            talk.run()
        finally:
            talk.end()
            tally.cases_done(len(expected.answers), len(talk.answers))
        assert not talk.disturbances
        for name, result in expected.answers.items():
            tally.segments_kept(result.labels, talk.answers[name].labels)
            assert same_account(talk.answers[name], result)
    with tally.fault("a day for one message"):
        line = FakeLine()
        client = WorkerClient(line.start, lambda: line.now, Deadlines(answer=60, ping=5))
        told = []
        client.on_result = client.on_error = told.append
        client.describe_backbone(backbone)
        frames, _ = _recorded(backbone)
        for whole in frames[FROM_WORKER][:2]:
            for n in range(0, len(whole), 7):
                client.feed(whole[n : n + 7])
                for _ in range(10):
                    line.now += 4.0
                    client.tick()
        assert not told and client.alive and not client.waiting
    with tally.fault("half an image, and then the line is cut"), ServerHere() as server:
        server.say(frames[TO_WORKER][0], frames[TO_WORKER][3][:1000])  # leaving the block, it must end by itself
    with tally.fault("an image that comes slowly: signs of life"), ServerHere() as server:
        before, server_module._SIGN_OF_LIFE_S = server_module._SIGN_OF_LIFE_S, 0.02
        try:
            for n in range(10):
                server.say(frames[TO_WORKER][3][n * 100 : n * 100 + 100])
                time.sleep(0.01)
            assert server.answers_a_ping(ask=False), "no sign of life"
        finally:
            server_module._SIGN_OF_LIFE_S = before


def _progress_can_be_shown(step, total, message, loss) -> None:
    """What the progress bar and its text do."""
    assert f"{step:d}/{total:d}" and message.strip() is not None and (loss is None or f"{loss:.3g}")


def _backbone_can_be_shown(info: BackboneInfo) -> None:
    """What the panel and the class table do."""
    assert " ".join([info.name, info.folder, info.license, *info.channels, *info.warnings]) is not None
    assert info.dimensions in (2, 3) and all(len(segment.color) == 3 for segment in info.classes)


def _account_can_be_shown(result: RefinementResult) -> None:
    """What the panel and the report do."""
    assert " ".join([*result.warnings, *result.versions.values(), *(c.name for c in result.changes)]) is not None
    assert all(f"{number:.1f}" for number in [*result.timings.values(), *result.loss_curve])
    assert all(f"{c.label:d} {c.added_ml:.1f} {c.removed_ml:.1f} {c.reach.title()}" for c in result.changes)
    assert f"{result.violated_strokes:d} {result.seed:d}"


def talk_strokes(talk: Conversation):
    """The strokes of a conversation's first round."""
    from InteractiveRefineLib.constraints import Constraints

    return Constraints.from_records(IMAGE.geometry, talk.strokes.to_records()[:1])


def _kind(frame: bytes) -> str:
    decoder = FrameDecoder()
    decoder.feed(frame)
    return decoder.next().kind


def _frame(header: str, payload: bytes = b"") -> bytes:
    return wire.PREFIX.pack(b"IRW1", len(header), len(payload)) + header.encode() + payload
