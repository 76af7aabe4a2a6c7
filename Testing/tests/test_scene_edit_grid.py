"""Segments on lattices that start elsewhere are written at the right place."""

import numpy as np
import pytest
from scene_examples import OBLIQUE, HeadlessEditor, add_segment, add_segmentation, add_volume, mask_of, slicer

from InteractiveRefineScene.edit_grid import EditGrid
from InteractiveRefineScene.labelmaps import orientedImage

SHAPE = (3, 4, 5)


def reference_text(shape, matrix, start):
    return slicer.vtkSegmentationConverter.SerializeImageGeometry(orientedImage(np.zeros(shape), matrix, start))


def moved_origin(k, j, i):
    """OBLIQUE, counted from another voxel."""
    shift = np.eye(4)
    shift[:3, 3] = (i, j, k)
    return OBLIQUE @ shift


@pytest.fixture
def editor(slicer_scene):
    volume = add_volume(slicer_scene.scene, np.zeros(SHAPE, np.int16), OBLIQUE)
    node = add_segmentation(slicer_scene.scene, volume)
    return HeadlessEditor(slicer_scene.scene, volume, node)


def test_the_grid_of_a_segmentation_is_its_reference_geometry(editor):
    text = reference_text((2, 2, 2), moved_origin(7, 8, 9), (-7, -8, -9))
    editor.segmentation.GetSegmentation().SetConversionParameter("Reference image geometry", text)
    grid = EditGrid.of(editor.segmentation, editor.volume)
    assert (grid.geometry.shape, grid.start) == ((2, 2, 2), (-7, -8, -9))
    np.testing.assert_allclose(grid.geometry.ijk_to_ras, OBLIQUE, atol=1e-9)
    np.testing.assert_allclose(grid.lattice, moved_origin(7, 8, 9), atol=1e-9)


def test_a_segmentation_without_a_grid_gets_that_of_the_volume(editor):
    editor.segmentation.GetSegmentation().SetConversionParameter("Reference image geometry", "")
    grid = EditGrid.of(editor.segmentation, editor.volume)
    assert (grid.geometry.shape, grid.start) == (SHAPE, (0, 0, 0))
    np.testing.assert_allclose(grid.geometry.ijk_to_ras, OBLIQUE, atol=1e-9)


@pytest.mark.parametrize("intensity_mask", [False, True])
def test_a_reference_geometry_may_be_counted_from_a_voxel_far_away(editor, intensity_mask):
    text = reference_text(SHAPE, moved_origin(7, 8, 9), (-7, -8, -9))
    editor.segmentation.GetSegmentation().SetConversionParameter("Reference image geometry", text)
    add_segment(editor.segmentation, "a", mask_of(SHAPE, (1, 1, 1)), moved_origin(7, 8, 9), (-7, -8, -9))
    add_segment(editor.segmentation, "b")
    editor.node.SetSourceVolumeIntensityMask(intensity_mask)
    editor.node.SetSourceVolumeIntensityMaskRange(0, 0)
    report = editor.write({(1, 1, 1): "b", (2, 3, 4): "a", (0, 0, 0): "b"})
    assert editor.voxels("a") == [(2, 3, 4)]
    assert editor.voxels("b") == [(0, 0, 0), (1, 1, 1)]
    assert (report.added, report.removed, report.refused) == ({"a": 1, "b": 2}, {"a": 1}, {})


def test_an_imported_segment_may_lie_on_a_lattice_of_its_own(editor):
    add_segment(editor.segmentation, "a", mask_of((1, 1, 2), (0, 0, slice(0, 2))), moved_origin(1, 1, 1))
    add_segment(editor.segmentation, "b")
    assert editor.voxels("a") == [(1, 1, 1), (1, 1, 2)]
    report = editor.write({(1, 1, 1): "b", (0, 0, 4): "a"})
    assert editor.voxels("a") == [(0, 0, 4), (1, 1, 2)]
    assert editor.voxels("b") == [(1, 1, 1)]
    assert (report.added, report.removed, report.refused) == ({"a": 1, "b": 1}, {"a": 1}, {})


def test_a_reference_geometry_of_another_orientation_is_no_obstacle(editor):
    turned = OBLIQUE @ np.diag([-1.0, 1.0, -1.0, 1.0])  # I and K run backward
    editor.segmentation.GetSegmentation().SetConversionParameter(
        "Reference image geometry", reference_text(SHAPE, turned, (-2, 0, -4))
    )
    add_segment(editor.segmentation, "a")
    editor.write({(1, 2, 3): "a", (2, 3, 4): "a", (0, 0, 0): "a"})
    assert editor.voxels("a") == [(0, 0, 0), (1, 2, 3), (2, 3, 4)]
    assert editor.read().warnings == []


def test_a_result_all_outside_the_reference_geometry_is_not_written_and_told(editor):
    text = reference_text((1, 1, 1), OBLIQUE, (0, 0, 0))
    editor.segmentation.GetSegmentation().SetConversionParameter("Reference image geometry", text)
    add_segment(editor.segmentation, "a")
    report = editor.write({(2, 3, 4): "a"})
    assert editor.voxels("a") == []
    assert report.warnings == ['Part of the result lies outside the geometry of "Organs" and was not written.']
    assert editor.history.GetNumberOfStates() == 0
