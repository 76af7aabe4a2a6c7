"""Brush outline and trail have their true size and place at every zoom, and are quick to draw."""

import time

import numpy as np
import pytest

from Testing.tests.effect_examples import Refine
from Testing.tests.grid_examples import rotation


@pytest.fixture
def refine(editor):
    found = Refine(editor)
    editor.center_views(found.ras(8, 10, 12))
    return found


def drawing(refine, part, view="Red"):
    """The outline or trail of a view."""
    return getattr(refine.effect.drawing._overlays[refine.editor.view(view)], part)


def visible(part):
    return bool(part.actor.GetVisibility())


def points(part):
    """(N, 2) pixels of all corners."""
    points = part.actor.GetMapper().GetInput().GetPoints()
    return np.array([points.GetPoint(n)[:2] for n in range(points.GetNumberOfPoints())])


def color(part):
    return tuple(round(value, 6) for value in part.actor.GetProperty().GetColor())


def segment_color(refine, name):
    segment = refine.editor.segmentationNode.GetSegmentation().GetSegment(name)
    return tuple(round(value, 6) for value in segment.GetColor())


def zoom(refine, field_of_view, view="Red"):
    node = refine.editor.view(view).mrmlSliceNode()
    node.SetFieldOfView(field_of_view, field_of_view, 1.0)
    node.UpdateMatrices()


@pytest.mark.parametrize("field_of_view", [25.0, 100.0, 300.0])
def test_the_brush_has_its_diameter_in_mm_around_the_cursor(refine, field_of_view):
    zoom(refine, field_of_view)
    refine.set("BrushDiameterMm", 12.0)
    refine.editor.hover("Red", refine.ras(8, 10, 14))
    corners = points(drawing(refine, "outline"))
    per_mm = 400 / field_of_view
    place = np.array(refine.editor.position("Red", refine.ras(8, 10, 14)))
    np.testing.assert_allclose(np.linalg.norm(corners - place, axis=1), 6.0 * per_mm, atol=1e-3)


def test_zooming_and_a_new_brush_size_resize_it_while_the_mouse_rests(refine):
    refine.set("BrushDiameterMm", 10.0)
    refine.editor.hover("Red", refine.ras(8, 10, 12))
    sizes = [np.ptp(points(drawing(refine, "outline"))[:, 0])]
    zoom(refine, 50.0)
    sizes.append(np.ptp(points(drawing(refine, "outline"))[:, 0]))
    refine.set("BrushDiameterMm", 5.0)
    sizes.append(np.ptp(points(drawing(refine, "outline"))[:, 0]))
    np.testing.assert_allclose(sizes, [40.0, 80.0, 40.0], atol=1e-3)


def test_it_shows_what_a_drag_would_say(refine):
    shown = []
    for keys in ({}, {"shift": True}, {"alt": True}):
        refine.editor.hover("Red", refine.ras(8, 10, 12), **keys)
        outline = drawing(refine, "outline")
        shown.append((color(outline), outline.actor.GetMapper().GetInput().GetNumberOfLines()))
    liver = segment_color(refine, "liver")
    assert shown == [(liver, 1), ((0.1, 0.85, 1.0), 1), (liver, 2)]  # the second line strikes it through
    refine.editor.select("spleen")
    refine.editor.hover("Red", refine.ras(8, 10, 12))
    assert color(drawing(refine, "outline")) == segment_color(refine, "spleen") != liver


def test_only_the_view_under_the_mouse_has_a_brush(refine):
    refine.editor.hover("Red", refine.ras(8, 10, 12))
    assert visible(drawing(refine, "outline"))
    refine.editor.hover("Green", refine.ras(8, 10, 12))
    assert not visible(drawing(refine, "outline"))
    assert visible(drawing(refine, "outline", "Green"))
    refine.editor.leave("Green")
    assert not visible(drawing(refine, "outline", "Green"))


def press_and_move(refine, *voxels, view="Red"):
    places = [refine.editor.position(view, refine.ras(*voxel)) for voxel in voxels]
    refine.editor.send(view, "LeftButtonPressEvent", places[0])
    for place in places[1:]:
        refine.editor.send(view, "MouseMoveEvent", place)
    return np.array(places)


def test_the_trail_covers_what_the_brush_passed_over_and_goes_when_the_stroke_is_there(refine):
    refine.set("BrushDiameterMm", 8.0)
    places = press_and_move(refine, (8, 10, 9), (8, 10, 12), (8, 12, 15))
    trail = drawing(refine, "trail")
    assert visible(trail) and color(trail) == segment_color(refine, "liver")
    corners = points(trail)
    apart = distance_to_path(corners, places)
    assert apart.max() <= 16.0 + 1e-3 and apart.min() >= 0.0
    np.testing.assert_allclose(np.ptp(corners, axis=0), np.ptp(places, axis=0) + 32.0, atol=0.2)
    refine.editor.send("Red", "LeftButtonReleaseEvent", places[-1])
    assert not visible(trail)
    assert len(refine.strokes) == 1


def distance_to_path(corners, places):
    found = np.full(len(corners), np.inf)
    for a, b in zip(places, places[1:]):
        share = np.clip((corners - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        found = np.minimum(found, np.linalg.norm(corners - a - share[:, None] * (b - a), axis=1))
    return found


def test_the_trail_keeps_its_place_in_the_patient_when_the_view_is_zoomed(refine):
    press_and_move(refine, (8, 10, 10), (8, 10, 14))
    before = points(drawing(refine, "trail"))
    zoom(refine, 50.0)
    after = points(drawing(refine, "trail"))
    np.testing.assert_allclose(after - 200.0, (before - 200.0) * 2.0, atol=1e-3)


def test_a_trail_stays_on_the_slice_on_which_it_was_drawn(refine):
    places = press_and_move(refine, (8, 10, 10), (8, 10, 14))
    node = refine.editor.view("Red").mrmlSliceNode()
    node.SetSliceOffset(node.GetSliceOffset() + 2.0)
    assert not visible(drawing(refine, "trail"))
    refine.editor.send("Red", "MouseMoveEvent", places[0])
    assert visible(drawing(refine, "trail"))
    assert np.ptp(points(drawing(refine, "trail"))[:, 0]) < 40  # a dab, nothing of the other slice


def test_in_an_oblique_view_the_brush_is_a_circle_as_well(refine):
    turn = rotation(0.4, 0.7, 0.1)
    refine.editor.tilt("Red", turn[:, 2], turn[:, 0])
    refine.set("BrushDiameterMm", 10.0)
    refine.editor.hover("Red", refine.ras(8, 10, 12))
    corners = points(drawing(refine, "outline"))
    place = np.array(refine.editor.position("Red", refine.ras(8, 10, 12)))
    np.testing.assert_allclose(np.linalg.norm(corners - place, axis=1), 20.0, atol=1e-3)


def test_box_mode_shows_the_rectangle_and_no_brush(refine):
    refine.set("InputMode", "Box")
    refine.editor.hover("Red", refine.ras(8, 10, 12))
    assert not visible(drawing(refine, "outline"))
    places = press_and_move(refine, (8, 8, 9), (8, 12, 15))
    corners = points(drawing(refine, "trail"))
    assert visible(drawing(refine, "trail"))
    assert corners.min(axis=0) == pytest.approx(places.min(axis=0))
    assert corners.max(axis=0) == pytest.approx(places.max(axis=0))


def test_escape_and_another_slice_view_leave_no_trail(refine):
    press_and_move(refine, (8, 10, 10), (8, 10, 14))
    refine.editor.press_key("Red", "Escape")
    assert not visible(drawing(refine, "trail"))
    assert points(drawing(refine, "trail")).size == 0


@pytest.mark.slow
def test_on_a_large_scan_drawing_follows_the_mouse(refine):
    volume = refine.editor.add_volume(np.zeros((300, 512, 512), np.int16), "large", spacing=(0.7, 0.7, 1.0))
    refine.editor.widget.setSourceVolumeNode(volume)
    refine.set("ShowGrown", 0)
    center = np.array([180.0, 180.0, 150.0])
    refine.editor.center_views(center)
    for view in ("Red", "Yellow"):
        zoom(refine, 300.0, view)
    turn = rotation(0.4, 0.7, 0.1)
    for name, diameter, tilted in (("small brush, axial", 4.0, False), ("large brush, oblique", 40.0, True)):
        if tilted:
            refine.editor.tilt("Red", turn[:, 2], turn[:, 0])
        refine.set("BrushDiameterMm", diameter)
        moves, releases = [], []
        for _ in range(3):
            refine.editor.send("Red", "LeftButtonPressEvent", (120, 200))
            for step in range(60):
                place = (120 + 3 * step, 200 + round(40 * np.sin(step / 8)))
                start = time.perf_counter()
                refine.editor.send("Red", "MouseMoveEvent", place)
                moves.append(time.perf_counter() - start)
            start = time.perf_counter()
            refine.editor.send("Red", "LeftButtonReleaseEvent", place)
            releases.append(time.perf_counter() - start)
        print(
            f"\n  drawing on 512x512x300, {name}: {1000 * np.median(moves):.1f} ms a move (longest "
            f"{1000 * max(moves):.1f}), {1000 * np.median(releases):.0f} ms at the end of a stroke"
        )
        assert np.median(moves) < 0.03
    assert len(refine.strokes) == 6
