"""Axes are permuted and flipped toward anatomical directions and back, and no voxel moves in the patient."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.orientation import AxisOrder, axis_codes, check_axis_codes, contiguous

SHAPE = (2, 3, 4)
VOXELS = np.arange(24).reshape(SHAPE)
#: All 48 ways to name three directions.
ALL_CODES = ["".join(c) for pairs in permutations(["RL", "AP", "SI"]) for c in product(*pairs)]
ALL_ORDERS = [AxisOrder(p, f) for p in permutations(range(3)) for f in product((False, True), repeat=3)]


def axis_aligned(codes, shape=SHAPE, spacing=(0.5, 2.0, 3.0)):
    """A geometry whose I, J, K increase toward `codes`."""
    matrix = np.eye(4)
    for column, code in enumerate(codes):
        direction = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}[code]
        matrix[:3, column] = 0
        matrix[direction[0], column] = direction[1] * spacing[column]
    matrix[:3, 3] = (10, -20, 30)
    return Geometry(shape, matrix)


def rotation(angles):
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (n for n in range(3) if n != axis)
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = [np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)]
        matrix = turn @ matrix
    return matrix


def oblique(codes, angles, shape=SHAPE):
    aligned = axis_aligned(codes, shape)
    matrix = aligned.ijk_to_ras.copy()
    matrix[:3, :3] = rotation(angles) @ matrix[:3, :3]
    return Geometry(shape, matrix)


def every_voxel(shape):
    return np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)


def positions_by_value(array, geometry):
    """RAS positions of the voxels, in the order of their (unique) values."""
    return geometry.to_ras(every_voxel(geometry.shape))[np.argsort(array.reshape(-1))]


@pytest.mark.parametrize("order", ALL_ORDERS, ids=str)
def test_undoing_an_order_gives_the_array_back(order):
    assert np.array_equal(order.undo(order.apply(VOXELS)), VOXELS)
    assert np.array_equal(order.apply(order.undo(VOXELS)), VOXELS)


def test_an_order_permutes_first_and_flips_then():
    array = np.array([[[1, 2, 3]]])
    reordered = AxisOrder((2, 0, 1), (True, False, False)).apply(array)
    assert reordered.tolist() == [[[3]], [[2]], [[1]]]


def test_leading_axes_stay_and_nothing_is_copied():
    channels = np.arange(48).reshape(2, *SHAPE)
    order = AxisOrder((2, 0, 1), (True, False, True))
    assert np.array_equal(order.apply(channels)[1], order.apply(channels[1]))
    assert np.array_equal(order.undo(order.apply(channels)), channels)
    assert np.shares_memory(order.apply(channels), channels)
    assert np.shares_memory(order.undo(channels), channels)


@pytest.mark.parametrize("order", ALL_ORDERS, ids=str)
def test_every_voxel_keeps_its_place_in_the_patient(order):
    geometry = oblique("LPS", (0.3, -0.2, 0.5))
    reordered, moved = order.apply(VOXELS), order.apply_geometry(geometry)
    assert moved.shape == reordered.shape
    assert positions_by_value(reordered, moved) == pytest.approx(positions_by_value(VOXELS, geometry))


@pytest.mark.parametrize("order", ALL_ORDERS, ids=str)
def test_a_box_of_the_reordered_array_is_found_in_the_original(order):
    reordered = order.apply(VOXELS)
    box = tuple(slice(0, 1) if n == 2 else slice(1, n) for n in reordered.shape)
    original = order.undo_slices(box, reordered.shape)
    assert np.array_equal(order.apply(VOXELS[original]), reordered[box])


@pytest.mark.parametrize("codes", ALL_CODES)
def test_axis_codes_say_where_i_j_and_k_increase_to(codes):
    geometry = axis_aligned(codes)
    assert axis_codes(geometry) == codes
    assert codes == "".join(nibabel.aff2axcodes(geometry.ijk_to_ras))


@given(st.sampled_from(ALL_CODES), st.tuples(*[st.floats(-0.35, 0.35)] * 3))
@settings(max_examples=60, deadline=None)
def test_axis_codes_of_oblique_images_agree_with_nibabel(codes, angles):
    geometry = oblique(codes, angles)
    assert axis_codes(geometry) == "".join(nibabel.aff2axcodes(geometry.ijk_to_ras))


@pytest.mark.parametrize("codes", ALL_CODES)
def test_whatever_the_axes_were_they_run_as_asked_afterward(codes):
    geometry = oblique(codes, (0.2, 0.3, -0.1))
    toward = AxisOrder.toward(geometry, "SPL")  # K, J, I of an LPS image
    assert axis_codes(toward.apply_geometry(geometry)) == "LPS"


@given(st.sampled_from(ALL_CODES), st.sampled_from(ALL_ORDERS), st.tuples(*[st.floats(-0.35, 0.35)] * 3))
@settings(max_examples=60, deadline=None)
def test_the_frame_does_not_depend_on_how_the_file_orders_its_axes(codes, order, angles):
    geometry = oblique("LPS", angles)
    stored, stored_geometry = order.apply(VOXELS), order.apply_geometry(geometry)
    direct = AxisOrder.toward(geometry, codes).apply(VOXELS)
    assert np.array_equal(AxisOrder.toward(stored_geometry, codes).apply(stored), direct)


@given(st.tuples(*[st.floats(-4, 4)] * 3), st.sampled_from(ALL_CODES))
@settings(max_examples=60, deadline=None)
def test_no_direction_is_used_twice_however_oblique_the_image_is(angles, codes):
    order = AxisOrder.toward(oblique("LPS", angles), codes)
    assert sorted(order.permutation) == [0, 1, 2]
    assert np.array_equal(order.undo(order.apply(VOXELS)), VOXELS)


def test_axis_codes_may_be_written_in_lower_case():
    assert check_axis_codes("lps") == "LPS"


@pytest.mark.parametrize("codes", ["", "LP", "LPSA", "LRS", "LPX", "LLL", None, 3, ["L", "P", "S"]])
def test_other_axis_codes_are_refused(codes):
    with pytest.raises(InputError, match=r"one of R/L, A/P and S/I each, like 'LPS' or 'RAS', not"):
        check_axis_codes(codes)


@pytest.mark.parametrize("shape", [(1, 4, 4), (4, 1, 4), (4, 4, 1), (1, 1, 4), (3, 4, 5)])
def test_what_torch_gets_has_no_backward_axis_not_even_one_of_a_single_voxel(shape):
    torch = pytest.importorskip("torch")
    whole = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    for steps in product((slice(None), slice(None, None, -1)), repeat=3):
        assert np.array_equal(torch.as_tensor(contiguous(whole[steps])).numpy(), whole[steps])
    flipped = whole[::-1]
    assert contiguous(whole) is whole
    assert contiguous(flipped, np.int16).dtype == np.int16
