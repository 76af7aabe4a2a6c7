"""Prompts from files: our own form and Slicer's markups, and a clear word about what is wrong in them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.prompt_files import read_boxes, read_points
from InteractiveRefineLib.prompts import Box, Point

LABELS = {"liver": 3, "right kidney": 5, "F": 9}


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "prompts.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


def fiducials(*controls, name="list", **node):
    return {"markups": [{"type": "Fiducial", "name": name, "controlPoints": list(controls), **node}]}


def roi(**changes):
    node = {
        "type": "ROI",
        "name": "liver",
        "coordinateSystem": "LPS",
        "center": [10, 20, 30],
        "size": [2, 4, 6],
        "orientation": [-1, 0, 0, 0, -1, 0, 0, 0, 1],
        "controlPoints": [{"label": "R-1", "position": [10, 20, 30]}],
    }
    return {"markups": [{**node, **changes}]}


def test_points_of_our_own_form_are_read(file):
    path = file(
        {"points": [{"ras": [1, 2, 3], "label": 4}, {"ras": [0, 0, 0], "label": "liver", "radius_mm": 2, "not": True}]}
    )
    assert read_points(path, LABELS.__getitem__, radius_mm=0.5) == [
        Point((1, 2, 3), 4, 0.5),
        Point((0, 0, 0), 3, 2.0, forbid=True),
    ]


def test_boxes_of_our_own_form_are_read(file):
    path = file({"boxes": [{"corners": [[1, 2, 3], [4, 5, 6]], "label": "background"}]})
    assert read_boxes(path) == [Box((1, 2, 3), (4, 5, 6), 0)]


@pytest.mark.parametrize(("system", "signs"), [("LPS", (-1, -1, 1)), ("RAS", (1, 1, 1)), (None, (-1, -1, 1))])
def test_points_of_slicer_are_turned_into_ras(file, system, signs):
    node = {"coordinateSystem": system} if system else {}
    path = file(fiducials({"label": "liver", "position": [1, 2, 3]}, **node))
    assert read_points(path, LABELS.__getitem__) == [Point(tuple(np.array([1, 2, 3]) * signs), 3)]


@pytest.mark.parametrize(
    ("label", "name", "expected"),
    [
        ("liver", "right kidney", (3, False)),
        ("liver-12", "right kidney", (3, False)),
        ("unknown-1", "right kidney", (5, False)),
        ("not liver", "right kidney", (3, True)),
        ("unknown-1", "not right kidney", (5, True)),
        ("Background", "liver", (0, False)),
        ("7", "liver", (7, False)),
        ("", "liver_2", (3, False)),
    ],
)
def test_the_text_of_a_slicer_point_or_else_of_its_list_names_the_class(file, label, name, expected):
    (point,) = read_points(file(fiducials({"label": label, "position": [1, 2, 3]}, name=name)), LABELS.__getitem__)
    assert (point.label, point.forbid) == expected


def test_slicer_points_that_were_not_placed_yet_are_left_out(file):
    ghost = {"label": "liver", "position": [0, 0, 0], "positionStatus": "undefined"}
    assert read_points(file(fiducials(ghost)), LABELS.__getitem__) == []


def test_an_roi_of_slicer_is_read_with_its_center_flipped_to_ras(file):
    assert read_boxes(file(roi()), LABELS.__getitem__) == [Box((-11, -22, 27), (-9, -18, 33), 3)]
    assert read_boxes(file(roi(coordinateSystem="RAS")), LABELS.__getitem__) == [Box((9, 18, 27), (11, 22, 33), 3)]


def test_an_roi_turned_by_a_quarter_has_its_sides_exchanged(file):
    path = file(roi(orientation=[0, -1, 0, 1, 0, 0, 0, 0, 1]))
    assert read_boxes(path, LABELS.__getitem__) == [Box((-12, -21, 27), (-8, -19, 33), 3)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"prompts\.json is not JSON \(.*\). Expected \{\"points\""),
        ([], r"the file is \[\], but expected is an object"),
        ({"dots": []}, r'"points" is null, but expected is a list'),
        ({"points": [[1, 2, 3]]}, r"points\[0\] is \[1, 2, 3\], but expected is an object with the keys label, ras"),
        ({"points": [{"ras": [1, 2, 3], "label": 1, "radius": 2}]}, r"points\[0\] .* radius_mm \(may be missing\)"),
        ({"points": [{"ras": [1, 2], "label": 1}]}, r"points\[0\]\.ras is \[1, 2\], but expected is three numbers"),
        ({"points": [{"ras": [1, 2, "3"], "label": 1}]}, r'points\[0\]\.ras\[2\] is "3", but expected is a number'),
        ({"points": [{"ras": [1, 2, 3], "label": "spleen"}]}, r'points\[0\]\.label is "spleen", .* known class'),
        (
            {"points": [{"ras": [1, 2, 3], "label": 1, "not": 1}]},
            r"points\[0\]\.not is 1, but expected is true or false",
        ),
        ({"points": [{"ras": [1, 2, 3], "label": 1, "radius_mm": -1}]}, r"points\[0\]: radius_mm must lie between"),
        (roi(), r'markups is \["ROI"\], but expected is a point list'),
        (fiducials({"label": "what", "position": [1, 2, 3]}), r'markups\[0\]\.controlPoints\[0\]\.label is "what"'),
        (fiducials({"label": "liver"}), r"controlPoints\[0\]\.position is null"),
    ],
)
def test_a_malformed_points_file_is_named_with_key_value_and_form(file, content, message):
    path = file(content)
    with pytest.raises(InputError, match=message) as error:
        read_points(path, LABELS.__getitem__)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"boxes": [{"corners": [[1, 2, 3]], "label": 1}]}, r"boxes\[0\]\.corners is .* two opposite corners"),
        ({"boxes": [{"corners": [[1, 2, 3], [1, 2, 3]], "label": 1}]}, r"boxes\[0\]: A box needs some extent"),
        (roi(orientation=[0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1]), r"orientation .* reset its rotation in Slicer"),
        (roi(orientation=[1, 0]), r"orientation is \[1, 0\], but expected is nine numbers"),
        (roi(coordinateSystem="IJK"), r'coordinateSystem is "IJK", but expected is "LPS" or "RAS"'),
        (roi(coordinateUnits="um"), r'coordinateUnits is "um", but expected is "mm"'),
        (roi(size=None), r"size is null, but expected is three numbers"),
        (roi(insideOut=True), "turn off Inside out"),
        (roi(name="not liver"), 'a box cannot mean "not"'),
        (fiducials(), r'markups is \["Fiducial"\], but expected is an ROI'),
    ],
)
def test_a_malformed_boxes_file_is_named_with_key_value_and_form(file, content, message):
    with pytest.raises(InputError, match=message):
        read_boxes(file(content), LABELS.__getitem__)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json cannot be read"):
        read_points(tmp_path / "nowhere.json")
