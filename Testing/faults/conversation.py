"""A whole conversation between client and worker, in which one fault strikes at a chosen message or byte."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.result import RefinementResult
from InteractiveRefineLib.segmentation import Segmentation
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.worker import failure, wire
from InteractiveRefineLib.worker.client import Deadlines, RefineRequest, WorkerClient
from Testing.tests.cli_examples import LIVER, write_backbone
from Testing.tests.session_examples import EMPTY, IN_SPLEEN, MISSED, hesitant
from Testing.tests.worker_examples import IMAGE, same_account

from .cutting import FROM_WORKER, TO_WORKER, CutTransport, Strike
from .registry import Tally

#: Every kind of message that this conversation holds, by direction.
KINDS = {
    TO_WORKER: ("hello", "describe", "load", "image", "state", "refine", "predict", "cancel", "ping", "shutdown"),
    FROM_WORKER: ("hello", "backbone", "progress", "result", "predicted", "error", "pong"),
}
#: Kinds that come up only after the second round.
LATE = ("predict", "cancel", "ping", "predicted", "error", "pong")
SETTINGS = RefineSettings(device="cpu", steps=3)
BY_HAND = ([2, 2], [2, 2], [2, 3])
TUMOR = np.array([[6, 10, 6], [6, 10, 7], [6, 11, 6]])
#: What a worker that was disturbed may be called.
DISTURBED = (failure.DIED, failure.HUNG, failure.CANNOT_START, failure.PROTOCOL)
_LONGEST_S = 30.0


@dataclass
class Told:
    """What the client told during one step."""

    results: list
    errors: list
    backbones: list


class Conversation:
    """What a user does from the first look at a network to the goodbye; after a disturbance the step is repeated.

    Args:
        backbone: folder of the network.
        strike: the fault.
        short: say goodbye after the second round.

    Attributes:
        answers: the result of each step that has one, by name.
        disturbances: the errors that were told in between.
    """

    def __init__(self, backbone: str, strike: Strike, short: bool = False) -> None:
        self._folder, self._strike, self._short = backbone, strike, short
        self.now = 0.0
        self.transports: list[CutTransport] = []
        self.client = WorkerClient(self._start, lambda: self.now, Deadlines(start=30, answer=12, cancel=8, ping=4))
        self.answers: dict[str, RefinementResult] = {}
        self.disturbances: list = []
        self.asked = 0
        self.strokes = Constraints(IMAGE.geometry)

    def _start(self, inlet) -> CutTransport:
        self.transports.append(CutTransport(inlet, self._strike))
        return self.transports[-1]

    def run(self) -> Conversation:
        """All steps, in order."""
        self._repeat("look", lambda: self.client.describe_backbone(self._folder))
        self.strokes.add_stroke_indices(MISSED, LIVER.label)
        self.strokes.add_stroke_indices(IN_SPLEEN, 2, forbidden=True)
        self._refine("first round")
        self.strokes.next_round()
        self.strokes.add_stroke_indices(EMPTY, 0)
        self.strokes.add_stroke_indices(TUMOR, 3)
        self._refine("second round", self._edited())
        if not self._short:
            self._rest()
        self.client.shutdown()
        return self

    def _rest(self) -> None:
        self._repeat("prediction", lambda: self.client.submit(self._request(None, self._edited())))
        self._refuse()
        self._cancel()
        self._refine("third round", self._edited(), ping=True)

    def end(self) -> None:
        """No process remains."""
        for transport in self.transports:
            stopped = self._strike.struck is transport and self._strike.signal == signal.SIGSTOP
            transport.kill() if stopped else transport.end()

    def _edited(self) -> Segmentation:
        """The newest result with two voxels edited by hand."""
        newest = list(self.answers.values())[-1].labels.copy()
        newest[BY_HAND] = 2
        return Segmentation(newest, IMAGE.geometry, list(self.client.segments))

    def _request(self, strokes: Constraints | None, current: Segmentation | None) -> RefineRequest:
        new = () if current is None else ("tumor",)
        return RefineRequest(IMAGE, self._folder, strokes, SETTINGS, current, new_classes=new)

    def _refine(self, name: str, current: Segmentation | None = None, ping: bool = False) -> None:
        self.answers[name] = self._repeat(
            name, lambda: self.client.submit(self._request(self.strokes, current)), ping=ping
        )

    def _repeat(self, name: str, ask: Callable[[], None], ping: bool = False):
        """Ask until it is answered; a disturbance is told as an error that says what is kept, and is no answer."""
        self.asked += 1
        for _ in range(2):
            told = self._listen()
            before = _memory(self.client)
            ask()
            if ping and self.client.alive:
                self.client._line.send(wire.PING)
            self._until_answered()
            if ping:
                self._until_pong()
            assert len(told.results) + len(told.errors) == (name != "look") or told.backbones or told.errors, name
            if not told.errors:
                return (told.results or told.backbones)[-1]
            (error,) = told.errors
            assert error.code in DISTURBED, f"{name}: {error.code}: {error}"
            assert failure.KEPT in str(error), f"{name}: {error}"
            assert before == _memory(self.client), f"{name}: the client forgot something"
            self.disturbances.append(error)
        raise AssertionError(f"{name}: no answer the second time either")

    def _refuse(self) -> None:
        """A network that is not there: an error that is no disturbance, unless one came first."""
        for _ in range(2):
            told = self._listen()
            self.client.submit(RefineRequest(IMAGE, self._folder + "-not", None, SETTINGS))
            self._until_answered()
            (error,) = told.errors
            if error.code == failure.BACKBONE:
                return
            assert error.code in DISTURBED and failure.KEPT in str(error), str(error)
            self.disturbances.append(error)
        raise AssertionError("no answer about the network that is not there")

    def _cancel(self) -> None:
        """Whatever befalls a cancelled request, it is cancelled."""
        told, before = self._listen(), _memory(self.client)
        self.client.submit(self._request(self.strokes, self._edited()))
        while self.client.busy and not self.client._job.is_sent:
            self._pump()
        self.client.cancel()
        self._until_answered()
        codes = [error.code for error in told.errors]
        assert codes in (["cancelled"], ["died"], ["hung"]), codes  # the latter two: before the user cancelled
        assert before == _memory(self.client) and not told.results

    def _listen(self) -> Told:
        told = Told([], [], [])
        self.client.on_result, self.client.on_error = told.results.append, told.errors.append
        self.client.on_backbone = told.backbones.append
        return told

    def _until_answered(self) -> None:
        end = time.monotonic() + _LONGEST_S
        while self.client.waiting:
            assert time.monotonic() < end, f"no answer within {_LONGEST_S:g} s"
            self._pump()

    def _until_pong(self) -> None:
        end = time.monotonic() + _LONGEST_S
        while self.client.alive and wire.PONG not in self.transports[-1].kinds[FROM_WORKER]:
            if self._strike.struck is self.transports[-1]:
                return
            assert time.monotonic() < end, "no pong"
            self._pump()

    def _pump(self) -> None:
        hung = self._strike.struck is self.transports[-1] and self._strike.signal == signal.SIGSTOP
        self.transports[-1].pump(0.002 if hung else 0.5)
        if hung:
            self.now += 1.0


def _memory(client: WorkerClient) -> tuple:
    """What the client remembers of the segmentation, to be compared."""
    manual, called = client.manual, client.called
    return (
        tuple(client.segments),
        None if manual is None else manual.tobytes(),
        None if called is None else tuple(a.tobytes() for a in called),
    )


def make_backbone(folder: Path) -> str:
    """A small network in `folder`."""
    return write_backbone(folder / "network", hesitant())


class Undisturbed:
    """The conversations without a fault: the long one, which must hold every kind of message, and the short one."""

    def __init__(self, folder: Path) -> None:
        self.backbone = make_backbone(folder)
        self.long, self.short = (Conversation(self.backbone, Strike(), short) for short in (False, True))
        for talk in (self.long, self.short):
            try:
                talk.run()
            finally:
                talk.end()
            assert talk.transports[0].exitcode == 0 and len(talk.transports) == 1 and not talk.disturbances
        for direction, kinds in KINDS.items():
            missing = set(kinds) - set(self.long.transports[0].kinds[direction])
            assert not missing, f"the conversation lacks {sorted(missing)} {direction}"


def survive(tally: Tally, strike: Strike, without: Undisturbed) -> None:
    """One fault: the conversation with it gives what it gives without."""
    short = strike.kind not in LATE
    undisturbed = without.short if short else without.long
    with tally.fault(str(strike)):
        talk = Conversation(without.backbone, strike, short)
        try:
            talk.run()
        finally:
            talk.end()
            tally.cases_done(len(undisturbed.answers), len(talk.answers))
        assert strike.struck is not None, "the fault did not happen"
        assert len(talk.disturbances) <= 1 and len(talk.transports) <= 2, "one fault disturbed more than one step"
        tally.strokes_known(undisturbed.strokes, talk.strokes)
        for name, expected in undisturbed.answers.items():
            found = talk.answers[name]
            tally.segments_kept(expected.labels, found.labels)
            assert same_account(found, expected), name
        tally.strokes_obeyed(talk.strokes, list(talk.answers.values())[-1].labels)
        assert _memory(talk.client) == _memory(undisturbed.client), "the client remembers something else"
