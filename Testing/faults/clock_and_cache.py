"""A clock that goes backward, and two sessions that write to the same places at once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from InteractiveRefineLib.worker.client import Deadlines
from InteractiveRefineLib.worker.patience import Patience, Verdict
from Testing.tests.worker_examples import same_account

from .forked_worker import forking
from .outputs import KINDS
from .registry import Tally, row
from .sessions import TwoRounds

_GROUP = "The clock and shared folders"


@contextmanager
def _backward() -> Iterator[None]:
    """The time of day goes an hour back at each look, as after a correction by the network or a flight."""
    now = [time.time()]

    def earlier() -> float:
        now[0] -= 3600
        return now[0]

    with mock.patch("time.time", earlier), mock.patch("time.time_ns", lambda: int(earlier() * 1e9)):
        yield


@row(_GROUP, "the time of day goes backward during a round: same answer, no negative duration, nobody is called hung")
def clock_goes_backward(tally: Tally, folder: Path) -> None:
    for second in (False, True):
        with tally.fault(f"{'second' if second else 'first'} round"):
            expected = TwoRounds(second).refine()
            work = TwoRounds(second)
            with _backward():
                found = work.refine()
            tally.segments_kept(expected.labels, found.labels)
            tally.strokes_obeyed(work.strokes, found.labels)
            assert same_account(found, expected)
            assert found.timings and min(found.timings.values()) >= 0, found.timings
    with tally.fault("silence is measured"), _backward():
        patience = Patience(time.monotonic, Deadlines(answer=1000, ping=1000))
        for _ in range(100):
            assert patience.tick(waiting=True, greeted=True, cancelling=False) is Verdict.WAIT
    with tally.fault("even the steady clock goes backward (a broken virtual machine)"):
        now = [1000.0]
        patience = Patience(lambda: now[0], Deadlines(answer=20, ping=5))
        verdicts = []
        for step in (-900.0, *[1.0] * 30):
            now[0] += step
            verdicts.append(patience.tick(waiting=True, greeted=True, cancelling=False))
        assert Verdict.HUNG in verdicts, "after a jump backward nobody is ever found to hang"


@row(_GROUP, "two sessions write the same file at once, over and over: always one whole file, nothing left behind")
def same_file(tally: Tally, folder: Path) -> None:
    for kind in [k for k in KINDS if k.name != "out.png"]:
        with tally.fault(kind.name):
            path = folder / kind.name
            whole = set()
            for seed in (1, 2):
                kind.write(path, seed)
                whole.add(path.read_bytes())
            context = forking()
            writers = [context.Process(target=_write_often, args=(kind.name, str(path), seed)) for seed in (1, 2)]
            for writer in writers:
                writer.start()
            seen = 0
            while any(writer.is_alive() for writer in writers):
                assert path.read_bytes() in whole, "a reader saw half a file"
                seen += 1
            codes = [writer.exitcode for writer in writers]
            for writer in writers:
                writer.close()
            tally.cases_done(2, codes.count(0))
            assert path.read_bytes() in whole and seen
            assert [p.name for p in folder.iterdir()] == [kind.name], "something was left behind"
            path.unlink()


def _write_often(name: str, path: str, seed: int) -> None:
    (kind,) = (k for k in KINDS if k.name == name)
    for _ in range(10):
        kind.write(Path(path), seed)


@row(_GROUP, "two sessions on one cache folder (the sample scan's, the only cache there is): both get a whole scan")
def same_cache(tally: Tally, folder: Path) -> None:
    with tally.fault("made by two at once"):
        context = forking()
        makers = [context.Process(target=_make_sample, args=(str(folder), str(folder / f"{n}.json"))) for n in (1, 2)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join(120)
        codes = [maker.exitcode for maker in makers]
        tally.cases_done(2, codes.count(0))
        sums = [json.loads((folder / f"{n}.json").read_text(encoding="utf-8")) for n in (1, 2)]
        assert sums[0] == sums[1], "they got different scans"
        left = {p.name for p in folder.iterdir()} - {"1.json", "2.json"}
        assert len(left) == 1, f"left behind: {left}"


def _make_sample(cache: str, told: str) -> None:
    """What `sample_data.phantomFile` does, without Slicer: write the scan unless it is there, then read it."""
    from InteractiveRefineLib.image_io import read_volume, write_volume
    from InteractiveRefineLib.phantom import make_phantom

    path = Path(cache) / "sample.nrrd"
    image = make_phantom(3, (24, 40, 52), (8.0, 6.0, 6.0))[0]
    if not path.is_file():
        write_volume(image, path)
    found = read_volume(path).array
    assert np.array_equal(found, image.array)
    Path(told).write_text(json.dumps([float(found.sum()), list(found.shape)]), encoding="utf-8")
    os._exit(0)
