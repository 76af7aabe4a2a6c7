"""Points and boxes: the same voxels in the patient on any grid."""

from __future__ import annotations

import numpy as np
import pytest

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.prompts import Box, Point

SHAPE = (6, 7, 8)


def rotation(degrees, axis):
    a = np.radians(degrees)
    matrix = np.eye(4)
    one, two = [n for n in range(3) if n != axis]
    matrix[one, one] = matrix[two, two] = np.cos(a)
    matrix[one, two], matrix[two, one] = -np.sin(a), np.sin(a)
    return matrix


def scaled(i, j, k, origin=(0, 0, 0)):
    matrix = np.diag([i, j, k, 1.0])
    matrix[:3, 3] = origin
    return matrix


SHEAR = np.array([[1.0, 0.3, 0, 4], [0, 1, 0.2, -7], [0, 0, 1.5, 2], [0, 0, 0, 1]])
GEOMETRIES = {
    "millimeters": np.eye(4),
    "LPS voxels, thick slices": scaled(-0.7, -0.7, 2.5, (3, 4, 5)),
    "axes permuted": scaled(1, 1.5, 2)[[2, 0, 1, 3]],
    "left-handed": scaled(1, -1, 1),
    "oblique": rotation(31, 2) @ rotation(17, 0) @ scaled(0.8, 1.1, 2.0, (10, -20, 30)),
    "sheared by gantry tilt": SHEAR,
}


@pytest.fixture(params=GEOMETRIES)
def geometry(request):
    return Geometry(SHAPE, GEOMETRIES[request.param])


def every_voxel(geometry, margin=0):
    """Array indices (N, 3) of the image, and of `margin` voxels around it, with their RAS positions."""
    kji = np.stack(np.meshgrid(*(np.arange(-margin, n + margin) for n in geometry.shape), indexing="ij"), -1)
    kji = kji.reshape(-1, 3)
    inside = ((kji >= 0) & (kji < geometry.shape)).all(axis=1)
    return kji, geometry.to_ras(kji), inside


def flat(kji, geometry):
    return np.ravel_multi_index(tuple(np.asarray(kji).T), geometry.shape)


# Points


@pytest.mark.parametrize("radius", [1.0, 1.7, 3.3])
@pytest.mark.parametrize("place", [(3.2, 2.9, 3.1), (0, 0, 0), (5.6, 0.4, -1.0)])
def test_a_point_is_every_voxel_center_within_its_radius_on_any_grid(geometry, radius, place):
    center = geometry.to_ras([place])[0]
    kji, ras, inside = every_voxel(geometry, margin=12)
    near = np.linalg.norm(ras - center, axis=1) <= radius + 1e-6
    indices, n_clipped = Point(center, 1, radius).voxels(geometry)
    if near.any():
        np.testing.assert_array_equal(indices, flat(kji[near & inside], geometry))
        assert n_clipped == np.count_nonzero(near & ~inside)


def test_a_point_without_radius_is_the_voxel_it_lies_in(geometry):
    for voxel in ([0, 0, 0], [5, 6, 7], [2, 3, 4]):
        indices, n_clipped = Point(geometry.to_ras([voxel])[0], 1).voxels(geometry)
        assert (indices.tolist(), n_clipped) == (flat([voxel], geometry).tolist(), 0)


def test_a_point_between_voxel_centers_is_the_nearest_voxel():
    geometry = Geometry(SHAPE, scaled(2, 2, 2))
    assert Point((4.7, 2.4, 0.9), 1, 0.3).voxels(geometry) == (flat([[0, 1, 2]], geometry), 0)


def test_a_voxel_center_exactly_at_the_radius_belongs_to_the_point():
    geometry = Geometry((1, 1, 7), scaled(0.7, 1, 1))
    assert Point((2.1, 0, 0), 1, 1.4).voxels(geometry)[0].tolist() == [1, 2, 3, 4, 5]


def test_a_point_outside_the_image_has_no_voxels_and_is_counted():
    indices, n_clipped = Point((-0.6, 0, 0), 1).voxels(Geometry(SHAPE, np.eye(4)))
    assert (indices.tolist(), n_clipped) == ([], 1)


# Boxes


@pytest.mark.parametrize(
    "corners", [((1.1, 1.2, 1.3), (4.9, 5.1, 4.2)), ((-3, -2, -1), (2, 3, 4)), ((0, 0, 0), (7, 6, 5))]
)
def test_a_box_says_yes_in_its_core_and_no_around_it_on_any_grid(geometry, corners):
    center = geometry.to_ras([(np.array(SHAPE) - 1) / 2])[0]
    a, b = (np.array(corner) - [3.5, 3, 2.5] + center for corner in corners)
    core, ring, n_clipped = Box(a, b, 1).voxels(geometry, margin_mm=1.5, core_fraction=0.5)

    kji, ras, inside = every_voxel(geometry, margin=16)
    outside = np.maximum(np.maximum(a - ras, ras - b), 0)
    distance = np.linalg.norm(outside, axis=1)
    assert n_clipped == np.count_nonzero((distance < 1e-6) & ~inside)
    around = inside & (distance > 1e-6) & (distance <= 1.5 + 1e-6)
    np.testing.assert_array_equal(ring, flat(kji[around], geometry))
    middle = (np.abs(ras - (a + b) / 2) <= (b - a) / 4 + 1e-6).all(axis=1)
    if middle.any():
        np.testing.assert_array_equal(core, flat(kji[middle & inside], geometry))
    assert not np.intersect1d(core, ring).size


def test_the_corners_of_a_box_come_in_any_order():
    geometry = Geometry(SHAPE, np.eye(4))
    one, two = Box((1, 5, 1), (4, 2, 3), 1).voxels(geometry), Box((4, 2, 3), (1, 5, 1), 1).voxels(geometry)
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a, b)


def test_a_box_whose_core_lies_between_voxels_keeps_the_voxel_nearest_to_its_center():
    core, _, _ = Box((1.1, 1.1, 1.1), (1.8, 1.8, 1.8), 1).voxels(Geometry(SHAPE, np.eye(4)))
    assert core.tolist() == flat([[1, 1, 1]], Geometry(SHAPE, np.eye(4))).tolist()


def test_a_background_box_says_nothing_about_its_surroundings():
    core, ring, _ = Box((1, 1, 1), (4, 4, 4), 255).voxels(Geometry(SHAPE, np.eye(4)))
    assert (len(core) > 0, len(ring)) == (True, 0)


def test_255_and_0_both_mean_background():
    assert Point((0, 0, 0), 255).label == Point((0, 0, 0), 0).label == 0
    assert Box((0, 0, 0), (1, 1, 1), 255).label == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Point((0, 0), 1), r"needs three numbers \[R, A, S\] in mm, not \(0, 0\)"),
        (lambda: Point((0, 0, np.nan), 1), "must lie within 10000 mm of the origin"),
        (lambda: Point((0, 0, 1e9), 1), "must lie within 10000 mm of the origin"),
        (lambda: Point((0, 0, 0), 1, -1.0), "radius_mm must lie between 0 and 500 mm, not -1.0"),
        (lambda: Point((0, 0, 0), -3), "from 0 to 65535 .*, not -3"),
        (lambda: Point((0, 0, 0), 1.5), "not 1.5"),
        (lambda: Point((0, 0, 0), 0, forbid=True), "Not background"),
        (lambda: Box((0, 0, 0), (1, 0, 1), 1), "some extent along each axis"),
    ],
)
def test_impossible_prompts_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
