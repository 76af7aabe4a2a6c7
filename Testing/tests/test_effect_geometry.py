"""Strokes and boxes in oblique views, under transforms, and on volumes whose axes lie any way."""

import numpy as np
import pytest

from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.prompts import Box
from Testing.tests.effect_examples import Refine
from Testing.tests.effect_parts import all_layouts, flat_places
from Testing.tests.grid_examples import rotation

#: The editor's volume: 16 x 20 x 24 voxels (K, J, I) of 2 mm along S, A, R.
GEOMETRY = Geometry((16, 20, 24), np.diag([2.0, 2.0, 2.0, 1.0]))
CENTER = [24.0, 20.0, 16.0]
TURN = rotation(0.3, 0.5, 0.2)


@pytest.fixture
def refine(editor):
    return Refine(editor)


def use_volume(refine, geometry):
    """A new source volume with this geometry."""
    import slicer

    node = refine.editor.add_volume(np.zeros(geometry.shape, dtype=np.int16), "other")
    matrix = slicer.util.vtkMatrixFromArray(geometry.ijk_to_ras)
    node.SetIJKToRASMatrix(matrix)
    refine.editor.widget.setSourceVolumeNode(node)
    return node


def transform_node(refine, matrix, parent=None):
    import slicer

    node = refine.editor.session.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def places(refine, number=-1):
    """RAS positions of a stroke's voxels, transforms not applied."""
    return flat_places(refine.strokes[number].indices, refine.effect.controller.strokes.book.geometry)


def scribble(refine, view="Red"):
    right, up = TURN[:, 0], TURN[:, 1]
    points = [np.add(CENTER, 7 * a * right + 7 * b * up) for a, b in ((-1, -0.5), (0.1, 0.6), (1, -0.2))]
    refine.editor.drag(view, points)


def test_an_oblique_stroke_marks_the_voxels_that_the_view_shows_under_the_brush(refine):
    refine.editor.center_views(CENTER)
    refine.editor.tilt("Red", TURN[:, 2], TURN[:, 0])
    scribble(refine)
    book = refine.effect.controller.strokes.book
    ras = book.geometry.to_ras(np.stack(np.unravel_index(refine.strokes[0].indices, book.geometry.shape), axis=1))
    depth = np.abs((ras - CENTER) @ TURN[:, 2])
    assert depth.max() < np.abs(TURN[:, 2]).sum()  # half of 2 mm times the sum: the slice passes through each
    assert len(ras) > 35
    assert len({tuple(row) for row in refine.voxels()}) == len(ras)
    assert len({k for k, _, _ in refine.voxels()}) > 3


def test_the_same_scribble_marks_the_same_places_on_a_volume_with_permuted_and_flipped_axes(refine):
    refine.editor.center_views(CENTER)
    refine.editor.tilt("Red", TURN[:, 2], TURN[:, 0])
    scribble(refine)
    expected = places(refine)
    for layout in all_layouts(GEOMETRY)[5::7]:
        use_volume(refine, layout)
        scribble(refine)
        assert len(refine.strokes) == 1  # strokes belong to their volume
        assert places(refine) == expected


def test_a_stroke_goes_where_nested_transforms_put_the_volume(refine):
    outer, inner = np.eye(4), np.eye(4)
    outer[:3, :3], outer[:3, 3] = rotation(0.2, -0.1, 0.4), (5.0, -8.0, 3.0)
    inner[:3, :3], inner[:3, 3] = rotation(-0.3, 0.2, 0.1) * 1.25, (-6.0, 2.0, 9.0)
    top = transform_node(refine, outer)
    refine.editor.volumeNode.SetAndObserveTransformNodeID(transform_node(refine, inner, top).GetID())
    moved = outer @ inner
    center = moved[:3, :3] @ CENTER + moved[:3, 3]
    refine.editor.center_views(center)

    refine.editor.click("Red", center)
    assert refine.voxels() == {(8, 10, 12)}  # at most 1.25 * 2 mm apart: the next centers are farther than 2.3 mm

    # A view turned like the volume sees it like an axial one sees the volume without transforms.
    turn = moved[:3, :3] / 1.25
    refine.editor.tilt("Red", turn[:, 2], turn[:, 0])
    end = moved[:3, :3] @ [32.0, 20.0, 16.0] + moved[:3, 3]
    refine.set("BrushDiameterMm", 1.0)
    refine.editor.drag("Red", [center, end])
    assert refine.voxels() == {(8, 10, i) for i in range(12, 17)}


def test_under_a_warp_nothing_is_drawn_and_the_user_is_told_what_to_do(refine):
    import vtk

    warp = refine.editor.session.scene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline = vtk.vtkThinPlateSplineTransform()
    for points in (spline.SetSourceLandmarks, spline.SetTargetLandmarks):
        landmarks = vtk.vtkPoints()
        for n in range(6):
            landmarks.InsertNextPoint(n * 7.0, (n * n) % 11, n % 3 + (n if points == spline.SetTargetLandmarks else 0))
        points(landmarks)
    spline.SetBasisToR()
    warp.SetAndObserveTransformToParent(spline)
    refine.editor.volumeNode.SetAndObserveTransformNodeID(warp.GetID())
    scribble(refine)
    assert refine.strokes == []
    assert len(refine.messages) == 1 and "Harden" in refine.messages[0]


def drag_box(refine, a=(14.0, 10.0), b=(34.0, 30.0), depth=0.0, **keys):
    refine.set("InputMode", "Box")
    refine.set("BoxDepthMm", depth)
    refine.editor.center_views(CENTER)
    refine.editor.drag("Red", [[*a, 16.0], [24.0, 20.0, 16.0], [*b, 16.0]], **keys)


def test_a_box_marks_its_core_and_its_surroundings_on_its_slice_in_one_gesture(refine):
    drag_box(refine)
    assert refine.said() == [("liver", "class", "box"), ("liver", "not", "box")]
    assert refine.voxels(0) == {(8, j, i) for j in range(8, 13) for i in range(10, 15)}
    ring = refine.voxels(1)
    assert {k for k, _, _ in ring} == {8}
    assert (8, 4, 10) in ring and (8, 5, 10) not in ring and (8, 0, 10) in ring
    refine.editor.undo()
    assert refine.strokes == []


def test_a_box_with_depth_is_that_of_the_library(refine):
    drag_box(refine, depth=12.0)
    core, ring, _ = Box((14.0, 10.0, 10.0), (34.0, 30.0, 22.0), 1).voxels(GEOMETRY)
    assert refine.strokes[0].indices.tolist() == core.tolist()
    assert refine.strokes[1].indices.tolist() == ring.tolist()


def test_a_box_of_what_it_is_not_covers_all_of_it_and_one_of_background_only_the_core(refine):
    drag_box(refine, alt=True)
    assert refine.said() == [("liver", "not", "box")]
    assert refine.voxels() == {(8, j, i) for j in range(5, 16) for i in range(7, 18)}
    drag_box(refine, shift=True)
    assert refine.said()[1:] == [("background", "class", "box")]
    assert refine.voxels() == {(8, j, i) for j in range(8, 13) for i in range(10, 15)}


def test_a_click_in_box_mode_draws_nothing_and_explains(refine):
    drag_box(refine, b=(14.0, 10.0), a=(14.0, 10.0))
    refine.editor.click("Red", CENTER)
    assert refine.strokes == []
    assert refine.messages[-1] == "Drag from one corner of the box to the opposite one."
