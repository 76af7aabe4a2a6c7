"""The mouse in the slice views becomes strokes: which voxels, for which segment, and what Undo takes back."""

import numpy as np
import pytest

from Testing.tests.effect_examples import PLUS, Refine

VIEWS = {"Red": 0, "Yellow": 2, "Green": 1}  # view -> array axis (K, J, I) that it looks along


@pytest.fixture
def refine(editor):
    return Refine(editor)


def line(start, along, length, across):
    """What a drag over `length` more voxels marks: the row and its neighbors in the slice, and one at each end."""
    third = 3 - across - along
    voxels = set()
    for step in range(-1, length + 2):
        for side in (-1, 0, 1):
            if side == 0 or 0 <= step <= length:
                voxel = np.array(start)
                voxel[along] += step
                voxel[third] += side
                voxels.add(tuple(voxel.tolist()))
    return voxels


def drag_row(refine, k=8, j=10, first=10, last=14, view="Red", **keys):
    refine.editor.center_views(refine.ras(k, j, first))
    refine.editor.drag(view, [refine.ras(k, j, first), refine.ras(k, j, last)], **keys)


@pytest.mark.parametrize("view", VIEWS)
def test_a_left_drag_draws_a_stroke_of_the_selected_segment_in_every_view(refine, view):
    along, across = (1 if view == "Yellow" else 2), VIEWS[view]
    start = np.array([8, 10, 12])
    refine.editor.center_views(refine.ras(*start))
    end = start + 4 * np.eye(3, dtype=int)[along]
    refine.editor.drag(view, [refine.ras(*start), refine.ras(*end)])
    assert refine.said() == [("liver", "class", "stroke")]
    assert refine.voxels() == line(start, along, 4, across)


def test_the_next_segment_needs_no_other_step_than_selecting_it(refine):
    drag_row(refine)
    refine.editor.select("spleen")
    drag_row(refine, k=3)
    refine.editor.select("liver")
    drag_row(refine, k=12)
    assert [target for target, _, _ in refine.said()] == ["liver", "spleen", "liver"]
    assert refine.voxels(1) == line((3, 10, 10), 2, 4, 0)


@pytest.mark.parametrize(
    ("keys", "chosen", "said"),
    [
        ({}, "Segment", ("liver", "class", "stroke")),
        ({"shift": True}, "Segment", ("background", "class", "stroke")),
        ({"alt": True}, "Segment", ("liver", "not", "stroke")),
        ({}, "NotSegment", ("liver", "not", "stroke")),
        ({}, "Background", ("background", "class", "stroke")),
        ({"shift": True}, "NotSegment", ("background", "class", "stroke")),
    ],
)
def test_keys_and_the_panel_s_switch_decide_what_a_drag_says(refine, keys, chosen, said):
    refine.set("MarkAs", chosen)
    drag_row(refine, **keys)
    assert refine.said() == [said]
    assert refine.voxels() == line((8, 10, 10), 2, 4, 0)


@pytest.mark.parametrize("keys", [{"control": True}, {"shift": True, "alt": True}, {"control": True, "alt": True}])
def test_drags_that_slicer_uses_itself_reach_it_untouched(refine, keys):
    drag_row(refine, **keys)
    assert refine.strokes == []
    assert refine.editor.strangers == [
        "MouseMoveEvent", "LeftButtonPressEvent", "MouseMoveEvent", "LeftButtonReleaseEvent"
    ]  # fmt: skip


@pytest.mark.parametrize("keys", [{}, {"shift": True}, {"alt": True}])
def test_nobody_else_hears_of_our_drag_but_moves_before_it_are_left_to_all(refine, keys):
    drag_row(refine, **keys)
    assert refine.editor.strangers == ["MouseMoveEvent"]  # the one before the button went down


def test_right_and_middle_button_and_plain_wheel_stay_slicer_s(refine):
    heard = []
    interactor = refine.editor.view("Red").sliceView().interactor()
    events = ["RightButtonPressEvent", "RightButtonReleaseEvent", "MiddleButtonPressEvent", "MouseWheelForwardEvent"]
    for event in events:
        interactor.AddObserver(event, lambda caller, name: heard.append(name), 0.0)
    for event in events:
        refine.editor.send("Red", event, (200, 200))
    assert heard == events


def test_a_click_is_a_point_with_the_ball_of_the_brush(refine):
    refine.editor.center_views(refine.ras(8, 10, 12))
    refine.editor.click("Red", refine.ras(8, 10, 12))
    assert refine.said() == [("liver", "class", "point")]
    assert refine.voxels() == {(8 + c, 10 + a, 12 + b) for a, b in PLUS for c in (0,)} | {(7, 10, 12), (9, 10, 12)}


def test_a_hand_that_trembles_by_two_pixels_still_clicks(refine):
    for event, place in (("Press", (200, 200)), ("MouseMove", (201, 201)), ("Release", (201, 201))):
        refine.editor.send("Red", f"LeftButton{event}Event" if event != "MouseMove" else "MouseMoveEvent", place)
    refine.editor.send("Red", "LeftButtonPressEvent", (200, 200))
    refine.editor.send("Red", "MouseMoveEvent", (203, 200))
    refine.editor.send("Red", "LeftButtonReleaseEvent", (200, 200))
    assert [source for _, _, source in refine.said()] == ["point", "stroke"]


def test_the_second_of_two_quick_clicks_is_a_point_as_well_and_does_not_maximize_the_view(refine):
    heard = []
    interactor = refine.editor.view("Red").sliceView().interactor()
    interactor.AddObserver("LeftButtonDoubleClickEvent", lambda caller, event: heard.append(event), 0.0)
    refine.editor.click("Red", refine.ras(8, 10, 12))
    refine.editor.send("Red", "LeftButtonDoubleClickEvent", (150, 200))
    refine.editor.send("Red", "LeftButtonReleaseEvent", (150, 200))
    assert [source for _, _, source in refine.said()] == ["point", "point"]
    assert heard == []


def test_a_drag_over_two_slices_marks_both_and_nothing_between_where_it_was_not(refine):
    editor = refine.editor
    editor.center_views(refine.ras(8, 10, 12))
    places = [editor.position("Red", refine.ras(8, 10, i)) for i in (9, 11, 15)]
    editor.send("Red", "LeftButtonPressEvent", places[0])
    editor.send("Red", "MouseMoveEvent", places[1])
    node = editor.view("Red").mrmlSliceNode()
    node.SetSliceOffset(node.GetSliceOffset() + 2.0)
    editor.send("Red", "MouseMoveEvent", places[2])
    editor.send("Red", "LeftButtonReleaseEvent", places[2])
    assert refine.voxels() == line((8, 10, 9), 2, 2, 0) | line((9, 10, 15), 2, 0, 0)


def test_undo_takes_back_one_stroke_at_a_time_and_redo_brings_it_back(refine):
    for k in (3, 6, 9):
        drag_row(refine, k=k)
    drawn = [stroke.indices.tolist() for stroke in refine.strokes]
    seen = []
    for step in (refine.editor.undo, refine.editor.undo, refine.editor.redo, refine.editor.redo, refine.editor.undo):
        step()
        seen.append([stroke.indices.tolist() for stroke in refine.strokes])
    assert seen == [drawn[:2], drawn[:1], drawn[:2], drawn, drawn[:2]]


def test_a_stroke_after_undo_goes_on_from_there(refine):
    drag_row(refine, k=3)
    drag_row(refine, k=6)
    refine.editor.undo()
    drag_row(refine, k=9)
    assert [min(refine.voxels(n))[0] for n in range(2)] == [3, 9]
    refine.editor.undo()
    refine.editor.undo()
    assert refine.strokes == []


def test_strokes_change_no_segment_and_move_no_view(refine):
    views = {name: refine.editor.view(name).mrmlSliceNode() for name in VIEWS}
    refine.editor.center_views(refine.ras(8, 10, 10))
    before = {name: node.GetSliceOffset() for name, node in views.items()}
    refine.editor.drag("Red", [refine.ras(8, 10, 10), refine.ras(8, 10, 14)])
    refine.editor.undo()
    assert {name: node.GetSliceOffset() for name, node in views.items()} == before
    assert not refine.editor.array("liver").any()


def test_escape_during_a_drag_forgets_it_and_the_next_one_works(refine):
    editor = refine.editor
    editor.center_views(refine.ras(8, 10, 12))
    editor.send("Red", "LeftButtonPressEvent", (200, 200))
    editor.send("Red", "MouseMoveEvent", (240, 200))
    editor.press_key("Red", "Escape")
    assert "KeyPressEvent" not in editor.strangers
    editor.send("Red", "MouseMoveEvent", (260, 200))
    editor.send("Red", "LeftButtonReleaseEvent", (260, 200))
    assert refine.strokes == []
    drag_row(refine)
    assert len(refine.strokes) == 1
    editor.press_key("Red", "Escape")  # without a drag it is not ours
    assert "KeyPressEvent" in editor.strangers


def test_with_the_editors_shortcuts_escape_leaves_the_effect_and_forgets_the_stroke_being_drawn(refine):
    editor = refine.editor
    editor.widget.installKeyboardShortcuts()
    drag_row(refine)
    editor.send("Red", "LeftButtonPressEvent", (200, 200))
    editor.send("Red", "MouseMoveEvent", (240, 200))
    assert editor.press_key("Red", "Escape") == "shortcut"
    editor.send("Red", "LeftButtonReleaseEvent", (260, 200))
    assert editor.widget.activeEffect() is None
    assert not refine.effect.drawing.isDragging
    assert len(refine.strokes) == 1, "the one that was finished stays"
    assert "<b>Escape</b> leaves the effect and forgets the stroke being drawn." in refine.effect.helpText()


def test_a_drag_whose_release_got_lost_does_not_go_on_in_another_view(refine):
    refine.editor.send("Red", "LeftButtonPressEvent", (200, 200))
    refine.editor.send("Red", "MouseMoveEvent", (240, 200))
    refine.editor.send("Green", "MouseMoveEvent", (100, 100))
    refine.editor.send("Green", "LeftButtonReleaseEvent", (100, 100))
    assert refine.strokes == []
    assert not refine.effect.drawing.isDragging
    refine.editor.send("Red", "LeftButtonPressEvent", (200, 200))
    refine.editor.send("Green", "LeftButtonReleaseEvent", (100, 100))
    assert refine.strokes == []


def test_leaving_the_effect_during_a_drag_forgets_it(refine):
    refine.editor.send("Red", "LeftButtonPressEvent", (200, 200))
    refine.editor.send("Red", "MouseMoveEvent", (240, 200))
    refine.editor.widget.setActiveEffectByName("")
    refine.editor.send("Red", "LeftButtonReleaseEvent", (240, 200))
    assert refine.strokes == []


def test_what_leaves_the_volume_is_cut_off_and_told(refine):
    drag_row(refine, first=20, last=26)
    assert refine.voxels() == {(8, 10, i) for i in range(19, 24)} | {(8, j, i) for j in (9, 11) for i in range(20, 24)}
    assert refine.messages == ["Partly outside the volume: 10 voxels were left out."]


def test_a_stroke_beside_the_volume_draws_nothing_and_says_so(refine):
    drag_row(refine, first=27, last=30)
    assert refine.strokes == []
    assert refine.messages == ["This lies outside the volume: nothing was drawn."]


def test_without_a_selected_segment_only_background_can_be_drawn(refine):
    refine.editor.select("")
    drag_row(refine)
    assert refine.strokes == []
    assert refine.messages == ["Select a segment to draw strokes for it, or hold Shift to mark background."]
    drag_row(refine, shift=True)
    assert refine.said() == [("background", "class", "stroke")]


def test_without_any_segment_nothing_can_be_drawn(refine):
    refine.editor.segmentationNode.GetSegmentation().RemoveAllSegments()
    drag_row(refine, shift=True)
    assert refine.strokes == []
    assert refine.messages == ["Add a segment first, or let the network segment the volume."]


def test_keys_and_shift_wheel_change_the_brush_within_limits(refine):
    def diameter():
        return float(refine.effect.scriptedEffect.parameter("BrushDiameterMm"))

    refine.set("BrushDiameterMm", 10.0)
    refine.editor.press_key("Red", "plus")
    assert diameter() == 12.0
    refine.editor.wheel("Red", refine.ras(8, 10, 12), forward=False, shift=True)
    assert diameter() == 10.0
    refine.editor.send("Red", "MouseWheelLeftEvent", (200, 200), shift=True)
    assert diameter() == 12.0
    refine.editor.wheel("Red", refine.ras(8, 10, 12))  # without Shift it moves through the slices
    assert diameter() == 12.0
    for _ in range(40):
        refine.editor.press_key("Red", "minus")
    assert diameter() == 0.5
    for _ in range(40):
        refine.editor.press_key("Red", "plus")
    assert diameter() == 100.0
