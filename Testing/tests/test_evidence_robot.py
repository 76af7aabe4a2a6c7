"""The robot user says what is true, about errors only, in the way it was asked to, and the same every time."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from evidence_case_examples import blocks, tiny_case

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.robot import robot_organ_strokes, robot_strokes
from Testing.evidence.boxes import largest_rectangle
from Testing.evidence.robot_user import RobotUser, ambiguous

ALL_ROBOTS = [
    RobotUser(*choice)
    for choice in itertools.product(("stroke", "point", "box"), (None, 4), ("all", "one"), (False, True), (0, 7))
]


def draw(case, number=1, labels=None, **choices):
    """What a robot says about the start of a case."""
    return RobotUser(**choices).draw(case, case.start if labels is None else labels, number)


def bar(shape=(3, 5, 11), **choices):
    """A bar of nine voxels that is missing."""
    truth = np.zeros(shape, dtype=int)
    truth[1, 2, 1:10] = 1
    return tiny_case(truth, **choices)


@pytest.mark.parametrize("shape", [(9, 20, 24), (1, 40, 44)])
@pytest.mark.parametrize("seed", range(3))
def test_without_options_it_is_the_documented_robot(seed, shape):
    case = blocks(seed, shape)
    expected = robot_strokes(case.truth, case.start, length=15).astype(int)
    expected = np.select([expected == 0, expected == 255], [-1, 0], expected)
    asked = draw(case)
    assert (expected >= 0).sum() > 5 and np.array_equal(asked.map, expected)
    assert np.array_equal(asked.painted, asked.map) and not asked.points and not asked.boxes
    assert sorted(s.label for s in asked.strokes) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(3))
def test_for_one_organ_it_is_the_documented_organ_robot(seed):
    case = blocks(seed, (5, 40, 48), wrong=0.0)
    start = np.where(np.roll(case.truth, 3, axis=1) == 2, 2, np.where(case.truth == 2, 0, case.truth))
    case = tiny_case(case.truth, start, scored=(2,), style="organ", strokes_per_round=4, stroke_length=6)
    strokes = robot_organ_strokes(
        case.truth == 2, case.start, 2, max_strokes=4, length=6, rim_voxels=1,
        replacement=lambda kji: case.truth[tuple(kji.T)],
    )  # fmt: skip
    asked = draw(case)
    assert len(strokes) >= 3 and [s.label for s in asked.strokes] == [s.label for s in strokes]
    assert all(np.array_equal(a.kji, b.kji) for a, b in zip(asked.strokes, strokes))


@pytest.mark.parametrize("robot", ALL_ROBOTS, ids=lambda robot: robot.key)
@pytest.mark.parametrize("shape", [(9, 20, 24), (1, 40, 44)])
def test_all_it_says_is_true_and_concerns_errors(robot, shape):
    case = blocks(1, shape)
    asked = robot.draw(case, case.start, 1)
    said = asked.map >= 0
    assert said.any() and np.array_equal(asked.map[said], case.truth[said])
    assert (case.start[said] != case.truth[said]).all()
    assert said.sum() == sum(len(s.kji) for s in asked.strokes)
    assert all((asked.map[tuple(s.kji.T)] == s.label).all() for s in asked.strokes)
    again = robot.draw(case, case.start, 1)
    assert np.array_equal(again.map, asked.map)


def test_its_own_length_goes_before_the_cases():
    case = bar(stroke_length=5)
    assert np.argwhere(draw(case).map == 1)[:, 2].tolist() == [3, 4, 5, 6, 7]
    assert np.argwhere(draw(case, length=3).map == 1)[:, 2].tolist() == [4, 5, 6]


def test_a_point_is_one_voxel_where_the_error_is_thickest_and_lies_there_in_the_patient():
    truth = np.zeros((3, 9, 13), dtype=int)
    truth[1, 1:8, 1:8] = 2
    truth[1, 4, 8:12] = 2
    case = tiny_case(truth, spacing=(3.0, 2.0, 0.5))
    asked = draw(case, kind="point")
    assert np.argwhere(asked.map >= 0).tolist() == [[1, 4, 4]] and (asked.painted == -1).all()
    (point,) = asked.points
    assert point.label == 2 and case.image.geometry.to_kji(np.array([point.ras])).round(6).tolist() == [[1, 4, 4]]


def cube_case(**choices):
    """A missing cube of 10 voxels, far from everything else."""
    truth = np.zeros((30, 34, 38), dtype=int)
    truth[10:20, 12:22, 14:24] = 1
    return tiny_case(truth, classes=1, **choices)


def test_a_missing_structure_gets_the_products_box_around_its_voxels_faces():
    case = cube_case(spacing=(2.0, 1.0, 0.5))
    asked = draw(case, kind="box")
    (box,) = asked.boxes
    assert box.low.tolist() == [13.5 * 0.5, 11.5, 9.5 * 2] and box.high.tolist() == [23.5 * 0.5, 21.5, 19.5 * 2]
    inner = np.zeros(case.truth.shape, dtype=bool)
    inner[13:17, 15:19, 17:21] = True  # four tenths of each side, about the middle
    assert box.label == 1 and np.array_equal(asked.map == 1, inner)
    assert (asked.map[~inner] == -1).all() and (asked.painted == -1).all() and len(asked.strokes) == 1


def test_a_box_is_not_drawn_twice():
    case = cube_case()
    first = draw(case, kind="box")
    second = draw(case, 2, np.where(first.map == 1, 1, case.start), kind="box")
    assert len(first.boxes) == 1 and not second.boxes and (second.painted == 1).any()


def test_a_structure_that_is_mostly_there_gets_a_filled_rectangle():
    case = cube_case()
    start = case.truth.copy()
    start[12:14, 14:18, 16:21] = 0
    asked = draw(case, kind="box", labels=start)
    assert not asked.boxes
    where = np.argwhere(asked.painted == 1)
    assert where.min(axis=0).tolist() == [12, 14, 16] and where.max(axis=0).tolist() == [12, 17, 20]
    assert len(where) == 20


def test_no_box_says_what_is_not_true():
    bent = np.zeros((30, 34, 38), dtype=int)
    bent[10:20, 12:22, 14:24] = 1
    bent[:, 17:, 16:] = 0  # what is left is an angle, and half of the box's middle is empty
    assert not draw(tiny_case(bent, classes=1), kind="box").boxes
    crowded = cube_case().truth.copy()
    crowded[10:20, 12:22, 27:31] = 1  # the neighbor lies where the box says that nothing is
    assert not draw(tiny_case(crowded, classes=1), kind="box").boxes


def test_a_box_is_around_one_structure_and_tells_labels_only_where_they_are_true():
    truth = np.zeros((30, 34, 80), dtype=int)
    truth[:, :, :38] = cube_case().truth
    truth[10:20, 12:22, 60:70] = 1
    truth[14, 16, 18] = 0  # a hole in the middle of the first one
    start = np.where(np.arange(80) < 40, 0, truth)
    asked = draw(tiny_case(truth, start, classes=1), kind="box")
    assert [(box.low.tolist(), box.high.tolist()) for box in asked.boxes] == [([13.5, 11.5, 9.5], [23.5, 21.5, 19.5])]
    assert (asked.map == 1).sum() == 4 * 4 * 4 - 1 and asked.map[14, 16, 18] == -1


def test_background_has_no_box():
    truth = np.zeros((9, 30, 30), dtype=int)
    truth[:, :, :3] = 1
    asked = draw(tiny_case(truth, np.ones_like(truth), classes=1), kind="box")
    assert not asked.boxes and (asked.painted == 0).any()


def rows(*lines):
    return np.array([[c == "#" for c in line] for line in lines])


def test_the_largest_rectangle_is_found():
    blob = rows("##....", "######", "######", "##....")
    assert largest_rectangle(blob, 99).tolist() == [[r, c] for r in (1, 2) for c in range(6)]
    assert largest_rectangle(blob, 4).tolist() == [[r, c] for r in range(4) for c in range(2)]
    assert largest_rectangle(rows("..#."), 5).tolist() == [[0, 2]]


@pytest.mark.parametrize("seed", range(10))
def test_no_other_rectangle_is_larger(seed):
    blob = np.random.default_rng(seed).random((7, 9)) < 0.7
    found = largest_rectangle(blob, 4)
    height, width = np.ptp(found, axis=0) + 1
    assert len(found) == height * width and blob[tuple(found.T)].all() and max(height, width) <= 4
    sides = itertools.product(range(1, 5), range(1, 5), range(7), range(9))
    fitting = [h * w for h, w, r, c in sides if r + h <= 7 and c + w <= 9 and blob[r : r + h, c : c + w].all()]
    assert len(found) == max(fitting)


def test_one_class_a_round_is_the_worst_one_in_its_largest_error():
    truth = np.zeros((1, 20, 30), dtype=int)
    truth[0, 2:8, 2:28] = 1
    truth[0, 12:18, 2:8] = 2
    start = truth.copy()
    start[0, 3:6, 5:20] = 0  # much of class 1 is missing, but it has the better Dice
    start[0, 12:18, 2:4] = 0  # a third of class 2 is missing: 12 voxels
    start[0, 12:18, 12:17] = 2  # and 30 voxels are falsely called so
    asked = draw(tiny_case(truth, start, classes=2), classes_per_round="one")
    assert [s.label for s in asked.strokes] == [0]
    assert np.argwhere(asked.map == 0)[:, 2].min() >= 12
    start[0, 12:18, 12:17] = 0
    asked = draw(tiny_case(truth, start, classes=2), classes_per_round="one")
    assert [s.label for s in asked.strokes] == [2]


def test_a_class_that_occurs_nowhere_is_not_the_worst():
    asked = draw(bar(classes=3), classes_per_round="one")
    assert [s.label for s in asked.strokes] == [1]


def test_ambiguous_is_what_touches_another_class():
    truth = np.zeros((3, 3, 7), dtype=int)
    truth[:, :, 3:] = 1
    expected = np.zeros((3, 3, 7), dtype=bool)
    expected[:, :, 2:4] = True
    assert np.array_equal(ambiguous(truth, (1.0, 1.0, 1.0)), expected)
    assert np.array_equal(ambiguous(truth[:1], (1.0, 1.0, 1.0)), expected[:1])
    truth = np.zeros((5, 3, 3), dtype=int)
    truth[2:] = 1
    assert ambiguous(truth, (2.0, 1.0, 1.0)).any(axis=(1, 2)).tolist() == [False, True, True, False, False]
    assert not ambiguous(truth, (2.1, 1.0, 1.0)).any(), "the next slice is another place"


def test_an_eroding_robot_keeps_off_the_borders_of_the_truth():
    truth = np.zeros((1, 11, 30), dtype=int)
    truth[0, 3:8, 3:27] = 1
    plain, eroded = draw(tiny_case(truth), length=99), draw(tiny_case(truth), length=99, erode=True)
    assert (plain.map >= 0).sum() > (eroded.map >= 0).sum() >= 5
    inside = np.argwhere(eroded.map >= 0)
    assert inside[:, 1:].min(axis=0).tolist() >= [4, 4] and inside[:, 2].max() <= 25
    assert not (ambiguous(truth, (1.0, 1.0, 1.0)) & (eroded.map >= 0)).any()


def test_an_eroding_robot_says_which_class_it_gave_up():
    asked = draw(bar(), erode=True)
    assert not asked.strokes and (asked.map == -1).all() and asked.skipped == (1,)
    assert draw(bar()).skipped == ()


def test_another_seed_draws_elsewhere_and_every_round_anew():
    case = blocks(4, (5, 48, 52))
    maps = [draw(case, number, seed=seed).map for seed, number in ((0, 1), (1, 1), (2, 1), (1, 2))]
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(maps, 2))
    other = tiny_case(case.truth, case.start, name="two")
    assert not np.array_equal(draw(other, seed=1).map, maps[1]) and np.array_equal(draw(other).map, maps[0])
    assert np.array_equal(draw(case, 2).map, maps[0]), "without a seed the round makes no difference"


def test_other_seeds_prefer_large_errors_and_never_take_small_ones():
    truth = np.zeros((1, 40, 40), dtype=int)
    for row, height in ((1, 12), (15, 6), (23, 3), (28, 1), (31, 1), (34, 1)):
        truth[0, row : row + height, 2:32] = 1
    case = tiny_case(truth, classes=1)
    rows_drawn = [np.argwhere(draw(case, seed=seed).map == 1)[:, 1] for seed in range(1, 61)]
    first = sum(int(r.max()) < 13 for r in rows_drawn)
    assert 25 <= first <= 50 and max(int(r.max()) for r in rows_drawn) < 26
    assert any(r.min() >= 15 for r in rows_drawn)


def test_other_seeds_draw_beside_the_middle_and_sometimes_shorter():
    truth = np.zeros((1, 15, 44), dtype=int)
    truth[0, 2:13, 2:42] = 1
    case = tiny_case(truth, classes=1, stroke_length=20)
    strokes = [draw(case, seed=seed).strokes[0].kji for seed in range(1, 41)]
    assert {tuple(np.unique(s[:, 1])) for s in strokes} == {(6,), (7,), (8,)}
    lengths = [len(s) for s in strokes]
    assert min(lengths) >= 14 and max(lengths) <= 20 and len(set(lengths)) > 3


def test_other_seeds_take_any_slice_that_shows_nearly_as_much():
    truth = np.zeros((5, 14, 16), dtype=int)
    for k, width in ((1, 9), (2, 12), (3, 10)):  # 90, 120 and 100 voxels
        truth[k, 2:12, 2 : 2 + width] = 1
    case = tiny_case(truth, classes=1)
    assert {int(draw(case, seed=seed).strokes[0].kji[0, 0]) for seed in range(1, 31)} == {2, 3}


def test_every_robot_has_a_key_of_its_own_that_may_name_a_file():
    keys = [robot.key for robot in ALL_ROBOTS]
    assert len(set(keys)) == len(keys) and all(re.fullmatch("[a-z0-9-]{1,40}", key) for key in keys)
    assert RobotUser().key == "stroke"
    assert RobotUser("point", 25, "one", True, 3).key == "point-25-one-eroded-seed3"


@pytest.mark.parametrize(
    ("choice", "said"),
    [({"kind": "circle"}, "circle"), ({"classes_per_round": "two"}, "two"), ({"length": 0}, "not 0")],
)
def test_what_cannot_be_is_refused(choice, said):
    with pytest.raises(InputError, match=said):
        RobotUser(**choice)


def test_labels_of_another_shape_are_refused():
    with pytest.raises(InputError, match="shape"):
        draw(bar(), labels=np.zeros((2, 2, 2), dtype=int))


@pytest.mark.parametrize("robot", ALL_ROBOTS[::5], ids=lambda robot: robot.key)
def test_where_nothing_is_wrong_nothing_is_said(robot):
    case = blocks(0)
    asked = robot.draw(case, case.truth, 1)
    assert not asked.strokes and (asked.map == -1).all() and not asked.points and not asked.boxes


def test_errors_under_five_voxels_are_left_alone():
    case = bar()
    start = case.truth.copy()
    start[1, 2, 1:5] = 0
    assert not draw(case, labels=start).strokes
    start[1, 2, 5] = 0
    assert draw(case, labels=start).strokes
