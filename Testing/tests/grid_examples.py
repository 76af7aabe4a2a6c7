"""Grids in every orientation, and the check that voxels stay where they are in the patient."""

from itertools import permutations, product

import numpy as np

from InteractiveRefineLib.volume import Volume

#: The 48 ways to lay I, J, K along the axes of the patient: 6 permutations times 8 flips.
ALL_ORIENTATIONS = [
    np.eye(3)[:, list(order)] * signs for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def rotation(a, b, c):
    """Rotation matrix of the angles a, b, c (radians) about R, A, S."""
    about_r = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_a = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_s = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_s @ about_a @ about_r


def grid_matrix(directions=None, spacing=(0.5, 0.75, 2.5), origin=(-12.5, 20.25, 33.0)):
    """IJK-to-RAS matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if directions is None else directions) * spacing
    matrix[:3, 3] = origin
    return matrix


def numbered_volume(matrix=None, shape=(2, 3, 4), dtype=np.int16):
    """A volume in which every voxel has a value of its own."""
    return Volume(
        np.arange(np.prod(shape), dtype=dtype).reshape(shape), grid_matrix() if matrix is None else matrix, "numbered"
    )


def places(array, geometry):
    """RAS positions (N, 3) of the voxels of `array` in the order of their values, which must be distinct."""
    assert len(np.unique(array)) == array.size
    index = np.argwhere(np.ones(array.shape, bool))
    return geometry.to_ras(index)[np.argsort(array.ravel())]


def assert_same_places(before, after, tolerance=1e-9):
    """Every value of volume `before` is at the same RAS position in volume `after`."""
    assert sorted(before.array.ravel()) == sorted(after.array.ravel())
    np.testing.assert_allclose(
        places(after.array, after.geometry), places(before.array, before.geometry), atol=tolerance, rtol=0
    )
