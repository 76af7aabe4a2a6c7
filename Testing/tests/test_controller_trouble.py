"""What goes wrong between the scene and the worker leaves segments, strokes and other patients alone."""

import os
import signal

import numpy as np
import pytest

from Testing.tests.controller_examples import LIVER, SPLEEN, Desk, small_settings

pytest_plugins = ["Testing.tests.controller_examples"]


@pytest.fixture
def ready(desk):
    """A desk with the network's segmentation and a stroke, and so many steps that there is time to disturb them."""
    desk.segment()
    desk.correct("liver", LIVER)
    desk.controller.settings = small_settings(steps=400)
    desk.results.clear()
    desk.states.clear()
    return desk


def in_the_middle(desk):
    """The worker is tuning."""
    desk.controller.refine()
    desk.run_until(lambda: any(loss is not None for step, total, message, loss in desk.steps))


def test_cancel_keeps_segments_and_strokes_and_refine_works_again(ready):
    before = ready.labels()
    strokes = ready.controller.strokes.book.state
    in_the_middle(ready)

    ready.controller.cancel()
    ready.wait()

    assert ready.states[-2:] == ["running", "idle"] and ready.results == []
    assert ready.messages == ["Cancelled. Segments and strokes are as they were."] and ready.errors == []
    assert np.array_equal(ready.labels(), before) and ready.controller.strokes.book.state is strokes
    ready.controller.settings = small_settings()
    ready.refine()
    assert ready.controller.state.value == "preview"


def test_a_killed_worker_loses_nothing_and_is_replaced_with_the_same_answer(ready):
    before, strokes = ready.labels(), ready.controller.strokes.book.state
    in_the_middle(ready)

    os.killpg(ready.controller.client.transport.process.pid, signal.SIGKILL)
    ready.wait()

    assert ready.states[-1] == "idle" and len(ready.errors) == 1
    assert "Your segmentation and strokes are as they were" in ready.errors[0]
    assert np.array_equal(ready.labels(), before) and ready.controller.strokes.book.state is strokes
    ready.controller.settings = small_settings()
    ready.refine()
    after_kill = ready.controller.proposal.after
    ready.controller.discard()
    ready.refine()
    assert np.array_equal(ready.controller.proposal.after, after_kill)


def test_refining_while_it_runs_starts_anew_with_the_newest_strokes(ready):
    in_the_middle(ready)
    total = ready.steps[-1][1]
    newest = ready.correct("spleen", SPLEEN)
    ready.controller.settings = small_settings()

    ready.refine()

    assert ready.states == ["running", "preview"]
    assert ready.messages == [] and ready.errors == []
    assert (ready.controller.proposal.after[tuple(newest.T)] == SPLEEN).all()
    assert len(ready.results) == 1
    assert max(step for step, of, message, loss in ready.steps if of == total) < total


def test_the_scene_closed_while_it_runs_gives_nothing_to_the_next_patient(ready):
    import slicer

    in_the_middle(ready)
    transport = ready.controller.client.transport

    ready.scene.Clear(0)

    assert not transport.running
    assert ready.controller.state.value == "idle"
    assert ready.controller.strokes is None and ready.controller.volumeNode is None
    assert ready.controller.proposal is None and ready.controller.client.called is None
    volumeNode = ready.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "next patient")
    slicer.util.updateVolumeFromArray(volumeNode, ready.image.array.astype(np.int16))
    segmentationNode = ready.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "next")
    segmentationNode.GetSegmentation().AddEmptySegment("liver", "liver")
    ready.controller.setNodes(volumeNode, segmentationNode)
    ready.wait()
    assert ready.results == [] and ready.controller.strokes is None
    assert ready.controller.whyNotRefine().startswith("There are no strokes")
    assert ready.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_the_scene_closed_while_a_preview_is_shown_removes_it(ready):
    ready.controller.settings = small_settings()
    ready.refine()
    assert ready.controller.preview.node is not None

    ready.scene.Clear(0)

    assert ready.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert ready.controller.proposal is None and ready.results[-1] is None
    assert ready.controller.apply() is None


def test_a_segment_edited_while_it_runs_wins_over_the_result(ready):
    in_the_middle(ready)
    voxel = np.argwhere(ready.labels() == 0)[:1]

    ready.paint(voxel, "liver")
    edited = ready.labels()
    ready.wait()

    assert ready.controller.state.value == "idle" and ready.results == []
    assert ready.messages == ["The segmentation or the volume was changed, so the result was discarded. Refine again."]
    assert np.array_equal(ready.labels(), edited)


def test_a_segment_edited_while_a_preview_is_shown_discards_the_preview(ready):
    ready.controller.settings = small_settings()
    ready.refine()

    ready.paint(np.argwhere(ready.labels() == 0)[:1], "liver")

    assert ready.controller.state.value == "idle" and ready.controller.proposal is None
    assert ready.controller.preview.node is None and len(ready.messages) == 1


def test_another_image_in_the_same_volume_discards_the_preview(ready):
    import slicer

    ready.controller.settings = small_settings()
    ready.refine()

    slicer.util.updateVolumeFromArray(ready.volumeNode, ready.image.array.astype(np.int16) + 5)

    assert ready.controller.state.value == "idle" and ready.controller.proposal is None
    assert ready.controller.apply() is None


def test_what_changes_no_voxel_keeps_the_preview(ready):
    ready.controller.settings = small_settings()
    ready.refine()

    segment = ready.segmentation.GetSegment(ready.id("liver"))
    segment.SetColor(0.1, 0.2, 0.3)
    ready.segmentation.AddEmptySegment("new one", "new one")
    ready.volumeNode.SetName("renamed")
    ready.segmentationNode.CreateClosedSurfaceRepresentation()

    assert ready.controller.state.value == "preview" and ready.messages == []
    assert ready.controller.apply() is not None


def test_a_lock_set_while_a_preview_is_shown_is_not_passed_over(ready):
    from InteractiveRefineScene.locks import setLocked

    ready.controller.settings = small_settings()
    ready.refine()
    before = ready.labels()
    setLocked(ready.segmentationNode, ready.id("liver"), True)

    assert ready.controller.apply() is None

    assert np.array_equal(ready.labels(), before) and len(ready.messages) == 1


def test_a_volume_or_segmentation_that_is_removed_takes_the_preview_along(ready):
    ready.controller.settings = small_settings()
    ready.refine()

    ready.scene.RemoveNode(ready.segmentationNode)

    assert ready.controller.state.value == "idle"
    assert ready.controller.segmentationNode is None and ready.controller.preview.node is None
    assert ready.controller.whyNotRefine() != ""


def test_a_stroke_that_is_taken_back_takes_the_preview_along(ready):
    ready.controller.settings = small_settings()
    ready.refine()

    ready.controller.strokes.takeBack()

    assert ready.controller.state.value == "idle" and ready.controller.proposal is None
    assert len(ready.messages) == 1


def test_another_segmentation_gets_nothing_of_this_one(ready):
    ready.controller.settings = small_settings()
    ready.refine()
    other = ready.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "other")
    other.GetSegmentation().AddEmptySegment("liver", "liver")

    ready.controller.setNodes(ready.volumeNode, other)

    assert ready.controller.state.value == "idle" and ready.controller.strokes is None
    assert ready.controller.apply() is None
    assert ready.controller.preview.node is None
    ready.controller.setNodes(ready.volumeNode, ready.segmentationNode)
    assert not ready.controller.strokes.book.is_empty


def test_a_command_that_cannot_be_started_says_so(slicer_scene):
    from InteractiveRefineLib.worker.subprocess_transport import subprocess_starter

    desk = Desk(slicer_scene.scene, starter=subprocess_starter("no-such-program-anywhere worker"))

    desk.controller.predictInitial()

    assert desk.states == ["running", "idle"]
    assert len(desk.errors) == 1 and "worker could not be started" in desk.errors[0]
    desk.controller.cleanup()


def test_a_folder_without_a_network_says_so_and_the_next_one_works(desk, tmp_path):
    desk.controller.backbone = str(tmp_path)

    desk.segment_or_fail()

    assert desk.states == ["running", "idle"] and "backbone.json" in desk.errors[0]
    desk.errors.clear()
    desk.controller.backbone = ""
    desk.segment()
    assert desk.names()[0] == "liver"


def test_without_strokes_or_segments_the_reason_is_told(desk):
    desk.controller.refine()
    assert desk.errors == ["There is no segment. Add one, or let the network segment the image first."]
    assert desk.states == []
    desk.segmentation.AddEmptySegment("liver", "liver")
    assert desk.controller.whyNotRefine() == "There are no strokes yet. Draw some in the slice views, then refine."
    desk.controller.setNodes(None, desk.segmentationNode)
    assert desk.controller.whyNotRefine() == "No volume is selected. Select a source volume."
    desk.controller.setNodes(desk.volumeNode, None)
    assert desk.controller.whyNotPredict() == "No segmentation is selected. Select or create one."
