"""SimpleITK images to and from arrays in RAS: the one place where LPS becomes RAS, and where ITK's errors are cut."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .atomic import atomic_output
from .errors import InputError
from .volume import Volume

#: ITK's world is LPS (x to the left, y to the back), ours RAS: both horizontal axes change sign.
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Why a picture cannot be read whose pixels are, say, gray with transparency.
ODD_PIXELS = "its pixels are of an unsupported kind, only gray or RGB can be used"


def read_itk(path: Path) -> sitk.Image:
    """Read one image file with SimpleITK; raises a one-line InputError when it is missing, damaged or truncated."""
    if not path.is_file():
        raise InputError(f"Cannot read {path}: there is no such file. Check the path.")
    with quiet_itk():
        try:
            return sitk.ReadImage(str(path))
        except RuntimeError as error:
            raise unreadable(path, _reason(error)) from error


def write_itk(image: sitk.Image, path: str | os.PathLike) -> None:
    """Write `image` compressed and atomically (.nrrd, .nii, .nii.gz); raises InputError when it cannot be written."""
    voxel_bytes = image.GetNumberOfPixels() * image.GetNumberOfComponentsPerPixel() * image.GetSizeOfPixelComponent()
    with atomic_output(path) as temporary, quiet_itk():
        try:
            sitk.WriteImage(image, str(temporary), True)
        except RuntimeError as error:
            raise InputError(f"Cannot write {path}: {_reason(error)}. Check the free space on the disk.") from error
        # On a full disk ITK loses the end of a file, or all of a NIfTI file, without an error.
        if not _holds(temporary, voxel_bytes):
            raise InputError(f"Cannot write {path}: the data did not arrive whole. Check the free space on the disk.")


def volume_from_itk(image: sitk.Image, path: Path, ijk_to_ras: np.ndarray | None = None) -> Volume:
    """Turn a SimpleITK image into a Volume named after `path`.

    Args:
        image: 2-D, 3-D or 4-D with a single time point; vector pixels become channels.
        path: for the name and for messages.
        ijk_to_ras: (4, 4) in mm, used in place of the image's own geometry when the reader knows better.

    Returns:
        Volume of (K, J, I), or (C, K, J, I) for vector pixels, in the dtype of the file.

    Raises:
        InputError: a time series, complex numbers or an unusable matrix.
    """
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() not in (2, 3):
        raise time_series(path, image.GetSize())
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{path} holds complex numbers. Save their magnitude as an image and use that.")
    array = sitk.GetArrayFromImage(image)
    if image.GetDimension() == 2:
        array = array[None]
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = np.ascontiguousarray(np.moveaxis(array, -1, 0))
    return make_volume(array, itk_to_ras(image) if ijk_to_ras is None else ijk_to_ras, path)


def itk_from_array(array: np.ndarray, ijk_to_ras: np.ndarray) -> sitk.Image:
    """Make a SimpleITK image from (K, J, I) or (C, K, J, I) and its IJK-to-RAS matrix (4, 4) in mm."""
    is_vector = array.ndim == 4
    array = np.moveaxis(array, 0, -1) if is_vector else array
    if array.dtype in (np.bool_, np.float16):  # ITK has neither
        array = array.astype(np.uint8 if array.dtype == np.bool_ else np.float32)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    image = sitk.GetImageFromArray(array, isVector=is_vector)
    matrix = _LPS_TO_RAS @ ijk_to_ras  # the conversion is its own inverse
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
    image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    return image


def itk_to_ras(image: sitk.Image) -> np.ndarray:
    """IJK-to-RAS matrix (4, 4) in mm of a 2-D or 3-D SimpleITK image; a 2-D image lies in the axial plane at S = 0."""
    n = image.GetDimension()
    matrix = np.eye(4)
    matrix[:n, :n] = np.reshape(image.GetDirection(), (n, n)) * np.array(image.GetSpacing())
    matrix[:n, 3] = image.GetOrigin()
    return _LPS_TO_RAS @ matrix


def make_volume(array: np.ndarray, ijk_to_ras: np.ndarray, path: Path) -> Volume:
    """A Volume named after `path`, which an InputError about the geometry names too."""
    try:
        return Volume(array, ijk_to_ras, path.name)
    except InputError as error:
        raise InputError(f"Cannot use {path}: {error}") from error


def unreadable(path: Path, reason: str) -> InputError:
    """The error for a damaged file: one line, what and what to do."""
    return InputError(f"Cannot read {path}: {reason}. Copy or export the file again and retry.")


def time_series(path: Path, shape: tuple[int, ...]) -> InputError:
    """The error for a series of images in one file; `shape` is in the order of the file's header."""
    shape = tuple(int(n) for n in shape)
    return InputError(f"{path} is a series of images, shape {shape} (I, J, K, ...). Save one of them and use that.")


@contextlib.contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK's many-line warnings off the console."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def _holds(path: Path, voxel_bytes: int) -> bool:
    """True when the file just written can be decompressed and has at least `voxel_bytes` bytes after the header."""
    name = path.name.lower()
    try:
        with open(path, "rb") as file:
            while name.endswith(".nrrd") and file.readline().strip():
                pass  # the header of text lines, which a blank line ends
            header_bytes = 0 if name.endswith(".nrrd") else 352
            stream = file if name.endswith(".nii") else gzip.GzipFile(fileobj=file)
            found = 0
            while chunk := stream.read(1 << 20):
                found += len(chunk)
    except (EOFError, OSError, zlib.error):
        return False
    return found >= header_bytes + voxel_bytes


def _reason(error: RuntimeError) -> str:
    """The sense of an ITK exception, which spans several lines with source files and addresses."""
    text = str(error)
    if "Unable to determine ImageIO" in text:
        return "its content is not in the format its name says, or it is damaged"
    if "Unknown PixelType" in text:
        return ODD_PIXELS
    if re.search(r"fread got only|expected \d+ bytes but|MetaImageIO.*cannot be read", text):
        return "its voxel data are missing or end too early"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = re.sub(r"^.*?(ERROR|Exception):\s*", "", lines[-1]) if lines else "unknown error"
    last = re.sub(r"\w+\(0x[0-9a-f]+\):\s*", "", last)
    return last[:160].rstrip(". ")
