"""Undo and Redo of Slicer's own history bring back segments and strokes together, over many rounds."""

import numpy as np
import pytest
from scene_examples import HeadlessEditor, add_segment, add_segmentation, add_volume, mask_of, slicer

from InteractiveRefineLib.stroke_book import Stroke
from InteractiveRefineScene.stroke_node import StrokeNode
from InteractiveRefineScene.undo_link import UndoLink

SHAPE = (2, 3, 12)


class Session:
    """A user who draws, refines and applies: round n gives voxel (0, 0, n) to segment "a"."""

    def __init__(self, scene):
        self.volume = add_volume(scene, np.zeros(SHAPE, np.int16))
        self.node = add_segmentation(
            scene, self.volume, {"a": mask_of(SHAPE, (1, 0, 0)), "b": mask_of(SHAPE, (1, 1, 1))}
        )
        self.editor = HeadlessEditor(scene, self.volume, self.node)
        self.strokes = StrokeNode.findOrCreate(self.node, self.volume)
        self.link = UndoLink(self.node, self.strokes)
        self.n_rounds = 0

    def draw(self, voxel):
        self.strokes.addStrokes(Stroke(np.array([voxel]), "a"))

    def apply(self):
        with self.link.applying():
            self.editor.write({(0, 0, self.n_rounds): "a"})
            self.strokes.closeRound()
        self.n_rounds += 1

    def undo(self):
        self.editor.logic.Undo()

    def redo(self):
        self.editor.logic.Redo()

    @property
    def drawn(self):
        """The stroke voxels of each closed round, then those since."""
        gestures = [
            [int(s.indices[0]) for gesture in round_ for s in gesture] for round_ in self.strokes.book.state.rounds
        ]
        return gestures

    @property
    def written(self):
        """How many rounds the segments show."""
        return len([voxel for voxel in self.editor.voxels("a") if voxel[:2] == (0, 0)])


@pytest.fixture
def session(slicer_scene):
    return Session(slicer_scene.scene)


def test_undo_brings_back_segments_and_strokes_and_redo_takes_them_forth(session):
    session.draw(1)
    session.draw(2)
    session.apply()
    assert (session.written, session.drawn) == (1, [[1, 2], []])
    session.undo()
    assert (session.written, session.drawn) == (0, [[1, 2]])
    assert session.strokes.book.has_open_strokes  # they can be taken back again
    session.redo()
    assert (session.written, session.drawn) == (1, [[1, 2], []])


def test_an_applied_round_is_one_state(session):
    session.draw(1)
    session.apply()
    session.undo()
    assert not session.editor.logic.CanUndo()
    assert session.editor.logic.CanRedo()


def test_three_rounds_go_back_and_forth_one_by_one(session):
    for n in (1, 2, 3):
        session.draw(n)
        session.apply()
    seen = []
    for step in (session.undo, session.undo, session.undo, session.redo, session.redo, session.redo):
        step()
        seen.append((session.written, session.drawn))
    assert seen == [
        (2, [[1], [2], [3]]),
        (1, [[1], [2]]),
        (0, [[1]]),
        (1, [[1], [2]]),
        (2, [[1], [2], [3]]),
        (3, [[1], [2], [3], []]),
    ]


def test_strokes_drawn_after_undo_replace_those_of_the_undone_round(session):
    session.draw(1)
    session.apply()
    session.undo()
    session.strokes.takeBack()
    session.draw(5)
    session.n_rounds = 3
    session.apply()
    assert session.drawn == [[5], []]
    session.undo()
    assert session.drawn == [[5]]
    assert session.written == 0
    session.redo()
    assert session.drawn == [[5], []]


def test_strokes_drawn_since_the_last_round_come_back_with_redo(session):
    session.draw(1)
    session.apply()
    session.draw(2)
    session.undo()
    assert session.drawn == [[1]]
    session.redo()
    assert session.drawn == [[1], [2]]


def test_undo_of_another_effect_does_not_touch_the_strokes(session):
    session.draw(1)
    session.apply()
    session.draw(2)
    session.editor.paint("b", (1, 2, 3))
    session.undo()
    assert session.editor.voxels("b") == [(1, 1, 1)]
    assert session.drawn == [[1], [2]]
    session.redo()
    assert session.drawn == [[1], [2]]
    session.undo()
    session.undo()
    assert (session.written, session.drawn) == (0, [[1]])


def test_beyond_the_history_limit_nothing_is_mixed_up(session):
    for n in range(12):
        session.draw(n)
        session.apply()
    expected = 12
    while session.editor.logic.CanUndo():
        session.undo()
        expected -= 1
        assert (session.written, session.drawn) == (expected, [[n] for n in range(expected + 1)])
    assert expected == 12 - 9  # of ten states, one holds what Redo goes back to
    while session.editor.logic.CanRedo():
        session.redo()
        expected += 1
    assert (expected, session.written) == (12, 12)
    assert session.drawn == [[n] for n in range(12)] + [[]]


def test_undo_after_an_undone_paint_still_is_one_state(session):
    session.editor.paint("b", (1, 2, 3))
    session.undo()
    session.draw(1)
    session.apply()
    session.undo()
    assert (session.written, session.drawn) == (0, [[1]])
    assert session.editor.voxels("b") == [(1, 1, 1)]
    assert not session.editor.logic.CanUndo()


def test_renaming_adding_and_copying_segments_between_rounds_does_not_confuse(session):
    session.draw(1)
    session.apply()
    segmentation = session.node.GetSegmentation()
    segmentation.GetSegment("a").SetName("renamed")
    add_segment(session.node, "new", mask_of(SHAPE, (1, 2, 2)), np.eye(4))
    copy = slicer.vtkSegment()
    copy.DeepCopy(segmentation.GetSegment("b"))  # with its tags
    segmentation.AddSegment(copy, "copy")
    assert session.drawn == [[1], []]
    session.draw(2)
    session.apply()
    session.undo()
    assert (session.written, session.drawn) == (1, [[1], [2]])
    assert segmentation.GetSegment("a").GetName() == "renamed"
    session.undo()
    assert (session.written, session.drawn) == (0, [[1]])


def test_a_segment_pasted_from_an_undone_state_does_not_bring_its_strokes_along(session):
    session.draw(1)
    session.apply()
    copy = slicer.vtkSegment()
    copy.DeepCopy(session.node.GetSegmentation().GetSegment("b"))
    session.undo()
    session.node.GetSegmentation().AddSegment(copy, "copy")
    assert session.drawn == [[1]]


def test_removing_the_segments_that_took_part_keeps_the_strokes(session):
    session.draw(1)
    session.apply()
    add_segment(session.node, "new")
    session.node.GetSegmentation().RemoveSegment("b")
    assert session.drawn == [[1], []]
    session.node.GetSegmentation().RemoveSegment("a")
    assert session.drawn == [[1], []]


def test_undo_of_a_removed_segment_brings_it_back_and_keeps_the_strokes(session):
    session.draw(1)
    session.apply()
    session.editor.logic.SaveStateForUndo()
    session.node.GetSegmentation().RemoveSegment("b")
    session.undo()
    assert session.editor.voxels("b") == [(1, 1, 1)]
    assert session.drawn == [[1], []]
    session.undo()
    assert session.drawn == [[1]]


def test_a_round_that_fails_leaves_the_strokes_open(session):
    session.draw(1)
    with pytest.raises(RuntimeError, match="worker died"), session.link.applying():
        session.strokes.closeRound()
        raise RuntimeError("worker died")
    assert session.drawn == [[1]]
    session.apply()
    session.undo()
    assert (session.written, session.drawn) == (0, [[1]])


def test_a_result_that_changes_no_voxel_leaves_undo_as_it_was(session):
    session.draw(1)
    session.apply()
    session.draw(2)
    with session.link.applying():
        session.editor.write({(1, 0, 0): "a"})  # it is that already
        session.strokes.closeRound()
    session.undo()
    assert (session.written, session.drawn) == (0, [[1]])
    session.redo()
    assert session.written == 1


def test_listeners_hear_of_the_restored_strokes(session):
    session.draw(1)
    session.apply()
    heard = []
    session.strokes.onChanged = lambda: heard.append(session.drawn)
    session.link.onRestored = heard.append
    session.undo()
    assert heard == [[[1]], session.link.state]


def test_a_new_link_goes_on_where_the_scene_is(session):
    session.draw(1)
    session.apply()
    session.link.release()
    link = session.link = UndoLink(session.node, session.strokes)
    session.draw(2)
    session.apply()
    session.undo()
    assert (session.written, session.drawn) == (1, [[1], [2]])
    before = link.state
    session.undo()  # to a state that this link never knew: the strokes stay
    assert (session.written, session.drawn, link.state) == (0, [[1], [2]], before)


def test_a_released_link_does_nothing_more(session):
    session.draw(1)
    session.apply()
    session.link.release()
    session.undo()
    assert (session.written, session.drawn) == (0, [[1], []])
