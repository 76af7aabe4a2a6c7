"""Our hidden nodes have the items in the subject hierarchy that Slicer demands, and leave none behind."""

import numpy as np
import pytest
from scene_examples import add_segment, add_segmentation, add_volume, slicer

from InteractiveRefineLib.segmentation import Segment
from InteractiveRefineLib.stroke_book import Stroke
from InteractiveRefineScene.hidden_node import makeHiddenSegmentation, removeNode
from InteractiveRefineScene.preview_node import PreviewNode
from InteractiveRefineScene.stroke_node import StrokeNode

SHAPE = (2, 3, 4)


class Work:
    """A volume and a segmentation with a liver."""

    def __init__(self, scene):
        self.scene = scene
        self.volume = add_volume(scene, np.zeros(SHAPE, np.int16))
        self.node = add_segmentation(scene, self.volume)
        add_segment(self.node, "liver")

    def hidden(self, saved=True):
        return makeHiddenSegmentation(self.scene, "hidden", self.volume, saved)

    def preview(self):
        before, made = np.zeros(SHAPE, np.uint8), PreviewNode()
        made.show(self.node, self.volume, before, before + 1, [Segment("liver", 1, id="liver")])
        return made


@pytest.fixture
def work(slicer_scene):
    return Work(slicer_scene.scene)


def tree(scene):
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def names(scene):
    """Names of all items below the scene's, in order."""
    import vtk

    items = vtk.vtkIdList()
    tree(scene).GetItemChildren(tree(scene).GetSceneItemID(), items, True)
    return [tree(scene).GetItemName(items.GetId(n)) for n in range(items.GetNumberOfIds())]


@pytest.mark.parametrize("change", ["add", "rename", "remove", "show"])
def test_the_stand_in_minds_like_slicer_a_change_in_a_hidden_segmentation_without_an_item(
    work, slicer_problems, change
):
    node = work.hidden()
    add_segment(node, "liver")
    tree(work.scene).RemoveItem(tree(work.scene).GetItemByDataNode(node), False, True)
    assert slicer_problems.unexpected() == []
    segmentation = node.GetSegmentation()
    {
        "add": lambda: segmentation.AddSegment(slicer.vtkSegment(), "spleen"),
        "rename": lambda: segmentation.GetSegment("liver").SetName("Leber"),
        "remove": lambda: segmentation.RemoveSegment("liver"),
        "show": lambda: node.GetDisplayNode().SetVisibility(False),
    }[change]()
    expected = "Failed to access subject hierarchy item for segmentation node hidden"
    assert set(slicer_problems.unexpected()) == {expected}
    slicer_problems.allow(expected)


@pytest.mark.parametrize("saved", [True, False])
def test_a_hidden_node_has_one_item_and_stays_hidden(work, saved):
    node = work.hidden(saved)
    assert names(work.scene) == ["CT", "Organs", "hidden"]
    assert node.GetHideFromEditors()
    add_segment(node, "liver")


def test_strokes_of_a_scene_without_items_get_one_before_they_are_shown(work):
    strokes = StrokeNode.findOrCreate(work.node, work.volume)
    strokes.addStrokes(Stroke(np.array([1]), "liver"))
    node = strokes.node
    tree(work.scene).RemoveItem(tree(work.scene).GetItemByDataNode(node), False, True)
    assert StrokeNode.find(work.node, work.volume).node is node
    assert names(work.scene) == ["CT", "Organs", "InteractiveRefine strokes Organs"]


@pytest.mark.parametrize("windows", [True, False], ids=["with Slicer's windows", "without"])
def test_a_removed_node_leaves_no_item_and_no_error(slicer_scene, work, windows):
    node = work.hidden()
    add_segment(node, "liver")
    if not windows:
        slicer_scene._tree.stop()
    removeNode(node)
    assert names(work.scene) == ["CT", "Organs"]
    removeNode(node)  # a second time is no error


def saved_and_loaded(scene, folder):
    path = str(folder / "case.mrb")
    scene.SetRootDirectory(str(folder))
    assert scene.WriteToMRB(path)
    scene.Clear(1)
    scene.SetURL("")
    assert scene.ReadFromMRB(path)


def test_strokes_have_one_item_after_loading_too(work, tmp_path):
    scene = work.scene
    StrokeNode.findOrCreate(work.node, work.volume).addStrokes(Stroke(np.array([1]), "liver"))
    saved_and_loaded(scene, tmp_path)
    strokes = StrokeNode.find(scene.GetFirstNodeByName("Organs"), scene.GetFirstNodeByName("CT"))
    assert sorted(names(scene)) == ["CT", "InteractiveRefine strokes Organs", "Organs"]
    strokes.addStrokes(Stroke(np.array([2]), "liver"))


def test_of_a_preview_that_was_shown_while_the_scene_was_saved_no_item_stays(work, tmp_path):
    scene, preview = work.scene, work.preview()
    preview.setOpacity(0.3)
    preview.showChanges(True)
    preview.release()
    saved_and_loaded(scene, tmp_path)
    folder = tree(scene).CreateFolderItem(tree(scene).GetSceneItemID(), "of the user")
    assert "InteractiveRefine preview Organs" in names(scene)  # Slicer saves items of nodes that it does not save
    StrokeNode.find(scene.GetFirstNodeByName("Organs"), scene.GetFirstNodeByName("CT"))
    assert sorted(names(scene)) == ["CT", "Organs", "of the user"]
    assert tree(scene).GetItemName(folder) == "of the user"
    assert scene.GetFirstNodeByName("InteractiveRefine preview Organs") is None


def test_a_closed_scene_keeps_no_item(work):
    work.hidden()
    work.preview().release()
    work.scene.Clear(0)
    assert names(work.scene) == []
