"""A damaged, truncated, missing or unsuitable image file gives one line that names it and says what to do."""

import re
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from grid_examples import grid_matrix

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.image_io import read_volume, write_volume
from InteractiveRefineLib.volume import Volume


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


ALL_ENDINGS = ["nrrd", "nhdr", "nii", "nii.gz", "mha", "mhd", "png", "jpg", "tif"]


@pytest.mark.parametrize("ending", ALL_ENDINGS)
def test_garbage_is_refused_with_the_name_and_what_to_do(tmp_path, nifti_reader, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"This is no image. " * 50)
    assert "Copy or export the file again" in refused(path)


@pytest.mark.parametrize("ending", ALL_ENDINGS)
def test_an_empty_file_is_refused(tmp_path, nifti_reader, ending):
    (tmp_path / f"a.{ending}").write_bytes(b"")
    assert "Copy or export the file again" in refused(tmp_path / f"a.{ending}")


@pytest.mark.parametrize("missing", [1, 2])  # a last part as small as this, and one half
@pytest.mark.parametrize("ending", ALL_ENDINGS)
def test_a_truncated_file_is_refused(tmp_path, nifti_reader, ending, missing):
    picture = ending in ("png", "jpg", "tif")
    array = np.random.default_rng(0).integers(0, 255, (30, 40) if picture else (5, 30, 40)).astype(np.uint8)
    path = tmp_path / f"a.{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    data_file = tmp_path / "a.raw" if ending in ("nhdr", "mhd") else path
    data = data_file.read_bytes()
    # TIFF ends with tags that only describe the picture, so the small cut is made larger there.
    small = 300 if ending == "tif" else 9
    data_file.write_bytes(data[: len(data) // 2 if missing == 2 else len(data) - small])
    assert "Copy or export the file again" in refused(path)


@pytest.mark.parametrize("ending", ["nhdr", "mhd"])
def test_a_header_without_its_data_file_is_refused(tmp_path, ending):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 2, 2), np.uint8)), str(tmp_path / f"a.{ending}"))
    (tmp_path / "a.raw").unlink()
    assert "Cannot read" in refused(tmp_path / f"a.{ending}")


def test_a_flipped_bit_in_a_compressed_nifti_is_found_by_its_checksum(tmp_path, nifti_reader):
    array = np.random.default_rng(0).integers(0, 255, (5, 30, 40)).astype(np.uint8)
    write_volume(Volume(array, grid_matrix()), tmp_path / "a.nii.gz")
    content = bytearray((tmp_path / "a.nii.gz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(content)
    assert "the compressed data are damaged" in refused(tmp_path / "a.nii.gz")


def test_a_thumbnail_inside_a_truncated_jpeg_does_not_count_as_its_end(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 8), np.uint8)), str(tmp_path / "a.jpg"))
    whole = (tmp_path / "a.jpg").read_bytes()
    thumbnail = b"\xff\xd8 tiny picture \xff\xd9"
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    (tmp_path / "a.jpg").write_bytes(whole[:2] + segment + whole[2:])
    assert read_volume(tmp_path / "a.jpg").array.shape == (1, 8, 8)
    (tmp_path / "a.jpg").write_bytes(whole[:2] + segment + whole[2:-2])
    assert "truncated" in refused(tmp_path / "a.jpg")


def test_a_missing_file_is_named(tmp_path):
    assert "there is no such file or folder" in refused(tmp_path / "a.nrrd")


def test_an_unsupported_file_lists_what_is_supported(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"PK")
    assert "neither DICOM nor one of .nrrd, .nhdr" in refused(tmp_path / "a.docx")


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz"])
def test_complex_numbers_are_refused(tmp_path, nifti_reader, name):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((2, 2, 2), np.complex64)), str(tmp_path / name))
    if name == "a.nrrd" and "complex" not in sitk.ReadImage(str(tmp_path / name)).GetPixelIDTypeAsString():
        pytest.skip("ITK stores complex NRRD as two channels")
    assert "complex numbers" in refused(tmp_path / name)
