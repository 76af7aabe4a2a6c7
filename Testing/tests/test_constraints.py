"""Strokes, points, boxes and locks: what is taken, what is left out, and what the user is told."""

from __future__ import annotations

import numpy as np
import pytest

from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.prompts import Box, Point
from InteractiveRefineLib.resolution import Source

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


# One round


def test_strokes_want_their_class_and_255_is_background(constraints):
    constraints.add_strokes(row(0, 2, 255, 0, 1, 0))
    resolved = resolve(constraints)
    assert wanted(resolved) == {1: 2, 2: 0, 4: 1}
    assert resolved.source.tolist() == [Source.STROKE] * 3
    assert resolved.kji.tolist() == [[0, 0, 1], [0, 0, 2], [0, 0, 4]]
    np.testing.assert_array_equal(resolved.stroke_map(), row(0, 2, 255, 0, 1, 0))
    assert (resolved.stroke_map().dtype, resolved.warnings) == (np.uint16, [])


def test_types_are_as_documented(constraints):
    constraints.add_strokes(row(1, 0, 0, 0, 0, 0))
    constraints.add_strokes(row(0, 1, 0, 0, 0, 0), forbidden=True)
    r = resolve(constraints)
    columns = (r.indices, r.wanted, r.round_of, r.source, r.forbidden_indices, r.forbidden_labels, r.forbidden_source)
    assert [c.dtype.name for c in columns] == ["int64", "int32", "int32", "uint8", "int64", "int32", "uint8"]
    assert r.locked_mask.shape == SHAPE
    assert r.locked_mask.dtype == bool


def test_nothing_added_resolves_to_nothing(constraints):
    resolved = resolve(constraints)
    assert constraints.is_empty
    assert (len(resolved.indices), len(resolved.forbidden_indices), resolved.warnings) == (0, 0, [])


def test_strokes_given_as_indices_are_the_same_as_painted_ones(constraints):
    constraints.add_stroke_indices(np.array([[0, 0, 4], [0, 0, 1], [0, 0, 1]]), 2)
    constraints.add_stroke_indices(np.array([[0, 0, 2]]), 255)
    assert wanted(resolve(constraints)) == {1: 2, 2: 0, 4: 2}


def test_not_this_class_forbids_and_several_classes_can_be_forbidden_at_a_voxel(constraints):
    constraints.add_strokes(row(0, 2, 0, 0, 0, 0), forbidden=True)
    constraints.add_strokes(row(0, 1, 0, 0, 0, 0), forbidden=True)
    constraints.add_strokes(row(0, 1, 0, 0, 0, 0), forbidden=True)
    assert forbidden(resolve(constraints)) == [(1, 1), (1, 2)]


def test_violations_count_wanted_labels_not_met_and_forbidden_ones_present(constraints):
    constraints.add_strokes(row(1, 2, 255, 0, 0, 0))
    constraints.add_strokes(row(0, 0, 0, 3, 1, 0), forbidden=True)
    resolved = resolve(constraints)
    assert resolved.count_violations(row(1, 2, 0, 0, 2, 3)) == 0
    assert resolved.count_violations(row(2, 2, 1, 3, 2, 3)) == 3


def test_a_point_forbids_when_it_says_not(constraints):
    constraints.add_points([Point(voxel(2), 1, 1.0), Point(voxel(5), 2, forbid=True)])
    resolved = resolve(constraints)
    assert wanted(resolved) == {1: 1, 2: 1, 3: 1}
    assert forbidden(resolved) == [(5, 2)]
    assert resolved.forbidden_source.tolist() == [Source.POINT]


def test_a_box_wants_its_core_and_forbids_its_surroundings(constraints):
    constraints.add_boxes([Box((0.5, -1, -1), (3.5, 1, 1), 2)])
    resolved = resolve(constraints)
    assert wanted(resolved) == {2: 2}
    assert forbidden(resolved) == [(0, 2), (4, 2), (5, 2)]
    assert resolved.source.tolist() == [Source.BOX]


# Rounds


def test_undo_takes_back_the_newest_round_that_has_input(constraints):
    constraints.add_strokes(row(1, 0, 0, 0, 0, 0))
    constraints.next_round()
    constraints.add_strokes(row(2, 2, 0, 0, 0, 0))
    constraints.next_round()
    constraints.next_round()
    assert constraints.n_rounds == 2
    assert constraints.undo_round()
    assert wanted(resolve(constraints)) == {0: 1}
    constraints.add_strokes(row(0, 0, 3, 0, 0, 0))
    assert resolve(constraints).round_of.tolist() == [0, 1]
    assert constraints.undo_round()
    assert constraints.undo_round()
    assert constraints.is_empty
    assert constraints.n_rounds == 0
    assert not constraints.undo_round()


def test_a_copy_is_independent(constraints):
    constraints.locked = {2}
    constraints.add_strokes(row(1, 0, 0, 0, 0, 0))
    other = constraints.copy()
    other.add_strokes(row(0, 1, 0, 0, 0, 0))
    other.locked.add(3)
    assert wanted(resolve(constraints)) == {0: 1}
    assert (constraints.locked, other.locked) == ({2}, {2, 3})


def test_labels_used_names_every_label_of_the_input(constraints):
    constraints.add_strokes(row(3, 255, 0, 0, 0, 0))
    constraints.add_strokes(row(1, 0, 0, 0, 0, 0), forbidden=True)
    assert constraints.labels_used() == {0, 1, 3}


# What lies outside


def test_what_lies_outside_the_image_is_clipped_counted_and_told(constraints):
    constraints.add_stroke_indices(np.array([[0, 0, 5], [0, 0, 6], [-1, 0, 0]]), 1)
    constraints.add_points([Point(voxel(-3), 2), Point(voxel(0), 2, 1.0)])
    constraints.add_boxes([Box((2.5, -0.5, -0.5), (8.5, 0.5, 0.5), 3)])
    resolved = resolve(constraints)
    # The ball has four neighbors above, below, before and behind the row and one left of it.
    assert resolved.n_clipped == 2 + (1 + 5) + 3
    assert resolved.warnings == [
        "2 stroke voxels lie outside the image and were ignored.",
        "6 point voxels lie outside the image and were ignored.",
        "3 box voxels lie outside the image and were ignored.",
    ]
    assert wanted(resolved)[5] == 1


def test_a_round_entirely_outside_the_image_constrains_nothing_but_can_be_undone(constraints):
    constraints.add_points([Point(voxel(-3), 2)])
    constraints.next_round()
    assert constraints.is_empty
    assert resolve(constraints).warnings == ["1 point voxel lies outside the image and was ignored."]
    assert constraints.undo_round()
    assert resolve(constraints).warnings == []


# Locks


def test_strokes_on_a_locked_class_are_dropped_and_told(constraints):
    constraints.locked = {1}
    constraints.add_strokes(row(2, 2, 2, 0, 0, 0))
    resolved = resolve(constraints, row(1, 1, 0, 0, 0, 0))
    assert wanted(resolved) == {2: 2}
    assert resolved.n_locked_out == 2
    assert resolved.warnings == ["2 stroke voxels lie on locked liver and were ignored; unlock liver to change it."]
    np.testing.assert_array_equal(resolved.locked_mask, row(1, 1, 0, 0, 0, 0) == 1)


def test_strokes_that_would_add_to_a_locked_class_are_dropped_and_told(constraints):
    constraints.locked = {1}
    constraints.add_strokes(row(0, 0, 1, 2, 0, 0))
    resolved = resolve(constraints, row(1, 0, 0, 0, 0, 0))
    assert wanted(resolved) == {3: 2}
    assert resolved.warnings == ["1 stroke voxel would add to locked liver and was ignored; unlock liver to change it."]


def test_not_this_class_on_its_locked_voxels_is_dropped_and_told(constraints):
    constraints.locked = {1}
    constraints.add_strokes(row(1, 1, 0, 0, 0, 0), forbidden=True)
    resolved = resolve(constraints, row(1, 0, 0, 0, 0, 0))
    assert forbidden(resolved) == [(1, 1)]
    assert resolved.warnings == ["1 stroke voxel lies on locked liver and was ignored; unlock liver to change it."]


def test_strokes_that_a_lock_keeps_satisfied_are_not_worth_a_warning(constraints):
    constraints.add_strokes(row(1, 1, 0, 0, 0, 0))
    constraints.next_round()
    constraints.locked = {1}
    constraints.add_strokes(row(0, 0, 0, 2, 0, 0))
    resolved = resolve(constraints, row(1, 1, 1, 0, 0, 0))
    assert wanted(resolved) == {3: 2}
    assert (resolved.warnings, resolved.n_locked_out) == ([], 0)


def test_locks_that_block_everything_are_an_error_that_names_them(constraints):
    constraints.locked = {1, 2, 3}
    constraints.add_strokes(row(3, 0, 0, 0, 0, 0))
    constraints.add_strokes(row(0, 2, 0, 0, 0, 0), forbidden=True)
    with pytest.raises(InputError, match=r"what is locked \(liver, spleen\); unlock"):
        resolve(constraints, row(1, 2, 0, 0, 0, 0))


# What cannot be used


def test_strokes_on_another_grid_are_refused_with_both_grids_described(constraints):
    other = Geometry(SHAPE, np.diag([2.0, 1, 1, 1]))
    with pytest.raises(
        InputError, match=r"strokes 6 x 1 x 1 voxels of 2 x 1 x 1 mm .*image 6 .* of 1 x 1 x 1 mm.*Redraw"
    ):
        constraints.add_strokes(NOTHING, other)
    constraints.add_strokes(row(1, 0, 0, 0, 0, 0), Geometry(SHAPE, np.eye(4)))
    assert not constraints.is_empty


def test_strokes_of_another_shape_are_refused(constraints):
    with pytest.raises(InputError, match=r"shape \(1, 6, 1\) \(K, J, I\), but the image is 6 x 1 x 1 voxels"):
        constraints.add_strokes(np.zeros((1, 6, 1)))


@pytest.mark.parametrize("value", [-1, 1.5, np.nan, 70000])
def test_values_that_are_no_labels_are_named(constraints, value):
    with pytest.raises(InputError, match=f"255 = background, not {value}"):
        constraints.add_strokes(row(0, value, 0, 0, 0, 0))


def test_whole_numbers_stored_as_floats_are_labels(constraints):
    constraints.add_strokes(row(1.0, 255.0, 0, 0, 0, 0))
    assert wanted(resolve(constraints)) == {0: 1, 1: 0}


def test_not_background_is_refused(constraints):
    with pytest.raises(InputError, match="Not background"):
        constraints.add_strokes(row(255, 0, 0, 0, 0, 0), forbidden=True)
    with pytest.raises(InputError, match="Not background"):
        constraints.add_stroke_indices(np.array([[0, 0, 0]]), 0, forbidden=True)


def test_stroke_indices_of_a_wrong_form_are_refused(constraints):
    with pytest.raises(InputError, match=r"\(N, 3\) array of integers"):
        constraints.add_stroke_indices(np.array([[0.5, 0, 0]]), 1)


def test_an_unknown_label_is_named_with_the_known_classes_and_the_way_to_add_one(constraints):
    constraints.add_strokes(row(7, 0, 0, 0, 0, 0))
    message = (
        r"Label 7 is not a class .* 0 = background, 1 = liver, 2 = spleen, 3 = kidney .* add a segment .* then 4\."
    )
    with pytest.raises(InputError, match=message):
        resolve(constraints)


def test_a_segmentation_of_another_shape_is_refused(constraints):
    with pytest.raises(InputError, match=r"current segmentation has shape \(1, 6, 1\)"):
        resolve(constraints, np.zeros((1, 6, 1)))
