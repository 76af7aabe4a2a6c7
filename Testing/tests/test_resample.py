"""Reordering and resampling never move anything in the patient."""

import numpy as np
import pytest
from grid_examples import ALL_ORIENTATIONS, assert_same_places, grid_matrix, numbered_volume, rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.resample import axis_codes, reorient, resample_labels, resample_volume
from InteractiveRefineLib.volume import Volume

ALL_CODES = [a + b + c for a in "RLAPSI" for b in "RLAPSI" for c in "RLAPSI"]
ALL_CODES = [c for c in ALL_CODES if len({"RLAPSI".index(x) // 2 for x in c}) == 3]
angles = st.floats(-0.6, 0.6)


def line(*values, spacing=1.0, start=0.0):
    """A volume of one row along R whose first voxel is centered at R = `start`."""
    return Volume(np.array(values)[None, None], grid_matrix(spacing=(spacing, 1, 1), origin=(start, 0, 0)))


def line_grid(count, spacing=1.0, start=0.0):
    return Geometry((1, 1, count), grid_matrix(spacing=(spacing, 1, 1), origin=(start, 0, 0)))


def test_axis_codes_tell_where_i_j_and_k_increase_to():
    matrix = np.array([[0, -1, 0, 0], [0, 0, 2, 0], [-3, 0, 0, 0], [0, 0, 0, 1.0]])
    assert axis_codes(Geometry((2, 3, 4), matrix)) == "ILA"


def test_reorient_flips_and_permutes_to_known_values():
    volume = numbered_volume(grid_matrix(np.diag([1, 1, 1]), (1, 2, 3), (10, 20, 30)), shape=(1, 2, 3))
    result = reorient(volume, "PLS")  # I runs to P (old J flipped), J to L (old I flipped)
    assert result.array.tolist() == [[[5, 2], [4, 1], [3, 0]]]
    assert result.ijk_to_ras.tolist() == [[0, -1, 0, 12], [-2, 0, 0, 22], [0, 0, 3, 30], [0, 0, 0, 1]]


@pytest.mark.parametrize("codes", ALL_CODES)
def test_reorient_gives_the_asked_axes_and_keeps_every_voxel_in_place(codes):
    volume = numbered_volume()
    result = reorient(volume, codes)
    assert axis_codes(result.geometry) == codes
    assert result.array.dtype == volume.array.dtype
    assert_same_places(volume, result)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.sampled_from(ALL_ORIENTATIONS), angles, angles, angles, st.sampled_from(ALL_CODES))
def test_reorient_keeps_every_voxel_of_an_oblique_image_in_place(directions, a, b, c, codes):
    volume = numbered_volume(grid_matrix(rotation(a, b, c) @ directions))
    assert_same_places(volume, reorient(volume, codes))


def test_reorient_turns_all_channels_and_owns_its_memory():
    volume = Volume(np.arange(12).reshape(2, 1, 2, 3), grid_matrix())
    result = reorient(volume, "LAS")
    assert result.array[1].tolist() == [[[8, 7, 6], [11, 10, 9]]]
    assert result.array.flags.c_contiguous
    assert not np.shares_memory(result.array, volume.array)


@pytest.mark.parametrize("codes", ["RAX", "RLS", "RA", ""])
def test_reorient_refuses_codes_that_do_not_name_three_directions(codes):
    with pytest.raises(InputError, match="R/L, A/P and S/I"):
        reorient(numbered_volume(), codes)


def test_linear_resampling_interpolates_between_voxel_centers():
    result = resample_volume(line(0, 10, 20), line_grid(4, spacing=0.5, start=0.25))
    assert result.array.tolist() == [[[2.5, 7.5, 12.5, 17.5]]]
    assert result.array.dtype == np.float32


def test_outside_the_image_the_edge_value_or_the_fill_value_holds():
    grid = line_grid(5, start=-1.0)
    assert resample_volume(line(1, 2, 3), grid).array.tolist() == [[[1, 1, 2, 3, 3]]]
    assert resample_volume(line(1, 2, 3), grid, fill=-9).array.tolist() == [[[-9, 1, 2, 3, -9]]]


def test_the_outer_half_of_an_edge_voxel_is_still_inside():
    grid = line_grid(2, spacing=3.8, start=-0.4)
    assert resample_volume(line(1, 2, 3, 4), grid, fill=-9).array.tolist() == [[[1, 4]]]


@settings(max_examples=10, deadline=None, derandomize=True)
@given(angles, angles, angles)
def test_rounding_errors_of_an_oblique_grid_do_not_make_halfway_points_flicker(a, b, c):
    turn = rotation(a, b, c)
    volume = numbered_volume(grid_matrix(turn, (1, 1, 1), (0.1, 0.2, 0.3)), shape=(2, 4, 6))
    half_a_voxel = turn @ (0.5, 0, 0)
    grid = Geometry((2, 4, 6), grid_matrix(turn, (1, 1, 1), (0.1, 0.2, 0.3) + half_a_voxel))
    result = resample_volume(volume, grid, order=0, fill=-1)
    assert (result.array == volume.array[:, :, [1, 2, 3, 4, 5, 5]]).all()  # up, and the outer face is inside


def test_nearest_resampling_keeps_the_type_and_makes_no_new_values():
    result = resample_volume(line(0, 10, 20), line_grid(4, spacing=0.5, start=0.2), order=0)
    assert result.array.tolist() == [[[0, 10, 10, 20]]]
    assert result.array.dtype == np.array([0]).dtype


def test_cubic_resampling_reproduces_a_parabola_better_than_linear():
    volume = line(*(float(x * x) for x in range(12)))
    grid = line_grid(1, start=5.5)
    assert abs(resample_volume(volume, grid, order=3).array.item() - 30.25) < 0.01
    assert resample_volume(volume, grid, order=1).array.item() == 30.5


def test_every_channel_is_resampled_on_its_own():
    volume = Volume(np.array([[[[0.0, 2.0]]], [[[10.0, 30.0]]]]), line_grid(2).ijk_to_ras)
    result = resample_volume(volume, line_grid(1, start=0.5))
    assert result.array.tolist() == [[[[1.0]]], [[[20.0]]]]


def test_matching_grids_give_an_exact_copy_without_interpolation():
    volume = numbered_volume()
    moved = volume.ijk_to_ras + np.pad(np.full((3, 1), 1e-4), ((0, 1), (3, 0)))  # less than anyone can see
    result = resample_volume(volume, Geometry(volume.geometry.shape, moved))
    assert result.array.dtype == np.int16
    assert (result.array == volume.array).all()
    assert not np.shares_memory(result.array, volume.array)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.sampled_from(ALL_CODES), angles, angles, angles, st.sampled_from([0, 1]))
def test_resampling_to_a_reordered_oblique_grid_gives_exactly_the_reordered_image(codes, a, b, c, order):
    volume = numbered_volume(grid_matrix(rotation(a, b, c)))
    reordered = reorient(volume, codes)
    result = resample_volume(volume, reordered.geometry, order=order)
    assert (result.array == reordered.array).all()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.sampled_from(ALL_ORIENTATIONS), angles, angles, angles)
def test_a_linear_function_of_the_place_survives_resampling_to_any_grid(directions, a, b, c):
    source = Geometry((6, 7, 8), grid_matrix(spacing=(2, 2, 2), origin=(-7, -6, -5)))
    target = Geometry((2, 2, 2), grid_matrix(rotation(a, b, c) @ directions, (0.9, 1, 1.1), (0, 0, 0)))

    def field(geometry):
        index = np.argwhere(np.ones(geometry.shape, bool))
        return (geometry.to_ras(index) @ [1.0, 10.0, 100.0]).reshape(geometry.shape)

    result = resample_volume(Volume(field(source), source.ijk_to_ras), target)
    # Positions may move by 1e-4 voxels of 2 mm (see resample._SNAP), the field rises by 111 at most per mm.
    np.testing.assert_allclose(result.array, field(target), atol=2e-4 * 111)


@pytest.mark.parametrize("order", [-1, 6, 1.5])
def test_an_impossible_spline_order_is_refused(order):
    with pytest.raises(InputError, match="spline order must be 0 to 5"):
        resample_volume(line(1, 2), line_grid(3), order=order)


def test_nearest_labels_are_those_of_the_nearest_voxel_and_zero_outside():
    labels = np.array([[[1, 2, 3]]], np.uint8)
    result = resample_labels(labels, line_grid(3), line_grid(6, spacing=0.8, start=-0.95))
    assert result.tolist() == [[[0, 1, 2, 2, 3, 0]]]  # at -0.95, -0.15, 0.65, 1.45, 2.25, 3.05
    assert result.dtype == np.uint8


def test_linear_labels_let_the_largest_share_win():
    labels = np.array([[[0, 5, 5], [0, 0, 7]]], np.uint16)
    grid = Geometry((1, 2, 3), grid_matrix(spacing=(1, 1, 1), origin=(0, 0, 0)))
    point = Geometry((1, 1, 1), grid_matrix(spacing=(1, 1, 1), origin=(1.4, 0.45, 0)))
    # Shares: 5 has 0.55, 7 has 0.45 * 0.4 = 0.18, background 0.27; the nearest voxel is a 5 too.
    assert resample_labels(labels, grid, point, "linear").item() == 5
    point = Geometry((1, 1, 1), grid_matrix(spacing=(1, 1, 1), origin=(1.9, 0.55, 0)))
    assert resample_labels(labels, grid, point, "linear").item() == 7


def test_linear_and_nearest_labels_differ_where_two_neighbors_outvote_the_nearest():
    labels = np.array([[[1, 2], [2, 2]]], np.uint8)
    grid = Geometry((1, 2, 2), grid_matrix(spacing=(1, 1, 1), origin=(0, 0, 0)))
    point = Geometry((1, 1, 1), grid_matrix(spacing=(1, 1, 1), origin=(0.4, 0.4, 0)))
    assert resample_labels(labels, grid, point, "nearest").item() == 1
    assert resample_labels(labels, grid, point, "linear").item() == 2  # 1 has 0.36 only


def test_linear_labels_on_a_finer_grid_reach_half_a_voxel_beyond_the_centers():
    labels = np.array([[[0, 5, 0, 0, 7, 7]]], np.uint8)
    fine = line_grid(12, spacing=0.45, start=0.05)  # at 0.05, 0.5, 0.95, 1.4, 1.85, 2.3, 2.75, 3.2, 3.65, 4.1, 4.55, 5
    result = resample_labels(labels, line_grid(6), fine, "linear")
    assert result.tolist() == [[[0, 0, 5, 5, 0, 0, 0, 0, 7, 7, 7, 7]]]  # a tie at 0.5 goes to the smaller label
    finer = line_grid(3, spacing=0.1, start=0.6)
    assert resample_labels(labels, line_grid(6), finer, "linear").tolist() == [[[5, 5, 5]]]
    before = line_grid(10, spacing=0.1, start=0.05)
    assert resample_labels(labels, line_grid(6), before, "linear").tolist() == [[[0] * 5 + [5] * 5]]


def test_linear_labels_are_zero_outside_and_hold_to_the_outer_faces():
    labels = np.array([[[4, 4]]], np.uint8)
    result = resample_labels(labels, line_grid(2), line_grid(4, spacing=0.7, start=-0.55), "linear")
    assert result.tolist() == [[[0, 4, 4, 0]]]  # at -0.55, 0.15, 0.85, 1.55


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.sampled_from(ALL_CODES), angles, angles, angles, st.sampled_from(["nearest", "linear"]))
def test_labels_on_a_reordered_oblique_grid_are_exactly_the_reordered_labels(codes, a, b, c, method):
    volume = numbered_volume(grid_matrix(rotation(a, b, c)), dtype=np.uint8)
    reordered = reorient(volume, codes)
    result = resample_labels(volume.array, volume.geometry, reordered.geometry, method)
    assert (result == reordered.array).all()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), angles, angles, angles)
def test_linear_labels_equal_the_argmax_of_all_interpolated_masks(seed, a, b, c):
    labels = np.random.default_rng(seed).integers(0, 4, (5, 6, 7)).astype(np.uint8)
    source = Geometry(labels.shape, grid_matrix(spacing=(1, 1, 1), origin=(-3, -3, -2)))
    target = Geometry((6, 6, 6), grid_matrix(rotation(a, b, c), (0.8, 0.9, 1), (-2.03, -2.02, -2.01)))
    masks = [
        resample_volume(Volume((labels == n).astype(np.float32), source.ijk_to_ras), target).array for n in range(4)
    ]
    index = np.argwhere(np.ones(target.shape, bool))
    beyond = np.abs(source.to_kji(target.to_ras(index)) - (np.array(source.shape) - 1) / 2) - np.array(source.shape) / 2
    beyond = beyond.max(axis=1).reshape(target.shape)  # distance to the outer faces in voxels, negative inside
    inside = beyond < 0
    expected = np.where(inside, np.argmax(masks, axis=0), 0)
    # Ties, and points just on the outer faces, may fall either way.
    clear = (np.sort(masks, axis=0)[-1] - np.sort(masks, axis=0)[-2] > 1e-5) & (np.abs(beyond) > 1e-3)
    assert clear.mean() > 0.5
    result = resample_labels(labels, source, target, "linear")
    assert (result == expected)[clear].all()


def test_labels_on_a_matching_grid_are_a_copy():
    labels = np.array([[[1, 2]]], np.uint8)
    result = resample_labels(labels, line_grid(2), line_grid(2))
    assert result.tolist() == [[[1, 2]]]
    assert not np.shares_memory(result, labels)


def test_labels_that_do_not_fit_their_grid_are_refused():
    with pytest.raises(InputError, match=r"shape \(1, 1, 2\), its geometry \(1, 1, 3\)"):
        resample_labels(np.zeros((1, 1, 2), np.uint8), line_grid(3), line_grid(4))


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="'nearest' or 'linear', not 'cubic'"):
        resample_labels(np.zeros((1, 1, 3), np.uint8), line_grid(3), line_grid(4), "cubic")
