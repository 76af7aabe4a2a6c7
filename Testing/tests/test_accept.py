"""Only changes that some stroke showed are accepted, and none of a locked class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from InteractiveRefineLib.decoding.accept import accept_changes, allowed_pairs  # noqa: E402


def test_a_pair_is_what_a_voxel_was_called_and_what_its_stroke_wants():
    assert allowed_pairs(np.array([0, 0, 2, 1]), np.array([1, 1, 0, 1])) == {(0, 1), (2, 0)}


def test_strokes_that_agree_allow_nothing():
    assert allowed_pairs(np.array([1, 2]), np.array([1, 2])) == set()
    assert allowed_pairs(np.empty(0, int), np.empty(0, int)) == set()


def test_a_pair_has_a_direction():
    before, proposed = np.array([0, 1], np.uint16), np.array([1, 0])
    assert accept_changes(before, proposed, {(0, 1)}).tolist() == [1, 1]


def test_without_pairs_nothing_changes():
    before = np.arange(6, dtype=np.uint16).reshape(2, 3)
    assert np.array_equal(accept_changes(before, before[::-1], set()), before)


@pytest.mark.parametrize("locked", [{1}, {2}, {1, 2}])
def test_a_locked_class_neither_gains_nor_loses(locked):
    before = np.array([0, 1, 1, 2, 2, 0], np.uint16)
    proposed = np.array([1, 0, 2, 1, 0, 2])
    every = {(a, b) for a in range(3) for b in range(3)}
    after = accept_changes(before, proposed, every, locked)
    for label in locked:
        assert np.array_equal(after == label, before == label)


def test_labels_beyond_all_pairs_are_fine():
    before, proposed = np.array([[7, 0]], np.uint16), np.array([[0, 9]], np.int64)
    after = accept_changes(before, proposed, {(0, 9)})
    assert after.tolist() == [[7, 9]]
    assert after.dtype == before.dtype


def test_empty_arrays_are_fine():
    assert accept_changes(np.empty((0, 2), np.uint16), np.empty((0, 2), int), {(0, 1)}).shape == (0, 2)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 1000),
    pairs=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))),
    locked=st.sets(st.integers(0, 4)),
)
def test_it_is_the_rule_voxel_by_voxel(seed, pairs, locked):
    rng = np.random.default_rng(seed)
    before, proposed = rng.integers(0, 5, (2, 3, 4, 5)).astype(np.uint16)
    after = accept_changes(before, proposed, pairs, locked)
    for a, b, c in zip(before.ravel(), proposed.ravel(), after.ravel()):
        allowed = (int(a), int(b)) in pairs and not {int(a), int(b)} & locked
        assert c == (b if allowed else a)
