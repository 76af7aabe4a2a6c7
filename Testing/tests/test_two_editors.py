"""Slicer's Segment Editor and the module's own editor on ONE segmentation: no stroke of either is lost."""

import numpy as np
import pytest

from InteractiveRefineLib.stroke_book import Kind, Stroke
from InteractiveRefineLib.stroke_book_json import book_from_json
from Testing.tests.controller_examples import LIVER, SPLEEN, Desk
from Testing.tests.effect_examples import Refine

EFFECT = "InteractiveRefine"
STROKES = "InteractiveRefine.StrokeBook"


class TwoEditors:
    """The effect in the editor `first` and in a second one, on the same volume and segmentation."""

    def __init__(self, editor):
        import slicer

        self.editor = editor
        self.refine = Refine(editor)
        self.first = editor.widget
        self.second = slicer.qMRMLSegmentEditorWidget()
        self.second.setMRMLSegmentEditorNode(editor.session.scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
        self.second.setMRMLScene(editor.session.scene)
        self.second.setSegmentationNode(editor.segmentationNode)
        self.second.setSourceVolumeNode(editor.volumeNode)
        self.present = self.first

    def draw(self, widget, k):
        """Go to an editor, as the user does by changing the module, and draw in slice `k`."""
        self.go_to(widget)
        self.editor.center_views(self.refine.ras(k, 10, 12))
        self.editor.drag("Red", [self.refine.ras(k, 10, 10), self.refine.ras(k, 10, 14)])

    def go_to(self, widget):
        if widget is not self.present or widget.activeEffect() is None:
            self.present.setActiveEffectByName("")
            widget.setActiveEffectByName(EFFECT)
            widget.setCurrentSegmentID("liver")
            self.present = widget

    def controller(self, widget):
        return next(effect for effect in widget._effects if effect.name == EFFECT).self().controller

    def slices(self, widget):
        """Slices of the strokes that an editor would refine from, in the order of drawing."""
        return slices_of(self.controller(widget).strokes.book)

    def stored(self):
        return slices_of(book_from_json(self.controller(self.first).strokes.node.GetAttribute(STROKES)))


def slices_of(book):
    return [int(stroke.indices[0]) // (20 * 24) for stroke in book]


@pytest.fixture
def both(editor):
    made = TwoEditors(editor)
    yield made
    made.second.close_editor()


def test_back_in_the_first_editor_the_strokes_of_the_second_are_known(both):
    both.draw(both.first, 8)
    both.draw(both.second, 5)
    both.go_to(both.first)
    assert both.slices(both.first) == [8, 5]


def test_strokes_that_a_script_added_are_known_when_the_effect_is_chosen(both):
    from InteractiveRefineScene.stroke_node import StrokeNode

    both.draw(both.first, 8)
    both.first.setActiveEffectByName("")
    script = StrokeNode.find(both.editor.segmentationNode, both.editor.volumeNode)
    script.addStrokes(Stroke(np.array([5 * 20 * 24]), "liver"))
    both.go_to(both.first)
    assert both.slices(both.first) == [8, 5]


def test_strokes_drawn_in_turn_all_survive(both):
    for widget, k in ((both.first, 8), (both.second, 5), (both.first, 3), (both.second, 11)):
        both.draw(widget, k)
    assert both.stored() == both.slices(both.second) == [8, 5, 3, 11]
    both.go_to(both.first)
    assert both.slices(both.first) == [8, 5, 3, 11]


def test_undo_takes_back_the_stroke_of_the_editor_and_redo_brings_it_again(both):
    both.draw(both.first, 8)
    both.draw(both.second, 5)
    both.draw(both.first, 3)
    both.first.undo()
    assert both.stored() == both.slices(both.first) == [8, 5]
    both.first.redo()
    assert both.stored() == both.slices(both.first) == [8, 5, 3]


def test_undo_in_one_editor_after_the_other_drew_is_known_in_both(both):
    both.draw(both.first, 8)
    both.draw(both.second, 5)
    both.draw(both.first, 3)
    both.draw(both.second, 11)
    both.second.undo()
    assert both.stored() == both.slices(both.second) == [8, 5, 3]
    both.second.undo()
    assert both.stored() == both.slices(both.second) == [8]
    both.second.redo()
    both.second.redo()
    assert both.stored() == both.slices(both.second) == [8, 5, 3, 11]
    both.go_to(both.first)
    assert both.slices(both.first) == [8, 5, 3, 11]


def test_undo_to_before_all_strokes_takes_all_back_and_redo_brings_all_again(both):
    both.draw(both.first, 8)
    both.draw(both.second, 5)
    both.go_to(both.first)
    both.first.undo()
    assert both.stored() == both.slices(both.first) == []
    both.first.redo()
    assert both.stored() == both.slices(both.first) == [8, 5]


def test_undo_and_redo_do_the_same_before_the_effect_is_chosen_again(both):
    both.draw(both.first, 8)
    both.draw(both.second, 5)
    both.second.setActiveEffectByName("")
    both.first.undo()
    assert both.stored() == both.slices(both.first) == []
    both.first.redo()
    assert both.stored() == both.slices(both.first) == [8, 5]


def test_with_a_single_segment_undo_and_redo_are_the_same(both):
    both.editor.segmentationNode.GetSegmentation().RemoveSegment("spleen")
    test_undo_and_redo_do_the_same_before_the_effect_is_chosen_again(both)


def test_what_another_editor_draws_is_not_refined_or_grown_in_this_one(both):
    refined, panel = [], both.refine.effect.panel
    panel.onRefine = lambda: refined.append(1)
    both.refine.set("AutoRefineDelayS", 0.1)
    both.refine.set("AutoRefine", 1)
    both.draw(both.first, 8)
    both.draw(both.second, 5)
    assert both.slices(both.first) == [8, 5]
    assert not both.refine.effect.growingPreview.isPending
    both.editor.process_events(0.3)
    assert refined == []
    both.draw(both.first, 3)
    both.editor.wait_until(lambda: refined == [1])


def test_another_editors_strokes_do_not_end_a_preview(slicer_scene):
    desk, other = desks(slicer_scene)
    desk.correct("liver", LIVER)
    desk.refine()
    shown = desk.controller.proposal
    other.correct("spleen", SPLEEN)
    desk.controller.catchUp()
    assert desk.controller.proposal is shown
    assert desk.controller.hasNewStrokes
    finish(desk, other)


def test_refine_obeys_the_strokes_of_both_editors(slicer_scene):
    desk, other = desks(slicer_scene)
    liver = desk.correct("liver", LIVER)
    spleen = other.correct("spleen", SPLEEN)
    desk.refine()
    assert desk.errors == []
    after = desk.controller.proposal.after
    label = {segment.id: segment.label for segment in desk.controller.proposal.segments}
    assert set(after[tuple(liver.T)]) == {label[desk.id("liver")]}
    assert set(after[tuple(spleen.T)]) == {label[desk.id("spleen")]}
    finish(desk, other)


def test_what_the_other_editor_refined_does_not_count_as_edited_by_hand(slicer_scene):
    desk, other = desks(slicer_scene)
    desk.correct("liver", LIVER)
    desk.refine()
    desk.controller.apply()
    by_hand = desk.controller.client.manual.sum()
    other.correct("spleen", SPLEEN)
    other.refine()
    changed = np.count_nonzero(other.controller.proposal.after != other.controller.proposal.before)
    other.controller.apply()
    desk.correct("liver", LIVER)
    desk.refine()
    assert changed > 0 and (desk.errors, other.errors) == ([], [])
    assert desk.controller.client.manual.sum() == by_hand
    assert len(desk.controller.strokes.book.rounds) == 3
    finish(desk, other)


def desks(session):
    """Two controllers on one scan, segmented, with the strokes node of both there."""
    desk = Desk(session.scene)
    desk.segment()
    desk.controller.ensureStrokes()
    return desk, Desk(session.scene, loaded=True)


def finish(*desks_):
    for desk in desks_:
        desk.controller.cleanup()


class TwoNodes:
    """Two `StrokeNode`s on one segmentation, neither told of the other."""

    def __init__(self, scene):
        from scene_examples import add_segment, add_segmentation, add_volume

        from InteractiveRefineScene.stroke_node import StrokeNode

        self.volume = add_volume(scene, np.zeros((3, 4, 5), np.int16))
        self.node = add_segmentation(scene, self.volume)
        add_segment(self.node, "liver")
        self.one = StrokeNode.findOrCreate(self.node, self.volume)
        self.two = StrokeNode.findOrCreate(self.node, self.volume)

    def stored(self, strokes):
        book = book_from_json(strokes.node.GetAttribute(STROKES))
        return [[stroke.indices.tolist() for stroke in round_] for round_ in book.rounds]


def stroke(*voxels, kind=Kind.CLASS):
    return Stroke(np.array(voxels), "liver", kind)


@pytest.fixture
def nodes(slicer_scene):
    return TwoNodes(slicer_scene.scene)


def test_storing_never_overwrites_what_another_editor_stored(nodes):
    nodes.one.addStrokes(stroke(1))
    nodes.two.addStrokes(stroke(2))
    nodes.one.addStrokes(stroke(3))
    nodes.two.closeRound()
    nodes.one.addStrokes(stroke(4))
    nodes.two.rememberCalled(np.array([1]), ["liver"])
    nodes.one.refresh()
    assert nodes.stored(nodes.one) == nodes.stored(nodes.two) == [[[1], [2], [3]], [[4]]]
    assert nodes.one.node is nodes.two.node
    assert nodes.one.book.called({"liver": 1}.get)[0].tolist() == [1]


def test_taking_back_takes_the_newest_stroke_whoever_drew_it(nodes):
    nodes.one.addStrokes(stroke(1))
    nodes.two.addStrokes(stroke(2))
    assert nodes.one.takeBack() is True
    assert nodes.stored(nodes.two) == [[[1]]]
    nodes.two.clear()
    assert nodes.stored(nodes.one) == []


def test_strokes_read_anew_are_the_same_objects_where_they_were_known(nodes):
    known = nodes.one.addStrokes(stroke(1))[0]
    nodes.two.addStrokes(stroke(2, kind=Kind.NOT))
    told = []
    nodes.one.onChanged = lambda: told.append(len(list(nodes.one.book)))
    assert nodes.one.readAnew() is True
    assert nodes.one.readAnew() is False
    assert next(iter(nodes.one.book)) is known
    assert told == [2]


def test_strokes_that_cannot_be_read_stay_and_ours_go_to_a_node_of_their_own(nodes, caplog):
    nodes.one.addStrokes(stroke(1))
    damaged = nodes.one.node
    damaged.SetAttribute(STROKES, "{newer version")
    nodes.one.addStrokes(stroke(2))
    assert damaged.GetAttribute(STROKES) == "{newer version"
    assert nodes.one.node is not damaged
    assert nodes.stored(nodes.one) == [[[1], [2]]]
    assert "draw them anew" in caplog.text


def test_a_node_that_was_removed_and_made_anew_by_the_other_editor_is_shared_again(nodes):
    nodes.one.addStrokes(stroke(1))
    nodes.two.addStrokes(stroke(2))
    nodes.one.node.GetScene().RemoveNode(nodes.one.node)
    nodes.two.addStrokes(stroke(3))
    nodes.one.addStrokes(stroke(4))
    assert nodes.one.node is nodes.two.node
    assert nodes.stored(nodes.one) == [[[1], [2], [3], [4]]]
