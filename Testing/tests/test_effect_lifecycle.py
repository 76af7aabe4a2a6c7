"""The effect comes and goes without a trace: views, timers, scenes, several editors, no main window."""

import gc
import weakref

import numpy as np
import pytest

from Testing.tests.effect_examples import Refine


@pytest.fixture
def refine(editor):
    return Refine(editor)


def actors(refine):
    """How many props each view's renderer holds."""
    return {
        name: refine.editor.view(name)
        .sliceView()
        .renderWindow()
        .GetRenderers()
        .GetItemAsObject(0)
        .GetViewProps()
        .GetNumberOfItems()
        for name in refine.editor.viewNames()
    }


def node_ids(refine):
    scene = refine.editor.session.scene
    return {scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())}


def stroke(refine, view="Red", k=8):
    refine.editor.center_views(refine.ras(k, 10, 12))
    refine.editor.drag(view, [refine.ras(k, 10, 10), refine.ras(k, 10, 14)])


def test_looking_at_the_effect_leaves_no_actor_and_no_node(refine):
    refine.editor.widget.setActiveEffectByName("")
    before = actors(refine), node_ids(refine)
    refine.editor.activate("InteractiveRefine")
    for view in refine.editor.viewNames():
        refine.editor.hover(view, refine.ras(8, 10, 12))
    assert all(actors(refine)[view] == before[0][view] + 2 for view in refine.editor.viewNames())
    refine.editor.widget.setActiveEffectByName("")
    assert (actors(refine), node_ids(refine)) == before


def test_an_inactive_effect_hears_nothing(refine):
    refine.editor.widget.setActiveEffectByName("")
    stroke(refine)
    assert refine.strokes == []
    assert "LeftButtonPressEvent" in refine.editor.strangers


def test_strokes_survive_leaving_and_coming_back(refine):
    stroke(refine)
    refine.editor.widget.setActiveEffectByName("")
    refine.editor.activate("InteractiveRefine")
    stroke(refine, k=5)
    assert len(refine.strokes) == 2


def test_a_new_layout_takes_every_actor_out_and_drawing_goes_on(refine):
    before = actors(refine)
    stroke(refine)
    refine.editor.send("Red", "LeftButtonPressEvent", (200, 200))
    refine.effect.layoutChanged()
    assert not refine.effect.drawing.isDragging
    assert actors(refine) == before
    refine.editor.send("Red", "LeftButtonReleaseEvent", (200, 200))
    stroke(refine, k=5)
    assert len(refine.strokes) == 2


def test_another_source_volume_ends_the_drag_and_has_its_own_strokes(refine):
    first = refine.editor.volumeNode
    stroke(refine)
    refine.editor.send("Red", "LeftButtonPressEvent", (200, 200))
    other = refine.editor.add_volume(np.zeros((9, 9, 9), np.int16), "other")
    refine.editor.widget.setSourceVolumeNode(other)
    refine.editor.send("Red", "LeftButtonReleaseEvent", (200, 200))
    assert refine.strokes == []
    refine.editor.center_views([8.0, 8.0, 8.0])
    refine.editor.drag("Red", [[6.0, 8.0, 8.0], [10.0, 8.0, 8.0]])
    assert refine.effect.controller.strokes.book.geometry.shape == (9, 9, 9)
    refine.editor.widget.setSourceVolumeNode(first)
    assert len(refine.strokes) == 1
    assert refine.voxels() >= {(8, 10, i) for i in range(10, 15)}


def test_a_source_volume_without_an_image_is_told_and_nothing_breaks(refine):
    stroke(refine)
    empty = refine.editor.session.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    refine.editor.widget.setSourceVolumeNode(empty)
    stroke(refine)
    assert refine.strokes == []
    assert refine.messages == ['Volume "empty" has no image. Load one.']
    refine.editor.widget.setSourceVolumeNode(refine.editor.volumeNode)
    assert len(refine.strokes) == 1


def test_an_image_that_is_taken_away_stops_the_growing_preview_only(refine):
    stroke(refine)
    refine.editor.volumeNode.SetAndObserveImageData(None)
    refine.effect.growingPreview.update()
    assert refine.effect.growingPreview.lines == ['Volume "CT" has no image. Load one.']


def test_placing_a_markup_ends_the_effect_and_the_drag(refine):
    import slicer

    refine.editor.send("Red", "LeftButtonPressEvent", (200, 200))
    interaction = slicer.vtkMRMLInteractionNode()
    interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
    refine.effect.interactionNodeModified(interaction)
    assert refine.effect.drawing.isDragging
    interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)
    refine.effect.interactionNodeModified(interaction)
    assert not refine.effect.drawing.isDragging
    assert refine.editor.widget.activeEffect() is None
    refine.effect.interactionNodeModified(None)


def test_two_editor_widgets_have_effects_that_know_nothing_of_each_other(refine):
    import slicer

    second = slicer.qMRMLSegmentEditorWidget()
    session = refine.editor.session
    node = session.scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    second.setMRMLSegmentEditorNode(node)
    second.setMRMLScene(session.scene)
    segmentation = session.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "second")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.GetSegmentation().AddEmptySegment("kidney", "kidney")
    second.setSegmentationNode(segmentation)
    second.setSourceVolumeNode(refine.editor.volumeNode)
    second.setActiveEffectByName("InteractiveRefine")
    second.setCurrentSegmentID("kidney")
    other = second.activeEffect().self()
    for name in ("drawing", "growingPreview", "panel", "controller", "scriptedEffect"):
        assert getattr(other, name) is not getattr(refine.effect, name)
    refine.set("BrushDiameterMm", 17.0)
    assert float(other.scriptedEffect.parameter("BrushDiameterMm")) != 17.0

    # Only one editor is in front in Slicer; here the first one is left first, as then.
    refine.editor.widget.setActiveEffectByName("")
    stroke(refine)
    assert [s.target for s in other.controller.strokes.book] == ["kidney"]
    assert refine.strokes == []
    second.close_editor()


def test_cleanup_lets_go_of_everything(editor):
    refine = Refine(editor)
    from InteractiveRefineEffect.drawing import Drawing

    before = actors(refine)
    stroke(refine)
    effect = refine.effect
    preview, drawing = effect.growingPreview, weakref.ref(effect.drawing)
    preview.schedule()
    effect.cleanup()
    assert actors(refine) == before
    assert not preview.isPending
    assert effect.panel is None and effect.controller is None
    effect.cleanup()  # Slicer may call it again
    lines = preview.lines = ["as it was"]
    preview.schedule()
    editor.process_events(0.3)
    assert preview.lines is lines  # the timer calls nobody any more
    effect.drawing = None
    gc.collect()
    assert drawing() is None  # no view and no interactor holds it
    effect.drawing = Drawing(effect.scriptedEffect, print, print)  # the editor is closed with the effect active


def test_closing_the_scene_forgets_strokes_and_previews(refine):
    stroke(refine)
    refine.editor.wait_until(lambda: not refine.effect.growingPreview.isPending)
    refine.editor.send("Red", "LeftButtonPressEvent", (200, 200))
    refine.editor.session.scene.Clear(0)
    assert refine.strokes == []
    assert not refine.effect.drawing.isDragging
    refine.effect.growingPreview.update()
    assert refine.effect.growingPreview.lines == []


def test_without_a_main_window_icon_help_and_cursor_are_there(refine):
    import qt
    import slicer

    assert slicer.util.mainWindow() is None
    assert isinstance(refine.effect.createCursor(refine.editor.view("Red")), qt.QCursor)
    assert not refine.effect.icon().isNull()
    assert refine.effect.icon().availableSizes()[0].width() == 48
    for words in ("Left-button drag", "Shift", "Alt", "Escape", "Ctrl+Z"):
        assert words in refine.effect.helpText()


def test_it_is_named_and_works_on_all_segments_at_once(refine):
    scripted = refine.effect.scriptedEffect
    assert (scripted.name, scripted.title) == ("InteractiveRefine", "Interactive Refine")
    assert (scripted.perSegment, scripted.requireSegments) == (False, False)
    assert scripted.clone().name == "InteractiveRefine"


def test_defaults_are_stored_and_a_brush_that_is_none_does_no_harm(refine):
    refine.set("BrushDiameterMm", "wide")
    stroke(refine)
    refine.set("BrushDiameterMm", "-4")
    stroke(refine, k=5)
    assert len(refine.strokes) == 2
    assert refine.voxels() == {(5, 10, i) for i in range(10, 15)}


def test_when_the_worker_cannot_start_strokes_and_growing_still_work(refine):
    import slicer

    slicer.util.updateVolumeFromArray(refine.editor.volumeNode, np.full((16, 20, 24), 100, np.int16))
    refine.set("ThresholdAutomatic", 0)
    refine.set("Grow", "all")
    panel = refine.effect.panel
    panel.ui.workerCommandLineEdit.text = "no-such-program-anywhere"
    panel._onWorkerCommand()
    stroke(refine)
    panel.onRefine()
    from InteractiveRefineScene.controller import State

    refine.editor.wait_until(lambda: refine.effect.controller.state is State.IDLE)
    assert "could not be started" in panel.ui.statusLabel.text
    stroke(refine, k=5)
    refine.editor.wait_until(lambda: not refine.effect.growingPreview.isPending)
    assert len(refine.strokes) == 2
    assert refine.effect.growingPreview.lines[0].startswith("liver grows by")
