"""Read and write segmentations: 3D Slicer's .seg.nrrd and plain label maps."""

from __future__ import annotations

import colorsys
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from .errors import InputError
from .image_io import read_volume, require_unsheared
from .itk_io import itk_from_array, read_itk, volume_from_itk, write_itk
from .layers import counts, merge_layers
from .seg_nrrd_header import header_entries, other_entries, stored_segments
from .segmentation import Segment, Segmentation
from .volume import Volume

_LARGEST_LABEL = 65535
_NRRD = (".nrrd", ".nhdr")
_READABLE = (".seg.nrrd", ".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".png", ".tif", ".tiff")
_WRITABLE = (".seg.nrrd", ".nrrd", ".nii", ".nii.gz")


def read_segmentation(path: str | os.PathLike) -> Segmentation:
    """Read a .seg.nrrd of 3D Slicer or a plain label map (.nrrd, .nii.gz, .mha; a gray .png or .tif for a picture).

    Returns:
        Segmentation of (K, J, I) uint8 or uint16 labels on the grid of the file, which Slicer may have cropped. A
        plain label map gives a segment "Segment_k" for every value k above 0. Overlapping segments are flattened,
        the later one wins, and `warnings` says so.

    Raises:
        InputError: missing, damaged or unsupported file, or values that are no labels.
    """
    path = Path(path)
    if not path.name.lower().endswith(_READABLE):
        raise InputError(f"Cannot read {path}: a segmentation is one of {', '.join(_READABLE)}. Choose such a file.")
    if not path.name.lower().endswith(_NRRD):
        return _plain(read_volume(path), path)
    image = read_itk(path)
    try:
        entries = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    except UnicodeDecodeError as error:
        raise InputError(f"Cannot read {path}: its header is not UTF-8 text. Save it anew with 3D Slicer 5.") from error
    stored = stored_segments(entries)
    volume = volume_from_itk(image, path)
    if not stored:
        return _plain(volume, path, other_entries(entries))
    layers = [_checked_labels(layer, path) for layer in volume.channels]
    labels, segments, warnings = merge_layers(layers, stored, volume.geometry.voxel_volume_ml)
    return Segmentation(labels, volume.geometry, segments, warnings, other_entries(entries))


def write_segmentation(segmentation: Segmentation, path: str | os.PathLike) -> None:
    """Write a .seg.nrrd as 3D Slicer does, or the label map alone (.nrrd, .nii, .nii.gz), atomically.

    Equal segmentations give equal bytes. Voxels are uint8, or uint16 where a label is above 255. Labels without a
    segment become segments "Segment_k", so that no voxel is lost.

    Raises:
        InputError: another file type, a file that cannot be written, labels outside 0 to 65535 or used twice.
    """
    name = Path(path).name.lower()
    if not name.endswith(_WRITABLE):
        raise InputError(f"Cannot write {path}: a segmentation is one of {', '.join(_WRITABLE)}. Choose such a name.")
    if name.endswith((".nii", ".nii.gz")):
        require_unsheared(segmentation.geometry.ijk_to_ras, path)
    labels = _checked_labels(segmentation.labels, path)
    numbers = [segment.label for segment in segmentation.segments]
    if len(set(numbers)) < len(numbers) or not all(1 <= n <= _LARGEST_LABEL for n in numbers):
        raise InputError(
            f"Cannot write {path}: segments need labels of their own, 1 to {_LARGEST_LABEL}, not {numbers}."
        )
    present = counts(labels)
    if max(present) > _LARGEST_LABEL:
        raise InputError(f"Cannot write {path}: label {max(present)} is above {_LARGEST_LABEL}. Use smaller labels.")
    unnamed = [_numbered_segment(value) for value in sorted(present) if value and value not in numbers]
    complete = replace(segmentation, segments=[*segmentation.segments, *unnamed])
    largest = max([*present, *numbers])
    image = itk_from_array(labels.astype(_label_type(largest)), segmentation.geometry.ijk_to_ras)
    if name.endswith(".seg.nrrd"):
        for key, value in header_entries(complete).items():
            image.SetMetaData(key, value)
    write_itk(image, path)


def _plain(volume: Volume, path: Path, header: dict[str, str] | None = None) -> Segmentation:
    """A segment for every value of a label map of one channel."""
    if volume.array.ndim == 4:
        raise InputError(f"{path} has {len(volume.array)} channels and names no segments. Use one channel.")
    labels = _checked_labels(volume.array, path)
    values = sorted(value for value in counts(labels) if value)
    warnings = []
    if len(values) > _LARGEST_LABEL:
        raise InputError(f"{path} has {len(values)} different values, so it is no label map. Choose another file.")
    numbers = dict(zip(values, values))
    if values and values[-1] > _LARGEST_LABEL:
        # Atlases number their regions up to billions; names keep the number, voxels get a small one.
        numbers = {value: n for n, value in enumerate(values, start=1)}
        labels = np.searchsorted([0, *values], labels)
        warnings.append(f"Labels above {_LARGEST_LABEL} were renumbered; the segments' names tell the old ones.")
    segments = [replace(_numbered_segment(value), label=numbers[value]) for value in values]
    largest = max(numbers.values(), default=0)
    return Segmentation(labels.astype(_label_type(largest)), volume.geometry, segments, warnings, header or {})


def _checked_labels(array: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """`array` as integers, or InputError when it holds fractions, NaN or negative values."""
    if array.dtype.kind == "f":
        # Some tools store label maps as floating point numbers.
        if not np.isfinite(array).all() or (array != np.rint(array)).any() or np.abs(array).max() > 2**31:
            raise InputError(
                f"{path} has values that are no whole numbers, so it is no label map. Choose another file."
            )
        array = array.astype(np.int64)
    if array.dtype.kind == "i" and array.min() < 0:
        raise InputError(f"{path} has negative values, so it is no label map. Choose another file.")
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def _numbered_segment(value: int) -> Segment:
    """Segment "Segment_k" with a color of its own; turning the hue by the golden ratio keeps neighbors apart."""
    color = colorsys.hsv_to_rgb(value * 0.618034 % 1.0, 0.6, 0.9)
    return Segment(f"Segment_{value}", value, tuple(round(c, 3) for c in color), f"Segment_{value}")


def _label_type(largest: int) -> type:
    return np.uint8 if largest <= 255 else np.uint16
