"""Boxes around voxels, in array order."""

import numpy as np

from InteractiveRefineLib.geometry import box_around, box_of


def test_a_box_around_voxels_holds_the_outermost_ones_and_no_more():
    assert box_around(np.array([[2, 5, 1], [4, 3, 1]])) == (slice(2, 5), slice(3, 6), slice(1, 2))
    assert box_around(np.array([[0, 0, 0]])) == (slice(0, 1),) * 3


def test_it_is_the_box_of_a_mask_of_these_voxels():
    for seed in range(20):
        mask = np.random.default_rng(seed).random((4, 5, 6)) > 0.95
        if mask.any():
            assert box_around(np.argwhere(mask)) == box_of(mask)
