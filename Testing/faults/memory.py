"""Memory runs out: simulated at every allocation and call, and really, under a limit."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from InteractiveRefineLib.errors import OutOfMemoryError
from InteractiveRefineLib.volume import Volume
from InteractiveRefineLib.worker import correspondence, failure, wire
from InteractiveRefineLib.worker.client import RefineRequest
from InteractiveRefineLib.worker.server import Server
from Testing.tests.cli_examples import LPS, truth
from Testing.tests.session_examples import a_session, usual_constraints
from Testing.tests.worker_examples import IMAGE, same_account

from .conversation import SETTINGS, make_backbone
from .forked_worker import ForkedTransport, in_a_fork
from .registry import NotHere, Tally, row
from .sessions import TwoRounds, survive
from .talking import a_client, replaced

_GROUP = "Memory runs out"
_LIBRARY = "InteractiveRefineLib"
#: Injected at so many places, evenly spread over a round.
_N_PLACES = 14
#: As torch says it on CUDA, on the CPU, and as Python does.
_WORDS = (
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError,
)


class _Allocator(TorchDispatchMode):
    """Counts torch's operations, and raises at one of them."""

    def __init__(self, at: int = -1, error: Callable[[], Exception] = MemoryError) -> None:
        super().__init__()
        self.count, self._at, self._error = 0, at, error

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        if self.count == self._at:
            raise self._error()
        return function(*args, **(kwargs or {}))


class _Calls:
    """Counts calls that the library's code makes, into Python and into C, and raises MemoryError at one of them."""

    def __init__(self, at: int = -1) -> None:
        self.count, self._at = 0, at

    def __enter__(self) -> _Calls:
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_) -> None:
        sys.setprofile(None)

    def _look(self, frame, event, argument) -> None:
        if event in ("call", "c_call") and _LIBRARY in frame.f_code.co_filename:
            self.count += 1
            if self.count == self._at:
                raise MemoryError


def _everywhere(tally: Tally, count: Callable, strike: Callable[[int, int], object]) -> None:
    """Strike at places of a first and of a second round, with the network as a program and as a module."""
    for second, scripted in ((False, True), (True, False)):

        def make(second: bool, scripted: bool = scripted) -> TwoRounds:
            return TwoRounds(second, scripted=scripted)

        work = make(second)
        with count() as counter:
            expected = work.refine()
        places = np.linspace(1, counter.count, _N_PLACES).astype(int)
        # A round begins with the network's own few operations, in which errors take another way.
        places = np.unique(np.concatenate([places, np.arange(6, 60, 4)]))
        for n, place in enumerate(places):
            what = f"{'second' if second else 'first'} round, {place} of {counter.count}"
            words = "Out of memory; the segmentation is unchanged"
            survive(tally, what, second, expected, partial(strike, int(place), n), OutOfMemoryError, words, make)
        tally.notes.append(f"{'second' if second else 'first'} round: {len(places)} of {counter.count} places")


@row(_GROUP, "simulated at torch's allocations in a round (as on CUDA, on the CPU, in Python)")
def at_every_operation(tally: Tally, folder: Path) -> None:
    _everywhere(tally, _Allocator, lambda place, n: _Allocator(place, _WORDS[n % 3]))


@row(_GROUP, "simulated at the calls that the library makes in a round, numpy's allocations included")
def at_every_call(tally: Tally, folder: Path) -> None:
    # The first calls only lead to where the error is caught, the last ones follow when everything is accepted.
    _everywhere(tally, _Calls, lambda place, n: _Calls(max(4, place - 60)))


@row(_GROUP, "simulated while client and worker exchange a message: told, and the next round is as it should be")
def while_talking(tally: Tally, folder: Path) -> None:
    backbone = make_backbone(folder)
    strokes = usual_constraints(a_session())
    request = RefineRequest(IMAGE, backbone, strokes, SETTINGS)

    def no_memory(*_, **__):
        raise MemoryError

    with tally.fault("receiving, in the worker"):
        source, sink = io.BytesIO(wire.encode(wire.PING)), io.BytesIO()
        with replaced(wire.FrameDecoder, "feed", no_memory):
            assert Server(source, sink, give_up=lambda: None).run() == 1
        decoder = wire.FrameDecoder()
        decoder.feed(sink.getvalue())
        said = decoder.next().fields
        assert said["code"] == failure.OUT_OF_MEMORY and failure.KEPT in said["text"], said
    for what, holder, name in (
        ("composing the image", correspondence, "image_to_fields"),
        ("reading the answer", wire.FrameDecoder, "next"),
    ):
        with tally.fault(what), a_client() as (client, told):
            expected = told.ask(request)
            before = client.segments, client.manual.tobytes()
            other = RefineRequest(Volume(IMAGE.array + 1, IMAGE.ijk_to_ras), backbone, strokes, SETTINGS)
            with replaced(holder, name, no_memory):
                client.submit(other)
                while client.waiting:
                    client.transport.pump(0.1)
            (error,) = told.errors
            assert error.code == failure.OUT_OF_MEMORY and failure.KEPT in str(error), f"{error.code}: {error}"
            assert before == (client.segments, client.manual.tobytes())
            told.errors.clear()
            told.results.clear()
            found = told.ask(request)
            tally.segments_kept(expected.labels, found.labels)
            tally.strokes_obeyed(strokes, found.labels)
            assert same_account(found, expected)


@row(_GROUP, "really, in this library, under limits of 1 to 256 MB: one sentence, and it goes on with more memory")
def under_a_real_limit(tally: Tally, folder: Path) -> None:
    _real_limits(tally, folder, [1, 4, 12, 24, 48, 96, 160, 256])


@row(_GROUP, "really, in the worker, under limits: told, kept, and the next round is as it should be")
def worker_under_a_real_limit(tally: Tally, folder: Path) -> None:
    backbone, scan = make_backbone(folder), _larger_scan(3)
    strokes = usual_constraints(a_session(scan))
    request = RefineRequest(scan, backbone, strokes, SETTINGS)
    with a_client() as (_, told):
        expected = told.ask(request)
    codes = []
    for megabytes in (2, 12, 16, 24, 32):
        with tally.fault(f"{megabytes} MB more"), a_client(prepare=_Limit(megabytes)) as (client, told):
            answer = told.ask(request)
            codes.append(getattr(answer, "code", "enough"))
            if isinstance(answer, failure.WorkerError):
                known = (failure.OUT_OF_MEMORY, failure.DIED, failure.CANNOT_START)
                assert answer.code in known, f"{answer.code}: {answer}"
                assert "as they were" in str(answer) or "unchanged" in str(answer), str(answer)
                client.kill()  # the user closes other programs, and there is memory again
                client._start_transport = ForkedTransport
                told.errors.clear()
                answer = told.ask(request)
            tally.segments_kept(expected.labels, answer.labels)
            tally.strokes_obeyed(strokes, answer.labels)
            assert same_account(answer, expected)
    assert failure.OUT_OF_MEMORY in codes, f"memory never ran out: {codes}"
    tally.notes.append(f"answers: {', '.join(codes)}")


@row(_GROUP, "really, on the GPU, under a limit: the round is computed on the CPU, and the user is told")
def on_a_gpu(tally: Tally, folder: Path) -> None:
    if not torch.cuda.is_available():
        raise NotHere("no CUDA device")
    scan = _larger_scan(4)
    strokes = usual_constraints(a_session(scan))
    with tally.fault("1 MB of GPU memory"):
        expected = a_session(scan, steps=3).refine(strokes)
        session = a_session(scan, device="cuda", steps=3)
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(2**20 / torch.cuda.get_device_properties(0).total_memory)
        try:
            found = session.refine(strokes)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        assert any("graphics card" in warning for warning in found.warnings), (
            "the fault did not happen, or was not told"
        )
        tally.segments_kept(expected.labels, found.labels)
        tally.strokes_obeyed(strokes, found.labels)


class _Limit:
    """Leaves a process so many megabytes above what it has now; a class, for it travels to another process."""

    def __init__(self, megabytes: int) -> None:
        self._megabytes = megabytes

    def __call__(self) -> None:
        _return_what_is_freed()
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + self._megabytes * 2**20, resource.RLIM_INFINITY))


def _real_limits(tally: Tally, folder: Path, megabytes: list[int]) -> None:
    code = in_a_fork(_rounds_under_limits, str(folder / "told.json"), megabytes)
    if code != 0:
        tally.cases_lost += 1
        raise AssertionError(f"the process ended with {code}")
    lines = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    for megabyte, told in zip(megabytes, lines, strict=True):
        with tally.fault(f"{megabyte} MB more"):
            assert told["text"] == "enough" or "the segmentation is unchanged" in told["text"], told["text"]
            tally.segments_lost += told["segments lost"]
            tally.strokes_lost += told["strokes lost"]
            assert told["same"], "the round after it gave something else"
    stages = [told["at"] for told in lines if told["text"] != "enough"]
    assert len(stages) >= 3, f"memory ran out only {len(stages)} times"
    tally.notes.append(f"ran out in {', '.join(dict.fromkeys(stages))}")


def _rounds_under_limits(path: str, megabytes: list[int]) -> None:
    """In a process of its own: rounds under limits, and after each the same round without; writes what came of it."""
    torch.set_num_threads(1)
    _return_what_is_freed()
    scan, told = _larger_scan(4), []
    expected = a_session(scan, steps=3).refine(usual_constraints(a_session(scan)))
    for megabyte in megabytes:
        tally, text, at = Tally(), "enough", ""
        session = a_session(scan, steps=3)
        strokes = usual_constraints(session)
        _Limit(megabyte)()
        try:
            session.refine(strokes)
        except Exception as error:
            text, place = f"{type(error).__name__}: {error}", error.__cause__ or error
            trace = place.__traceback__
            while trace is not None:
                if _LIBRARY in trace.tb_frame.f_code.co_filename:
                    at = trace.tb_frame.f_code.co_filename.split(_LIBRARY)[-1].strip(os.sep)
                trace = trace.tb_next
            place = trace = None
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if text != "enough":
            found = session.refine(strokes)
            tally.segments_kept(expected.labels, found.labels)
            tally.strokes_obeyed(strokes, found.labels)
            same = same_account(found, expected)
        else:
            same = True
        told.append({"text": text, "at": at, "same": same, "segments lost": tally.segments_lost,
                     "strokes lost": tally.strokes_lost})  # fmt: skip
    Path(path).write_text(json.dumps(told), encoding="utf-8")


def _larger_scan(factor: int) -> Volume:
    """The small scan with more voxels, so that its arrays do not fit into what malloc keeps at hand."""
    labels = truth().repeat(factor, 0).repeat(factor, 1).repeat(factor, 2)
    values = np.array([0.0, 100.0, 200.0], dtype=np.float32)[labels]
    values += np.random.default_rng(0).normal(0, 3, labels.shape).astype(np.float32)
    return Volume(values, LPS, "larger scan")


def _return_what_is_freed() -> None:
    """Let large arrays have memory of their own, so that what is freed does not hide how much is needed."""
    mmap_threshold = -3
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(mmap_threshold, 1 << 16)


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
