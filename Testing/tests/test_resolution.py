"""Several rounds and several kinds of input at one voxel: who wins."""

from __future__ import annotations

import numpy as np
import pytest

from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.prompts import Box, Point
from InteractiveRefineLib.resolution import Conflict, Source

SHAPE = (1, 1, 6)
NAMES = ["background", "liver", "spleen", "kidney"]
NOTHING = np.zeros(SHAPE, dtype=np.uint16)


def row(*labels):
    """A (1, 1, 6) label map."""
    return np.array([[labels]])


def voxel(i):
    """The RAS position of the i-th voxel."""
    return (float(i), 0.0, 0.0)


@pytest.fixture
def constraints():
    return Constraints(Geometry(SHAPE, np.eye(4)))


def resolve(constraints, current=NOTHING, n_labels=4):
    return constraints.resolve(current, n_labels, NAMES.__getitem__)


def wanted(resolved):
    return dict(zip(resolved.indices.tolist(), resolved.wanted.tolist()))


def forbidden(resolved):
    return list(zip(resolved.forbidden_indices.tolist(), resolved.forbidden_labels.tolist()))


def test_the_latest_round_wins(constraints):
    constraints.add_strokes(row(1, 1, 0, 0, 0, 0))
    constraints.next_round()
    constraints.add_points([Point(voxel(1), 2)])  # less precise, but later
    resolved = resolve(constraints)
    assert wanted(resolved) == {0: 1, 1: 2}
    assert resolved.round_of.tolist() == [0, 1]
    assert resolved.conflicts == []


def test_within_a_round_strokes_beat_points_and_points_beat_boxes_in_any_order_of_adding(constraints):
    constraints.add_strokes(row(0, 1, 0, 0, 0, 0))
    constraints.add_points([Point(voxel(1), 2, 1.0)])
    constraints.add_boxes([Box((-1, -1, -1), (4, 1, 1), 3)])
    resolved = resolve(constraints)
    assert wanted(resolved) == {0: 2, 1: 1, 2: 2}
    assert resolved.conflicts == []


def test_two_classes_at_one_voxel_by_the_same_means_are_a_conflict_and_the_later_one_counts(constraints):
    constraints.add_strokes(row(1, 1, 1, 0, 0, 0))
    constraints.add_strokes(row(0, 2, 2, 2, 0, 0))
    resolved = resolve(constraints)
    assert wanted(resolved) == {0: 1, 1: 2, 2: 2, 3: 2}
    assert resolved.conflicts == [Conflict(0, Source.STROKE, kept=2, dropped=1, n_voxels=2, ras=(1.5, 0.0, 0.0))]
    assert resolved.warnings == [
        "2 stroke voxels around RAS (1.5, 0.0, 0.0) mm were marked both liver and spleen; spleen, which came later, "
        "was used."
    ]


def test_a_conflict_that_a_later_round_settled_is_forgotten(constraints):
    constraints.add_strokes(row(1, 0, 0, 0, 0, 0))
    constraints.add_strokes(row(2, 0, 0, 0, 0, 0))
    constraints.next_round()
    constraints.add_strokes(row(3, 0, 0, 0, 0, 0))
    assert resolve(constraints).conflicts == []


def test_a_warning_is_given_once_when_its_round_is_new(constraints):
    constraints.add_strokes(row(1, 0, 0, 0, 0, 0))
    constraints.add_strokes(row(2, 0, 0, 0, 0, 0))
    constraints.add_points([Point(voxel(-9), 1)])
    assert len(resolve(constraints).warnings) == 2
    constraints.next_round()
    assert len(resolve(constraints).warnings) == 2
    constraints.add_strokes(row(0, 0, 1, 0, 0, 0))
    resolved = resolve(constraints)
    assert (resolved.warnings, len(resolved.conflicts), resolved.n_clipped) == ([], 1, 1)


def test_a_later_not_cancels_the_class_and_an_older_one_does_not_come_back(constraints):
    constraints.add_strokes(row(2, 0, 0, 0, 0, 0))
    constraints.next_round()
    constraints.add_strokes(row(1, 1, 0, 0, 0, 0))
    constraints.next_round()
    constraints.add_strokes(row(1, 0, 0, 0, 0, 0), forbidden=True)
    resolved = resolve(constraints)
    assert wanted(resolved) == {1: 1}
    assert forbidden(resolved) == [(0, 1)]


def test_a_later_class_cancels_its_not(constraints):
    constraints.add_strokes(row(1, 1, 0, 0, 0, 0), forbidden=True)
    constraints.next_round()
    constraints.add_strokes(row(1, 0, 0, 0, 0, 0))
    resolved = resolve(constraints)
    assert wanted(resolved) == {0: 1}
    assert forbidden(resolved) == [(1, 1)]


def test_not_another_class_adds_nothing_where_a_class_is_wanted(constraints):
    constraints.add_strokes(row(1, 0, 0, 0, 0, 0))
    constraints.next_round()
    constraints.add_strokes(row(2, 2, 0, 0, 0, 0), forbidden=True)
    resolved = resolve(constraints)
    assert wanted(resolved) == {0: 1}
    assert forbidden(resolved) == [(1, 2)]


def test_an_older_not_returns_when_what_made_it_redundant_is_cancelled(constraints):
    for label, is_not in ((1, True), (2, False), (2, True)):
        constraints.add_strokes(row(label, 0, 0, 0, 0, 0), forbidden=is_not)
        constraints.next_round()
    resolved = resolve(constraints)
    assert wanted(resolved) == {}
    assert forbidden(resolved) == [(0, 1), (0, 2)]


def decide_slowly(statements):
    """One voxel, statement by statement, from weak to strong: the wanted label or None, and the forbidden ones."""
    want, nots = None, set()
    for label, is_not in statements:
        if is_not:
            want = None if want == label else want
            nots.add(label)
        else:
            want = label
            nots.discard(label)
    return want, set() if want is not None else nots


@pytest.mark.parametrize("seed", range(30))
def test_resolving_many_random_rounds_equals_going_through_them_one_by_one(seed):
    rng = np.random.default_rng(seed)
    shape = (2, 3, 4)
    constraints = Constraints(Geometry(shape, np.eye(4)))
    spoken = {v: [] for v in range(24)}
    for _ in range(rng.integers(1, 5)):
        said = []
        for _ in range(rng.integers(0, 5)):
            is_not, by_point = bool(rng.random() < 0.4), bool(rng.random() < 0.5)
            if by_point:
                kji = rng.integers(0, shape)
                label = int(rng.integers(is_not, 4))
                constraints.add_points([Point(kji[::-1], label, 1.0, is_not)])
                near = np.linalg.norm(np.indices(shape).reshape(3, -1).T - kji, axis=1) <= 1
                said += [(Source.POINT, v, label, is_not) for v in np.flatnonzero(near)]
            else:
                strokes = np.where(rng.random(shape) < 0.4, rng.integers(1, 4, shape), 0)
                if not is_not:
                    strokes[rng.random(shape) < 0.1] = 255
                constraints.add_strokes(strokes, forbidden=is_not)
                flat = strokes.ravel()
                said += [(Source.STROKE, v, int(flat[v]) % 255, is_not) for v in np.flatnonzero(flat)]
        for _, v, label, is_not in sorted(said, key=lambda s: s[0]):  # stable: in the order of adding
            spoken[v].append((label, is_not))
        constraints.next_round()
    resolved = constraints.resolve(np.zeros(shape, dtype=np.uint8), 4)
    answers = {v: decide_slowly(statements) for v, statements in spoken.items()}
    assert wanted(resolved) == {v: want for v, (want, _) in answers.items() if want is not None}
    assert forbidden(resolved) == [(v, label) for v, (_, nots) in answers.items() for label in sorted(nots)]


class TestNotThisClassWhereEverythingElseIsLocked:
    def refused(self, constraints, locked, *labels):
        for label in labels:
            constraints.add_strokes(row(label, label, 0, 0, 0, 0), forbidden=True)
        constraints.locked = set(locked)
        return resolve(constraints, row(1, 1, 0, 0, 0, 0))

    def test_nothing_can_be_done_and_the_user_is_told(self, constraints):
        resolved = self.refused(constraints, {0, 2, 3}, 1)
        assert (forbidden(resolved), resolved.n_locked_out) == ([], 2)
        assert resolved.warnings == [
            "2 stroke voxels marked not liver could only become what is locked and were ignored; unlock another class."
        ]

    def test_what_is_refused_too_is_no_way_out(self, constraints):
        resolved = self.refused(constraints, {0, 3}, 1, 2)
        assert forbidden(resolved) == []
        assert resolved.n_locked_out == 4

    def test_one_open_class_is_enough(self, constraints):
        resolved = self.refused(constraints, {0, 3}, 1)
        assert (forbidden(resolved), resolved.n_locked_out, resolved.warnings) == ([(0, 1), (1, 1)], 0, [])
