"""Strokes in the network's frame: what "not this class" becomes, and what voxels were called."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.constraints import Constraints  # noqa: E402
from InteractiveRefineLib.image_state import ImageFrame, NetworkState  # noqa: E402
from InteractiveRefineLib.round_input import CalledLabels, round_input  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.cli_examples import LPS, SHAPE, scan  # noqa: E402
from Testing.tests.session_examples import EMPTY, IN_LIVER, IN_SPLEEN, MISSED, a_backbone, drawn  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def state():
    backbone = a_backbone()
    return NetworkState(ImageFrame(scan(), backbone), backbone, 1, torch.device("cpu"))


def an_input(state, *strokes, labels=None, locked=(), called=None, n_labels=5):
    labels = state.labels if labels is None else labels
    constraints = Constraints(state.frame.geometry, locked)
    for stroke in strokes:
        constraints.add_stroke_indices(*stroke)
    resolved = constraints.resolve(labels, n_labels)
    return round_input(resolved, SHAPE, state, labels, called or CalledLabels(), set(locked), n_labels)


def test_ordinary_strokes_are_what_they_are(state):
    found = an_input(state, (MISSED, 1), (EMPTY, 0))
    assert len(found) == 9
    assert {tuple(v): w for v, w in zip(found.voxels.tolist(), found.wanted.tolist())} == {
        **{tuple(v): 1 for v in MISSED.tolist()}, **{tuple(v): 0 for v in EMPTY.tolist()}
    }  # fmt: skip
    assert not found.guessed.any()
    assert not found.called.any()


def test_not_this_class_becomes_the_networks_second_choice(state):
    found = an_input(state, (IN_SPLEEN, 2, True))
    logits = state.logits[(slice(None), *torch.from_numpy(IN_SPLEEN.T))].clone()
    logits[2] = -torch.inf
    assert found.wanted.tolist() == logits.argmax(dim=0).tolist()
    assert found.guessed.all()
    assert (found.called == 2).all()


def test_the_present_label_stays_where_it_is_not_forbidden(state):
    labels = state.labels.copy()
    labels[tuple(IN_SPLEEN.T)] = 4  # painted by the user; the network does not know it
    assert an_input(state, (IN_SPLEEN, 2, True), labels=labels).wanted.tolist() == [4, 4]
    assert set(an_input(state, (IN_SPLEEN, 4, True), labels=labels).wanted.tolist()) == {2}
    assert an_input(state, (EMPTY, 1, True)).wanted.tolist() == [0] * 6


def test_it_becomes_no_locked_class(state):
    first = an_input(state, (IN_LIVER, 1, True)).wanted
    for locked in ({0}, {2}):
        assert not set(an_input(state, (IN_LIVER, 1, True), locked=locked).wanted.tolist()) & {1, *locked}
    assert set(first.tolist()) <= {0, 2}


def test_several_classes_may_be_forbidden_at_one_voxel(state):
    found = an_input(state, (IN_LIVER, 1, True), (IN_LIVER, 2, True))
    assert len(found) == 2
    assert found.wanted.tolist() == [0, 0]


def test_with_everything_else_locked_it_becomes_background(state):
    assert an_input(state, (IN_LIVER, 1, True), locked={2}).wanted.tolist() == [0, 0]


def test_named_strokes_come_first_and_each_kind_in_the_order_of_the_frame(state):
    found = an_input(state, (IN_SPLEEN, 2, True), (EMPTY[:2], 1), (IN_LIVER - [5, 0, 0], 1))
    assert found.guessed.tolist() == [False] * 4 + [True] * 2
    flat = np.ravel_multi_index(tuple(found.voxels.T), SHAPE)
    assert (np.diff(flat[:4]) > 0).all()
    assert (np.diff(flat[4:]) > 0).all()


def test_the_order_does_not_depend_on_the_users_axes(state):
    matrix = LPS.copy()
    matrix[0] *= -1
    backbone = a_backbone()
    mirrored = NetworkState(
        ImageFrame(Volume(scan().array[:, :, ::-1].copy(), matrix), backbone), backbone, 1, torch.device("cpu")
    )
    constraints = Constraints(Volume(scan().array, matrix).geometry)
    mirrored_strokes = MISSED * [1, 1, -1] + [0, 0, SHAPE[2] - 1]
    *_, constraints = drawn(constraints, [(mirrored_strokes[:2], 1)], [(mirrored_strokes[2:], 1)])
    user = np.zeros(SHAPE, np.uint16)
    found = round_input(constraints.resolve(user, 3), SHAPE, mirrored, mirrored.labels, CalledLabels(), set(), 3)
    expected = rounds_of(state, [(MISSED[:2], 1)], [(MISSED[2:], 1)])
    assert np.array_equal(found.voxels, expected.voxels) and np.array_equal(found.rounds, expected.rounds)
    assert {0, 1} == {*found.rounds.tolist()}


def test_where_all_known_classes_are_forbidden_or_locked_a_class_that_the_network_does_not_know_is_left(state):
    found = an_input(state, (IN_LIVER, 1, True), locked=[0, 2, 3])
    assert found.wanted.tolist() == [4] * len(IN_LIVER)


def test_no_strokes(state):
    assert len(an_input(state)) == 0


def test_what_a_voxel_was_called_first_is_remembered():
    called = CalledLabels()
    assert called.of(np.array([5, 9]), np.array([1, 2])).tolist() == [1, 2]
    copy = called.copy()
    assert copy.of(np.array([9, 5, 7]), np.array([0, 0, 3])).tolist() == [2, 1, 3]
    assert called.of(np.array([7]), np.array([4])).tolist() == [4]  # the copy's memory is its own
    assert called.of(np.array([], dtype=int), np.array([], dtype=int)).tolist() == []


def rounds_of(state, *rounds):
    """The input after these rounds; a round is strokes as in `an_input`."""
    *_, constraints = drawn(Constraints(state.frame.geometry), *rounds)
    return round_input(constraints.resolve(state.labels, 5), SHAPE, state, state.labels, CalledLabels(), set(), 5)


def test_every_voxel_knows_the_round_that_decided_it(state):
    found = rounds_of(state, [(MISSED, 1)], [(EMPTY, 0), (MISSED[:1], 0)])
    assert {tuple(v): int(r) for v, r in zip(found.voxels.tolist(), found.rounds)} == {
        **{tuple(v): 0 for v in MISSED.tolist()}, **{tuple(v): 1 for v in [*EMPTY.tolist(), *MISSED[:1].tolist()]}
    }  # fmt: skip


def test_round_by_round_it_is_what_was_known_then(state):
    found = rounds_of(state, [(MISSED, 1)], [(EMPTY, 0), (IN_LIVER, 1, True)])
    first, second = found.round_by_round()
    assert {tuple(v) for v in first.voxels.tolist()} == {tuple(v) for v in MISSED.tolist()}
    assert first.wanted.tolist() == [1] * len(MISSED) and not first.called.any() and not first.guessed.any()
    for name in ("voxels", "wanted", "called", "guessed", "rounds"):
        assert np.array_equal(getattr(second, name), getattr(found, name))
    assert second.guessed.sum() == len(IN_LIVER)


def test_without_rounds_all_was_said_at_once(state):
    found = replace(rounds_of(state, [(MISSED, 1)], [(EMPTY, 0)]), rounds=None)
    assert [*found.round_by_round()] == [found]
