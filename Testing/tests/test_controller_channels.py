"""A network of two channels and merged or ignored classes, from the scene through the worker and back."""

import numpy as np
import pytest
from scene_examples import add_volume, slicer

from InteractiveRefineLib.stroke_book import Stroke
from InteractiveRefineLib.worker.subprocess_transport import run_until_idle, subprocess_starter
from Testing.tests.channel_examples import (
    MISSED_CORE,
    MISSED_EDEMA,
    add_head,
    scans,
    truth,
    write_two_channel_backbone,
)
from Testing.tests.controller_examples import small_settings

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_two_channel_backbone(tmp_path_factory.mktemp("two channels"))


class Head:
    """The two scans with a segmentation and a controller on them; what the controller said is kept."""

    def __init__(self, scene, backbone, loaded=False):
        from InteractiveRefineScene.controller import RefineController
        from InteractiveRefineScene.segment_writer import LogicModifier

        self.scene = scene
        if not loaded:
            add_head(scene)
        self.flair, self.t1c, self.node = (scene.GetFirstNodeByName(name) for name in ("FLAIR", "T1c", "Tumor"))
        editorNode = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        editorNode.SetAndObserveSegmentationNode(self.node)
        editorNode.SetAndObserveSourceVolumeNode(self.flair)
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(scene)
        self.logic.SetSegmentEditorNode(editorNode)
        self.errors, self.messages = [], []
        self.controller = RefineController(subprocess_starter(), LogicModifier(self.logic), scene)
        self.controller.onError, self.controller.onMessage = self.errors.append, self.messages.append
        self.controller.backbone, self.controller.settings = backbone, small_settings()
        self.controller.setNodes(self.flair, self.node)

    def segment(self):
        self.controller.predictInitial()
        run_until_idle(self.controller.client)

    def refine(self):
        self.controller.refine()
        run_until_idle(self.controller.client)

    def draw(self, voxels, name):
        """Strokes over every second row of a box of voxels, in one slice."""
        mask = np.zeros(truth().shape, dtype=bool)
        mask[voxels] = True
        kji = np.argwhere(mask)
        flat = np.ravel_multi_index(kji[(kji[:, 0] == 4) & (kji[:, 1] % 2 == 0)].T, mask.shape)
        segmentId = self.node.GetSegmentation().GetSegmentIdBySegmentName(name)
        self.controller.ensureStrokes().addStrokes(Stroke(np.sort(flat), segmentId))
        return flat

    def mask(self, name):
        segmentId = self.node.GetSegmentation().GetSegmentIdBySegmentName(name)
        return slicer.util.arrayFromSegmentBinaryLabelmap(self.node, segmentId, self.flair) > 0

    def names(self):
        segmentation = self.node.GetSegmentation()
        return [segmentation.GetSegment(i).GetName() for i in segmentation.GetSegmentIDs()]


@pytest.fixture
def head(slicer_scene, backbone):
    made = Head(slicer_scene.scene, backbone)
    yield made
    made.controller.cleanup()


def segmented(head):
    head.controller.setChannel("T1c", head.t1c)
    head.segment()
    assert head.errors == []
    return head


def test_without_the_second_channel_it_is_named_and_strokes_can_be_drawn_all_the_same(head):
    head.segment()
    assert len(head.errors) == 1 and "needs FLAIR + T1c, and there is no T1c" in head.errors[0]
    assert not head.controller.client.alive and head.names() == []
    for name in ("edema", "core"):
        head.node.GetSegmentation().AddEmptySegment(name, name)
    flat = head.draw(MISSED_EDEMA, "edema")
    head.refine()
    assert head.controller.whyNotRefine() == head.errors[1] == head.errors[0]
    assert [len(stroke.indices) for stroke in head.controller.strokes.book] == [len(flat)]


def test_two_classes_seen_in_two_scans_are_corrected_in_one_update_also_in_a_reloaded_scene(
    slicer_scene, backbone, tmp_path
):
    scene = slicer_scene.scene
    head = segmented(Head(scene, backbone))
    assert head.names() == ["edema", "core"]
    missed = truth() * 0
    missed[MISSED_EDEMA] = 1
    missed[MISSED_CORE] = 2
    assert not head.mask("edema")[missed == 1].any() and not head.mask("core")[missed == 2].any()
    edema, core = head.draw(MISSED_EDEMA, "edema"), head.draw(MISSED_CORE, "core")
    for node in (head.flair, head.t1c, head.node):
        node.AddDefaultStorageNode()
    bundle = str(tmp_path / "case.mrb")
    assert scene.WriteToMRB(bundle)

    head.refine()
    expected = head.controller.proposal.after
    head.controller.apply()

    assert head.errors == []
    assert head.mask("edema").reshape(-1)[edema].all() and head.mask("core").reshape(-1)[core].all()
    assert head.mask("edema")[missed == 1].sum() > 2 * len(edema)
    assert head.mask("core")[missed == 2].sum() > len(core)
    head.controller.cleanup()

    scene.Clear(0)
    assert scene.ReadFromMRB(bundle)
    again = Head(scene, backbone, loaded=True)
    again.refine()
    assert again.errors == [] and np.array_equal(again.controller.proposal.after, expected)
    again.controller.cleanup()


def test_another_second_channel_discards_what_was_made_of_the_first(head):
    segmented(head)
    head.draw(MISSED_EDEMA, "edema")
    another = add_volume(head.scene, scans()[0], np.eye(4), "another")
    for change in (
        lambda: slicer.util.updateVolumeFromArray(head.t1c, scans()[1] + 1),
        lambda: head.controller.setChannel("T1c", another),
        lambda: head.scene.RemoveNode(another),
    ):
        head.refine()
        assert head.errors == [] and head.controller.state.value == "preview"
        head.messages.clear()
        change()
        assert head.controller.state.value == "idle" and head.controller.proposal is None
        assert len(head.messages) == 1 and "discarded" in head.messages[0]
    head.refine()
    assert "there is no T1c" in head.errors[0] and not head.controller.strokes.book.is_empty


def test_classes_are_ignored_and_merged_and_taken_apart_again(head):
    from InteractiveRefineScene.class_choice import IGNORED, OWN, choose

    classes = head.controller.classes
    seen_core = (slice(2, 6), slice(6, 10), slice(6, 8))
    choose(head.node, classes, "core", IGNORED)
    segmented(head)
    assert head.names() == ["edema"] and not head.mask("edema")[seen_core].any(), "its voxels are background"
    flat = head.draw(MISSED_EDEMA, "edema")
    head.messages.clear()
    head.refine()
    head.controller.apply()
    assert head.mask("edema").reshape(-1)[flat].all() and head.names() == ["edema"] and head.messages == []

    choose(head.node, classes, "core", "edema")
    head.refine()
    assert head.mask("edema").reshape(-1)[flat].all() and len(head.controller.proposal.segments) == 1
    head.controller.discard()
    head.segment()
    head.controller.apply()
    whole = truth() > 0
    whole[MISSED_EDEMA] = False
    assert head.names() == ["edema"] and np.array_equal(head.mask("edema"), whole)

    choose(head.node, classes, "core", OWN)
    head.segment()
    head.controller.apply()
    assert head.errors == [] and head.names() == ["edema", "core"]
    assert head.mask("core")[seen_core].all() and not head.mask("edema")[seen_core].any()


def test_a_class_that_the_folder_adds_gets_a_segment_and_is_a_new_structure(slicer_scene, tmp_path):
    folder = write_two_channel_backbone(tmp_path / "with a cyst", class_map={"add": ["cyst"], "ignore": ["core"]})
    head = segmented(Head(slicer_scene.scene, folder))
    assert head.names() == ["edema", "cyst"] and not head.mask("cyst").any()
    flat = head.draw(MISSED_CORE, "cyst")
    head.refine()
    head.controller.apply()
    assert head.errors == [] and head.mask("cyst").reshape(-1)[flat].all() and head.mask("edema").sum() > 100
    head.controller.cleanup()


def test_a_script_names_the_volumes_in_the_networks_order(slicer_app, backbone):
    import sys

    from InteractiveRefineLib.errors import RefineError
    from InteractiveRefineScene.scene_image import channelNodes
    from Testing.slicer_story import start_module

    start_module(slicer_app)
    logic = sys.modules["InteractiveRefine"].InteractiveRefineLogic()
    flair, t1c, node = add_head(slicer.mrmlScene)
    node.GetSegmentation().AddEmptySegment("core", "core")
    painted = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "strokes")
    painted.SetReferenceImageGeometryParameterFromVolumeNode(flair)
    stroke = np.zeros(truth().shape, dtype=np.uint8)
    stroke[4, 6:10, 8:10] = 1
    segmentId = painted.GetSegmentation().AddEmptySegment("", "core")
    slicer.util.updateSegmentBinaryLabelmapFromArray(stroke, painted, segmentId, flair)
    with pytest.raises(RefineError, match="there is no T1c"):
        logic.refine(flair, node, painted, backbone=backbone)

    logic.refine([flair, t1c], node, painted, backbone=backbone, device="cpu", steps=8)

    found = slicer.util.arrayFromSegmentBinaryLabelmap(node, "core", flair)
    assert found[4, 6:10, 6:10].all() and channelNodes(flair) == []
