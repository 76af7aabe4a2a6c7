"""A DICOM series is read with its slices in order and in place, and anything that is not one image is refused."""

import numpy as np
import pytest
import SimpleITK as sitk

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.image_io import read_volume

AXIAL = (1, 0, 0, 0, 1, 0)


def write_slice(path, value, position, orientation=AXIAL, series="1.2.3", description="Thorax", shape=(2, 3), slope=1):
    """A CT slice of J, I = `shape` pixels that all have `value`, the first one at `position` (LPS mm)."""
    image = sitk.GetImageFromArray(np.full((1, *shape), value, np.int16))
    image.SetSpacing((0.5, 0.75, 1))
    tags = {
        "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
        "0008|0018": f"{series}.{abs(hash((position, value))) % 10**9}",
        "0008|0060": "CT",
        "0008|103e": description,
        "0020|000d": "1.2",
        "0020|000e": series,
        "0020|0032": "\\".join(str(x) for x in position),
        "0020|0037": "\\".join(str(x) for x in orientation),
        "0028|1052": "0",
        "0028|1053": str(slope),
    }
    for key, text in tags.items():
        image.SetMetaData(key, text)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(image)


def refused(path, pattern):
    with pytest.raises(InputError, match=pattern) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_slices_are_put_in_order_of_their_positions(tmp_path):
    for name, value, z in (("c", 1, -4.5), ("a", 2, -2.0), ("b", 3, 0.5)):
        write_slice(tmp_path / f"{name}.dcm", value, (10, 20, z))
    volume = read_volume(tmp_path)
    assert volume.array[:, 0, 0].tolist() == [1, 2, 3]
    assert volume.array.shape == (3, 2, 3)
    expected = [[-0.5, 0, 0, -10], [0, -0.75, 0, -20], [0, 0, 2.5, -4.5], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.ijk_to_ras, expected, atol=1e-9)
    assert volume.name == tmp_path.name


def test_a_file_stands_for_its_series_among_others(tmp_path):
    for n in range(2):
        write_slice(tmp_path / f"one{n}.dcm", 1, (0, 0, n), series="1.2.3")
        write_slice(tmp_path / f"two{n}.dcm", 2, (0, 0, n), series="1.2.4")
    volume = read_volume(tmp_path / "two1.dcm")
    assert volume.array.shape == (2, 2, 3)
    assert (volume.array == 2).all()


def test_a_file_without_an_ending_is_recognized(tmp_path):
    write_slice(tmp_path / "a.dcm", 5, (0, 0, 0))
    (tmp_path / "a.dcm").rename(tmp_path / "IM0001")
    assert (read_volume(tmp_path / "IM0001").array == 5).all()


def test_several_series_are_listed(tmp_path):
    write_slice(tmp_path / "one.dcm", 1, (0, 0, 0), series="1.2.3", description="Arterial")
    for n in range(2):
        write_slice(tmp_path / f"two{n}.dcm", 2, (0, 0, n), series="1.2.4", description="Venous")
    refused(tmp_path, r"2 DICOM series: .*'Arterial' 1 files like one\.dcm.*'Venous' 2 files like two.*Give a file")


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    refused(tmp_path, "no DICOM image in the folder")


def test_other_files_in_the_folder_do_not_matter(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    write_slice(tmp_path / "a.dcm", 5, (0, 0, 0))
    assert read_volume(tmp_path).array.shape == (1, 2, 3)


def test_rescaling_is_applied(tmp_path):
    write_slice(tmp_path / "a.dcm", 10, (0, 0, 0), slope=2)
    assert set(read_volume(tmp_path).array.ravel()) == {10}  # 5 is stored


def test_a_missing_slice_is_refused(tmp_path):
    for z in (0, 2, 4, 8):
        write_slice(tmp_path / f"{z}.dcm", z, (0, 0, z))
    refused(tmp_path, "missing or unevenly spaced slices, 2 to 4 mm apart")


def test_two_images_at_one_position_are_a_time_series(tmp_path):
    for z in (0, 1, 2):
        write_slice(tmp_path / f"early{z}.dcm", 1, (0, 0, z))
        write_slice(tmp_path / f"late{z}.dcm", 2, (0, 0, z))
    refused(tmp_path, "series of images, shape 6 files at 3 positions")


def test_slices_of_different_orientation_are_refused(tmp_path):
    write_slice(tmp_path / "a.dcm", 1, (0, 0, 0))
    write_slice(tmp_path / "b.dcm", 1, (0, 0, 1), orientation=(1, 0, 0, 0, 0, -1))
    refused(tmp_path, "DICOM")


def test_slices_of_different_size_are_refused(tmp_path):
    write_slice(tmp_path / "a.dcm", 1, (0, 0, 0))
    write_slice(tmp_path / "b.dcm", 1, (0, 0, 1), shape=(4, 4))
    refused(tmp_path, "DICOM|slice")


def test_a_truncated_slice_is_refused(tmp_path):
    for z in (0, 1):
        write_slice(tmp_path / f"{z}.dcm", 1, (0, 0, z), shape=(30, 40))
    content = (tmp_path / "1.dcm").read_bytes()
    (tmp_path / "1.dcm").write_bytes(content[:-5])
    refused(tmp_path, r"1\.dcm: it is a truncated DICOM file. Copy or export")


def test_gantry_tilt_stays_in_the_matrix(tmp_path):
    for n in range(3):
        write_slice(tmp_path / f"{n}.dcm", n, (0, 0.5 * n, 2.0 * n))
    volume = read_volume(tmp_path)
    np.testing.assert_allclose(volume.geometry.to_ras([[2, 0, 0]]), [[0, -1.0, 4.0]], atol=1e-9)
    np.testing.assert_allclose(volume.geometry.to_ras([[0, 1, 1]]), [[-0.5, -0.75, 0]], atol=1e-9)


def test_an_oblique_series_lies_where_its_positions_say(tmp_path):
    row, column = np.array([0.8, 0.6, 0.0]), np.array([0.0, 0.0, -1.0])
    normal = np.cross(row, column)
    for n in range(3):
        position = tuple(np.round(np.array([5.0, 6.0, 7.0]) + 1.5 * n * normal, 6).tolist())
        write_slice(tmp_path / f"{2 - n}.dcm", n, position, orientation=(*row, *column))
    volume = read_volume(tmp_path)
    assert volume.array[:, 0, 0].tolist() == [0, 1, 2]
    lps = np.array([5.0, 6.0, 7.0]) + 1.5 * 2 * normal + 0.5 * 2 * row + 0.75 * column
    np.testing.assert_allclose(volume.geometry.to_ras([[2, 1, 2]]), [lps * (-1, -1, 1)], atol=1e-6)
