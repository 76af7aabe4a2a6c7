"""Small sessions for faults inside a computation: what is to be compared before and after."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import torch

from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.result import RefinementResult
from Testing.tests.cli_examples import LIVER
from Testing.tests.session_examples import EMPTY, IN_SPLEEN, MISSED, a_backbone, a_session, hesitant
from Testing.tests.worker_examples import same_account

from .registry import Tally

STEPS = 3
TUMOR = np.array([[6, 10, 6], [6, 10, 7], [6, 11, 6]])


def _scripted() -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        network = torch.jit.script(hesitant().eval())
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


class TwoRounds:
    """A session before its first or its second round, and the strokes of that round.

    The second round has strokes of everything: known and new classes, "not this", background, a locked class.
    """

    def __init__(self, second: bool, steps: int = STEPS, scripted: bool = False) -> None:
        backbone = a_backbone()
        if scripted:
            backbone = replace(backbone, network=_scripted())
        self.session = a_session(steps=steps, backbone=backbone)
        self.strokes = Constraints(self.session.image.geometry)
        self.strokes.add_stroke_indices(MISSED, LIVER.label)
        self.strokes.add_stroke_indices(IN_SPLEEN, 2, forbidden=True)
        if second:
            self.session.refine(self.strokes)
            self.strokes.next_round()
            self.strokes.add_stroke_indices(EMPTY, 0)
            self.strokes.add_stroke_indices(TUMOR, self.session.add_class("tumor"))
            self.strokes.locked = {2}

    def refine(self, **options) -> RefinementResult:
        """The round."""
        return self.session.refine(self.strokes, **options)

    def memory(self) -> tuple:
        """Everything that a later round depends on, to be compared."""
        session = self.session
        labels = session._present.newest
        return (
            None if labels is None else labels.tobytes(),
            None if session.manual is None else session.manual.tobytes(),
            tuple(a.tobytes() for a in session.called),
            tuple(session.classes),
        )


def survive(
    tally: Tally,
    what: str,
    second: bool,
    expected: RefinementResult,
    fault: Callable[[], AbstractContextManager],
    error: type[Exception],
    words: str,
    make: Callable[[bool], TwoRounds] = TwoRounds,
) -> None:
    """One round in which `fault` strikes raises `error` and changes nothing; the next one gives what it should."""
    with tally.fault(what):
        work = make(second)
        before, labels, strokes = work.memory(), work.session._present.newest, work.strokes.copy()
        labels = None if labels is None else labels.copy()
        try:
            with fault():
                work.refine()
        except error as told:
            assert words in str(told), str(told)
        else:
            raise AssertionError("the fault did not happen")
        after = work.session._present.newest
        if labels is not None:
            tally.segments_kept(labels, after)
            assert work.memory() == before, "something changed"
        elif after is not None:  # the network ran before the fault: its own answer, and no more, is there
            tally.segments_kept(expected.previous, work.session.segmentation().labels)
            assert not len(work.session.called[0]) and not work.session.manual.any(), "a trace of the round is left"
        tally.strokes_known(strokes, work.strokes)
        again = work.refine()
        tally.segments_kept(expected.labels, again.labels)
        tally.strokes_obeyed(work.strokes, again.labels)
        assert same_account(again, expected)
