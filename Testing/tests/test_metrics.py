"""The metrics count what they say, on arrays small enough to count by hand."""

import math

import numpy as np
import pytest

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.metrics import count_far_changes, dice, dice_per_class, far_damage_ml


def row(*labels):
    """A (1, 1, N) label map."""
    return np.array(labels, dtype=np.uint16)[None, None]


def test_dice_of_half_overlapping_masks_is_half():
    assert dice(row(1, 1, 0, 0), row(0, 1, 1, 0)) == 0.5


def test_dice_of_equal_masks_is_one_and_of_disjoint_masks_zero():
    assert dice(row(0, 1, 1), row(0, 1, 1)) == 1.0
    assert dice(row(0, 1, 1), row(1, 0, 0)) == 0.0


def test_dice_of_two_empty_masks_is_not_a_number():
    assert math.isnan(dice(row(0, 0), row(0, 0)))


def test_dice_refuses_masks_of_different_shapes():
    with pytest.raises(InputError, match="one shape"):
        dice(row(0, 1), row(0, 1, 1))


def test_dice_per_class_looks_at_each_class_alone():
    result = dice_per_class(row(0, 1, 1, 2), row(0, 1, 2, 2), [0, 1, 2])
    assert result == {0: 1.0, 1: 2 / 3, 2: 2 / 3}


def test_far_damage_counts_lost_and_false_volume_in_milliliters():
    truth = row(1, 1, 1, 0, 0, 0, 0, 0)
    after = row(0, 1, 1, 0, 0, 1, 1, 2)
    stroke = np.zeros(truth.shape, dtype=bool)
    stroke[0, 0, 3] = True
    # 10 x 10 x 10 mm voxels hold 1 ml. From index 3, voxel 0 is 30 mm away, voxels 5 and 6 are 20 and 30 mm.
    assert far_damage_ml(truth, truth, after, 1, stroke, (10, 10, 10), distance_mm=25) == (1.0, 1.0)
    assert far_damage_ml(truth, truth, after, 1, stroke, (10, 10, 10), distance_mm=15) == (1.0, 2.0)


def test_damage_at_exactly_the_distance_is_near():
    truth, after = row(1, 0, 0, 0), row(0, 0, 0, 0)
    stroke = row(0, 0, 0, 1) > 0
    assert far_damage_ml(truth, truth, after, 1, stroke, (1, 1, 0.1), distance_mm=0.3) == (0.0, 0.0)
    assert far_damage_ml(truth, truth, after, 1, stroke, (1, 1, 0.1), distance_mm=0.29)[0] == pytest.approx(1e-4)


def test_far_damage_measures_along_each_axis_in_its_own_spacing():
    truth = np.ones((3, 1, 3), dtype=np.uint16)
    after = truth.copy()
    after[2, 0, 0] = after[0, 0, 2] = 0
    stroke = np.zeros(truth.shape, dtype=bool)
    stroke[0, 0, 0] = True
    # Two voxels along K are 10 mm, two along I are 2 mm: only the first is far.
    assert far_damage_ml(truth, truth, after, 1, stroke, (5, 1, 1), distance_mm=5)[0] == pytest.approx(0.005)


def test_what_was_wrong_before_is_no_damage():
    truth, before, after = row(1, 0, 0), row(0, 1, 0), row(0, 1, 0)
    none = np.zeros(truth.shape, dtype=bool)
    assert far_damage_ml(truth, before, after, 1, none, (10, 10, 10)) == (0.0, 0.0)
    assert count_far_changes(before, after, truth, none, 0) == 0


def test_without_a_stroke_every_damage_is_far():
    truth, after = row(1, 0), row(0, 1)
    none = np.zeros(truth.shape, dtype=bool)
    assert far_damage_ml(truth, truth, after, 1, none, (10, 10, 10)) == (1.0, 1.0)
    assert count_far_changes(truth, after, truth, none, 100) == 2


def test_far_changes_count_right_voxels_that_became_wrong_beyond_the_distance():
    truth = row(1, 1, 0, 2, 0, 0)
    before = row(1, 0, 0, 2, 0, 0)
    after = row(3, 0, 1, 0, 0, 1)
    stroke = row(0, 0, 1, 0, 0, 0) > 0
    # Spoiled: index 0 (2 voxels away), 2 (on the stroke), 3 (1 away), 5 (3 away); index 1 was wrong already.
    assert [count_far_changes(before, after, truth, stroke, d) for d in (0, 1, 2, 3)] == [3, 2, 1, 0]


def test_far_changes_refuse_arrays_of_different_shapes():
    with pytest.raises(InputError):
        count_far_changes(row(1, 1), row(1, 1), row(1), row(1, 1) > 0, 1)
