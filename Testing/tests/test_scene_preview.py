"""A proposal is shown in a node of its own and leaves nothing behind."""

import numpy as np
import pytest
from scene_examples import OBLIQUE, add_segment, add_segmentation, add_volume, slicer

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.segmentation import Segment
from InteractiveRefineScene.preview_node import PreviewNode
from InteractiveRefineScene.segments import readSegmentation

SHAPE = (2, 3, 5)
SEGMENTS = [Segment("liver", 1, id="liver"), Segment("spleen", 2, (0.5, 0.25, 0.0), id="not there yet")]


class Proposal:
    def __init__(self, scene):
        self.scene = scene
        self.volume = add_volume(scene, np.zeros(SHAPE, np.int16), OBLIQUE)
        self.node = add_segmentation(scene, self.volume)
        add_segment(self.node, "liver", color=(0.75, 0.25, 0.0))
        self.before, self.after = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint16)
        self.before[0, 0] = [1, 1, 1, 2, 0]
        self.after[0, 0] = [1, 2, 0, 1, 2]
        self.nodes_before = self.nodes
        self.preview = PreviewNode()
        self.preview.show(self.node, self.volume, self.before, self.after, SEGMENTS)

    @property
    def nodes(self):
        return {self.scene.GetNthNode(n).GetID() for n in range(self.scene.GetNumberOfNodes())}

    def row(self, segment_id):
        return readSegmentation(self.preview.node, self.volume, [segment_id]).labels[0, 0].tolist()


@pytest.fixture
def proposal(slicer_scene):
    return Proposal(slicer_scene.scene)


def test_the_proposed_segments_have_their_voxels_names_and_colors(proposal):
    segmentation = proposal.preview.node.GetSegmentation()
    assert proposal.row("result:liver") == [1, 0, 0, 1, 0]
    assert proposal.row("result:not there yet") == [0, 1, 0, 0, 1]
    liver, spleen = (segmentation.GetSegment(f"result:{s.id}") for s in SEGMENTS)
    assert (liver.GetName(), liver.GetColor()) == ("liver", (0.75, 0.25, 0.0))
    assert (spleen.GetName(), spleen.GetColor()) == ("spleen", (0.5, 0.25, 0.0))


def test_the_change_map_tells_added_removed_and_exchanged_voxels(proposal):
    assert proposal.row("change:added") == [0, 0, 0, 0, 1]
    assert proposal.row("change:removed") == [0, 0, 1, 0, 0]
    assert proposal.row("change:exchanged") == [0, 1, 0, 1, 0]


def test_a_known_box_of_changes_gives_the_same_map(proposal):
    box = (slice(0, 1), slice(0, 2), slice(1, 5))
    proposal.preview.show(proposal.node, proposal.volume, proposal.before, proposal.after, SEGMENTS, changedBox=box)
    assert proposal.row("change:added") == [0, 0, 0, 0, 1]
    assert proposal.row("change:exchanged") == [0, 1, 0, 1, 0]


def test_one_labelmap_serves_all_segments_of_a_map(proposal):
    assert proposal.preview.node.GetSegmentation().GetNumberOfLayers() == 2


def test_the_change_map_is_shown_on_demand(proposal):
    display = proposal.preview.node.GetDisplayNode()
    assert not display.GetSegmentVisibility("change:added")
    proposal.preview.showChanges(True)
    assert display.GetSegmentVisibility("change:added")
    assert display.GetSegmentVisibility("result:liver")
    proposal.preview.showChanges(False)
    assert not display.GetSegmentVisibility("change:added")


def test_the_opacity_slider_changes_the_fill_and_keeps_the_outlines(proposal):
    display = proposal.preview.node.GetDisplayNode()
    proposal.preview.setOpacity(0.25)
    assert display.GetSegmentOpacity2DFill("result:liver") == 0.25
    assert display.GetSegmentOpacity2DOutline("result:liver") == 1.0
    proposal.preview.setOpacity(7)
    assert display.GetSegmentOpacity2DFill("result:liver") == 1.0
    proposal.preview.show(proposal.node, proposal.volume, proposal.before, proposal.before, SEGMENTS)
    assert proposal.preview.node.GetDisplayNode().GetSegmentOpacity2DFill("result:liver") == 1.0  # it is remembered


def test_the_preview_is_neither_saved_nor_offered_for_editing_nor_shown_in_3d(proposal):
    node = proposal.preview.node
    assert node.GetHideFromEditors()
    assert not node.GetSaveWithScene()
    assert not node.GetDisplayNode().GetSaveWithScene()
    assert not node.GetDisplayNode().GetVisibility3D()


def test_the_segmentation_itself_is_not_touched(proposal):
    assert readSegmentation(proposal.node, proposal.volume).labels.sum() == 0


def test_removing_leaves_nothing_behind(proposal):
    proposal.preview.remove()
    assert proposal.nodes == proposal.nodes_before
    assert proposal.preview.node is None
    assert proposal.node.GetNodeReferenceID("InteractiveRefine.Preview") is None
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(proposal.scene)
    assert not tree.GetItemByName("InteractiveRefine preview Organs")
    proposal.preview.remove()  # a second time is no error


def test_a_new_proposal_replaces_the_old_one(proposal):
    proposal.preview.show(proposal.node, proposal.volume, proposal.before, proposal.before * 0, SEGMENTS)
    assert len(proposal.nodes) == len(proposal.nodes_before) + 2  # node and display node
    assert proposal.row("change:removed") == [1, 1, 1, 1, 0]
    proposal.preview.remove()
    assert proposal.nodes == proposal.nodes_before


def test_a_preview_that_somebody_removed_is_no_dead_end(proposal):
    proposal.scene.RemoveNode(proposal.preview.node)
    proposal.preview.setOpacity(0.5)
    proposal.preview.showChanges(True)
    assert proposal.preview.node is None
    proposal.preview.show(proposal.node, proposal.volume, proposal.before, proposal.after, SEGMENTS)
    assert proposal.row("change:added") == [0, 0, 0, 0, 1]


def test_an_empty_proposal_can_be_shown(proposal):
    nothing = proposal.before * 0
    proposal.preview.show(proposal.node, proposal.volume, nothing, nothing, SEGMENTS)
    assert proposal.preview.node.GetSegmentation().GetNumberOfSegments() == 0


def test_a_proposal_of_another_shape_is_refused(proposal):
    with pytest.raises(InputError, match="does not fit the volume"):
        proposal.preview.show(proposal.node, proposal.volume, proposal.before[:1], proposal.after[:1], SEGMENTS)
