"""Read NIfTI files, with nibabel where it is installed and with SimpleITK elsewhere (as inside 3D Slicer)."""

from __future__ import annotations

import gzip
import logging
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from .errors import InputError
from .itk_io import make_volume, read_itk, time_series, unreadable, volume_from_itk
from .volume import Volume

_log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_MM_PER_UNIT = {1: 1000.0, 3: 1e-3}  # NIfTI codes of meters and micrometers; anything else counts as mm


@dataclass(frozen=True)
class _Header:
    """The part of a NIfTI header that both readers need.

    Attributes:
        shape: (I, J, K, ...).
        sform: (4, 4) in mm, if any.
        unplaced: (4, 4) in mm where the header says nothing of place and orientation, else None.
        mm_per_unit: of its lengths.
    """

    shape: tuple[int, ...]
    sform: np.ndarray | None
    unplaced: np.ndarray | None
    mm_per_unit: float


def read_nifti(path: Path, series_as_channels: bool = False) -> Volume:
    """Read a .nii or .nii.gz file of one image.

    Args:
        path: of the file.
        series_as_channels: a fourth axis counts as channels, as in files of the Medical Segmentation Decathlon, whose
            headers call it time; needs nibabel.

    Returns:
        Volume of (K, J, I), or (C, K, J, I) for vector and RGB images. Integers stay integers unless the header
        scales them (scl_slope, scl_inter), which gives floating point numbers. Oblique and, with nibabel, sheared
        matrices are kept; a file that states no orientation lies as ITK, and so 3D Slicer, has it. Without nibabel,
        SimpleITK turns NaN and infinity into 0 and cannot read NIfTI-2.

    Raises:
        InputError: missing, truncated or damaged file (SimpleITK fills a truncated one with zeros and says nothing,
            hence the own check), or a time series.
    """
    header = _checked_header(path)
    # Header order is I, J, K, time, vector component; more than one time point cannot be refined.
    is_series = any(n > 1 for n in (*header.shape[3:4], *header.shape[5:]))
    if is_series and not (series_as_channels and all(n == 1 for n in header.shape[4:])):
        raise time_series(path, header.shape)
    if header.unplaced is not None:
        _log.warning(
            "%s states neither place nor orientation (qform_code and sform_code are 0): its axes are taken as left, "
            "posterior and superior, as 3D Slicer takes them. Check which side is left.",
            path,
        )
    try:
        import nibabel
    except ImportError:
        if is_series:
            raise time_series(path, header.shape) from None
        return volume_from_itk(read_itk(path), path, header.sform)
    return _read_with_nibabel(nibabel, path, header)


def _read_with_nibabel(nibabel: ModuleType, path: Path, header: _Header) -> Volume:
    try:
        image = nibabel.load(str(path), mmap=False)
        proxy = image.dataobj
        if (proxy.slope, proxy.inter) == (1.0, 0.0):
            data = proxy.get_unscaled()
        else:  # float32 holds any scaled 16-bit value, in half the memory
            data = np.asarray(proxy, dtype=np.float32 if proxy.dtype.itemsize <= 2 else np.float64)
        affine = header.unplaced
        if affine is None:
            affine = np.diag([header.mm_per_unit] * 3 + [1.0]) @ image.affine
    except (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError, OSError) as error:
        raise unreadable(path, str(error).splitlines()[0].rstrip(".")) from error
    if data.dtype.kind == "c":
        raise InputError(f"{path} holds complex numbers. Save their magnitude as an image and use that.")
    data = data.reshape((*data.shape, 1, 1, 1, 1)[:5])  # I, J, K, time point, vector component; one of the last is 1
    if data.dtype.names:  # RGB and RGBA are stored as records; alpha carries no signal
        data = np.concatenate([data[name] for name in data.dtype.names[:3]], axis=4)
    channels = (data[:, :, :, 0] if data.shape[3] == 1 else data[..., 0]).T
    channels = np.array(channels, dtype=channels.dtype.newbyteorder("="), order="C")  # torch wants it plain
    return make_volume(channels if len(channels) > 1 else channels[0], affine, path)


def _checked_header(path: Path) -> _Header:
    """Parse the header and make sure that all voxel data it promises are there."""
    if not path.is_file():
        raise InputError(f"Cannot read {path}: there is no such file. Check the path.")
    try:
        with _open(path) as file:
            raw = file.read(540)
            header, needed = _parse(raw)
            length = len(raw)
            # Reading to the end also makes gzip compare its checksum.
            while chunk := file.read(_CHUNK):
                length += len(chunk)
    except (EOFError, OSError, zlib.error) as error:
        raise unreadable(path, f"the compressed data are damaged or end too early ({error})") from error
    except (struct.error, ValueError) as error:
        raise unreadable(path, "its content is not a NIfTI image, or its header is damaged") from error
    if length < needed:
        raise unreadable(path, f"the file is truncated: {length} of {needed} bytes are there")
    return header


def _open(path: Path) -> BinaryIO:
    return gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb")


def _parse(raw: bytes) -> tuple[_Header, int]:
    """The header and the number of bytes the file must have; ValueError or struct.error for anything else."""
    for order in "<>":
        size = struct.unpack_from(order + "i", raw)[0]
        if size in (348, 540):
            break
    else:
        raise ValueError("no NIfTI header")
    # Format and byte offset of: dim, bitpix, pixdim, vox_offset, xyzt_units, qform_code, sform_code, srow_x to srow_z.
    nifti1 = (("8h", 40), ("h", 72), ("8f", 76), ("f", 108), ("B", 123), ("h", 252), ("h", 254), ("12f", 280))
    nifti2 = (("8q", 16), ("h", 14), ("8d", 104), ("q", 168), ("i", 500), ("i", 344), ("i", 348), ("12d", 400))
    fields = (struct.unpack_from(order + f, raw, at) for f, at in (nifti1 if size == 348 else nifti2))
    dim, (bits,), sides, (start,), (units,), (qform_code,), (code,), rows = fields
    shape = dim[1 : dim[0] + 1]
    if not 1 <= dim[0] <= 7 or min(shape) < 1 or bits < 1 or not math.isfinite(start):
        raise ValueError("impossible size")
    scale = _MM_PER_UNIT.get(units & 7, 1.0)
    sform = np.vstack([np.reshape(rows, (3, 4)) * scale, [0, 0, 0, 1]]) if code > 0 else None
    unplaced = _as_itk_places(sides[1 : len(shape) + 1], scale) if code <= 0 and qform_code <= 0 else None
    return _Header(shape, sform, unplaced, scale), int(start) + math.prod(shape) * bits // 8


def _as_itk_places(sides: tuple[float, ...], scale: float) -> np.ndarray:
    """ITK's matrix (4, 4) in mm, with the first voxel at the origin, for voxel sides without place or orientation.

    nibabel has the center at the origin and the second axis the other way round; with it, one file would lie
    elsewhere, mirrored, than in 3D Slicer.
    """
    i, j, k = ([side * scale if side else scale for side in sides] + [1.0] * 3)[:3]
    return np.diag([-i, -j, k, 1.0])
