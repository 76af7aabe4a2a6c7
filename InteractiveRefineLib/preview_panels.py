"""Paints one slice as a picture: gray levels, translucent structures, outlines and strokes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image
from scipy import ndimage

from .segmentation import BACKGROUND_STROKE

Color = tuple[int, int, int]

ADDED: Color = (60, 205, 95)
REMOVED: Color = (235, 60, 60)
RELABELED: Color = (250, 195, 45)
BACKGROUND_STROKE_COLOR: Color = (255, 255, 255)
_STROKE_EDGE: Color = (0, 0, 0)

_FILL_OPACITY = 0.30
_GROWN_OPACITY = 0.55
_CHANGE_OPACITY = 0.70


def display_window(intensities: np.ndarray, region: np.ndarray) -> tuple[float, float]:
    """Gray window (low, high) that shows the structures of interest and the contrast around them.

    Percentiles of a whole CT would spend the gray levels on air and bone; the range of the labeled voxels, widened
    by 1.5 times itself to both sides, comes out near the window that a radiologist sets.

    Args:
        intensities: any shape.
        region: bool, same shape: inside structures. Empty: the intensities' own percentiles count.
    """
    finite = np.isfinite(intensities)
    if not finite.any():
        return 0.0, 1.0
    darkest, brightest = (float(v) for v in np.percentile(intensities[finite], (0.5, 99.5)))
    low, high = darkest, brightest
    inside = intensities[finite & region]
    if inside.size:
        first, last = (float(v) for v in np.percentile(inside, (5, 95)))
        margin = 1.5 * max(last - first, 0.05 * (brightest - darkest))
        low, high = max(darkest, first - margin), min(brightest, last + margin)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def gray_picture(pixels: np.ndarray, window: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """(rows, columns, 3) uint8 picture of `size` (rows, columns).

    Args:
        pixels: (rows, columns) intensities, shown in `window`, or (3, rows, columns) RGB from 0 to 255, shown as it is.
    """
    low, high = (0.0, 255.0) if pixels.ndim == 3 else window
    colors_last = np.moveaxis(pixels.reshape(-1, *pixels.shape[-2:]), 0, -1).astype(np.float32)
    scaled = np.nan_to_num(colors_last, nan=low, posinf=high, neginf=low)
    scaled = np.clip((scaled - low) * np.float32(255.0 / (high - low)), 0, 255)
    layers = [
        Image.fromarray(np.ascontiguousarray(scaled[..., c])).resize(size[::-1], Image.Resampling.BICUBIC)
        for c in range(scaled.shape[-1])
    ]
    stacked = np.stack([np.asarray(layer) for layer in layers], axis=-1)
    picture = np.clip(np.rint(stacked), 0, 255).astype(np.uint8)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def enlarge(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`labels` (rows, columns) at `size` by nearest neighbor; where it shrinks, no labeled pixel is lost."""
    rows, columns = (((np.arange(n) + 0.5) * old / n).astype(int) for n, old in zip(size, labels.shape))
    out = labels[np.ix_(rows, columns)]
    if size[0] < labels.shape[0] or size[1] < labels.shape[1]:
        marked = np.nonzero(labels)
        place = tuple(((m + 0.5) * n / old).astype(int) for m, n, old in zip(marked, size, labels.shape))
        kept = out[place]
        out[place] = np.where(kept == 0, labels[marked], kept)
    return out


def paint_structures(picture: np.ndarray, labels: np.ndarray, colors: Mapping[int, Color], fill: bool = True) -> None:
    """Draw every structure of `labels` (rows, columns), at the picture's size, with its outline; filled or not."""
    for label in _labels_in(labels):
        mask = labels == label
        if fill:
            _blend(picture, mask, colors[label], _FILL_OPACITY)
        _blend(picture, _outline(mask), colors[label], 1.0 if fill else 0.6)


def paint_strokes(picture: np.ndarray, strokes: np.ndarray, grown: np.ndarray, colors: Mapping[int, Color]) -> None:
    """Draw `grown` lighter and `strokes` solid with a dark edge, at least three pixels wide; 255 is background."""
    colors = {**colors, BACKGROUND_STROKE: BACKGROUND_STROKE_COLOR}
    for label in _labels_in(grown):
        _blend(picture, grown == label, lighter(colors[label]), _GROWN_OPACITY)
    for label in _labels_in(strokes):
        thick = ndimage.binary_dilation(strokes == label, np.ones((3, 3), bool))
        edge = ndimage.binary_dilation(thick, ndimage.generate_binary_structure(2, 1)) & ~thick
        _blend(picture, edge & (strokes == 0), _STROKE_EDGE, 1.0)
        _blend(picture, thick & ((strokes == 0) | (strokes == label)), colors[label], 1.0)


def paint_changes(picture: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
    """Mark what became a structure, what was one, and what went from one structure to another."""
    changed = before != after
    for mask, color in (
        (changed & (before == 0), ADDED),
        (changed & (after == 0), REMOVED),
        (changed & (before != 0) & (after != 0), RELABELED),
    ):
        _blend(picture, mask, color, _CHANGE_OPACITY)


def lighter(color: Color) -> Color:
    """Halfway to white."""
    return tuple((c + 255) // 2 for c in color)


def _labels_in(labels: np.ndarray) -> list[int]:
    return [int(v) for v in np.unique(labels) if v != 0]


def _outline(mask: np.ndarray) -> np.ndarray:
    # The picture's edge is no border of a structure that goes on beyond it.
    return mask & ~ndimage.binary_erosion(mask, border_value=1)


def _blend(picture: np.ndarray, mask: np.ndarray, color: Color, opacity: float) -> None:
    mixed = picture[mask] * (1.0 - opacity) + np.array(color, dtype=np.float64) * opacity
    picture[mask] = np.rint(mixed).astype(np.uint8)
