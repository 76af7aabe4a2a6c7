"""Without a network the strokes alone decide; once they have settled an outline, it follows the edges."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.strokes_only import strokes_only  # noqa: E402
from InteractiveRefineLib.constraints import Constraints  # noqa: E402
from InteractiveRefineLib.decoding.accept import seen_share  # noqa: E402
from InteractiveRefineLib.outlines.follow import Outlines  # noqa: E402
from InteractiveRefineLib.round_input import RoundInput  # noqa: E402
from InteractiveRefineLib.session import RefineSession  # noqa: E402
from InteractiveRefineLib.settings import RefineSettings  # noqa: E402
from Testing.tests.cli_examples import scan  # noqa: E402
from Testing.tests.session_examples import drawn  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

LIVER = np.array([[8, 12, i] for i in range(5, 15)])
SPLEEN = np.array([[8, 12, i] for i in range(22, 28)])
EMPTY = np.array([[8, 2, i] for i in range(10, 26)])


@pytest.fixture
def asked(monkeypatch):
    """Every call that lets outlines follow: (labels, the network's, locked, seed); it calls everything spleen."""
    calls = []

    def followed(self, labels, network, present, strokes, locked, seed, should_cancel):
        calls.append((labels.copy(), network, set(locked), seed))
        return np.full_like(labels, 2)

    monkeypatch.setattr(Outlines, "followed", followed)
    return calls


def rounds_of(*rounds, locked=(), **settings):
    """Labels after every round."""
    session = RefineSession(
        scan(), strokes_only(("image",)), RefineSettings(device="cpu", **settings), None, ("liver", "spleen")
    )
    return [session.refine(then).labels for then in drawn(Constraints(session.image.geometry, locked), *rounds)]


FIRST = [(LIVER, 1), (SPLEEN, 2), (EMPTY, 0)]
SECOND = [(LIVER + [2, 0, 0], 1), (SPLEEN + [2, 0, 0], 2)]
THIRD = [(LIVER + [-2, 0, 0], 1), (SPLEEN + [-2, 0, 0], 2)]


class TestOutlinesFollow:
    def test_from_the_third_round_on(self, asked):
        found = rounds_of(FIRST, SECOND)
        assert asked == [] and len(np.unique(found[-1])) == 3
        found = rounds_of(FIRST[::2], SECOND[:1], THIRD[:1], locked=[2], seed=7)
        ((labels, network, locked, seed),) = asked
        assert np.unique(labels).tolist() == [0, 1] and not network.any() and network.shape == labels.shape
        assert (locked, seed) == ({2}, 7)
        assert np.count_nonzero(found[-1] != 2) == len(LIVER) * 3 + len(EMPTY), "strokes are painted over the outlines"

    def test_not_where_a_structure_of_this_round_is_new(self, asked):
        rounds_of([(LIVER, 1), (EMPTY, 0)], SECOND[:1], [*THIRD[:1], (SPLEEN, 2)])
        assert asked == []
        rounds_of([(LIVER, 1), (EMPTY, 0)], SECOND[:1], [(SPLEEN, 2)], THIRD[:1])
        assert len(asked) == 1

    @pytest.mark.parametrize("reach", ["local", "whole"])
    def test_not_where_the_user_chose_how_far_strokes_reach(self, asked, reach):
        rounds_of(FIRST, SECOND, THIRD, reach=reach)
        assert asked == []


class TestTheShareOfStrokesThatWasSeen:
    WANTED = np.array([1, 1, 1, 1, 2, 2, 0, 0])
    FRESH = np.array([0, 0, 0, 1, 0, 1, 1, 1], bool)

    def share(self, touched):
        strokes = RoundInput(np.zeros((8, 3), np.int64), self.WANTED, 0 * self.WANTED, self.WANTED < 0)
        return seen_share(strokes, self.FRESH, touched)

    def test_is_that_of_the_newest_structure_that_is_touched(self):
        assert self.share({0, 1}) == 0.75
        assert self.share({0, 1, 2}) == 0.5

    def test_is_nothing_where_no_drawn_structure_is_touched(self):
        assert self.share({0}) == self.share({3}) == self.share(set()) == 0.0
