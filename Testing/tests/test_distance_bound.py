"""The distance bound of region growing: exact, by either of its two ways."""

from __future__ import annotations

import numpy as np
import pytest

from InteractiveRefineLib import distance_bound
from InteractiveRefineLib.distance_bound import within_distance


@pytest.mark.parametrize("transform", [False, True])
def test_the_distance_bound_is_the_same_by_stamped_balls_and_by_distance_transform(transform, monkeypatch):
    monkeypatch.setattr(distance_bound, "_TRANSFORM_NS_PER_VOXEL", 0.0 if transform else 1e9)
    for number in range(20):
        rng = np.random.default_rng(number)
        seeds = rng.random((6, 7, 8)) < (0.02, 0.7)[number % 2]
        seeds[tuple(rng.integers(0, seeds.shape))] = True
        spacing, distance = (0.7, 1.0, 2.5), float(rng.choice([0.0, 0.7, 2.1, 2.5, 50.0, np.inf]))
        near, box = within_distance(np.flatnonzero(seeds), seeds.shape, spacing, distance)
        points, centers = np.argwhere(seeds | True) * spacing, np.argwhere(seeds) * spacing
        nearest = np.linalg.norm(points[:, None] - centers, axis=2).min(axis=1).reshape(seeds.shape)
        np.testing.assert_array_equal(near, nearest <= distance + 1e-6)
        near[box] = False
        assert not near.any()
