"""Brush, points and boxes of the effect: exactly which voxels they mark, in every view and every orientation."""

import numpy as np
import pytest

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.prompts import Box, Point
from Testing.tests.effect_parts import all_layouts, cube, effect_part, flat_places, places
from Testing.tests.grid_examples import rotation

brush, shapes = effect_part("brush"), effect_part("shapes")
Plane = brush.Plane

R, A, S = np.eye(3)
#: Name of a view -> the directions that run rightward and upward in it, and the array axis (K, J, I) it looks along.
VIEWS = {"axial": (-R, A, 0), "sagittal": (-A, S, 2), "coronal": (-R, S, 1)}
#: What a brush of radius 1 marks in an isotropic slice of 1 mm: the voxel and its four neighbors.
PLUS = {(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)}


def axial(z, at=(0.0, 0.0)):
    return Plane(np.array([*at, z]), -R, A)


def as_set(kji):
    return {tuple(row) for row in kji.tolist()}


@pytest.mark.parametrize("view", VIEWS)
def test_a_dab_marks_a_disc_in_the_layer_of_the_slice_and_nothing_else(view):
    right, up, across = VIEWS[view]
    center = np.array([2.0, 2.0, 2.0])
    marked = brush.disc_voxels(cube(), Plane(center, right, up), center, center, 1.0)
    expected = {tuple(np.insert([2 + a, 2 + b], across, 2).tolist()) for a, b in PLUS}
    assert as_set(marked) == expected


def test_a_stroke_marks_everything_within_its_radius_of_the_line():
    start, end = np.array([1.0, 2.0, 2.0]), np.array([3.0, 2.0, 2.0])
    marked = brush.disc_voxels(cube(), axial(2.0), start, end, 1.0)
    row = [(2, 2, i) for i in range(5)]
    assert as_set(marked) == {*row, *[(2, j, i) for j in (1, 3) for i in (1, 2, 3)]}


def test_the_thinnest_brush_marks_the_voxels_under_the_cursor_without_a_gap():
    start, end = np.array([0.2, 0.1, 2.0]), np.array([3.9, 4.2, 2.0])
    marked = brush.disc_voxels(cube(), axial(2.0), start, end, 0.0)
    inside = np.floor(cube().to_kji(np.stack([start, end])) + 0.5).astype(int)
    assert as_set(marked) >= as_set(inside)
    assert set(marked[:, 0].tolist()) == {2}
    along = marked[np.argsort(marked @ [0.0, 4.1, 3.7])]
    assert np.abs(np.diff(along, axis=0)).max() == 1  # from one end to the other without a gap
    assert len(marked) <= 9  # the line enters at most 4 + 4 voxels after the first


@pytest.mark.parametrize("off_center", [-2.4, 0.0, 2.4])
def test_on_thick_slices_an_axial_stroke_stays_in_its_slice(off_center):
    geometry = Geometry((7, 40, 40), np.diag([0.7, 0.7, 5.0, 1.0]))
    center = np.array([14.0, 14.0, 15.0 + off_center])
    marked = brush.disc_voxels(geometry, axial(center[2]), center, center + 5 * R, 4.0)
    assert set(marked[:, 0].tolist()) == {3}
    every = np.stack(np.meshgrid([3], range(40), range(40), indexing="ij"), axis=-1).reshape(-1, 3)
    x, y = geometry.to_ras(every)[:, :2].T
    near = np.hypot(np.maximum(np.abs(x - 16.5) - 2.5, 0), y - 14.0) <= 4.0
    assert as_set(marked) == as_set(every[near])


def test_on_thick_slices_a_sagittal_stroke_is_one_voxel_thick_and_reaches_over_slices():
    geometry = Geometry((7, 40, 40), np.diag([0.7, 0.7, 5.0, 1.0]))
    center = np.array([14.0, 14.0, 15.0])
    marked = brush.disc_voxels(geometry, Plane(center, -A, S), center, center, 6.0)
    assert set(marked[:, 2].tolist()) == {20}
    assert set(marked[:, 0].tolist()) == {2, 3, 4}


@pytest.mark.parametrize("across", [0, 1, 2])
def test_a_slice_exactly_between_two_layers_marks_one_of_them_the_same_in_every_layout(across):
    geometry = cube(6)
    axes = [axis for axis in range(3) if axis != across]
    center = np.array([2.0, 2.0, 2.0])
    center[across] = 2.5
    plane = Plane(center, np.eye(3)[axes[0]], np.eye(3)[axes[1]])
    expected = places(brush.disc_voxels(geometry, plane, center, center, 1.0), geometry)
    assert len(expected) == 5
    assert len({place[across] for place in expected}) == 1
    for other in all_layouts(geometry):
        assert places(brush.disc_voxels(other, plane, center, center, 1.0), other) == expected


def test_a_cursor_exactly_between_voxels_marks_the_same_one_in_every_layout():
    geometry = cube(6)
    corner = np.array([2.5, 2.5, 2.5])
    chosen = {frozenset(places(brush.path_voxels(g, corner, corner), g)) for g in all_layouts(geometry)}
    assert len(chosen) == 1
    assert len(chosen.pop()) == 1


def test_a_diagonal_slice_through_the_centers_takes_one_layer():
    center = np.array([4.0, 4.0, 4.0])
    plane = Plane(center, (R + S) / np.sqrt(2), A)
    marked = brush.disc_voxels(cube(9), plane, center, center, 2.5)
    assert (marked[:, 0] == marked[:, 2]).all()
    assert as_set(marked) == {
        (4 + a, 4 + b, 4 + a) for a in (-1, 0, 1) for b in (-2, -1, 0, 1, 2) if 2 * a * a + b * b <= 6.25
    }


OBLIQUE = [rotation(0.3, 0.5, 0.2), rotation(1.1, -0.4, 2.0), rotation(0.02, 0.01, 0.5), rotation(0.7, 0.615, 0.3)]


@pytest.mark.parametrize("turn", OBLIQUE)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0)])
def test_an_oblique_stroke_has_no_hole_and_no_voxel_that_the_slice_misses(turn, spacing):
    geometry = Geometry((80, 80, 80), np.diag([*spacing, 1.0]))
    center = geometry.to_ras(np.array([[40, 40, 40]]))[0]
    plane = Plane(center, turn[:, 0], turn[:, 1])
    end = center + 4 * plane.x
    marked = brush.disc_voxels(geometry, plane, center, end, 9.0)

    depth = np.abs((geometry.to_ras(marked) - center) @ plane.normal)
    thickest = (np.abs(plane.normal) * spacing).sum() / 2
    assert depth.max() < thickest  # the slice passes through every one

    # Nothing within the brush, less half a voxel at its rim, looks unpainted in this view.
    rng = np.random.default_rng(0)
    rim = np.linalg.norm(spacing) / 2
    spots = rng.uniform(-9, 9, (20_000, 2))
    spots = spots[np.hypot(*spots.T) < 9.0 - rim]
    seen = np.floor(geometry.to_kji(center + spots @ np.stack([plane.x, plane.y])) + 0.5).astype(int)
    painted = np.zeros(geometry.shape, dtype=bool)
    painted[tuple(marked.T)] = True
    assert (~painted[tuple(seen.T)]).mean() < 1e-3  # slivers of which the slice shows less than a hundredth


@pytest.mark.parametrize("turn", [np.eye(3), OBLIQUE[0], OBLIQUE[1]])
def test_the_same_scribble_marks_the_same_places_however_the_array_is_flipped_and_permuted(turn):
    tilt = np.eye(4)
    tilt[:3, :3] = rotation(0.1, 0.2, -0.3) * (0.8, 0.9, 2.5)
    geometry = Geometry((12, 20, 22), tilt)
    start = geometry.to_ras(np.array([[6, 9, 8]]))[0]
    plane = Plane(start, turn[:, 0], turn[:, 1])
    end = start + 3.3 * plane.x - 2.1 * plane.y
    expected = places(brush.disc_voxels(geometry, plane, start, end, 2.2), geometry)
    assert len(expected) > 20
    for other in all_layouts(geometry):
        assert places(brush.disc_voxels(other, plane, start, end, 2.2), other) == expected


def test_what_lies_outside_the_image_is_counted_and_left_out():
    center = np.array([0.0, 2.0, 2.0])
    marked = brush.disc_voxels(cube(), axial(2.0), center, center, 1.0)
    indices, n_outside = brush.split_inside(marked, (5, 5, 5))
    assert n_outside == 1
    assert np.unravel_index(indices, (5, 5, 5))[2].tolist() == [0, 0, 1, 0]


def test_a_plane_is_the_same_whatever_point_and_axes_describe_it():
    assert axial(2.0).same_as(Plane(np.array([7.0, -3.0, 2.0]), A, R))
    assert not axial(2.0).same_as(axial(2.1))
    assert not axial(0.0).same_as(Plane(np.zeros(3), R, S))


def test_a_click_is_the_ball_of_a_point_of_the_library():
    geometry = cube(9)
    indices, n_outside = shapes.point_voxels(geometry, np.array([1.0, 4.0, 4.0]), 2.0)
    expected, n_expected = Point((1.0, 4.0, 4.0), 1, 2.0).voxels(geometry)
    np.testing.assert_array_equal(indices, expected)
    assert (len(indices), n_outside, n_expected) == (32, 1, 1)  # a ball of 33 voxels, one of them at i = -1


def test_a_rectangle_speaks_about_its_slice_only():
    geometry = cube(40)
    core, ring, inside, n_outside = shapes.box_voxels(
        geometry, axial(20.0), np.array([15.0, 15.0, 20.0]), np.array([25.0, 25.0, 20.0]), 0.0
    )
    k, j, i = np.unravel_index(inside, geometry.shape)
    assert (set(k), set(j), set(i)) == ({20}, set(range(15, 26)), set(range(15, 26)))
    k, j, i = np.unravel_index(core, geometry.shape)
    assert (set(k), set(j), set(i)) == ({20}, set(range(18, 23)), set(range(18, 23)))
    k, j, i = np.unravel_index(ring, geometry.shape)
    assert set(k) == {20}
    assert (j.min(), j.max(), i.min(), i.max()) == (5, 35, 5, 35)
    assert not set(ring) & set(inside)
    corner = geometry.shape[1] * geometry.shape[2] * 20 + 5 * 40 + 5
    assert corner not in set(ring)  # the margin is a distance: it is round at the corners
    assert n_outside == 0


def test_a_box_with_depth_is_the_library_s_box_in_every_layout():
    geometry = Geometry((20, 30, 30), np.diag([1.0, 1.0, 2.0, 1.0]))
    box = Box((8.0, 9.0, 16.0), (18.0, 20.0, 24.0), 1)
    core, ring, n_outside = box.voxels(geometry)
    a, b = np.array([18.0, 9.0, 20.0]), np.array([8.0, 20.0, 20.0])
    for other in all_layouts(geometry):
        got = shapes.box_voxels(other, axial(20.0), a, b, 8.0)
        assert flat_places(got[0], other) == flat_places(core, geometry)
        assert flat_places(got[1], other) == flat_places(ring, geometry)
        assert got[3] == n_outside == 0


def test_a_rectangle_in_an_oblique_view_is_turned_with_it():
    geometry = cube(60)
    turn = OBLIQUE[0]
    center = np.array([30.0, 30.0, 30.0])
    plane = Plane(center, turn[:, 0], turn[:, 1])
    b = center + 8 * plane.x + 6 * plane.y
    core, ring, inside, _ = shapes.box_voxels(geometry, plane, center, b, 0.0)
    for indices, low, high in ((inside, (0, 0), (8, 6)), (core, (2.4, 1.8), (5.6, 4.2))):
        ras = geometry.to_ras(np.stack(np.unravel_index(indices, geometry.shape), axis=1)) - center
        assert (np.abs(ras @ plane.normal) < np.abs(plane.normal).sum() / 2).all()
        in_view = ras @ np.stack([plane.x, plane.y]).T
        assert (in_view >= np.array(low) - 1e-6).all() and (in_view <= np.array(high) + 1e-6).all()
        assert len(indices) >= np.prod(np.subtract(high, low))  # at least one voxel per square mm: no hole
    assert not set(ring) & set(inside)


def test_a_tiny_rectangle_still_marks_the_voxel_in_its_middle():
    core, _, inside, _ = shapes.box_voxels(
        cube(), axial(2.0), np.array([2.3, 2.3, 2.0]), np.array([2.4, 2.4, 2.0]), 0.0
    )
    assert core.tolist() == [2 * 25 + 2 * 5 + 2]
    assert inside.tolist() == []


def test_a_rectangle_without_area_is_refused():
    with pytest.raises(InputError, match="some extent"):
        shapes.box_voxels(cube(), axial(2.0), np.array([2.0, 1.0, 2.0]), np.array([2.0, 3.0, 2.0]), 0.0)
