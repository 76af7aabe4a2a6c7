"""A session that starts over, as after a crash or a reload, goes on exactly where the other one was."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.errors import InputError  # noqa: E402
from InteractiveRefineLib.orientation import AxisOrder  # noqa: E402
from InteractiveRefineLib.present import PresentLabels  # noqa: E402
from InteractiveRefineLib.round_input import CalledLabels  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.cli_examples import scan  # noqa: E402
from Testing.tests.session_examples import EMPTY, IN_SPLEEN, MISSED, a_session, constraints_for  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def accept(present, labels, user_labels):
    present.accept(labels, user_labels, CalledLabels(), np.argwhere(labels != present.labels))


def map_of(*values):
    return np.array(values, dtype=np.uint16)


class Backwards:
    """A frame of one axis, which the user sees from the other end; counts how often it was asked to turn labels."""

    def __init__(self):
        self.turned = 0

    def to_user(self, labels):
        self.turned += 1
        return labels[::-1].copy()


class TestWhoDecidedAVoxel:
    def settled(self, given, manual=None, network=(0, 1, 2)):
        present = PresentLabels(Backwards())
        present.settle(map_of(*network))
        present.give(map_of(*given), manual)
        present.settle(map_of(*network))
        return present

    def test_the_network_at_first(self):
        present = PresentLabels(Backwards())
        assert present.newest is None
        present.settle(map_of(0, 1, 2))
        assert present.labels.tolist() == [0, 1, 2] and not present.manual.any()

    def test_the_user_where_it_differs(self):
        present = self.settled(given=(0, 1, 1))
        assert present.labels.tolist() == [0, 1, 1] and present.manual.tolist() == [False, False, True]

    def test_a_round_where_it_changed_it(self):
        present = self.settled(given=(0, 2, 1))
        accept(present, map_of(1, 2, 2), map_of(2, 2, 1))
        assert present.labels.tolist() == [1, 2, 2] and present.manual.tolist() == [False, True, False]

    def test_the_user_again_who_goes_back_to_the_networks_answer(self):
        present = self.settled(given=(0, 1, 2))
        accept(present, map_of(0, 1, 1), map_of(1, 1, 0))
        present.give(map_of(0, 1, 2), None)
        present.settle(map_of(0, 1, 2))
        assert present.manual.tolist() == [False, False, True]

    def test_or_whoever_is_said_to_have(self):
        present = self.settled(given=(1, 1, 1), manual=np.array([False, True, False]))
        assert present.labels.tolist() == [1, 1, 1] and present.manual.tolist() == [False, True, False]

    def test_what_was_given_is_seen_before_the_network_ran(self):
        present = PresentLabels(Backwards())
        present.give(map_of(2, 2, 2), None)
        assert present.newest.tolist() == [2, 2, 2] and present.labels is None


class TestLabelsInTheUsersAxes:
    def present(self):
        self.frame = Backwards()
        present = PresentLabels(self.frame)
        present.settle(map_of(0, 1, 2))
        return present

    def test_are_turned_once_and_kept(self):
        present = self.present()
        assert present.in_user_axes.tolist() == [2, 1, 0]
        assert present.in_user_axes is present.in_user_axes
        present.settle(map_of(0, 1, 2))  # the network is asked again, nothing was given
        assert present.in_user_axes.tolist() == [2, 1, 0]
        assert self.frame.turned == 1

    def test_follow_what_the_user_gives_once_it_is_taken_over(self):
        present = self.present()
        assert present.in_user_axes.tolist() == [2, 1, 0]
        present.give(map_of(0, 1, 1), None)
        assert present.in_user_axes.tolist() == [2, 1, 0]  # not yet compared with the network's
        present.settle(map_of(0, 1, 2))
        assert present.in_user_axes.tolist() == [1, 1, 0]
        assert self.frame.turned == 2

    def test_follow_an_accepted_round_which_turned_them_itself(self):
        present = self.present()
        assert present.in_user_axes.tolist() == [2, 1, 0]
        turned = map_of(2, 2, 0)
        accept(present, map_of(0, 2, 2), turned)
        assert present.in_user_axes is turned
        present.give(map_of(1, 2, 2), None)
        present.settle(map_of(0, 1, 2))
        assert present.in_user_axes.tolist() == [2, 2, 1]
        assert self.frame.turned == 2


def flipped_and_permuted(volume):
    """The same scan with other voxel axes."""
    order = AxisOrder(permutation=(2, 0, 1), flipped=(True, False, True))
    geometry = order.apply_geometry(volume.geometry)
    return order, Volume(np.ascontiguousarray(order.apply(volume.array)), geometry.ijk_to_ras)


@pytest.mark.parametrize("other_axes", [False, True])
def test_a_new_session_that_is_told_everything_gives_the_same_bytes(other_axes):
    image = scan()
    to_axes = lambda kji: kji  # noqa: E731
    if other_axes:
        order, image = flipped_and_permuted(image)
        mark = np.zeros(scan().geometry.shape, dtype=bool)

        def to_axes(kji):
            mark[:] = False
            mark[tuple(kji.T)] = True
            return np.stack(np.nonzero(order.apply(mark)), axis=1)

    first = a_session(image)
    first.predict()
    edited = first.segmentation()
    edited.labels[tuple(to_axes(np.array([[2, 2, 2], [2, 2, 3]])).T)] = 2  # by hand
    first.set_current(edited)
    constraints = constraints_for(first, (to_axes(MISSED), 1), (to_axes(IN_SPLEEN), 2, True))
    first.refine(constraints)
    after_one = first.segmentation()
    after_one.labels[tuple(to_axes(EMPTY).T)] = 1  # by hand again, between the rounds
    first.set_current(after_one)
    first.predict()  # takes it over

    second = a_session(image, current=after_one)
    second.set_current(after_one, manual=first.manual)
    second.remember_called(*first.called)
    constraints.next_round()
    constraints.add_stroke_indices(to_axes(EMPTY[:3]), 0)

    expected, found = first.refine(constraints), second.refine(constraints)
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(second.manual, first.manual)
    assert all(np.array_equal(a, b) for a, b in zip(second.called, first.called))


def test_what_voxels_were_called_is_told_in_the_users_axes():
    session = a_session()
    session.predict()
    called = session.segmentation().labels
    session.refine(constraints_for(session, (MISSED, 1), (IN_SPLEEN, 0)))
    indices, labels = session.called
    assert indices.tolist() == sorted(np.ravel_multi_index((*np.concatenate([MISSED, IN_SPLEEN]).T,), called.shape))
    assert labels.tolist() == called.reshape(-1)[indices].tolist()
    assert set(labels.tolist()) == {0, 2}


def test_a_mask_of_another_shape_is_refused():
    session = a_session()
    session.predict()
    with pytest.raises(InputError, match=r"`manual` has shape \(1, 2, 3\)"):
        session.set_current(session.segmentation(), manual=np.zeros((1, 2, 3), dtype=bool))


def test_what_the_user_writes_into_results_stays_with_the_user():
    session, other = a_session(), a_session()
    for each in (session, other):
        each.predict()
    rounds = [[(MISSED, 1), (EMPTY, 0)], [(MISSED, 1), (EMPTY, 0), (IN_SPLEEN, 1)]]
    for strokes in rounds:
        session.predict()[:] = 7
        session.segmentation().labels[:] = 7
        result = session.refine(constraints_for(session, *strokes))
        expected = other.refine(constraints_for(other, *strokes))
        assert np.array_equal(result.labels, expected.labels)
        assert np.array_equal(result.previous, expected.previous)
        for array in (result.strokes, result.grown):
            array[:] = 7
        for array in (result.labels, result.previous):  # shared with the session
            with pytest.raises(ValueError, match="read-only"):
                array[:] = 7
    assert np.array_equal(session.segmentation().labels, other.segmentation().labels)
    assert np.array_equal(session.predict(), other.predict())
