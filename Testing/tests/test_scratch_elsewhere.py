"""A network whose answer lies elsewhere altogether is left out; in ordinary errors it never is."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.scratch import elsewhere  # noqa: E402
from InteractiveRefineLib.scratch.elsewhere import SENTENCE  # noqa: E402
from InteractiveRefineLib.scratch.propagate import StrokePropagation  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.cli_examples import LIVER, LPS, SHAPE, SPLEEN  # noqa: E402
from Testing.tests.session_examples import a_session, constraints_for, dice, drawn, usual_constraints  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

#: What the network calls liver, what truly is the liver, and strokes in both.
FALSE, TRUE = (np.s_[3:13, 3:21, 2:12], np.s_[3:13, 3:21, 18:30])
IN_FALSE = np.array([[8, j, 7] for j in range(8, 16)])
IN_TRUE = np.array([[8, j, 24] for j in range(8, 16)])
OUTSIDE = np.array([[8, 1, i] for i in range(12, 20)])


def a_scan():
    """Another structure shines as the liver did in the training data; the liver itself is dark."""
    values = np.zeros(SHAPE)
    values[FALSE], values[TRUE] = 142.0, -200.0
    noise = np.random.default_rng(0).normal(0, 3, SHAPE)
    return Volume((values + noise).astype(np.float32), LPS, "scan")


def refined(*strokes, **settings):
    """The result of one round, and the session."""
    session = a_session(image=a_scan(), **settings)
    assert dice(session.predict() == LIVER.label, True, in_box(FALSE)) > 0.95
    return session.refine(constraints_for(session, *strokes)), session


def in_box(box):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[box] = True
    return mask


def liver_of(result):
    return result.labels == LIVER.label


CONTRADICTION = ((IN_TRUE, LIVER.label), (IN_FALSE, 0))


def test_the_strokes_alone_decide_and_the_user_is_told():
    result, _ = refined(*CONTRADICTION)
    assert SENTENCE in result.warnings
    assert result.violated_strokes == 0
    assert np.count_nonzero(liver_of(result)[TRUE]) > 5 * len(IN_TRUE)
    assert not liver_of(result)[~in_box(TRUE)].any()


def test_the_decision_stays_in_later_rounds():
    result, session = refined(*CONTRADICTION)
    constraints = constraints_for(session, *CONTRADICTION)
    constraints.next_round()
    constraints.add_stroke_indices(IN_TRUE + [2, 0, 0], LIVER.label)
    constraints.add_stroke_indices(IN_TRUE[:, [0, 1, 2]] - [0, 0, 3], LIVER.label)
    later = session.refine(constraints)
    assert SENTENCE in later.warnings
    assert np.count_nonzero(liver_of(later)[TRUE]) > 5 * len(IN_TRUE)
    assert not liver_of(later)[~in_box(TRUE)].any()


@pytest.fixture
def asked(monkeypatch):
    """How many strokes' voxels each question was about, and the answers that are still to come."""
    counts, answers = [], []

    def leads(state, strokes, n_known, seed, should_cancel):
        counts.append(len(strokes))
        return answers.pop(0)

    monkeypatch.setattr(elsewhere, "_leads_elsewhere", leads)
    return counts, answers


def after_rounds(*rounds):
    """Warnings of one refinement with the strokes of all these rounds."""
    session = a_session(image=a_scan())
    *_, constraints = drawn(constraints_for(session), *rounds)
    return session.refine(constraints).warnings


FOUR = [[(IN_TRUE + [up, 0, 0], LIVER.label)] for up in range(4)]


def test_what_an_earlier_round_decided_stays_whatever_later_strokes_say(asked):
    counts, answers = asked
    answers += [False, True]
    assert SENTENCE in after_rounds(*FOUR)
    assert counts == [8, 16], "the later ones are not asked"


def test_the_fourth_round_decides_nothing_any_more(asked):
    counts, answers = asked
    answers += [False, False, False, True]
    assert SENTENCE not in after_rounds(*FOUR)
    assert counts == [8, 16, 24]


def test_a_stroke_where_the_network_is_right_ends_it_whenever_it_is_drawn(asked):
    counts, answers = asked
    answers += [True]
    assert SENTENCE not in after_rounds(*FOUR, [(IN_FALSE, LIVER.label)])
    assert counts == []


def test_it_looks_at_where_the_shortest_walk_leads(monkeypatch):
    given, labels = [], StrokePropagation.labels

    def watched(*arguments, cautious=False, **more):
        given.append(cautious)
        return labels(*arguments, cautious=cautious, **more)

    monkeypatch.setattr(StrokePropagation, "labels", watched)
    refined(*CONTRADICTION)
    assert given == [True, False], "once to decide, once to answer"


def test_a_few_points_that_contradict_it_do_not_turn_the_network_off():
    result, _ = refined((IN_TRUE[:3], LIVER.label), (IN_FALSE[:3], 0))
    assert SENTENCE not in result.warnings


@pytest.mark.parametrize(
    "strokes",
    [
        (CONTRADICTION[0],),  # nothing says that what the network found is wrong
        (CONTRADICTION[1],),  # nothing says where it should have been
        (*CONTRADICTION, (IN_FALSE + [0, 0, 3], LIVER.label)),  # some of it is right
        (*CONTRADICTION, (OUTSIDE, SPLEEN.label)),  # a class that the network does not find at all
        (CONTRADICTION[0], (IN_FALSE, LIVER.label, True)),  # "not the liver" does not say that it is background
    ],
)
def test_less_than_a_contradiction_in_every_class_is_not_enough(strokes):
    assert SENTENCE not in refined(*strokes)[0].warnings


def test_strokes_that_lead_to_where_the_network_is_do_not_switch_it_off(monkeypatch):
    monkeypatch.setattr("InteractiveRefineLib.scratch.elsewhere.SAME_PLACE", 0.0)  # any place is near enough
    assert SENTENCE not in refined(*CONTRADICTION)[0].warnings


def test_background_strokes_where_the_network_says_background_take_nothing_away():
    assert SENTENCE in refined(*CONTRADICTION, (OUTSIDE, 0))[0].warnings


def test_not_the_spleen_does_not_say_that_the_networks_liver_is_right():
    assert SENTENCE in refined(*CONTRADICTION, (IN_FALSE + [0, 0, 3], SPLEEN.label, True))[0].warnings


@pytest.mark.parametrize("settings", [{"reach": "local"}, {"reach": "whole"}, {"update": "cross-entropy"}])
def test_who_chose_how_far_to_follow_the_network_keeps_it(settings):
    assert SENTENCE not in refined(*CONTRADICTION, **settings)[0].warnings


def test_ordinary_errors_do_not_switch_the_network_off():
    session = a_session()
    session.predict()
    in_liver = np.array([[8, j, 8] for j in range(8, 12)])  # a wrong correction, firmly against the network
    result = session.refine(
        constraints_for(session, (np.array([[8, 12, 13], [8, 12, 14]]), LIVER.label), (in_liver, 0))
    )
    assert SENTENCE not in result.warnings
    assert SENTENCE not in session.refine(usual_constraints(session)).warnings
