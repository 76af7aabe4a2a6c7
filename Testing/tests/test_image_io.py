"""Images are read with their values, channels and places; what cannot be read says so in one line."""

import gzip
import re
import sys

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from grid_examples import ALL_ORIENTATIONS, assert_same_places, grid_matrix, numbered_volume, rotation
from hypothesis import given, settings
from hypothesis import strategies as st

from InteractiveRefineLib import itk_io
from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.image_io import read_volume, write_volume
from InteractiveRefineLib.volume import Volume

PICTURE_PLACE = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(params=["nibabel", "SimpleITK"])
def nifti_reader(request, monkeypatch):
    """Read NIfTI both ways; without nibabel is how it goes inside 3D Slicer."""
    if request.param == "SimpleITK":
        monkeypatch.setitem(sys.modules, "nibabel", None)
    return request.param


def refused(path):
    """The message of the one-line InputError that reading `path` gives; it names the file."""
    with pytest.raises(InputError, match=re.escape(str(path))) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def nrrd(path, sizes, directions, kinds, data, more=""):
    """Write a raw NRRD by hand, so that reader and writer cannot share an error."""
    dimension = len(sizes.split())
    path.write_bytes(
        f"NRRD0004\ntype: uint8\ndimension: {dimension}\nspace: left-posterior-superior\nsizes: {sizes}\n"
        f"space directions: {directions}\nkinds: {kinds}\nencoding: raw\nspace origin: (10,20,30)\n{more}\n".encode()
        + bytes(data)
    )
    return path


# ------------------------------------------------------------------ geometry


def test_left_posterior_superior_of_a_nrrd_becomes_right_anterior_superior(tmp_path):
    path = nrrd(tmp_path / "a.nrrd", "2 1 1", "(0.5,0,0) (0,2,0) (0,0,3)", "domain domain domain", [7, 8])
    volume = read_volume(path)
    assert volume.array.tolist() == [[[7, 8]]]
    assert volume.ijk_to_ras.tolist() == [[-0.5, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1]]
    assert volume.name == "a.nrrd"


def test_the_matrix_of_a_nifti_file_is_taken_as_it_is(tmp_path, nifti_reader):
    matrix = grid_matrix(rotation(0.3, -0.2, 0.1), (0.5, 0.75, 2.5), (1.5, 2.5, 3.5))
    data = np.arange(24, dtype=np.int16).reshape(4, 3, 2)  # I, J, K as nibabel has it
    nibabel.save(nibabel.Nifti1Image(data, matrix), tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert (volume.array == data.T).all()
    np.testing.assert_allclose(volume.ijk_to_ras, matrix, atol=1e-6)


@pytest.mark.parametrize("directions", ALL_ORIENTATIONS)
def test_every_flip_and_permutation_survives_a_nrrd_exactly(tmp_path, directions):
    volume = numbered_volume(grid_matrix(directions))
    write_volume(volume, tmp_path / "a.nrrd")
    result = read_volume(tmp_path / "a.nrrd")
    assert (result.array == volume.array).all()
    assert (result.ijk_to_ras == volume.ijk_to_ras).all()


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.sampled_from(ALL_ORIENTATIONS), *[st.floats(-0.7, 0.7)] * 3)
def test_oblique_images_keep_every_voxel_in_place_through_both_formats(tmp_path_factory, directions, a, b, c):
    folder = tmp_path_factory.mktemp("oblique")
    volume = numbered_volume(grid_matrix(rotation(a, b, c) @ directions, (0.3, 0.7, 2.123456789), (1 / 7, -123.4, 333)))
    write_volume(volume, folder / "a.nrrd")
    assert_same_places(volume, read_volume(folder / "a.nrrd"), 1e-12)
    write_volume(volume, folder / "a.nii.gz")
    assert_same_places(volume, read_volume(folder / "a.nii.gz"), 1e-4)  # single precision


def test_both_nifti_readers_agree_on_an_oblique_image(tmp_path, monkeypatch):
    write_volume(numbered_volume(grid_matrix(rotation(0.5, 0.1, -0.4))), tmp_path / "a.nii.gz")
    with_nibabel = read_volume(tmp_path / "a.nii.gz")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    without = read_volume(tmp_path / "a.nii.gz")
    assert (without.array == with_nibabel.array).all()
    assert without.array.dtype == with_nibabel.array.dtype
    np.testing.assert_allclose(without.ijk_to_ras, with_nibabel.ijk_to_ras, atol=1e-12)


def test_a_sheared_nifti_matrix_is_kept(tmp_path):
    matrix = grid_matrix()
    matrix[1, 2] = 0.8  # gantry tilt
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), matrix), tmp_path / "a.nii.gz")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii.gz").ijk_to_ras, matrix, atol=1e-6)


def test_a_sheared_matrix_survives_a_nrrd_and_is_refused_for_nifti(tmp_path):
    matrix = grid_matrix()
    matrix[1, 2] = 0.8
    volume = numbered_volume(matrix)
    write_volume(volume, tmp_path / "a.nrrd")
    assert_same_places(volume, read_volume(tmp_path / "a.nrrd"))
    with pytest.raises(InputError, match=r"a\.nii\.gz: the image axes are not perpendicular. Choose .nrrd"):
        write_volume(volume, tmp_path / "a.nii.gz")


def test_nifti_units_of_meters_become_millimeters(tmp_path, nifti_reader):
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.diag([0.001, 0.002, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(np.diag(read_volume(tmp_path / "a.nii").ijk_to_ras), [1, 2, 3, 1], rtol=1e-6)


# -------------------------------------------------------------- values, channels


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz"])
def test_values_keep_their_type(tmp_path, nifti_reader, name, dtype):
    write_volume(numbered_volume(dtype=dtype), tmp_path / name)
    array = read_volume(tmp_path / name).array
    assert array.dtype == dtype
    assert array.flags.writeable and array.flags.c_contiguous
    assert (array == numbered_volume().array).all()


def test_nifti_scaling_is_applied(tmp_path, nifti_reader):
    image = nibabel.Nifti1Image(np.array([[[0]], [[10]], [[-4]]], np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "a.nii.gz")
    array = read_volume(tmp_path / "a.nii.gz").array
    assert array.tolist() == [[[-3.0, 2.0, -5.0]]]
    assert array.dtype.kind == "f"


def test_big_endian_files_become_native_arrays(tmp_path, nifti_reader):
    image = nibabel.Nifti1Image(np.array([[[1]], [[258]]], np.int16), np.eye(4), nibabel.Nifti1Header(endianness=">"))
    nibabel.save(image, tmp_path / "a.nii")
    array = read_volume(tmp_path / "a.nii").array
    assert array.tolist() == [[[1, 258]]]
    assert array.dtype.isnative


def test_nifti_version_2_is_read(tmp_path):
    nibabel.save(nibabel.Nifti2Image(np.array([[[1]], [[2]]], np.int16), grid_matrix()), tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert volume.array.tolist() == [[[1, 2]]]
    np.testing.assert_allclose(volume.ijk_to_ras, grid_matrix(), atol=1e-6)


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz"])
def test_channels_come_first_after_reading_a_vector_image(tmp_path, nifti_reader, name):
    volume = Volume(np.arange(2 * 1 * 2 * 3, dtype=np.int16).reshape(2, 1, 2, 3), grid_matrix())
    write_volume(volume, tmp_path / name)
    result = read_volume(tmp_path / name)
    assert result.array.tolist() == volume.array.tolist()
    assert result.geometry.matches(volume.geometry)


def test_rgb_nifti_gives_three_channels(tmp_path, nifti_reader):
    data = np.zeros((2, 1, 1), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    data[1, 0, 0] = (10, 20, 30)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii.gz")
    assert read_volume(tmp_path / "a.nii.gz").array.tolist() == [[[[0, 10]]], [[[0, 20]]], [[[0, 30]]]]


def test_a_single_time_point_is_an_ordinary_image(tmp_path, nifti_reader):
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 3, 2, 1), np.int16), np.eye(4)), tmp_path / "a.nii.gz")
    assert read_volume(tmp_path / "a.nii.gz").array.shape == (2, 3, 4)


def test_a_two_dimensional_nifti_is_a_single_slice(tmp_path, nifti_reader):
    nibabel.save(nibabel.Nifti1Image(np.arange(6, dtype=np.int16).reshape(3, 2), np.eye(4)), tmp_path / "a.nii.gz")
    assert read_volume(tmp_path / "a.nii.gz").array.tolist() == [[[0, 2, 4], [1, 3, 5]]]


def test_a_two_dimensional_metaimage_keeps_its_spacing(tmp_path):
    image = sitk.GetImageFromArray(np.array([[1, 2]], np.uint8))
    image.SetSpacing((0.25, 0.5))
    image.SetOrigin((3, 4))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    volume = read_volume(tmp_path / "a.mha")
    assert volume.array.tolist() == [[[1, 2]]]
    assert volume.ijk_to_ras.tolist() == [[-0.25, 0, 0, -3], [0, -0.5, 0, -4], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_nan_and_infinity_are_passed_on(tmp_path):
    volume = Volume(np.array([[[np.nan, np.inf, 1]]], np.float32), grid_matrix())
    for name in ("a.nrrd", "a.nii.gz"):
        write_volume(volume, tmp_path / name)
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, volume.array)


# -------------------------------------------------------------- time series


def test_a_time_series_in_a_nifti_is_refused_with_its_shape(tmp_path, nifti_reader):
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 2, 5), np.int16), np.eye(4)), tmp_path / "a.nii.gz")
    assert "series of images, shape (4, 3, 2, 5)" in refused(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_time_series_in_four_dimensions_is_refused_with_its_shape(tmp_path, name):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((5, 2, 3, 4), np.int16), isVector=False), str(tmp_path / name))
    assert "series of images, shape (4, 3, 2, 5)" in refused(tmp_path / name)


def test_a_slicer_sequence_is_refused_although_it_looks_like_channels(tmp_path):
    directions, kinds = "none (1,0,0) (0,1,0) (0,0,1)", "list domain domain domain"
    path = nrrd(tmp_path / "a.nrrd", "5 2 1 1", directions, kinds, range(10), "axis 0 index type:=numeric\n")
    assert "series of images, shape (2, 1, 1, 5)" in refused(path)
    path = nrrd(tmp_path / "b.nrrd", "5 2 1 1", directions, kinds, range(10))
    assert read_volume(path).array.shape == (5, 1, 1, 2)


# -------------------------------------------------------------- pictures


@pytest.mark.parametrize("ending", ["png", "tif", "tiff", "jpg", "jpeg"])
def test_a_gray_picture_is_one_slice_of_one_millimeter_pixels(tmp_path, ending):
    image = sitk.GetImageFromArray(np.full((2, 3), 50, np.uint8))
    image.SetSpacing((0.1, 0.1))  # the resolution for printing, not the size of anything in a patient
    sitk.WriteImage(image, str(tmp_path / f"a.{ending}"))
    volume = read_volume(tmp_path / f"a.{ending}")
    assert volume.array.tolist() == [[[50, 50, 50], [50, 50, 50]]]
    assert (volume.ijk_to_ras == PICTURE_PLACE).all()


@pytest.mark.parametrize("alpha", [[], [255]])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_color_picture_has_three_channels_and_no_alpha(tmp_path, ending, alpha):
    pixels = np.array([[[1, 2, 3, *alpha], [4, 5, 6, *alpha]]], np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(tmp_path / f"a.{ending}"))
    assert read_volume(tmp_path / f"a.{ending}").array.tolist() == [[[[1, 4]]], [[[2, 5]]], [[[3, 6]]]]


def test_gray_with_alpha_is_refused_with_what_to_use(tmp_path):
    pixels = np.array([[[7, 255], [8, 0]]], np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(tmp_path / "a.png"))
    assert "only gray or RGB can be used" in refused(tmp_path / "a.png")


def test_a_sixteen_bit_picture_keeps_its_values(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.array([[1000, 65535]], np.uint16)), str(tmp_path / "a.png"))
    assert read_volume(tmp_path / "a.png").array.tolist() == [[[1000, 65535]]]


def test_a_picture_of_several_pages_is_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.uint8)), str(tmp_path / "a.tif"))
    assert "holds 3 pages" in refused(tmp_path / "a.tif")


# -------------------------------------------------------------- writing


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz"])
def test_equal_volumes_give_equal_bytes(tmp_path, name):
    (tmp_path / "other").mkdir()
    write_volume(numbered_volume(), tmp_path / name)
    write_volume(numbered_volume(), tmp_path / "other" / f"b{name}")
    assert (tmp_path / name).read_bytes() == (tmp_path / "other" / f"b{name}").read_bytes()


def test_other_file_types_are_refused_for_writing(tmp_path):
    with pytest.raises(InputError, match=r"images are written as \.nrrd, \.nii, \.nii\.gz"):
        write_volume(numbered_volume(), tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii", "a.nii.gz"])
def test_data_lost_on_a_full_disk_are_noticed_although_itk_is_silent(tmp_path, monkeypatch, name):
    write = sitk.WriteImage

    def lose_the_end(image, path, compress):
        write(image, path, compress)
        with open(path, "rb+") as file:
            file.truncate(len(file.read()) - 9)

    monkeypatch.setattr(itk_io.sitk, "WriteImage", lose_the_end)
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(InputError, match=r"did not arrive whole. Check the free space"):
        write_volume(numbered_volume(), tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"old"


def test_the_written_nifti_is_really_compressed(tmp_path):
    write_volume(Volume(np.zeros((10, 10, 10), np.int16), grid_matrix()), tmp_path / "a.nii.gz")
    assert len(gzip.decompress((tmp_path / "a.nii.gz").read_bytes())) == 352 + 2000
