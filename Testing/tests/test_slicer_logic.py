"""The logic without a window: what scripts, the Python console and `--no-main-window` call."""

import sys

import numpy as np
import pytest

from InteractiveRefineLib.errors import InputError, RefineError
from InteractiveRefineLib.phantom import make_phantom
from Testing.slicer_story import start_module, volume_node

SEED = 20019


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(SEED, shift="domain")


@pytest.fixture
def logic(slicer_app):
    start_module(slicer_app)
    return sys.modules["InteractiveRefine"].InteractiveRefineLogic()


@pytest.fixture
def volume(logic, phantom):
    return volume_node(phantom[0])


@pytest.fixture
def case(volume, phantom):
    """(volume, segmentation, painted strokes, strokes): the true organs with a bite taken out of liver and spleen."""
    import slicer

    from InteractiveRefineScene import self_test

    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for segment in phantom[1].segments:
        array = (phantom[1].labels == segment.label).astype(np.uint8)
        if segment.name in ("liver", "spleen"):
            bite = np.zeros_like(array)
            for axis, side in enumerate(np.argwhere(array).mean(axis=0).astype(int)):
                cut = [slice(None)] * 3
                cut[axis] = slice(side - 6, side + 6)
                bite[tuple(cut)] += 1
            array[bite == 3] = 0
        segment_id = segmentation.GetSegmentation().AddEmptySegment(segment.name, segment.name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, segmentation, segment_id, volume)
    painted, strokes = self_test.paintStrokes(volume, segmentation, count=2)
    return volume, segmentation, painted, strokes


def labels(segmentation, volume):
    from InteractiveRefineScene.segments import readSegmentation

    return readSegmentation(segmentation, volume).labels.copy()


def nodes():
    import slicer

    found = slicer.util.getNodesByClass("vtkMRMLNode")
    return sorted(node.GetID() for node in found if not node.IsA("vtkMRMLSubjectHierarchyNode"))


def test_segment_makes_a_segmentation_with_the_networks_answer(logic, volume, phantom):
    from InteractiveRefineLib.backbone import load_backbone
    from InteractiveRefineLib.resources import embedded_backbone
    from InteractiveRefineLib.session import RefineSession

    outcome = logic.segment(volume)
    expected = RefineSession(phantom[0], load_backbone(embedded_backbone())).predict()
    np.testing.assert_array_equal(labels(outcome.segmentationNode, volume), expected)
    assert outcome.segmentationNode.GetName() == "CT segmentation"


def test_painted_strokes_are_obeyed_and_locks_hold(logic, case):
    from InteractiveRefineScene import self_test
    from InteractiveRefineScene.locks import lockedSegments

    volume, segmentation, painted, strokes = case
    before = labels(segmentation, volume)
    assert {stroke.target for stroke in strokes} == {"liver", "spleen"}
    assert self_test.disobeyed(strokes, volume, segmentation) > 0
    outcome = logic.refine(volume, segmentation, painted, lock=["vessels", "left kidney"])
    after = labels(segmentation, volume)
    assert self_test.disobeyed(strokes, volume, segmentation) == 0
    for number in (4, 6):  # left kidney, vessels
        np.testing.assert_array_equal(after == number, before == number)
    assert outcome.written.added["liver"] > 0 and outcome.written.added["spleen"] > 0
    assert lockedSegments(segmentation) == [], "a lock of the call outlived it"


def test_a_lock_is_stronger_than_a_stroke(logic, case):
    from InteractiveRefineScene import self_test

    volume, segmentation, painted, strokes = case
    before = labels(segmentation, volume)
    outcome = logic.refine(volume, segmentation, painted, lock=["liver"])
    after = labels(segmentation, volume)
    np.testing.assert_array_equal(after == 1, before == 1)
    spleen = [stroke for stroke in strokes if stroke.target == "spleen"]
    assert self_test.disobeyed(spleen, volume, segmentation) == 0
    assert any("liver" in warning for warning in outcome.warnings), outcome.warnings


def test_nothing_is_left_behind_but_the_strokes(logic, case):
    import slicer

    volume, segmentation, painted, _strokes = case
    before = set(nodes())
    logic.refine(volume, segmentation, painted)
    left = [slicer.mrmlScene.GetNodeByID(node_id) for node_id in set(nodes()) - before]
    kept = [node for node in left if node.IsA("vtkMRMLSegmentationNode")]
    assert [node.GetHideFromEditors() for node in kept] == [True]
    assert not any(node.IsA("vtkMRMLSegmentEditorNode") for node in left)


def test_without_apply_only_the_proposal_is_made(logic, case):
    volume, segmentation, painted, strokes = case
    before = labels(segmentation, volume)
    outcome = logic.refine(volume, segmentation, painted, apply=False)
    np.testing.assert_array_equal(labels(segmentation, volume), before)
    assert outcome.written is None
    proposed = outcome.proposal
    label_of = {segment.id: segment.label for segment in proposed.segments}
    for stroke in strokes:
        assert (proposed.after.reshape(-1)[stroke.indices] == label_of[stroke.target]).all()


def test_a_second_call_goes_on_with_the_strokes_of_the_first(logic, case):
    from InteractiveRefineScene.stroke_node import StrokeNode

    volume, segmentation, painted, strokes = case
    logic.refine(volume, segmentation, painted)
    logic.refine(volume, segmentation)  # the strokes that the scene keeps
    kept = StrokeNode.find(segmentation, volume)
    assert [len(stroke.indices) for stroke in kept.book] == [len(stroke.indices) for stroke in strokes]


def test_the_same_call_gives_the_same_voxels(logic, case):
    volume, segmentation, painted, _strokes = case
    first, second = (logic.refine(volume, segmentation, painted, apply=False) for _ in range(2))
    np.testing.assert_array_equal(first.proposal.after, second.proposal.after)


def test_the_masks_of_an_editor_are_respected(logic, case):
    import slicer

    volume, segmentation, painted, _strokes = case
    before = labels(segmentation, volume)
    editor = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    editor.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
    editor.SetMaskSegmentID("vessels")
    logic.refine(volume, segmentation, painted, editorNode=editor)
    changed = labels(segmentation, volume) != before
    assert not changed[before != 6].any(), "voxels outside of the mask were changed"


def test_settings_are_checked_before_anything_is_started(logic, case):
    volume, segmentation, painted, _strokes = case
    with pytest.raises(InputError, match="reach must be one of"):
        logic.refine(volume, segmentation, painted, reach="far")
    with pytest.raises(TypeError):
        logic.refine(volume, segmentation, painted, colour="red")


def test_a_segment_to_lock_that_does_not_exist_is_named(logic, case):
    volume, segmentation, painted, _strokes = case
    with pytest.raises(InputError, match="no segment 'heart' to lock, only: liver, liver tumor"):
        logic.refine(volume, segmentation, painted, lock=["heart"])


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda case: (None, *case[1:]), "No volume"),
        (lambda case: (case[0], case[1], None), "no strokes"),
        (lambda case: (case[0], case[1], case[2], "no/such/network"), "no/such/network"),
    ],
)
def test_what_cannot_be_refined_is_explained_and_nothing_changes(logic, case, break_it, message):
    volume, segmentation, *_ = case
    before = labels(segmentation, volume)
    with pytest.raises(RefineError, match=message):
        logic.refine(*break_it(case[:3]))
    np.testing.assert_array_equal(labels(segmentation, volume), before)


def test_a_worker_that_cannot_be_started_is_explained(logic, case):
    volume, segmentation, painted, _strokes = case
    before = labels(segmentation, volume)
    with pytest.raises(RefineError, match="no-such-program"):
        logic.refine(volume, segmentation, painted, workerCommand="no-such-program worker")
    np.testing.assert_array_equal(labels(segmentation, volume), before)


@pytest.mark.parametrize("first_step", [0, 1], ids=["at the start", "while the worker computes"])
def test_ctrl_c_ends_the_worker_and_leaves_all_as_it_was(logic, case, first_step):
    import slicer

    from InteractiveRefineScene.locks import lockedSegments

    volume, segmentation, painted, _strokes = case
    before = labels(segmentation, volume)

    def stop(step, total, message):
        if step >= first_step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        logic.refine(volume, segmentation, painted, progress=stop, lock=["vessels"])
    np.testing.assert_array_equal(labels(segmentation, volume), before)
    assert lockedSegments(segmentation) == []
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode") == 0


def test_without_waiting_slicers_event_loop_does_the_work(logic, case, editor):
    from InteractiveRefineScene import self_test

    volume, segmentation, painted, strokes = case
    finished = []
    run = logic.refine(volume, segmentation, painted, wait=False)
    run.onFinished = finished.append
    assert not run.done
    editor.wait_until(lambda: finished, 120)
    assert (finished, run.error) == ([run], None)
    assert self_test.disobeyed(strokes, volume, segmentation) == 0


def test_a_run_can_be_cancelled(logic, case, editor):
    volume, segmentation, painted, _strokes = case
    before = labels(segmentation, volume)
    run = logic.refine(volume, segmentation, painted, wait=False)
    run.cancel()
    editor.wait_until(lambda: run.done, 120)
    assert "Cancelled" in str(run.error)
    np.testing.assert_array_equal(labels(segmentation, volume), before)
