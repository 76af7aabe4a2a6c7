"""Bring images and label maps onto another voxel grid without moving them in the patient."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from .errors import InputError
from .geometry import Geometry, box_of
from .orientation import AxisOrder, axis_codes, check_axis_codes
from .volume import Volume

__all__ = ["axis_codes", "reorient", "resample_labels", "resample_volume"]

#: Positions this close to a voxel center or face, in voxels, count as on it: matrices of NIfTI files are single
#: precision, and aligned grids must give exact values.
_SNAP = 1e-4


def reorient(volume: Volume, axis_codes: str) -> Volume:
    """Flip and permute the axes of `volume`, without interpolation, so that I, J, K increase toward `axis_codes`.

    Args:
        volume: (K, J, I) or (C, K, J, I).
        axis_codes: one of R/L, A/P and S/I for I, J and K each, like "LPS"; oblique axes take the nearest.

    Returns:
        Volume with the same voxels at the same places, in contiguous memory of its own.

    Raises:
        InputError: codes that do not name the three directions.
    """
    order = AxisOrder.toward(volume.geometry, check_axis_codes(axis_codes)[::-1])  # array axes are K, J, I
    geometry = order.apply_geometry(volume.geometry)
    return Volume(np.array(order.apply(volume.array), order="C"), geometry.ijk_to_ras, volume.name)


def resample_volume(volume: Volume, geometry: Geometry, order: int = 1, fill: float | None = None) -> Volume:
    """Interpolate `volume` at the voxel centers of `geometry`; no smoothing before a coarser grid.

    Args:
        volume: (K, J, I) or (C, K, J, I).
        geometry: the grid of the result.
        order: of the spline, 0 (nearest voxel) to 5; 1 is linear.
        fill: value outside the volume (beyond the outer faces of its voxels), None for that of the nearest edge.

    Returns:
        Volume on `geometry`. Grids that match give a copy of the same array; otherwise integers become float32
        unless `order` is 0.

    Raises:
        InputError: an order outside 0 to 5.
    """
    if order not in range(6):
        raise InputError(f"The spline order must be 0 to 5, not {order}.")
    if volume.geometry.matches(geometry):
        return Volume(volume.array.copy(), geometry.ijk_to_ras, volume.name)
    source = volume.array.dtype
    dtype = source if order == 0 or source in (np.float32, np.float64) else np.float32
    result = np.empty((*volume.array.shape[:-3], *geometry.shape), dtype)
    for channel, out in zip(volume.channels, result.reshape(-1, *geometry.shape)):
        # Positions are clamped to the volume below, so how the spline continues outside does not matter.
        knots = ndimage.spline_filter(channel, order, np.float64, mode="mirror") if order > 1 else channel
        for k, positions, outside in _planes(volume.geometry, geometry):
            plane = _sample(knots, positions, order, np.float64 if order else dtype)
            out[k] = plane if fill is None else np.where(outside, fill, plane)
    return Volume(result, geometry.ijk_to_ras, volume.name)


def resample_labels(labels: np.ndarray, source: Geometry, target: Geometry, method: str = "nearest") -> np.ndarray:
    """Bring a label map from `source` to `target`; 0 outside of `source`.

    Args:
        labels: (K, J, I) integers on `source`.
        source, target: the grids.
        method: "nearest" voxel, or "linear": every label's mask is interpolated linearly and the largest wins (the
            smaller label when equal), which gives smoother borders.

    Returns:
        (K, J, I) on `target` in the dtype of `labels`; a copy when the grids match.

    Raises:
        InputError: shapes that do not fit, or another method.
    """
    if tuple(labels.shape) != source.shape:
        raise InputError(f"The label map has shape {tuple(labels.shape)}, its geometry {source.shape} (K, J, I).")
    if method not in ("nearest", "linear"):
        raise InputError(f"Labels are resampled with method 'nearest' or 'linear', not {method!r}.")
    if source.matches(target):
        return labels.copy()
    result = np.zeros(target.shape, labels.dtype)
    if method == "nearest":
        for k, positions, outside in _planes(source, target):
            result[k] = np.where(outside, 0, _sample(labels, positions, 0, labels.dtype))
        return result
    # One label at a time against the best so far: memory does not grow with the number of labels.
    best = np.zeros(target.shape, np.float32)
    for label in np.unique(labels):
        mask = (labels == label).astype(np.float32)
        box = _reach(mask, source, target)
        for k, positions, outside in _planes(source, target, box):
            weight = _sample(mask, positions, 1, np.float32)
            better = (weight > best[k][box[1:]]) & ~outside
            best[k][box[1:]][better] = weight[better]
            result[k][box[1:]][better] = label
    return result


def _planes(
    source: Geometry, target: Geometry, box: tuple[slice, ...] | None = None
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For every plane k of `target` (inside `box`): k, source positions (3, J, I) in KJI voxels, mask of those outside.

    One plane at a time, because the positions of a whole volume take 24 bytes a voxel.
    """
    box = box or tuple(slice(0, n) for n in target.shape)
    matrix = source.ras_to_kji @ target.kji_to_ras
    last = np.array(source.shape).reshape(3, 1, 1) - 1
    k_side, j_side, i_side = (np.arange(side.start, side.stop) for side in box)
    in_plane = matrix[:3, 1, None, None] * j_side[:, None] + matrix[:3, 2, None, None] * i_side
    for k in k_side:
        positions = in_plane + (matrix[:3, 0] * k + matrix[:3, 3])[:, None, None]
        nearest = np.floor(positions + 0.5)
        positions = np.where(np.abs(positions - nearest) < _SNAP, nearest, positions)
        outside = ((positions < -0.5 - _SNAP) | (positions > last + 0.5 + _SNAP)).any(axis=0)
        yield int(k), np.clip(positions, 0, last), outside


def _sample(array: np.ndarray, positions: np.ndarray, order: int, dtype: np.dtype) -> np.ndarray:
    """Values of (K, J, I) `array` at `positions` (3, J, I) inside of it."""
    if order == 0:
        # Halfway goes up, also when rounding errors put it a little lower: the choice must not flicker.
        return array[tuple(np.floor(positions + (0.5 + _SNAP)).astype(np.intp))].astype(dtype, copy=False)
    return ndimage.map_coordinates(array, positions, dtype, order, mode="mirror", prefilter=False)


def _reach(mask: np.ndarray, source: Geometry, target: Geometry) -> tuple[slice, ...]:
    """The box of `target` in which linear interpolation of `mask` on `source` can be above zero."""
    sides = box_of(mask)
    # One voxel of interpolation and, at the border, one half beyond the last center, where the edge value holds.
    corners = np.array([[side.start - 1.0, float(side.stop)] for side in sides])
    index = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    inside = target.to_kji(source.to_ras(corners[[0, 1, 2], index]))
    low = np.clip(np.floor(inside.min(axis=0)), 0, target.shape).astype(int)
    high = np.clip(np.ceil(inside.max(axis=0)) + 1, 0, target.shape).astype(int)
    return tuple(slice(a, max(a, b)) for a, b in zip(low, high))
