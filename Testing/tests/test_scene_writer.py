"""A result is written through Slicer's masks: one undo state, exact voxels, every refusal told."""

import itertools

import numpy as np
import pytest
from grid_examples import ALL_ORIENTATIONS, grid_matrix, rotation
from scene_examples import (
    EDITOR,
    MODES,
    OBLIQUE,
    HeadlessEditor,
    add_segment,
    add_segmentation,
    add_shared_segments,
    add_transform,
    add_volume,
    mask_of,
)

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.segmentation import Segment

SHAPE = (3, 4, 5)
OVERWRITE = [EDITOR.OverwriteAllSegments, EDITOR.OverwriteVisibleSegments, EDITOR.OverwriteNone]
#: Two touching segments: a is i = 0 and 1, b is i = 2 and 3 of the row (1, 1).
ROW = {"a": mask_of(SHAPE, (1, 1, slice(0, 2))), "b": mask_of(SHAPE, (1, 1, slice(2, 4)))}


def editor_of(slicer_scene, masks=None, shared=False, matrix=OBLIQUE, image=None):
    image = np.zeros(SHAPE, np.int16) if image is None else image
    volume = add_volume(slicer_scene.scene, image, matrix)
    masks = ROW if masks is None else masks
    node = add_segmentation(slicer_scene.scene, volume, {} if shared else masks)
    if shared:
        labels = sum(n * mask.astype(np.uint8) for n, mask in enumerate(masks.values(), start=1))
        add_shared_segments(node, labels, list(masks), matrix)
    return HeadlessEditor(slicer_scene.scene, volume, node)


def row(i):
    return (1, 1, i)


@pytest.mark.parametrize("shared", [False, True])
def test_only_the_voxels_that_differ_are_written(slicer_scene, shared):
    editor = editor_of(slicer_scene, shared=shared)
    report = editor.write({row(4): "b", (0, 0, 0): "a", row(0): ""})
    assert editor.voxels("a") == [(0, 0, 0), row(1)]
    assert editor.voxels("b") == [row(2), row(3), row(4)]
    assert (report.added, report.removed, report.refused, report.warnings) == ({"a": 1, "b": 1}, {"a": 1}, {}, [])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("overwrite", OVERWRITE)
@pytest.mark.parametrize("visible", [True, False])
def test_a_voxel_that_moves_from_one_segment_to_its_neighbor_ends_in_it(slicer_scene, overwrite, shared, visible):
    editor = editor_of(slicer_scene, shared=shared)
    editor.node.SetOverwriteMode(overwrite)
    editor.segmentation.GetDisplayNode().SetSegmentVisibility("a", visible)
    editor.segmentation.GetDisplayNode().SetSegmentVisibility("b", visible)
    editor.write({row(1): "b", row(2): "a"})  # they exchange their border voxels
    assert editor.voxels("a") == [row(0), row(2)]
    assert editor.voxels("b") == [row(1), row(3)]
    assert editor.segmentation.GetSegmentation().GetNumberOfLayers() == (1 if shared else 2)


def test_all_segments_together_are_one_undo_state(slicer_scene):
    editor = editor_of(slicer_scene)
    before = editor.read().labels
    editor.write({row(1): "b", row(2): "", (0, 0, 0): "a"})
    assert editor.history.GetNumberOfStates() == 1
    editor.logic.Undo()
    np.testing.assert_array_equal(editor.read().labels, before)
    assert not editor.logic.CanUndo()


def test_without_a_difference_nothing_happens_and_no_undo_state_is_saved(slicer_scene):
    editor = editor_of(slicer_scene)
    report = editor.write({row(0): "a"})
    assert (report.added, report.removed, report.refused, report.warnings) == ({}, {}, {}, [])
    assert editor.history.GetNumberOfStates() == 0


def test_the_selected_segment_stays_selected_and_nobody_hears_of_the_writing(slicer_scene):
    editor = editor_of(slicer_scene)
    editor.node.SetSelectedSegmentID("b")
    heard = []
    editor.node.AddObserver("ModifiedEvent", lambda node, event: heard.append(node.GetSelectedSegmentID()))
    editor.write({row(0): "", row(4): "b"})
    assert editor.node.GetSelectedSegmentID() == "b"
    assert set(heard) <= {"b"}


@pytest.mark.parametrize("shared", [False, True])
def test_a_locked_segment_neither_gains_nor_loses_a_voxel(slicer_scene, shared):
    editor = editor_of(slicer_scene, shared=shared)
    report = editor.write({row(1): "b", row(2): "a", row(3): "", row(0): "", (0, 0, 0): "b"}, locked=["b"])
    assert editor.voxels("b") == [row(2), row(3)]
    assert editor.voxels("a") == [row(1)]
    assert report.refused == {"a": 1, "b": 2, "": 1}
    assert report.removed == {"a": 1}


def test_a_locked_segment_that_another_one_covers_keeps_its_voxels(slicer_scene):
    masks = {"organ": mask_of(SHAPE, row(0)), "tumor": mask_of(SHAPE, row(0)), "vessel": mask_of(SHAPE, row(4))}
    editor = editor_of(slicer_scene, masks)
    report = editor.write({row(0): "vessel"}, locked=["organ"])
    assert editor.voxels("organ") == [row(0)]
    assert report.refused == {"vessel": 1}


def test_where_segments_overlap_a_changed_voxel_belongs_to_one_only(slicer_scene):
    masks = {"organ": mask_of(SHAPE, row(0), row(1)), "tumor": mask_of(SHAPE, row(0), row(1))}
    editor = editor_of(slicer_scene, masks)
    editor.write({row(0): "", row(2): "organ"})
    # The overlap at the voxel in between, which did not change, is left alone.
    assert (editor.voxels("organ"), editor.voxels("tumor")) == ([row(1), row(2)], [row(1)])


@pytest.mark.parametrize("overwrite", OVERWRITE)
def test_inside_one_segment_only_its_voxels_change(slicer_scene, overwrite):
    editor = editor_of(slicer_scene)
    editor.node.SetOverwriteMode(overwrite)
    editor.node.SetMaskMode(MODES.EditAllowedInsideSingleSegment)
    editor.node.SetMaskSegmentID("a")
    report = editor.write({row(1): "b", row(2): "a", row(4): "b", row(0): ""})
    assert editor.voxels("a") == []
    assert editor.voxels("b") == [row(1), row(2), row(3)]
    assert report.refused == {"a": 1, "b": 1}


@pytest.mark.parametrize("overwrite", OVERWRITE)
@pytest.mark.parametrize("mode", [MODES.EditAllowedInsideAllSegments, MODES.EditAllowedInsideVisibleSegments])
def test_inside_segments_nothing_grows_into_the_background(slicer_scene, mode, overwrite):
    editor = editor_of(slicer_scene)
    editor.node.SetOverwriteMode(overwrite)
    editor.node.SetMaskMode(mode)
    report = editor.write({row(1): "b", row(4): "b", row(0): ""})
    assert editor.voxels("a") == []
    assert editor.voxels("b") == [row(1), row(2), row(3)]
    assert report.refused == {"b": 1}
    assert report.warnings == [
        '1 voxels did not become "b": the editable area, intensity range or a lock protects them.'
    ]


@pytest.mark.parametrize("overwrite", OVERWRITE)
def test_outside_all_segments_no_segment_takes_anothers_voxel(slicer_scene, overwrite):
    """The finished structure a is protected from b, but may itself be corrected."""
    editor = editor_of(slicer_scene)
    editor.node.SetOverwriteMode(overwrite)
    editor.node.SetMaskMode(MODES.EditAllowedOutsideAllSegments)
    report = editor.write({row(1): "b", row(4): "b", row(0): ""})
    assert editor.voxels("a") == [row(1)]
    assert editor.voxels("b") == [row(2), row(3), row(4)]
    assert report.refused == {"b": 1}


@pytest.mark.parametrize("overwrite", OVERWRITE)
def test_outside_visible_segments_a_hidden_one_gives_its_voxel_away_completely(slicer_scene, overwrite):
    editor = editor_of(slicer_scene)
    editor.node.SetOverwriteMode(overwrite)
    editor.node.SetMaskMode(MODES.EditAllowedOutsideVisibleSegments)
    editor.segmentation.GetDisplayNode().SetSegmentVisibility("a", False)
    report = editor.write({row(1): "b", row(2): "a"})  # the second one is taken from visible b
    assert editor.voxels("a") == [row(0)]
    assert editor.voxels("b") == [row(1), row(2), row(3)]
    assert report.refused == {"a": 1}


@pytest.mark.parametrize("box_is_offset", [False, True])
def test_the_editable_intensity_range_is_respected_and_told(slicer_scene, box_is_offset):
    image = np.zeros(SHAPE, np.int16)
    image[1, 1] = [10, 20, 30, 40, 50]
    editor = editor_of(slicer_scene, image=image)
    editor.node.SourceVolumeIntensityMaskOn()
    editor.node.SetSourceVolumeIntensityMaskRange(20, 40)
    changes = {row(1): "b", row(4): "b", row(2): ""}
    if not box_is_offset:
        changes |= {(0, 0, 0): "a", (2, 3, 4): "a"}
    report = editor.write(changes)
    assert editor.voxels("a") == [row(0)]
    assert editor.voxels("b") == [row(1), row(3)]
    assert report.refused == ({"b": 1} if box_is_offset else {"b": 1, "a": 2})


@pytest.mark.parametrize("directions", [*ALL_ORIENTATIONS[::5], rotation(0.3, -0.2, 0.4)])
def test_intensity_range_and_writing_work_in_every_orientation_and_below_transforms(slicer_scene, directions):
    image = np.zeros(SHAPE, np.int16)
    image[1, 1] = [10, 20, 30, 40, 50]
    editor = editor_of(slicer_scene, image=image, matrix=grid_matrix(directions))
    scene = slicer_scene.scene
    moved = grid_matrix(rotation(0.5, 0.1, 0), (1, 1, 1), (5, 6, 7))
    outer = add_transform(scene, moved)
    for node in (editor.volume, editor.segmentation):
        node.SetAndObserveTransformNodeID(add_transform(scene, np.eye(4), outer).GetID())
    editor.node.SourceVolumeIntensityMaskOn()
    editor.node.SetSourceVolumeIntensityMaskRange(20, 40)
    report = editor.write({row(1): "b", row(4): "b"})
    assert editor.voxels("b") == [row(1), row(2), row(3)]
    assert report.refused == {"b": 1}


def test_a_segmentation_below_another_transform_gets_the_voxels_at_the_same_place(slicer_scene):
    scene = slicer_scene.scene
    volume = add_volume(scene, np.zeros(SHAPE, np.int16), OBLIQUE)
    volume.SetAndObserveTransformNodeID(add_transform(scene, grid_matrix(rotation(0.5, 0, 0), (1, 1, 1))).GetID())
    node = add_segmentation(scene, volume)
    node.GetSegmentation().SetConversionParameter("Reference image geometry", "")
    node.SetAndObserveTransformNodeID(add_transform(scene, grid_matrix(rotation(0, 0.2, 0), (1, 1, 1))).GetID())
    add_segment(node, "a")
    editor = HeadlessEditor(scene, volume, node)
    editor.write({row(1): "a", (2, 3, 4): "a", (0, 0, 0): "a"})
    assert editor.voxels("a") == [(0, 0, 0), row(1), (2, 3, 4)]


def test_a_finer_segmentation_gets_all_its_voxels_within_the_changed_ones(slicer_scene):
    scene = slicer_scene.scene
    coarse = add_volume(scene, np.zeros((2, 2, 2), np.int16), grid_matrix(None, (2, 2, 2), (0, 0, 0)))
    fine = add_volume(scene, np.zeros((4, 4, 4), np.int16), grid_matrix(None, (1, 1, 1), (-0.5, -0.5, -0.5)))
    node = add_segmentation(scene, fine, {"a": mask_of((4, 4, 4), (slice(0, 2), slice(0, 2), slice(0, 2)))})
    add_segment(node, "b")
    editor = HeadlessEditor(scene, coarse, node)
    report = editor.write({(0, 0, 0): "b", (1, 1, 1): "b"})
    on_fine = HeadlessEditor(scene, fine, node)
    expected = mask_of((4, 4, 4), (slice(0, 2),) * 3, (slice(2, 4),) * 3)
    assert on_fine.voxels("b") == [tuple(v) for v in np.argwhere(expected).tolist()]
    assert on_fine.voxels("a") == []
    assert report.added == {"b": 16}
    assert report.removed == {"a": 8}


def test_what_lies_outside_the_segmentations_geometry_is_told(slicer_scene):
    scene = slicer_scene.scene
    small = add_volume(scene, np.zeros((3, 4, 2), np.int16), OBLIQUE)
    volume = add_volume(scene, np.zeros(SHAPE, np.int16), OBLIQUE)
    node = add_segmentation(scene, small)
    add_segment(node, "a")
    editor = HeadlessEditor(scene, volume, node)
    report = editor.write({row(0): "a", row(4): "a"})
    assert editor.voxels("a") == [row(0)]
    assert report.warnings == ['Part of the result lies outside the geometry of "Organs" and was not written.']


def test_a_segment_outside_the_result_is_subject_to_the_overwrite_mode(slicer_scene):
    for overwrite, remains in zip(OVERWRITE, ([], [], [row(4)])):
        editor = editor_of(slicer_scene, {**ROW, "extra": mask_of(SHAPE, row(4))})
        editor.node.SetOverwriteMode(overwrite)
        before = editor.read()
        after = before.labels.copy()
        before.labels[row(4)] = 0  # as if "extra" had not been read
        after[row(4)] = 2
        editor.writer.apply(before.labels, after, before.segments[:2], editor.volume)
        assert editor.voxels("extra") == remains


def test_many_exchanges_at_random_end_as_wanted_under_every_mode(slicer_scene):
    rng = np.random.default_rng(0)
    for overwrite, shared in itertools.product(OVERWRITE, (False, True)):
        labels = rng.integers(0, 4, SHAPE)
        editor = editor_of(slicer_scene, {name: labels == n for n, name in enumerate("abc", start=1)}, shared)
        editor.node.SetOverwriteMode(overwrite)
        before = editor.read()
        after = rng.integers(0, 4, SHAPE).astype(np.uint16)
        report = editor.writer.apply(before.labels, after, before.segments, editor.volume)
        np.testing.assert_array_equal(editor.read().labels, after)
        assert editor.read().warnings == []  # no overlap
        assert report.refused == {}


def test_when_all_is_refused_no_undo_state_is_saved(slicer_scene):
    editor = editor_of(slicer_scene)
    assert editor.write({row(4): "b"}, locked=["b"]).refused == {"b": 1}
    assert editor.history.GetNumberOfStates() == 0


def assert_untouched(editor, message, *arguments, **options):
    before = editor.read().labels
    with pytest.raises(InputError, match=message):
        editor.writer.apply(*arguments, **options)
    np.testing.assert_array_equal(editor.read().labels, before)
    assert editor.history.GetNumberOfStates() == 0


def test_what_cannot_be_written_changes_nothing(slicer_scene, slicer_problems):
    slicer_problems.allow("DeserializeImageGeometry")
    editor = editor_of(slicer_scene)
    found = editor.read()
    after = found.labels.copy()
    after[row(4)] = 3
    assert_untouched(editor, "a label that no segment stands for", found.labels, after, found.segments, editor.volume)
    gone = [*found.segments, Segment("spleen", 3, id="gone")]
    assert_untouched(editor, 'segment of "spleen" does not exist', found.labels, after, gone, editor.volume)
    assert_untouched(editor, "The result has shape", after[:1], after[:1], found.segments, editor.volume)
    editor.segmentation.GetSegmentation().SetSourceRepresentationName("Closed surface")
    assert_untouched(editor, "is stored as surfaces", found.labels, after, found.segments, editor.volume)
    editor.segmentation.GetSegmentation().SetSourceRepresentationName("Binary labelmap")
    editor.segmentation.GetSegmentation().SetConversionParameter("Reference image geometry", "1;2;3;")
    assert_untouched(editor, "no usable geometry", found.labels, np.zeros_like(after), found.segments, editor.volume)
