"""Read one DICOM series from a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .errors import InputError
from .itk_io import itk_to_ras, quiet_itk, read_itk, unreadable, volume_from_itk
from .volume import Volume

_SERIES, _DESCRIPTION, _MODALITY = "0020|000e", "0008|103e", "0008|0060"
_POSITION, _ORIENTATION = "0020|0032", "0020|0037"

_EXPLICIT_PIXELS = re.compile(rb"\xe0\x7f\x10\x00O[BW]\x00\x00(.{4})", re.DOTALL)
_IMPLICIT_PIXELS = re.compile(rb"\xe0\x7f\x10\x00(.{4})", re.DOTALL)
_SEQUENCE_END = b"\xfe\xff\xdd\xe0"

#: Largest deviation of a slice from its regular place, as a part of the slice distance.
_UNEVEN = 0.1


def is_dicom(path: Path) -> bool:
    """True when `path` is a file with the mark of DICOM after its preamble of 128 bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_dicom(path: Path) -> Volume:
    """Read the series in a folder, or the series that a DICOM file belongs to from its folder.

    Returns:
        Volume of (K, J, I), or (C, K, J, I) for color images, with rescale slope and intercept applied. Slices are
        ordered along their normal, and K follows the slice positions, so a gantry tilt stays in the matrix.

    Raises:
        InputError: no series, several series (lists them), missing or unevenly spaced slices, several images at one
            position (a time series), or damaged files.
    """
    series = _series_of(path if path.is_dir() else path.parent)
    if path.is_dir():
        if not series:
            raise InputError(f"There is no DICOM image in the folder {path}. Give the folder right above the files.")
        if len(series) > 1:
            listed = "; ".join(_described(files) for files in series)
            raise InputError(
                f"The folder {path} holds {len(series)} DICOM series: {listed}. Give a file of the one you want."
            )
        files = series[0]
    else:
        files = next((files for files in series if any(os.path.samefile(f, path) for f in files)), [str(path)])
    for file in files:
        _require_whole(Path(file))
    if len(files) == 1:
        return volume_from_itk(read_itk(Path(files[0])), path)
    return _read_slices(files, path)


def _series_of(folder: Path) -> list[list[str]]:
    """The file names of each series in `folder`; raises InputError for a truncated file among them."""
    with quiet_itk():
        names = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
        series = [list(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), name)) for name in names]
    # GDCM passes over a damaged file, which could be the outermost slice, where no gap would tell.
    listed = {Path(file).name for files in series for file in files}
    for file in sorted(folder.iterdir()):
        if file.name not in listed and is_dicom(file):
            _require_whole(file)
    return series


def _described(files: list[str]) -> str:
    """Short description of a series for the user, with a file to give in its stead."""
    tags = _tags(files[0])
    parts = [tags.get(_MODALITY, ""), repr(tags[_DESCRIPTION]) if tags.get(_DESCRIPTION) else ""]
    return " ".join([*filter(None, parts), f"{len(files)} files like {Path(files[0]).name}"])


def _tags(file: str) -> dict[str, str]:
    """The tags this module needs from one file, where present."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    with quiet_itk():
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise unreadable(Path(file), "it is a damaged DICOM file") from error
    keys = (_SERIES, _DESCRIPTION, _MODALITY, _POSITION, _ORIENTATION)
    return {key: reader.GetMetaData(key).strip() for key in keys if reader.HasMetaDataKey(key)}


def _require_whole(path: Path) -> None:
    """Raise InputError when the pixel data are shorter than their element says; GDCM would fill in zeros silently."""
    content = path.read_bytes()
    # Explicit VR: tag, VR, two reserved bytes, length. Every match counts, because an icon has the same tag.
    found = list(_EXPLICIT_PIXELS.finditer(content)) or list(_IMPLICIT_PIXELS.finditer(content))[:1]
    for match in found:
        length = int.from_bytes(match.group(1), "little")
        if length == 0xFFFFFFFF:  # compressed: fragments up to a delimiter
            whole = content.rfind(_SEQUENCE_END) > match.end()
        else:
            whole = match.end() + length <= len(content)
        if not whole:
            raise unreadable(path, "it is a truncated DICOM file")


def _read_slices(files: list[str], path: Path) -> Volume:
    """Read a series of one slice a file in the order of the slices."""
    files, positions = _in_order(files, path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    with quiet_itk():
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise unreadable(path, "a slice of the series is damaged or differs in size from the others") from error
    matrix = itk_to_ras(image)
    # ITK forces K to be perpendicular to the slices; the positions in the files know better (gantry tilt).
    matrix[:3, 2] = (positions[-1] - positions[0]) / (len(files) - 1) * (-1, -1, 1)
    matrix[:3, 3] = positions[0] * (-1, -1, 1)
    return volume_from_itk(image, path, matrix)


def _in_order(files: list[str], path: Path) -> tuple[list[str], np.ndarray]:
    """Files sorted along the slice normal and their positions (N, 3) in LPS mm; refuses an irregular stack."""
    tags = [_tags(file) for file in files]
    try:
        positions = np.array([[float(x) for x in tag[_POSITION].split("\\")] for tag in tags])
        orientations = np.array([[float(x) for x in tag[_ORIENTATION].split("\\")] for tag in tags])
    except (KeyError, ValueError) as error:
        raise InputError(
            f"The DICOM series in {path} does not say where its slices lie. Save it as .nrrd with the right spacing."
        ) from error
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        raise InputError(f"The DICOM series in {path} has slices of different orientation. Use a series of one stack.")
    normal = np.cross(orientations[0, :3], orientations[0, 3:])
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    heights = positions @ normal
    step = (heights[-1] - heights[0]) / (len(files) - 1)
    distinct = 1 + int((np.diff(heights) > 1e-3).sum())
    if distinct < len(files):
        raise InputError(
            f"The DICOM series in {path} is a series of images, shape {len(files)} files at {distinct} positions. "
            "Put the files of one image into a folder of their own."
        )
    if np.abs(heights - heights[0] - np.arange(len(files)) * step).max() > _UNEVEN * step:
        raise InputError(
            f"The DICOM series in {path} has missing or unevenly spaced slices, {np.diff(heights).min():.4g} to "
            f"{np.diff(heights).max():.4g} mm apart. Complete it, or load it in 3D Slicer and save it as .nrrd."
        )
    return [files[n] for n in order], positions
