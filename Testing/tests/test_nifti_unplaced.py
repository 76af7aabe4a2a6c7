"""A NIfTI file that says nothing of place and orientation lies where 3D Slicer has it, with nibabel and without."""

import sys

import nibabel
import numpy as np
import pytest
from grid_examples import grid_matrix

from InteractiveRefineLib.image_io import read_volume


@pytest.fixture(params=["nibabel", "SimpleITK"])
def nifti_reader(request, monkeypatch):
    """Read NIfTI both ways; without nibabel is how it goes inside 3D Slicer."""
    if request.param == "SimpleITK":
        monkeypatch.setitem(sys.modules, "nibabel", None)
    return request.param


@pytest.mark.parametrize("version", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize(
    ("unit", "sides", "matrix"),
    [
        ("mm", (0.5, 0.625, 0.75), (-0.5, -0.625, 0.75)),
        ("micron", (500, 625, 750), (-0.5, -0.625, 0.75)),
        ("mm", (0.5, 0.625), (-0.5, -0.625, 1.0)),
    ],
)
def test_a_nifti_file_without_orientation_lies_as_itk_has_it(
    tmp_path, nifti_reader, caplog, version, unit, sides, matrix
):
    if version is nibabel.Nifti2Image and nifti_reader == "SimpleITK":
        pytest.skip("SimpleITK cannot read NIfTI-2")
    image = version(np.zeros((3, 4, 5)[: len(sides)], np.int16), None)
    image.header.set_zooms(sides)
    image.header.set_xyzt_units(unit)
    # No code says that these count.
    image.header["qoffset_x"], image.header["quatern_b"], image.header["srow_y"] = 10, 0.5, (0, 2, 0, 8)
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").ijk_to_ras, np.diag([*matrix, 1.0]), atol=1e-15)
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        f"{tmp_path / 'a.nii'} states neither place nor orientation"
    ]


@pytest.mark.parametrize("sides", [(-0.5, 0.625, 0.75), (0.5, -0.625, 0.75), (0.5, 0.625, -0.75), (0, 0.625, 0.75)])
def test_odd_voxel_sides_without_orientation_are_what_itk_makes_of_them(tmp_path, monkeypatch, sides):
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), None), tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[80:92] = np.array(sides, "<f4").tobytes()  # nibabel itself would not write them
    (tmp_path / "a.nii").write_bytes(raw)
    with_nibabel = read_volume(tmp_path / "a.nii").ijk_to_ras
    monkeypatch.setitem(sys.modules, "nibabel", None)
    assert (read_volume(tmp_path / "a.nii").ijk_to_ras == with_nibabel).all()


@pytest.mark.parametrize("code", ["qform_code", "sform_code"])
def test_a_nifti_file_with_one_orientation_is_read_without_a_warning(tmp_path, nifti_reader, caplog, code):
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), grid_matrix())
    image.header["qform_code"], image.header["sform_code"] = 0, 0
    image.header[code] = 1
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").ijk_to_ras, grid_matrix(), atol=1e-6)
    assert not caplog.records
