"""The robot user draws where a careful user would: on errors only, in the middle of the largest ones."""

import numpy as np
import pytest
from scipy import ndimage

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.robot import Stroke, robot_organ_strokes, robot_strokes, stroke_map
from InteractiveRefineLib.skeleton import middle_stroke, thickest_point, thin


def picture(*rows):
    """A 2-D mask drawn with '#'."""
    return np.array([[c == "#" for c in row] for row in rows])


def random_case(seed, shape=(9, 20, 24), classes=4):
    """A label map of blobs and a version with many errors."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, size=[-(-n // 4) for n in shape])
    truth = np.kron(coarse, np.ones((4, 4, 4), dtype=int))[tuple(slice(n) for n in shape)]
    wrong = rng.random(shape) < 0.3
    return truth.astype(np.uint16), np.where(wrong, np.roll(truth, 3, axis=2), truth).astype(np.uint16)


def test_thinning_leaves_the_middle_row_of_a_bar():
    bar = np.zeros((7, 15), dtype=bool)
    bar[2:5, 1:14] = True
    lines = thin(bar)
    assert lines.sum(axis=1).tolist()[2:5] == [0, lines.sum(), 0]
    assert 9 <= lines.sum() <= 13


@pytest.mark.parametrize("rows", [("##", "##"), ("#",), ("####", "####"), ("##...", "##...", ".....", "....#")])
def test_thinning_leaves_something_of_every_part(rows):
    blob = picture(*rows)
    parts, count = ndimage.label(blob, structure=np.ones((3, 3)))
    lines = thin(blob)
    assert not (lines & ~blob).any()
    assert set(parts[lines]) == set(range(1, count + 1))


@pytest.mark.parametrize("seed", range(5))
def test_thinning_keeps_one_piece_one_piece(seed):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(60, 70)), 4)
    blob = field > 0
    touching = np.ones((3, 3))
    assert ndimage.label(thin(blob), structure=touching)[1] == ndimage.label(blob, structure=touching)[1]


def test_the_thickest_point_of_a_square_is_its_center():
    assert thickest_point(np.ones((5, 5), dtype=bool)) == (2, 2)


def test_the_thickest_point_of_a_bar_is_its_middle_not_its_end():
    assert thickest_point(np.ones((3, 11), dtype=bool)) == (1, 5)


def test_a_stroke_runs_along_the_middle_around_the_thickest_point():
    blob = picture(
        "...............",
        ".....#####.....",
        ".#############.",
        ".#############.",
        ".#############.",
        ".....#####.....",
        "...............",
    )
    assert middle_stroke(blob, 5).tolist() == [[3, 5], [3, 6], [3, 7], [3, 8], [3, 9]]


def test_the_stroke_in_a_round_blob_is_a_line_and_not_a_dot():
    rows, columns = np.mgrid[:25, :25]
    disk = (rows - 12) ** 2 + (columns - 12) ** 2 <= 100
    assert len(np.argwhere(thin(disk))) < 5
    assert middle_stroke(disk, 9).tolist() == [[12, c] for c in range(8, 17)]


def test_a_straight_stroke_follows_the_longest_direction_and_keeps_off_the_border():
    rows, columns = np.mgrid[:41, :41]
    oval = ((rows - 20) / 18) ** 2 + ((columns - 20) / 14) ** 2 <= 1
    stroke = middle_stroke(oval, 99)
    assert set(stroke[:, 1].tolist()) == {20} and 23 <= len(stroke) <= 31


def test_a_stroke_stays_in_one_piece_in_a_bent_blob():
    hairpin = picture(
        "##########",
        "..........",
        "##########",
    )
    hairpin[:, 9] = True
    stroke = middle_stroke(hairpin, 12)
    # The two arms lie two rows apart, but the way from one to the other leads around the bend.
    steps = np.abs(stroke[:, None] - stroke[None]).max(axis=2)
    reached = {0}
    while True:
        grown = {j for i in reached for j in np.flatnonzero(steps[i] <= 1).tolist()}
        if grown == reached:
            break
        reached = grown
    assert len(stroke) == 12 and reached == set(range(12))
    assert len(middle_stroke(hairpin, 99)) >= 18, "a straight line, which fits into one arm only, must not replace it"


def test_nothing_wrong_nothing_drawn():
    truth, _ = random_case(0)
    assert not robot_strokes(truth, truth).any()
    assert robot_organ_strokes(truth == 1, truth, 1) == []


@pytest.mark.parametrize("seed", range(6))
def test_strokes_lie_on_errors_only_and_carry_the_true_class(seed):
    truth, prediction = random_case(seed)
    strokes = robot_strokes(truth, prediction)
    drawn = strokes > 0
    assert drawn.any() and (truth[drawn] != prediction[drawn]).all()
    assert np.array_equal(np.where(strokes == 255, 0, strokes)[drawn], truth[drawn])


def test_every_class_with_errors_gets_one_stroke_of_at_most_the_asked_length():
    truth, prediction = random_case(3)
    strokes = robot_strokes(truth, prediction, length=7)
    assert {label: int((strokes == label).sum()) <= 7 for label in np.unique(strokes[strokes > 0]).tolist()} == {
        1: True,
        2: True,
        3: True,
        255: True,
    }


def test_only_the_asked_classes_get_strokes():
    truth, prediction = random_case(3)
    assert np.unique(robot_strokes(truth, prediction, classes=[2])).tolist() == [0, 2]
    assert np.unique(robot_strokes(truth, prediction, classes=[0, 9])).tolist() == [0, 255]


def test_a_missed_bar_gets_its_middle_voxels():
    truth = np.zeros((3, 5, 11), dtype=np.uint16)
    truth[1, 2, 1:10] = 4
    strokes = robot_strokes(truth, np.zeros_like(truth), length=3)
    assert np.argwhere(strokes == 4).tolist() == [[1, 2, 4], [1, 2, 5], [1, 2, 6]]
    assert (strokes > 0).sum() == 3


def test_a_false_bar_gets_a_background_stroke():
    prediction = np.zeros((3, 5, 11), dtype=np.uint16)
    prediction[1, 2, 1:10] = 4
    strokes = robot_strokes(np.zeros_like(prediction), prediction, length=3)
    assert np.argwhere(strokes == 255).tolist() == [[1, 2, 4], [1, 2, 5], [1, 2, 6]]


def test_only_the_largest_part_gets_a_stroke():
    truth = np.zeros((1, 9, 20), dtype=np.uint16)
    truth[0, 1, 2:9] = 1
    truth[0, 7, 2:12] = 1
    assert set(np.argwhere(robot_strokes(truth, np.zeros_like(truth)))[:, 1].tolist()) == {7}


def test_parts_that_touch_by_a_corner_are_one_part():
    truth = np.zeros((2, 3, 12), dtype=np.uint16)
    truth[0, 0, 0:3] = 1
    truth[1, 1, 3:6] = 1
    truth[0, 0, 7:12] = 1
    # Joined by the corner they are 6 voxels, one more than the bar of 5 on the right.
    assert np.argwhere(robot_strokes(truth, np.zeros_like(truth)))[:, 2].max() < 7


def test_parts_under_the_smallest_size_are_left_alone():
    truth = np.zeros((1, 3, 9), dtype=np.uint16)
    truth[0, 1, 2:6] = 1
    assert not robot_strokes(truth, np.zeros_like(truth), min_voxels=5).any()
    assert robot_strokes(truth, np.zeros_like(truth), min_voxels=4).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_stroke_lies_in_the_view_that_shows_most_of_the_error(axis):
    plate = np.zeros((11, 11, 11), dtype=np.uint16)
    long, wide = (a for a in range(3) if a != axis)
    place = [slice(6, 7)] * 3
    place[long], place[wide] = slice(1, 10), slice(4, 7)
    plate[tuple(place)] = 2
    stroke = np.argwhere(robot_strokes(plate, np.zeros_like(plate)))
    assert set(stroke[:, axis].tolist()) == {6}
    assert np.ptp(stroke[:, long]) >= 6, "it runs along the plate, which the other views show as a line"


def test_of_two_blobs_in_the_slice_the_larger_is_taken_even_if_the_other_is_thicker():
    truth = np.zeros((3, 10, 22), dtype=np.uint16)
    truth[1, 1, 1:21] = 1
    truth[1, 5:9, 1:5] = 1
    truth[0, 1:6, 1] = 1  # joins them in another slice
    drawn = np.argwhere(robot_strokes(truth, np.zeros_like(truth)))
    assert set(drawn[:, 0].tolist()) == {1} and set(drawn[:, 1].tolist()) == {1} and len(drawn) == 15


def test_the_organ_robot_draws_in_axial_slices_only():
    truth = np.zeros((9, 5, 9), dtype=bool)
    truth[1:8, 2, 1:8] = True  # a coronal plate: the best view is not axial
    (stroke,) = robot_organ_strokes(truth, np.zeros(truth.shape, dtype=np.uint16), 3)
    assert len(set(stroke.kji[:, 0].tolist())) == 1
    assert stroke.kji[0].tolist() == [1, 2, 1] and len(stroke.kji) == 7


def test_the_organ_robot_takes_missed_and_false_parts_by_size():
    truth = np.zeros((1, 11, 20), dtype=bool)
    prediction = np.zeros(truth.shape, dtype=np.uint16)
    truth[0, 1, 1:9] = True  # missed, 8 voxels
    prediction[0, 4, 1:13] = 3  # false, 12 voxels
    truth[0, 7, 1:11] = True  # missed, 10 voxels
    prediction[0, 10, 1:7] = 3  # false, 6 voxels
    strokes = robot_organ_strokes(truth, prediction, 3)
    assert [(int(s.kji[0, 1]), s.label, s.forbidden) for s in strokes] == [(4, 3, True), (7, 3, False), (1, 3, False)]
    assert len(robot_organ_strokes(truth, prediction, 3, max_strokes=9)) == 4
    assert len(robot_organ_strokes(truth, prediction, 3, max_strokes=9, min_voxels=7)) == 3


def test_a_thin_rim_around_the_organ_can_be_overlooked():
    truth = np.zeros((1, 20, 20), dtype=bool)
    truth[0, 2:18, 2:18] = True
    prediction = np.zeros(truth.shape, dtype=np.uint16)
    prediction[0, 3:17, 3:17] = 3
    prediction[0, 8:13, 3:8] = 0  # besides a rim of one voxel, a notch of 5 x 5 is missing
    (stroke,) = robot_organ_strokes(truth, prediction, 3, rim_voxels=1)
    rows, columns = stroke.kji[:, 1], stroke.kji[:, 2]
    assert rows.min() >= 9 and rows.max() <= 11 and columns.max() <= 6
    prediction[0, 8:13, 3:8] = 3
    assert len(robot_organ_strokes(truth, prediction, 3)) == 1
    assert robot_organ_strokes(truth, prediction, 3, rim_voxels=1) == []


def test_at_equal_size_the_missed_part_comes_first():
    truth = np.zeros((1, 5, 9), dtype=bool)
    prediction = np.zeros(truth.shape, dtype=np.uint16)
    prediction[0, 0, 1:8] = 3
    truth[0, 4, 1:8] = True
    assert [s.forbidden for s in robot_organ_strokes(truth, prediction, 3)] == [False, True]


def test_a_false_part_can_be_answered_with_the_labels_it_should_have():
    truth = np.zeros((1, 3, 9), dtype=bool)
    prediction = np.zeros(truth.shape, dtype=np.uint16)
    prediction[0, 1, 1:8] = 3
    strokes = robot_organ_strokes(truth, prediction, 3, replacement=lambda kji: np.where(kji[:, 2] < 4, 0, 6))
    assert [(s.label, s.forbidden, s.kji[:, 2].tolist()) for s in strokes] == [
        (0, False, [1, 2, 3]),
        (6, False, [4, 5, 6, 7]),
    ]
    assert stroke_map(strokes, truth.shape)[0, 1].tolist() == [0, 255, 255, 255, 6, 6, 6, 6, 0]


def test_a_stroke_that_only_forbids_cannot_become_a_label_map():
    with pytest.raises(InputError, match="replacement"):
        stroke_map([Stroke(np.zeros((1, 3), dtype=int), 3, forbidden=True)], (1, 1, 1))


@pytest.mark.parametrize("seed", range(4))
def test_organ_strokes_lie_on_errors_of_the_organ_only(seed):
    truth, prediction = random_case(seed)
    for stroke in robot_organ_strokes(truth == 2, prediction, 2, max_strokes=20):
        at = tuple(stroke.kji.T)
        assert (truth[at] == 2).all() != stroke.forbidden
        assert (prediction[at] == 2).all() == stroke.forbidden


def test_the_same_case_gives_the_same_strokes():
    truth, prediction = random_case(1)
    assert np.array_equal(robot_strokes(truth, prediction), robot_strokes(truth.copy(), prediction.copy()))
    first, second = (robot_organ_strokes(truth == 1, prediction, 1) for _ in range(2))
    assert all(np.array_equal(a.kji, b.kji) for a, b in zip(first, second))


def test_arrays_of_different_shapes_are_refused():
    with pytest.raises(InputError, match="equal"):
        robot_strokes(np.zeros((2, 2, 2), dtype=int), np.zeros((2, 2, 3), dtype=int))


def test_label_255_is_refused_because_it_means_background():
    truth = np.full((2, 3, 3), 255, dtype=np.uint16)
    with pytest.raises(InputError, match="255"):
        robot_strokes(truth, np.zeros_like(truth))
