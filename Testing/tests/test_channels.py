"""Several scans become the channels of one image, wherever and however their voxels lie, and mistakes are named."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from InteractiveRefineLib.channels import combine_channels
from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.resample import reorient
from InteractiveRefineLib.volume import Volume

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
CODES = ["".join(p) for pair in itertools.product("RL", "AP", "SI") for p in itertools.permutations(pair)]


def volume(array, matrix=LPS, name="scan", dtype=np.float32):
    return Volume(np.asarray(array, dtype=dtype), matrix, name)


def ramp(shape=(3, 4, 5), name="scan", dtype=np.int16):
    """Every voxel has another value."""
    return volume(np.arange(np.prod(shape)).reshape(shape), LPS, name, dtype)


FLAIR, T1C = ramp(name="flair.nii"), volume(np.full((3, 4, 5), 7), LPS, "t1c.nii", np.int16)


class Warnings(list):
    __call__ = list.append


def test_one_image_stays_the_very_same():
    assert combine_channels([FLAIR]) is FLAIR
    assert combine_channels([FLAIR], ["CT"]) is FLAIR


def test_two_images_on_one_grid_are_stacked_in_order_and_keep_their_type():
    warnings = Warnings()
    image = combine_channels([FLAIR, T1C], ["FLAIR", "T1c"], warn=warnings)
    assert image.array.shape == (2, 3, 4, 5) and image.array.dtype == np.int16
    np.testing.assert_array_equal(image.array[0], FLAIR.array)
    np.testing.assert_array_equal(image.array[1], T1C.array)
    assert image.name == "flair.nii + t1c.nii"
    assert warnings == []


def test_the_inputs_are_not_touched_by_writing_into_the_result():
    before = FLAIR.array.copy()
    combine_channels([FLAIR, T1C]).array[:] = -1
    np.testing.assert_array_equal(FLAIR.array, before)


def test_different_types_become_float32():
    assert combine_channels([FLAIR, volume(np.zeros((3, 4, 5)), dtype=np.uint8)]).array.dtype == np.float32


def test_names_put_the_images_into_the_order_of_the_network_whatever_their_case():
    image = combine_channels([T1C, FLAIR], ["FLAIR", "T1c"], given=["t1C ", "flair"])
    np.testing.assert_array_equal(image.array[0], FLAIR.array)
    np.testing.assert_array_equal(image.array[1], T1C.array)


def test_a_color_picture_counts_as_its_channels():
    rgb = volume(np.arange(3 * 4 * 5).reshape(3, 1, 4, 5), dtype=np.uint8)
    assert combine_channels([rgb], ["red", "green", "blue"]) is rgb
    depth = volume(np.full((1, 4, 5), 9), dtype=np.uint8)
    assert combine_channels([rgb, depth]).array[:, 0, 0, 0].tolist() == [0, 20, 40, 9]


def test_an_image_on_another_grid_is_interpolated_where_its_voxels_lie_in_the_patient():
    coarse = volume([[[0, 10, 20]]], np.diag([-2.0, -1.0, 1.0, 1.0]), "coarse.nii")  # centers at 0, 2 and 4 mm
    fine = volume([[[1, 1, 1, 1, 1]]], LPS, "fine.nii")  # centers at 0, 1, 2, 3 and 4 mm
    warnings = Warnings()
    image = combine_channels([fine, coarse], warn=warnings)
    assert image.array[1].ravel().tolist() == [0, 5, 10, 15, 20]
    assert warnings == [
        "coarse.nii was resampled to the grid of fine.nii: from 3 x 1 x 1 voxels of 2 x 1 x 1 mm with the first voxel "
        "at RAS (0, 0, 0) to 5 x 1 x 1 voxels of 1 x 1 x 1 mm with the first voxel at RAS (0, 0, 0)."
    ]


def test_the_first_image_given_decides_the_grid_whatever_channel_it_is():
    coarse = volume([[[0, 10, 20]]], np.diag([-2.0, -1.0, 1.0, 1.0]), "t1c.nii")
    fine = volume([[[1, 2, 3, 4, 5]]], LPS, "flair.nii")
    warnings = Warnings()
    image = combine_channels([coarse, fine], ["FLAIR", "T1c"], given=["T1c", "FLAIR"], warn=warnings)
    assert image.geometry.matches(coarse.geometry)
    assert image.array[:, 0, 0].tolist() == [[1, 3, 5], [0, 10, 20]]
    assert warnings[0].startswith("FLAIR (flair.nii) was resampled to the grid of T1c (t1c.nii)")


def test_what_an_image_does_not_cover_takes_its_nearest_voxels_and_is_told_in_percent():
    whole = volume(np.zeros((4, 1, 1)), LPS, "whole.nii")
    slab = volume([[[5]], [[6]], [[7]]], LPS, "slab.nii")
    warnings = Warnings()
    assert combine_channels([whole, slab], warn=warnings).array[1].ravel().tolist() == [5, 6, 7, 7]
    assert warnings[0].endswith("It does not cover 25% of it; there its nearest voxels are repeated.")


def test_images_that_share_no_place_are_refused():
    elsewhere = LPS.copy()
    elsewhere[0, 3] = 500
    with pytest.raises(InputError, match=r"T1c \(far.nii\) and FLAIR \(flair.nii\) share no place in the patient: .*"):
        combine_channels([FLAIR, volume(np.ones((3, 4, 5)), elsewhere, "far.nii")], ["FLAIR", "T1c"])


@pytest.mark.parametrize("codes", CODES)
def test_flipped_and_permuted_voxel_axes_give_the_same_values_and_type_without_a_word(codes):
    warnings = Warnings()
    image = combine_channels([FLAIR, reorient(ramp(name="other"), codes)], warn=warnings)
    np.testing.assert_array_equal(image.array[1], FLAIR.array)
    assert image.array.dtype == np.int16 and warnings == []


@pytest.mark.parametrize("codes", ["RAS", "SPL", "ILA"])
def test_turned_axes_on_another_grid_still_land_in_the_right_place(codes):
    matrix = LPS.copy()
    matrix[0, 3] = -0.5  # half a voxel to the left: the mean of two neighbors along I
    image = combine_channels([FLAIR, reorient(Volume(ramp().array, matrix), codes)], warn=Warnings())
    np.testing.assert_allclose(image.array[1][..., 1:], FLAIR.array[..., 1:] - 0.5, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    angle=st.floats(-0.6, 0.6), shift=st.floats(-1.5, 1.5), spacing=st.floats(0.5, 2.0),
    axes=st.sampled_from([(0, 1), (0, 2), (1, 2)]),
)  # fmt: skip
def test_oblique_grids_carry_a_linear_field_over_wherever_they_reach(angle, shift, spacing, axes):
    turn = np.eye(4)
    a, b = axes
    turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    matrix = turn @ np.diag([-spacing, -spacing, spacing, 1.0])
    shape = (16, 16, 16)
    matrix[:3, 3] = shift - matrix[:3, :3] @ (np.array(shape) / 2)
    source = field_on(Geometry(shape, matrix))
    target = Geometry((4, 5, 6), LPS)
    image = combine_channels([field_on(target), source], warn=Warnings())
    kji = np.stack(np.meshgrid(*map(np.arange, target.shape), indexing="ij"), -1).reshape(-1, 3)
    inside = source.geometry.to_kji(target.to_ras(kji))
    reached = ((inside >= 0) & (inside <= np.array(shape) - 1)).all(axis=1)
    np.testing.assert_allclose(image.array[1].ravel()[reached], image.array[0].ravel()[reached], atol=1e-3)


def field_on(geometry):
    """2 x - 3 y + z + 5 in RAS mm, at every voxel."""
    kji = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1).reshape(-1, 3)
    values = geometry.to_ras(kji) @ [2.0, -3.0, 1.0] + 5
    return Volume(values.reshape(geometry.shape).astype(np.float32), geometry.ijk_to_ras)


RGB = volume(np.zeros((3, 3, 4, 5)), name="rgb.png")


@pytest.mark.parametrize(
    ("volumes", "names", "given_names", "message"),
    [
        ([], ["CT"], [], "There is no image. Give one for each channel."),
        ([FLAIR], ["FLAIR", "T1c"], [],
         r"\(FLAIR, T1c\), but there are only 1: flair.nii \(1\). Add an image for T1c, in this order"),
        ([FLAIR], ["A", "B", "C"], [], r"there are only 1: flair.nii \(1\). Add an image for B and C, in this order"),
        ([FLAIR, T1C], ["CT"], [],
         r"needs 1 channel \(CT\), but there are 2: flair.nii \(1\), t1c.nii \(1\). Leave out what is not"),
        ([RGB, T1C], ["red", "green", "blue"], [], r"but there are 4: rgb.png \(3\), t1c.nii \(1\)"),
        ([FLAIR], ["FLAIR", "T1c"], ["FLAIR"], "T1c is missing: this network needs an image for FLAIR, T1c."),
        ([FLAIR, T1C], ["FLAIR", "T1c"], ["FLAIR", "T2"], "T2 is no channel of this network; its channels are"),
        ([FLAIR, T1C], ["FLAIR", "T1c"], ["FLAIR", "flair"], "The channel FLAIR is named twice"),
        ([FLAIR, T1C], [], ["FLAIR", "flair"], "The channel FLAIR is named twice"),
        ([FLAIR, T1C], ["FLAIR", "T1c"], ["FLAIR"], "There are 2 images and 1 names. Name every image or none."),
        ([FLAIR, RGB], ["FLAIR", "T1c"], ["FLAIR", "T1c"], "rgb.png has 3 channels itself, so it cannot be"),
    ],
)  # fmt: skip
def test_every_mistake_names_the_channel(volumes, names, given_names, message):
    with pytest.raises(InputError, match=message):
        combine_channels(volumes, names, given=given_names)


def test_without_a_network_names_only_tell_the_images_apart():
    np.testing.assert_array_equal(combine_channels([T1C, FLAIR], given=["x", "y"]).array[0], T1C.array)
