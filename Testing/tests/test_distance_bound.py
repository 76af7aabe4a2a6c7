"""The distance bound of region growing: exact on anisotropic grids, and nothing beyond its box."""

from __future__ import annotations

import numpy as np
import pytest

from InteractiveRefineLib.distance_bound import reach_box, within_distance

SHAPE = (6, 7, 8)
DISTANCES = (0.0, 0.7, 2.1, 2.5, 6.0, 50.0, np.inf)


def nearest_by_brute_force(seeds, spacing):
    """(K, J, I) distance in mm to the nearest of the seeds, which are True in `seeds`."""
    points, centers = np.argwhere(seeds | True) * spacing, np.argwhere(seeds) * spacing
    return np.linalg.norm(points[:, None] - centers, axis=2).min(axis=1).reshape(seeds.shape)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("spacing", [(0.7, 1.0, 2.5), (2.5, 0.7, 1.0), (1.1, 1.1, 1.1)])
def test_the_distance_bound_equals_brute_force(distance, spacing):
    for number in range(20):
        rng = np.random.default_rng(number)
        seeds = rng.random(SHAPE) < (0.02, 0.1, 0.7)[number % 3]
        seeds[tuple(rng.integers(0, SHAPE))] = True
        voxels = rng.permutation(np.argwhere(seeds))  # in no particular order
        near = within_distance(voxels, SHAPE, spacing, distance)
        assert near.dtype == bool
        np.testing.assert_array_equal(near, nearest_by_brute_force(seeds, spacing) <= distance + 1e-6)


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_box_holds_all_within_reach(distance):
    spacing = (0.7, 1.0, 2.5)
    for number in range(20):
        rng = np.random.default_rng(number)
        voxels = rng.integers(0, SHAPE, (int(rng.integers(1, 4)), 3))
        box = reach_box(voxels, SHAPE, spacing, distance)
        whole = within_distance(voxels, SHAPE, spacing, distance)
        part = whole[box]
        np.testing.assert_array_equal(
            within_distance(voxels - [side.start for side in box], part.shape, spacing, distance), part
        )
        assert np.count_nonzero(part) == np.count_nonzero(whole)


def test_more_than_127_steps_along_the_first_axis_are_counted():
    seeds = np.zeros((400, 3, 2), dtype=bool)
    seeds[190] = True
    near = within_distance(np.argwhere(seeds), seeds.shape, (0.5, 1.0, 1.0), 75.0)
    assert np.flatnonzero(near.all(axis=(1, 2))).tolist() == list(range(40, 341))
    assert not near[:40].any()
