"""Two grids are the same where their voxels lie in the same places, however large or small these are."""

import numpy as np
import pytest

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry

SHAPE = (4, 5, 6)


def a_grid(side, origin=(0.0, 0.0, 0.0), shape=SHAPE):
    """A grid of cubes whose side is given in mm."""
    matrix = np.diag([side, side, side, 1.0])
    matrix[:3, 3] = origin
    return Geometry(shape, matrix)


@pytest.mark.parametrize("side", [1e-4, 1e-3, 9e-3, 0.09, 1.0])
def test_a_shift_by_a_voxel_or_by_half_of_one_is_another_grid(side):
    for shift in (1.0, 0.5):
        assert not a_grid(side).matches(a_grid(side, (shift * side, 0, 0)))


@pytest.mark.parametrize("side", [1e-4, 1e-3, 9e-3, 0.09])
def test_small_voxels_match_up_to_a_tenth_of_their_side(side):
    assert a_grid(side).matches(a_grid(side, (0.09 * side, 0, 0)))
    assert not a_grid(side).matches(a_grid(side, (0.11 * side, 0, 0)))


@pytest.mark.parametrize("side", [0.1, 1.0, 5.0])
def test_usual_voxels_match_up_to_a_hundredth_of_a_millimeter(side):
    assert a_grid(side).matches(a_grid(side, (0.0099, 0, 0)))
    assert not a_grid(side).matches(a_grid(side, (0.0101, 0, 0)))


def test_the_smaller_voxels_of_two_grids_decide_in_either_order():
    # A single voxel: only its sides differ, by what a tenth of the larger would forgive.
    one, other = a_grid(0.0110, shape=(1, 1, 1)), a_grid(0.00995, shape=(1, 1, 1))
    assert one.tolerance_mm == pytest.approx(0.0011) and other.tolerance_mm == pytest.approx(0.000995)
    assert not one.matches(other) and not other.matches(one)


@pytest.mark.parametrize("side", [1e-6, 5e-5, 1e-3, 1.0, 50.0])
def test_voxels_may_be_as_small_as_a_nanometer(side):
    assert a_grid(side).to_kji(a_grid(side).to_ras([[1, 2, 3]])).tolist() == [pytest.approx([1, 2, 3])]


@pytest.mark.parametrize("side", [1e-6, 1e-3, 1.0, 50.0])
def test_axes_in_one_plane_are_refused_whatever_the_size_of_the_voxels(side):
    matrix = np.diag([side, side, side, 1.0])
    matrix[:3, 2] = matrix[:3, 0] + matrix[:3, 1]
    with pytest.raises(InputError, match="must be finite, invertible and 4 x 4"):
        Geometry(SHAPE, matrix)


@pytest.mark.parametrize("row", [0, 3])
def test_a_row_of_zeros_is_refused(row):
    matrix = np.eye(4)
    matrix[row] = 0
    with pytest.raises(InputError, match="must be finite, invertible and 4 x 4"):
        Geometry(SHAPE, matrix)
