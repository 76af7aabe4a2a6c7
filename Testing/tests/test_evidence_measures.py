"""What is measured of every round: harm by distance, other classes, the hand's gestures and the time they take."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evidence_case_examples import blocks, tiny_case

from InteractiveRefineLib.robot import Stroke
from Testing.evidence.harm import harm_by_distance, others_changed_ml, volume_changes_ml
from Testing.evidence.method import Drawn, Method, Prompts
from Testing.evidence.play import as_json, play
from Testing.evidence.robot_user import RobotUser
from Testing.evidence.user_time import Gestures, gestures, seconds_of


def row_case(n=40, **choices):
    """One row of voxels along I, all truly background and called so."""
    return tiny_case(np.zeros((1, 1, n), dtype=int), classes=1, **choices)


def mark(shape, *voxels):
    """(K, J, I) bool with some voxels set."""
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(np.array(voxels).T)] = True
    return mask


def test_harm_is_sorted_by_the_distance_from_the_nearest_stroke():
    case = row_case()
    labels = np.zeros_like(case.truth)
    labels[0, 0, [0, 5, 6, 10, 11, 20, 21, 30, 31, 39]] = 1
    # The upper ends 5, 10, 20 and 30 mm belong to the nearer class.
    ml = 1e-3
    assert harm_by_distance(case, labels, mark(labels.shape, (0, 0, 0))) == [2 * ml] * 5


def test_harm_is_measured_in_millimeters_and_milliliters_of_an_anisotropic_scan():
    case = tiny_case(np.zeros((5, 5, 5), dtype=int), classes=1, spacing=(8.0, 1.0, 3.0))
    labels = np.zeros_like(case.truth)
    labels[1, 0, 0] = labels[0, 4, 0] = labels[0, 0, 4] = 1  # 8, 4 and 12 mm away
    assert harm_by_distance(case, labels, mark(labels.shape, (0, 0, 0))) == [0.024, 0.024, 0.024, 0, 0]


def test_far_from_one_stroke_is_near_to_another():
    case = row_case()
    labels = np.zeros_like(case.truth)
    labels[0, 0, 33] = 1
    assert harm_by_distance(case, labels, mark(labels.shape, (0, 0, 0), (0, 0, 35))) == [0.001, 0, 0, 0, 0]


def test_only_what_was_right_can_be_harmed():
    truth = np.zeros((1, 1, 4), dtype=int)
    truth[0, 0, 2:] = 1
    case = tiny_case(truth, [[[0, 1, 1, 0]]], classes=2)
    labels = np.array([[[2, 2, 2, 2]]])  # was: right, wrong, right, wrong
    assert sum(harm_by_distance(case, labels, labels > 9)) == pytest.approx(0.002)
    assert harm_by_distance(case, labels, labels > 9)[-1] == pytest.approx(0.002), "without a stroke all is far"
    assert harm_by_distance(case, truth, labels > 9) == [0] * 5


def organ_case():
    """Label 1 is scored, 2 and 3 are other organs; voxel by voxel: truth and start."""
    truth = [[[1, 1, 0, 0, 2, 2, 3, 0, 0]]]
    start = [[[1, 2, 1, 1, 2, 2, 3, 0, 0]]]
    return tiny_case(truth, start, classes=3, scored=(1,), style="organ")


@pytest.mark.parametrize(
    ("labels", "voxels", "why"),
    [
        ([1, 2, 1, 1, 2, 2, 3, 0, 0], 0, "nothing changed"),
        ([1, 1, 0, 0, 2, 2, 3, 0, 0], 0, "all as it should be"),
        ([1, 3, 1, 1, 2, 2, 3, 0, 0], 0, "the organ's own place, whatever became of it, is in its Dice"),
        ([1, 2, 2, 3, 2, 2, 3, 0, 0], 0, "what was falsely the organ has to become something else"),
        ([1, 2, 1, 1, 1, 2, 3, 0, 0], 1, "taken from another organ by the scored one"),
        ([1, 2, 1, 1, 0, 2, 3, 0, 0], 1, "lost by another organ"),
        ([1, 2, 1, 1, 3, 2, 3, 0, 0], 1, "from one other organ to another"),
        ([1, 2, 1, 1, 2, 2, 3, 2, 0], 1, "gained by another organ"),
        ([1, 2, 1, 1, 2, 2, 3, 1, 0], 0, "background that became the organ is in its Dice"),
    ],
)
def test_other_organs_should_stay_as_they_were(labels, voxels, why):
    assert others_changed_ml(organ_case(), np.array([[labels]])) == pytest.approx(voxels / 1000), why


def test_the_volumes_of_other_classes_are_told_before_and_after():
    labels = np.array([[[1, 1, 2, 2, 2, 2, 2, 0, 0]]])
    assert volume_changes_ml(organ_case(), labels) == {2: (0.003, 0.005), 3: (0.001, 0.0)}
    assert volume_changes_ml(row_case(), np.ones((1, 1, 40), dtype=int)) == {}


def line(label, *voxels):
    return Stroke(np.array(voxels), label)


SHAPE, SPACING = (10, 40, 20), (5.0, 1.0, 1.0)


def test_a_strokes_length_is_measured_along_its_voxels_and_on_the_screen():
    straight = line(1, (3, 5, 5), (3, 5, 6), (3, 6, 7), (3, 6, 8))
    found = gestures([straight], SHAPE, SPACING)
    # An axial slice of 40 x 20 mm is shown 20 cm large.
    assert found == Gestures(marks=1, millimeters=3.41, centimeters=1.707, classes=1)
    upright = line(1, (3, 5, 5), (4, 6, 5), (5, 7, 5))  # lies in a sagittal slice of 50 x 40 mm
    found = gestures([upright], SHAPE, SPACING)
    assert found.millimeters == 10.2 and found.centimeters == pytest.approx(10.198 * 20 / 50, abs=1e-3)


def test_a_branch_is_drawn_once():
    cross = line(1, (0, 5, 3), (0, 5, 4), (0, 5, 5), (0, 5, 6), (0, 5, 7), (0, 4, 5), (0, 6, 5))
    assert gestures([cross], SHAPE, SPACING).millimeters == 6.0


def test_points_and_boxes_have_no_length():
    for kind in ("point", "box"):
        assert gestures([line(1, (3, 5, 5), (3, 5, 6))], SHAPE, SPACING, kind).millimeters == 0


def test_changes_of_slice_view_and_class_are_counted():
    strokes = [
        line(1, (3, 5, 5), (3, 6, 6)),  # axial slice 3
        line(1, (3, 9, 5), (3, 9, 6)),  # straight: in axial slice 3, and in a coronal one
        line(2, (4, 5, 5), (4, 6, 6)),  # another slice, another class
        line(0, (4, 7, 5), (5, 7, 6)),  # coronal slice 7: another view, another class
        line(0, (6, 7, 5)),  # a dot: still in coronal slice 7
    ]
    found = gestures(strokes, SHAPE, SPACING)
    assert (found.marks, found.classes, found.slices, found.views) == (5, 3, 1, 1)


def test_what_lies_in_no_single_slice_is_begun_in_the_axial_one_of_its_middle():
    box = line(1, *np.argwhere(np.ones((3, 3, 3))) + 4)
    found = gestures([box, line(1, (5, 1, 1), (5, 2, 2))], SHAPE, SPACING, "box")
    assert (found.slices, found.views) == (0, 0)


def test_seconds_add_up_from_the_stated_constants():
    stroke = Gestures(marks=2, millimeters=30, centimeters=10, classes=2, slices=1, views=0)
    # Look 5, two classes 1.3 each, a slice 2, twice (decide 1.35, point 1.1, press 0.2, line 0.9), 10 cm, start 1.3.
    assert seconds_of(stroke) == pytest.approx(5 + 2.6 + 2 + 2 * 3.55 + 1.6 + 1.3)
    assert seconds_of(Gestures(marks=1, classes=1), "point") == pytest.approx(5 + 1.3 + 2.65 + 1.3)
    assert seconds_of(Gestures(marks=1, classes=1, views=1), "box") == pytest.approx(5 + 1.3 + 4 + 3.75 + 1.3)
    assert seconds_of(Gestures()) == 0


class _Stubborn:
    """Learns nothing, and writes down what it was told."""

    def __init__(self) -> None:
        self.told: list[Drawn] = []

    def refine(self, drawn: Drawn, labels: np.ndarray) -> np.ndarray:
        self.told.append(drawn)
        return np.zeros_like(labels)


def test_all_that_is_told_is_painted_and_counted():
    case, session = blocks(2), _Stubborn()
    rounds, labels = play(case, Method("stubborn", lambda case: session), RobotUser(), 3)
    told = session.told[-1]
    assert len(rounds) == 4 and len(session.told) == 3 and len(told.rounds) == len(told.prompts) == 3
    assert np.array_equal(labels, np.where(told.all > 0, told.all, 0))
    assert [r.voxels for r in rounds] == [0, *(int((one >= 0).sum()) for one in told.rounds)]
    # It leaves everything wrong that should not be background.
    assert rounds[-1].disobeyed == (told.all > 0).sum() and rounds[0].disobeyed == 0
    assert [r.user_seconds for r in rounds] == pytest.approx([seconds_of(r.gestures) for r in rounds], abs=0.01)
    assert rounds[-1].user_seconds > 15
    assert [r.gestures.marks for r in rounds] == [r.strokes for r in rounds] == [0, 4, 3, 3]


def test_methods_get_points_and_boxes_as_such():
    for kind in ("point", "box"):
        case, session = blocks(2), _Stubborn()
        play(case, Method("stubborn", lambda case: session), RobotUser(kind), 1)  # noqa: B023
        asked = RobotUser(kind).draw(case, case.start, 1)
        prompts = session.told[0].prompts[0]
        assert np.array_equal(prompts.painted, asked.painted)
        assert (prompts.points, prompts.boxes) == (asked.points, asked.boxes)


def test_the_latest_word_counts():
    first, second = np.full((1, 1, 3), -1, dtype=np.int16), np.full((1, 1, 3), -1, dtype=np.int16)
    first[0, 0, :2], second[0, 0, 1:] = 2, 0
    drawn = Drawn.nothing((1, 1, 3)).and_then(first).and_then(second, Prompts(first))
    assert drawn.all.tolist() == [[[2, 0, 0]]] and drawn.prompts[1].painted is first
    assert drawn.prompts[0].painted is first and not drawn.prompts[0].points


def test_when_nothing_is_left_to_correct_the_rounds_repeat_the_last():
    case = blocks(3)

    asked = []

    class Perfect:
        def refine(self, drawn, labels):
            asked.append(drawn)
            return case.truth

    rounds, labels = play(case, Method("perfect", lambda case: Perfect()), RobotUser(), 4)
    assert [r.strokes > 0 for r in rounds] == [False, True, False, False, False]
    assert np.array_equal(labels, case.truth) and rounds[-1].dice == {1: 1.0, 2: 1.0, 3: 1.0}
    assert rounds[-1].user_seconds == 0 and len(asked) == 1


def test_a_result_can_be_stored_as_json():
    case = organ_case()
    rounds, _ = play(case, Method("stubborn", lambda case: _Stubborn()), RobotUser(length=2), 1)
    stored = json.loads(json.dumps(as_json(case, Method("stubborn", lambda case: _Stubborn()), rounds)))
    assert stored["names"] == {"1": "class 1"} and stored["rounds"][0]["dice"].keys() == {"1"}
    assert stored["rounds"][0]["volumes_ml"] == {"2": [0.003, 0.003], "3": [0.001, 0.001]}
    assert stored["rounds"][0]["gestures"]["marks"] == 0


def test_the_machines_time_is_the_methods_with_its_preparation_and_without_the_robots(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    class Slow:
        def refine(self, drawn, labels):
            clock[0] += 10
            return labels

    def begin(case):
        clock[0] += 100
        return Slow()

    class Thoughtful(RobotUser):
        def draw(self, case, labels, number):
            clock[0] += 1000
            return super().draw(case, labels, number)

    rounds, _ = play(blocks(2), Method("slow", begin), Thoughtful(), 2)
    assert [r.machine_seconds for r in rounds] == [0, 110, 10]
