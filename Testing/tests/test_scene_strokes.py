"""Strokes are kept in a node of the scene, shown in the segments' colors, and read back from painted nodes."""

import time

import numpy as np
import pytest
from scene_examples import (
    OBLIQUE,
    add_segment,
    add_segmentation,
    add_transform,
    add_volume,
    ijk_to_ras,
    mask_of,
    slicer,
)

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.resolution import Source
from InteractiveRefineLib.stroke_book import BACKGROUND, Kind, Stroke
from InteractiveRefineLib.stroke_book_json import book_from_json
from InteractiveRefineScene.segments import readSegmentation
from InteractiveRefineScene.stroke_node import StrokeNode, readPaintedStrokes

SHAPE = (3, 40, 50)
STROKES_ROLE = "InteractiveRefine.Strokes"


class Drawing:
    """A volume, a segmentation with liver and spleen, and its strokes."""

    def __init__(self, scene, shape=SHAPE):
        self.scene, self.shape = scene, shape
        self.volume = add_volume(scene, np.zeros(shape, np.int16), OBLIQUE)
        self.node = add_segmentation(scene, self.volume)
        add_segment(self.node, "liver", color=(0.75, 0.25, 0.0))
        add_segment(self.node, "spleen", color=(0.0, 0.5, 0.25))
        self.strokes = StrokeNode.findOrCreate(self.node, self.volume)

    def at(self, *voxels):
        return np.array([np.ravel_multi_index(voxel, self.shape) for voxel in voxels])

    def draw(self, target, *voxels, **options):
        self.strokes.addStrokes(Stroke(self.at(*voxels), target, **options))

    @property
    def shown(self):
        """Voxels of each overlay segment that shows some."""
        node, found = self.strokes.node, {}
        for n in range(node.GetSegmentation().GetNumberOfSegments()):
            segment_id = node.GetSegmentation().GetNthSegmentID(n)
            voxels = np.argwhere(readSegmentation(node, self.volume, [segment_id]).labels)
            if len(voxels):
                found[segment_id] = [tuple(v) for v in voxels.tolist()]
        return found


@pytest.fixture
def drawing(slicer_scene):
    return Drawing(slicer_scene.scene)


def test_a_stroke_shows_in_the_color_and_under_the_name_of_its_segment(drawing):
    drawing.draw("liver", (1, 2, 3), (1, 2, 4))
    assert drawing.shown == {"class:liver": [(1, 2, 3), (1, 2, 4)]}
    overlay = drawing.strokes.node.GetSegmentation().GetSegment("class:liver")
    assert overlay.GetColor() == (0.75, 0.25, 0.0)
    assert overlay.GetName() == "liver"


def test_each_meaning_has_an_overlay_of_its_own(drawing):
    drawing.draw("liver", (0, 0, 0))
    drawing.draw("liver", (0, 0, 1), kind=Kind.NOT)
    drawing.draw("spleen", (0, 0, 2), source=Source.POINT)
    drawing.draw(BACKGROUND, (0, 0, 3))
    assert drawing.shown == {
        "class:liver": [(0, 0, 0)],
        "not:liver": [(0, 0, 1)],
        "class:spleen": [(0, 0, 2)],
        "class:": [(0, 0, 3)],
    }
    segmentation = drawing.strokes.node.GetSegmentation()
    assert segmentation.GetSegment("not:liver").GetName() == "not liver"
    assert segmentation.GetSegment("class:").GetName() == "background"


def test_the_node_is_hidden_saved_and_shown_in_slice_views_only(drawing):
    node = drawing.strokes.node
    assert node.GetHideFromEditors()
    assert node.GetSaveWithScene()
    assert not node.GetDisplayNode().GetVisibility3D()
    assert drawing.node.GetNodeReference(STROKES_ROLE) is node


def test_strokes_are_solid_and_the_grown_region_is_lighter(drawing):
    drawing.draw("liver", (1, 2, 3))
    drawing.strokes.showGrown({"liver": drawing.at((1, 2, 4)), BACKGROUND: drawing.at((0, 0, 0))})
    assert drawing.shown == {"class:liver": [(1, 2, 3)], "grown:liver": [(1, 2, 4)], "grown:": [(0, 0, 0)]}
    display = drawing.strokes.node.GetDisplayNode()
    assert display.GetSegmentOpacity2DFill("class:liver") == 1.0
    assert 0 < display.GetSegmentOpacity2DFill("grown:liver") < 0.5
    drawing.strokes.showGrown({"liver": drawing.at((2, 2, 4))})
    assert drawing.shown == {"class:liver": [(1, 2, 3)], "grown:liver": [(2, 2, 4)]}
    drawing.strokes.showGrown(None)
    assert drawing.shown == {"class:liver": [(1, 2, 3)]}


def test_strokes_far_apart_and_across_each_other_are_all_shown(drawing):
    drawing.draw("liver", (0, 0, 0))
    drawing.draw("liver", (2, 39, 49))
    drawing.draw("liver", (1, 20, 25))
    drawing.draw("spleen", (1, 20, 25), (1, 20, 26))  # the later one overrules
    assert drawing.shown == {"class:liver": [(0, 0, 0), (2, 39, 49)], "class:spleen": [(1, 20, 25), (1, 20, 26)]}


def test_taking_back_uncovers_what_was_below(drawing):
    drawing.draw("liver", (1, 20, 25))
    drawing.draw("spleen", (1, 20, 25))
    assert drawing.strokes.takeBack() is True
    assert drawing.shown == {"class:liver": [(1, 20, 25)]}
    assert drawing.strokes.takeBack() is True
    assert drawing.shown == {}
    assert drawing.strokes.takeBack() is False


def test_the_shell_around_a_box_is_kept_but_not_shown(drawing):
    core, shell = Stroke(drawing.at((1, 1, 1)), "liver", source=Source.BOX), drawing.at((2, 2, 2))
    drawing.strokes.addStrokes([core, Stroke(shell, "liver", Kind.NOT, Source.BOX)])
    assert drawing.shown == {"class:liver": [(1, 1, 1)]}
    assert [s.kind for s in drawing.strokes.book] == [Kind.CLASS, Kind.NOT]


def test_every_change_is_stored_and_told(drawing):
    told = []
    drawing.strokes.onChanged = lambda: told.append(drawing.strokes.node.GetAttribute("InteractiveRefine.StrokeBook"))
    drawing.draw("liver", (0, 0, 5))
    drawing.strokes.closeRound()
    drawing.draw("liver", (0, 0, 6))
    drawing.strokes.takeBack()
    drawing.strokes.clear()
    stored = [[[s.indices.tolist() for s in round_] for round_ in book_from_json(text).rounds] for text in told]
    assert stored == [[[[5]]], [[[5]]], [[[5]], [[6]]], [[[5]]], []]
    assert drawing.shown == {}


def test_strokes_are_found_again_with_their_overlay(drawing):
    drawing.draw("liver", (1, 2, 3))
    node = drawing.strokes.node
    again = StrokeNode.find(drawing.node, drawing.volume)
    assert again.node is node
    assert [s.indices.tolist() for s in again.book] == [drawing.at((1, 2, 3)).tolist()]
    assert drawing.node.GetNumberOfNodeReferences(STROKES_ROLE) == 1


def test_another_volume_has_strokes_of_its_own(drawing):
    drawing.draw("liver", (1, 2, 3))
    other = add_volume(drawing.scene, np.zeros(SHAPE, np.int16), OBLIQUE, name="MR")
    assert StrokeNode.find(drawing.node, other) is None
    assert StrokeNode.findOrCreate(drawing.node, other).book.is_empty
    assert StrokeNode.find(drawing.node, drawing.volume).book.targets() == ["liver"]
    assert drawing.node.GetNumberOfNodeReferences(STROKES_ROLE) == 2


def test_strokes_of_a_volume_that_changed_its_grid_are_not_used(drawing):
    drawing.draw("liver", (1, 2, 3))
    drawing.volume.SetSpacing(3, 3, 3)
    assert StrokeNode.find(drawing.node, drawing.volume) is None


def test_damaged_stored_strokes_are_logged_and_not_used(drawing, caplog):
    drawing.strokes.node.SetAttribute("InteractiveRefine.StrokeBook", "{broken")
    assert StrokeNode.find(drawing.node, drawing.volume) is None
    assert "draw them anew" in caplog.text


def test_a_node_that_somebody_removed_comes_back_with_the_next_stroke(drawing):
    drawing.draw("liver", (1, 2, 3))
    drawing.scene.RemoveNode(drawing.strokes.node)
    assert drawing.strokes.node is None
    drawing.draw("spleen", (0, 0, 0))
    assert book_from_json(drawing.strokes.node.GetAttribute("InteractiveRefine.StrokeBook")).targets() == [
        "liver",
        "spleen",
    ]
    assert drawing.shown == {"class:spleen": [(0, 0, 0)], "class:liver": [(1, 2, 3)]}


def test_refresh_follows_names_colors_and_transform(drawing):
    drawing.draw("liver", (1, 2, 3))
    segment = drawing.node.GetSegmentation().GetSegment("liver")
    segment.SetName("Leber")
    segment.SetColor(0.0, 0.0, 1.0)
    drawing.volume.SetAndObserveTransformNodeID(add_transform(drawing.scene, OBLIQUE).GetID())
    drawing.strokes.refresh()
    overlay = drawing.strokes.node.GetSegmentation().GetSegment("class:liver")
    assert (overlay.GetName(), overlay.GetColor()) == ("Leber", (0.0, 0.0, 1.0))
    assert drawing.shown == {"class:liver": [(1, 2, 3)]}
    assert drawing.strokes.node.GetTransformNodeID() == drawing.volume.GetTransformNodeID()


def test_a_stroke_drawn_after_the_volume_moved_lies_where_the_volume_is(drawing):
    drawing.volume.SetAndObserveTransformNodeID(add_transform(drawing.scene, OBLIQUE).GetID())
    drawing.draw("liver", (1, 2, 3))
    assert drawing.shown == {"class:liver": [(1, 2, 3)]}


def test_removing_leaves_no_node_behind(slicer_scene):
    volume = add_volume(slicer_scene.scene, np.zeros(SHAPE, np.int16))
    node = add_segmentation(slicer_scene.scene, volume)
    add_segment(node, "liver")
    before = {slicer_scene.scene.GetNthNode(n).GetID() for n in range(slicer_scene.scene.GetNumberOfNodes())}
    strokes = StrokeNode.findOrCreate(node, volume)
    strokes.addStrokes(Stroke(np.array([1]), "liver"))
    strokes.remove()
    after = {slicer_scene.scene.GetNthNode(n).GetID() for n in range(slicer_scene.scene.GetNumberOfNodes())}
    assert after == before
    assert strokes.node is None
    assert node.GetNodeReference(STROKES_ROLE) is None


def test_hiding_hides_all_overlays(drawing):
    drawing.strokes.setVisible(False)
    assert not drawing.strokes.node.GetDisplayNode().GetVisibility()


@pytest.mark.slow
def test_on_a_large_scan_one_more_stroke_costs_milliseconds(slicer_scene):
    drawing = Drawing(slicer_scene.scene, (300, 512, 512))
    ball = np.argwhere(np.linalg.norm(np.indices((9, 9, 9)) - 4, axis=0) <= 4)
    seconds = []
    for n in range(12):
        place = ball + (150, 200 + 4 * n, 250)
        stroke = Stroke(np.ravel_multi_index(tuple(place.T), drawing.shape), "liver")
        start = time.perf_counter()
        drawing.strokes.addStrokes(stroke)
        seconds.append(time.perf_counter() - start)
    image = drawing.strokes.node.GetSegmentation().GetSegment("class:liver").GetRepresentation("Binary labelmap")
    assert image.GetNumberOfPoints() < 500_000  # the scan has 79 million voxels
    assert np.median(seconds) < 0.05


def painted(drawing, masks):
    return add_segmentation(drawing.scene, drawing.volume, masks, name="By hand")


def test_a_node_painted_by_hand_is_read_by_the_names_of_its_segments(drawing):
    masks = {
        " LIVER ": mask_of(SHAPE, (0, 0, 0)),
        "Background": mask_of(SHAPE, (0, 0, 1)),
        "not Spleen": mask_of(SHAPE, (0, 0, 2)),
        "spleen": mask_of(SHAPE),
    }
    strokes, warnings = readPaintedStrokes(painted(drawing, masks), drawing.node, drawing.volume)
    assert [(s.indices.tolist(), s.target, s.kind) for s in strokes] == [
        ([0], "liver", Kind.CLASS),
        ([1], BACKGROUND, Kind.CLASS),
        ([2], "spleen", Kind.NOT),
    ]
    assert warnings == []


def test_painted_names_that_fit_nothing_are_told_or_refused(drawing):
    node = painted(drawing, {"kidney": mask_of(SHAPE, (0, 0, 0))})
    with pytest.raises(InputError, match='"By hand" has no strokes that can be used. Name its segments like'):
        readPaintedStrokes(node, drawing.node, drawing.volume)
    add_segment(node, "liver", mask_of(SHAPE, (0, 0, 1)), ijk_to_ras(drawing.volume))
    strokes, warnings = readPaintedStrokes(node, drawing.node, drawing.volume)
    assert [s.target for s in strokes] == ["liver"]
    assert warnings == ['Strokes "kidney" fit no segment of "Organs" and were left out; rename them.']


def test_the_class_slicer_knows_nothing_of_our_node(drawing):
    """Nobody's list of segmentations offers the overlay for editing."""
    visible = slicer.mrmlScene.GetFirstNode(None, "vtkMRMLSegmentationNode", [0], False)
    assert visible is drawing.node
