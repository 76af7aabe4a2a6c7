"""Read and write images: DICOM, NRRD, NIfTI, MetaImage, and 2-D pictures."""

from __future__ import annotations

import os
import re
import struct
import warnings
from pathlib import Path

import numpy as np

from .dicom_io import is_dicom, read_dicom
from .errors import InputError
from .itk_io import (
    ODD_PIXELS,
    itk_from_array,
    make_volume,
    read_itk,
    time_series,
    unreadable,
    volume_from_itk,
    write_itk,
)
from .nifti_io import read_nifti
from .volume import Volume

_NIFTI = (".nii", ".nii.gz")
_SCANS = (".nrrd", ".nhdr", ".mha", ".mhd")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_WRITABLE = (".nrrd", *_NIFTI)

#: Header keys by which 3D Slicer marks a sequence or a multivolume, whose images look like channels otherwise.
_SEQUENCE_KEYS = ("axis 0 index", "MultiVolume.")

#: Largest error of a direction matrix that a NIfTI file, which has no shear in its quaternion, may smooth over.
_SHEAR_TOLERANCE = 1e-4

#: TIFF tags: what the first value of a pixel means, how many there are; and the meanings gray (white or black as zero)
#: and place in a palette, of which there should be one.
_MEANING, _SAMPLES, _SINGLE = 262, 277, (0, 1, 3)

#: In coded data FF is only stuffing (FF 00) or a restart (FF D0 to FF D7), anything else a marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


def read_volume(path: str | os.PathLike, *, series_as_channels: bool = False) -> Volume:
    """Read an image file, or a folder with one DICOM series.

    Args:
        path: DICOM folder or file, .nrrd/.nhdr, .nii/.nii.gz, .mha/.mhd, or .png/.jpg/.tif.
        series_as_channels: the fourth axis of a NIfTI file counts as channels instead of as time.

    Returns:
        Volume of (K, J, I), or (C, K, J, I) for several channels (vector pixels, RGB), in the dtype of the file;
        IJK-to-RAS in mm. 2-D images have K = 1; pictures lie in the axial plane with pixels of 1 mm. NaN and
        infinity are passed on.

    Raises:
        InputError: missing, damaged, truncated or unsupported file, several DICOM series, or a time series.
    """
    path = Path(path)
    name = path.name.lower()
    if not path.exists():
        raise InputError(f"Cannot read {path}: there is no such file or folder. Check the path.")
    if path.is_dir():
        return read_dicom(path)
    if name.endswith(_NIFTI):
        return read_nifti(path, series_as_channels)
    if name.endswith(_SCANS):
        return _read_scan(path)
    if name.endswith(_PICTURES):
        return _read_picture(path)
    if is_dicom(path):
        return read_dicom(path)
    supported = ", ".join((*_SCANS, *_NIFTI, *_PICTURES))
    raise InputError(f"Cannot read {path}: it is neither DICOM nor one of {supported}. Convert it to one of these.")


def write_volume(volume: Volume, path: str | os.PathLike) -> None:
    """Write (K, J, I) or (C, K, J, I) to .nrrd, .nii or .nii.gz, atomically; equal volumes give equal bytes.

    NRRD keeps the matrix in double precision; NIfTI keeps it in single precision.

    Raises:
        InputError: another file type, a file that cannot be written, or a sheared matrix for NIfTI.
    """
    name = Path(path).name.lower()
    if not name.endswith(_WRITABLE):
        raise InputError(f"Cannot write {path}: images are written as {', '.join(_WRITABLE)}. Choose one of these.")
    if name.endswith(_NIFTI):
        require_unsheared(volume.ijk_to_ras, path)
    write_itk(itk_from_array(volume.array, volume.ijk_to_ras), path)


def require_unsheared(ijk_to_ras: np.ndarray, path: str | os.PathLike) -> None:
    """Raise InputError when the axes of (4, 4) `ijk_to_ras` are not perpendicular; ITK would bend them for NIfTI."""
    axes = ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SHEAR_TOLERANCE:
        raise InputError(f"Cannot write {path}: the image axes are not perpendicular. Choose .nrrd, which keeps them.")


def _read_scan(path: Path) -> Volume:
    """Read NRRD or MetaImage."""
    image = read_itk(path)
    if image.GetNumberOfComponentsPerPixel() > 1 and any(k.startswith(_SEQUENCE_KEYS) for k in image.GetMetaDataKeys()):
        raise time_series(path, (*image.GetSize(), image.GetNumberOfComponentsPerPixel()))
    return volume_from_itk(image, path)


def _read_picture(path: Path) -> Volume:
    """Read PNG, JPEG or TIFF; whatever resolution such a file states is no patient geometry and is ignored."""
    if path.suffix.lower() in (".jpg", ".jpeg") and not _has_jpeg_end(path.read_bytes()):
        # The JPEG reader fills the missing part with gray and goes on.
        raise unreadable(path, "the file is truncated or no JPEG image")
    image = read_itk(path)
    if image.GetDimension() > 2 and image.GetSize()[2] > 1:
        raise InputError(f"{path} holds {image.GetSize()[2]} pages. Save one page, or a stack as .nrrd, and use that.")
    if path.suffix.lower() in (".tif", ".tiff") and _has_more_than_gray(path):
        raise unreadable(path, ODD_PIXELS)
    volume = volume_from_itk(image, path, np.diag([-1.0, -1.0, 1.0, 1.0]))
    channels = volume.channels
    if len(channels) == 4:  # the last one is alpha, which carries no signal
        channels = np.ascontiguousarray(channels[:-1])
    return make_volume(channels if len(channels) > 1 else channels[0], volume.ijk_to_ras, path)


def _has_more_than_gray(path: Path) -> bool:
    """True for a TIFF of gray pixels with further values, of which ITK takes each for a pixel and says nothing.

    Without Pillow this stays unknown, and False.
    """
    try:
        from PIL.TiffImagePlugin import ImageFileDirectory_v2
    except ImportError:
        return False
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tags that do not matter here; ITK could read the file
        start = file.read(8)
        if 43 in start[2:4]:  # the mark of a file that may have more than 4 GiB; its header is longer
            start += file.read(8)
        try:
            tags = ImageFileDirectory_v2(start)
            file.seek(tags.next)
            tags.load(file)
        except (SyntaxError, struct.error):  # no TIFF, whatever its name says
            return False
        return tags.get(_MEANING) in _SINGLE and tags.get(_SAMPLES, 1) > 1


def _has_jpeg_end(data: bytes) -> bool:
    """True when the end-of-image marker follows the picture (and not only the end of an embedded thumbnail)."""
    at = 2
    while data[:2] == b"\xff\xd8" and (marker := _JPEG_MARKER.search(data, at)):
        if marker.group() == b"\xff\xd9":
            return True
        # A marker is followed by its length; the search from there skips the entropy-coded data after a scan's start.
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return False
