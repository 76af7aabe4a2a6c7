"""Volumes of a scene become arrays at the right place, under any transform."""

import numpy as np
import pytest
from grid_examples import ALL_ORIENTATIONS, grid_matrix, rotation
from scene_examples import OBLIQUE, add_nonlinear_transform, add_transform, add_volume, slicer

from InteractiveRefineLib.errors import InputError
from InteractiveRefineScene.volumes import geometryOf, kjiToWorld, localToLocal, readVolume, worldToKji

NUMBERS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def test_a_volume_has_its_values_in_kji_order_and_its_name(slicer_scene):
    volume = readVolume(add_volume(slicer_scene.scene, NUMBERS, OBLIQUE, name="Abdomen"))
    np.testing.assert_array_equal(volume.array, NUMBERS)
    assert volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.ijk_to_ras, OBLIQUE, atol=1e-12)
    assert volume.name == "Abdomen"


def test_reading_a_volume_copies_nothing_and_nobody_can_write_into_it(slicer_scene):
    volume = readVolume(add_volume(slicer_scene.scene, NUMBERS))
    assert not volume.array.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 7


def test_components_of_a_volume_become_channels(slicer_scene):
    colors = np.stack([NUMBERS, NUMBERS + 100, NUMBERS + 200], axis=-1)
    volume = readVolume(add_volume(slicer_scene.scene, colors, vector=True))
    assert volume.array.shape == (3, 2, 3, 4)
    np.testing.assert_array_equal(volume.array[1], NUMBERS + 100)


@pytest.mark.parametrize("directions", [*ALL_ORIENTATIONS, rotation(0.3, -0.2, 0.4)])
def test_the_geometry_is_that_of_the_node_in_every_orientation(slicer_scene, directions):
    matrix = grid_matrix(directions)
    geometry = geometryOf(add_volume(slicer_scene.scene, NUMBERS, matrix))
    assert geometry.shape == (2, 3, 4)
    np.testing.assert_allclose(geometry.ijk_to_ras, matrix, atol=1e-12)


def test_parent_transforms_move_the_world_place_but_not_the_geometry(slicer_scene):
    volume = add_volume(slicer_scene.scene, NUMBERS, OBLIQUE)
    outer = add_transform(slicer_scene.scene, grid_matrix(rotation(0.5, 0, 0), (1, 1, 1), (5, 6, 7)))
    inner = add_transform(slicer_scene.scene, grid_matrix(rotation(0, 0.1, 0), (1, 2, 1), (1, 0, 0)), outer)
    volume.SetAndObserveTransformNodeID(inner.GetID())
    np.testing.assert_allclose(geometryOf(volume).ijk_to_ras, OBLIQUE, atol=1e-12)
    both = grid_matrix(rotation(0.5, 0, 0), (1, 1, 1), (5, 6, 7)) @ grid_matrix(
        rotation(0, 0.1, 0), (1, 2, 1), (1, 0, 0)
    )
    expected = both @ OBLIQUE @ [3, 2, 1, 1]  # i, j, k
    np.testing.assert_allclose(kjiToWorld(volume, [[1, 2, 3]])[0], expected[:3], atol=1e-9)
    np.testing.assert_allclose(worldToKji(volume, [expected[:3]])[0], [1, 2, 3], atol=1e-9)


def test_two_nodes_below_different_transforms_are_related_through_the_world(slicer_scene):
    a, b = add_volume(slicer_scene.scene, NUMBERS), add_volume(slicer_scene.scene, NUMBERS)
    moved, turned = grid_matrix(None, (1, 1, 1), (1, 2, 3)), grid_matrix(rotation(0, 0, 0.7), (1, 1, 1), (0, 0, 0))
    a.SetAndObserveTransformNodeID(add_transform(slicer_scene.scene, moved).GetID())
    b.SetAndObserveTransformNodeID(add_transform(slicer_scene.scene, turned).GetID())
    np.testing.assert_allclose(localToLocal(a, b), np.linalg.inv(turned) @ moved, atol=1e-12)
    np.testing.assert_allclose(localToLocal(a, None), moved, atol=1e-12)


def test_one_nonlinear_transform_above_both_does_not_matter(slicer_scene):
    a, b = add_volume(slicer_scene.scene, NUMBERS), add_volume(slicer_scene.scene, NUMBERS)
    bent = add_nonlinear_transform(slicer_scene.scene)
    for node in (a, b):
        node.SetAndObserveTransformNodeID(bent.GetID())
    np.testing.assert_array_equal(localToLocal(a, b), np.eye(4))


def test_a_nonlinear_transform_between_two_nodes_is_refused_with_what_to_do(slicer_scene):
    a, b = add_volume(slicer_scene.scene, NUMBERS, name="CT"), add_volume(slicer_scene.scene, NUMBERS, name="MR")
    a.SetAndObserveTransformNodeID(add_nonlinear_transform(slicer_scene.scene).GetID())
    with pytest.raises(InputError, match='nonlinear transform lies between "CT" / "MR". Harden it'):
        localToLocal(a, b)


def test_no_volume_and_a_volume_without_image_are_refused(slicer_scene):
    with pytest.raises(InputError, match="No volume is selected"):
        geometryOf(None)
    empty = slicer.vtkMRMLScalarVolumeNode()
    empty.SetName("nothing")
    slicer_scene.scene.AddNode(empty)
    with pytest.raises(InputError, match='Volume "nothing" has no image'):
        readVolume(empty)
