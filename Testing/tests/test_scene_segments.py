"""Segments of a scene become one label map on the volume's grid, whatever layers, extents and transforms they have."""

import numpy as np
import pytest
from grid_examples import ALL_ORIENTATIONS, grid_matrix, rotation
from scene_examples import (
    OBLIQUE,
    add_nonlinear_transform,
    add_segment,
    add_segmentation,
    add_shared_segments,
    add_transform,
    add_volume,
    mask_of,
    slicer,
    vtk,
)

from InteractiveRefineLib.errors import InputError
from InteractiveRefineScene.labelmaps import orientedImage
from InteractiveRefineScene.segments import makeEditable, readSegmentation

SHAPE = (3, 4, 5)
IMAGE = np.zeros(SHAPE, dtype=np.int16)


@pytest.fixture
def volume(slicer_scene):
    return add_volume(slicer_scene.scene, IMAGE, OBLIQUE)


def test_segments_get_labels_in_order_with_their_ids_names_and_colors(slicer_scene, volume):
    node = add_segmentation(slicer_scene.scene, volume)
    add_segment(node, "b", mask_of(SHAPE, (0, 0, 0)), OBLIQUE, color=(0.25, 0.5, 0.75))
    add_segment(node, "a", mask_of(SHAPE, (1, 2, 3)), OBLIQUE, tags={"InteractiveRefine.Class": "liver"})
    found = readSegmentation(node, volume)
    assert [(s.id, s.name, s.label) for s in found.segments] == [("b", "b", 1), ("a", "a", 2)]
    assert found.segments[0].color == (0.25, 0.5, 0.75)
    assert found.segments[1].tags["InteractiveRefine.Class"] == "liver"
    assert found.labels.dtype == np.uint16
    np.testing.assert_array_equal(found.labels, mask_of(SHAPE, (0, 0, 0)) + 2 * mask_of(SHAPE, (1, 2, 3)))
    assert found.warnings == []


def test_segments_that_share_a_labelmap_are_told_apart_by_their_values(slicer_scene, volume):
    node = add_segmentation(slicer_scene.scene, volume)
    labels = np.zeros(SHAPE, np.int16)
    labels[0, 1, 1:3], labels[2, 3, 4], labels[1, 0, 0] = 1, 2, 3
    add_shared_segments(node, labels, ["a", "b", "c"], OBLIQUE)
    np.testing.assert_array_equal(readSegmentation(node, volume).labels, labels)
    only_b = readSegmentation(node, volume, ["b"])
    np.testing.assert_array_equal(only_b.labels, labels == 2)
    assert [s.id for s in only_b.segments] == ["b"]


def test_negative_and_foreign_values_of_a_layer_are_background(slicer_scene, volume):
    node = add_segmentation(slicer_scene.scene, volume)
    labels = np.zeros(SHAPE, np.int16)
    labels[0, 0, :4] = [1, -1, 7, -7]
    image = orientedImage(labels, OBLIQUE)
    add_segment(node, "a", image=image, value=1)
    add_segment(node, "zero", image=image, value=0)
    np.testing.assert_array_equal(readSegmentation(node, volume).labels, mask_of(SHAPE, (0, 0, 0)))


def test_where_segments_overlap_the_later_one_wins_and_a_warning_says_how_much(slicer_scene, volume):
    organ, tumor = mask_of(SHAPE, (slice(None), 1, 1)), mask_of(SHAPE, (1, 1, slice(0, 2)))
    node = add_segmentation(slicer_scene.scene, volume, {"organ": organ, "tumor": tumor})
    found = readSegmentation(node, volume)
    np.testing.assert_array_equal(found.labels, np.where(tumor, 2, organ))
    assert found.warnings == ['"organ" and "tumor" overlap in 0.0009375 ml; the later one keeps these voxels.']


def test_the_later_segment_wins_also_when_it_shares_a_layer_with_an_earlier_one(slicer_scene, volume):
    node = add_segmentation(slicer_scene.scene, volume)
    shared = orientedImage(mask_of(SHAPE, (0, 0, 0)) + 2 * mask_of(SHAPE, (0, 0, 1)).astype(np.uint8), OBLIQUE)
    add_segment(node, "first", image=shared, value=1)
    add_segment(node, "middle", mask_of(SHAPE, (0, 0, slice(0, 2))), OBLIQUE)
    add_segment(node, "last", image=shared, value=2)
    np.testing.assert_array_equal(readSegmentation(node, volume).labels[0, 0, :2], [2, 3])


def test_hidden_and_empty_segments_take_part(slicer_scene, volume):
    node = add_segmentation(slicer_scene.scene, volume, {"a": mask_of(SHAPE, (0, 0, 0))})
    add_segment(node, "empty")
    node.GetDisplayNode().SetSegmentVisibility("a", False)
    found = readSegmentation(node, volume)
    assert [s.id for s in found.segments] == ["a", "empty"]
    assert found.labels.sum() == 1


def test_a_labelmap_smaller_than_the_volume_keeps_its_place(slicer_scene, volume):
    node = add_segmentation(slicer_scene.scene, volume)
    add_segment(node, "a", np.ones((1, 2, 1), bool), OBLIQUE, start=(2, 1, 3))
    np.testing.assert_array_equal(readSegmentation(node, volume).labels, mask_of(SHAPE, (2, slice(1, 3), 3)))


def test_voxels_outside_the_volume_are_left_out_and_told(slicer_scene, volume):
    node = add_segmentation(slicer_scene.scene, volume)
    add_segment(node, "partly", np.ones((1, 1, 4), bool), OBLIQUE, start=(0, 0, 3))
    add_segment(node, "away", np.ones((2, 2, 2), bool), OBLIQUE, start=(50, 50, 50))
    found = readSegmentation(node, volume)
    np.testing.assert_array_equal(found.labels, mask_of(SHAPE, (0, 0, slice(3, 5))))
    assert found.warnings == [
        '0.001875 ml of "partly" lie outside the volume and take no part.',
        '0.0075 ml of "away" lie outside the volume and take no part.',
    ]


@pytest.mark.parametrize("directions", ALL_ORIENTATIONS)
def test_the_physical_mask_is_the_same_over_all_flips_and_permutations(slicer_scene, directions):
    """The scan and the segmentation are stored in different voxel orders of the same grid."""
    scan = add_volume(slicer_scene.scene, IMAGE, grid_matrix(None, (1, 1, 1), (0, 0, 0)))
    node = add_segmentation(slicer_scene.scene, scan)
    mask = mask_of(SHAPE, (0, 1, slice(1, 4)), (2, 3, 4))
    ras = np.argwhere(mask)[:, ::-1]
    to_ras = np.eye(4)
    to_ras[:3, :3], to_ras[:3, 3] = directions, (2, 2, 2)
    ijk = np.rint((ras - to_ras[:3, 3]) @ directions).astype(int)  # the inverse of a signed permutation
    low = ijk.min(axis=0)
    array = np.zeros((ijk.max(axis=0) - low + 1)[::-1], np.uint8)
    array[tuple((ijk - low)[:, ::-1].T)] = 1
    add_segment(node, "a", image=orientedImage(array, to_ras, tuple(low[::-1])))
    found = readSegmentation(node, scan)
    np.testing.assert_array_equal(found.labels, mask)
    assert found.warnings == []


@pytest.mark.parametrize("directions", [*ALL_ORIENTATIONS[::7], rotation(0.3, -0.2, 0.4)])
def test_nested_transforms_of_both_nodes_are_taken_into_account(slicer_scene, directions):
    scene = slicer_scene.scene
    matrix = grid_matrix(directions)
    scan = add_volume(scene, IMAGE, matrix)
    outer = add_transform(scene, grid_matrix(rotation(0.5, 0, 0), (1, 1, 1), (5, 6, 7)))
    above_scan = add_transform(scene, grid_matrix(rotation(0, 0.25, 0), (1, 1, 1), (1, 2, 3)), outer)
    above_node = add_transform(scene, grid_matrix(rotation(0, 0, 1), (1, 1, 1), (3, 2, 1)))
    scan.SetAndObserveTransformNodeID(above_scan.GetID())
    node = add_segmentation(scene, scan)
    node.SetAndObserveTransformNodeID(above_node.GetID())
    # The voxels where the scan's are in the world, seen from below the segmentation's own transform.
    down = np.linalg.inv(grid_matrix(rotation(0, 0, 1), (1, 1, 1), (3, 2, 1)))
    up = grid_matrix(rotation(0.5, 0, 0), (1, 1, 1), (5, 6, 7)) @ grid_matrix(
        rotation(0, 0.25, 0), (1, 1, 1), (1, 2, 3)
    )
    mask = mask_of(SHAPE, (0, 1, slice(1, 4)), (2, 3, 4))
    add_segment(node, "a", mask, down @ up @ matrix)
    found = readSegmentation(node, scan)
    np.testing.assert_array_equal(found.labels, mask)
    assert found.warnings == []


def test_another_grid_is_resampled_to_the_nearest_voxel_with_a_warning(slicer_scene):
    scan = add_volume(slicer_scene.scene, np.zeros((2, 2, 4), np.int16), grid_matrix(None, (1, 1, 1), (0, 0, 0)))
    node = add_segmentation(slicer_scene.scene, scan)
    coarse = grid_matrix(None, (2, 2, 2), (0.5, 0.5, 0.5))  # each voxel covers 2 x 2 x 2 voxels of the scan
    add_segment(node, "a", mask_of((1, 1, 2), (0, 0, 1)), coarse)
    found = readSegmentation(node, scan)
    np.testing.assert_array_equal(found.labels, mask_of((2, 2, 4), (slice(None), slice(None), slice(2, 4))))
    assert found.warnings == ['"Organs" lies on another grid than the volume and was resampled to it, nearest voxel.']


def add_ball_surface(scene, volume, center, radius):
    node = slicer.vtkMRMLSegmentationNode()
    node.SetName("Surfaces")
    scene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    ball = vtk.vtkSphereSource()
    ball.SetCenter(*center)
    ball.SetRadius(radius)
    ball.SetThetaResolution(32)
    ball.SetPhiResolution(32)
    ball.Update()
    node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "ball", [1.0, 0.0, 0.0], "ball")
    return node


def test_surfaces_are_converted_in_a_copy_on_the_grid_of_the_volume(slicer_scene):
    scan = add_volume(slicer_scene.scene, np.zeros((9, 9, 9), np.int16), grid_matrix(None, (1, 1, 1), (0, 0, 0)))
    node = add_ball_surface(slicer_scene.scene, scan, (4, 4, 4), 2.3)
    found = readSegmentation(node, scan)
    distance = np.linalg.norm(np.indices((9, 9, 9)) - 4, axis=0)
    np.testing.assert_array_equal(found.labels, distance < 2.3)
    assert found.warnings == ['The surfaces of "Surfaces" were converted to voxels.']
    assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap")


def test_making_surfaces_editable_makes_binary_labelmaps_the_source(slicer_scene):
    scan = add_volume(slicer_scene.scene, np.zeros((9, 9, 9), np.int16), grid_matrix(None, (1, 1, 1), (0, 0, 0)))
    node = add_ball_surface(slicer_scene.scene, scan, (4, 4, 4), 2.3)
    assert makeEditable(node, scan) is True
    assert node.GetSegmentation().GetSourceRepresentationName() == "Binary labelmap"
    assert int(readSegmentation(node, scan).labels.sum()) == int(
        (np.linalg.norm(np.indices((9, 9, 9)) - 4, axis=0) < 2.3).sum()
    )
    assert makeEditable(node, scan) is False


def test_unknown_segments_no_segmentation_and_bent_space_are_refused(slicer_scene, volume):
    node = add_segmentation(slicer_scene.scene, volume, {"a": mask_of(SHAPE, (0, 0, 0))})
    with pytest.raises(InputError, match='"Organs" has no segment with the ID "b"'):
        readSegmentation(node, volume, ["a", "b"])
    with pytest.raises(InputError, match="No segmentation is selected"):
        readSegmentation(None, volume)
    node.SetAndObserveTransformNodeID(add_nonlinear_transform(slicer_scene.scene).GetID())
    with pytest.raises(InputError, match="nonlinear transform"):
        readSegmentation(node, volume)
