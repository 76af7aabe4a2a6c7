"""How noisy an image is: the scale that region growing's threshold and the walker's edge weights depend on."""

from __future__ import annotations

import numpy as np

from .errors import InputError
from .geometry import box_around, box_of, padded_box

#: Voxels of one channel that are looked at; more do not make a median better.
_SAMPLE = 4_000_000
#: Seeds whose surroundings are looked at; neighbors on one stroke share theirs.
_SEEDS = 2000
#: The median of |a - b| of two independent normal voxels, in units of their standard deviation.
_MEDIAN_OF_DIFFERENCE = 0.6744897501960817 * np.sqrt(2.0)


def estimate_noise(image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Standard deviation of the noise, from the median difference of neighboring voxels (Donoho's MAD rule).

    The median ignores edges, as long as most neighbors belong to the same tissue. Constant regions (padding,
    clipped air) are left out. The middle value of the axes counts, so that thick slices, whose
    neighbors differ by anatomy, do not. The same image always gives the same number.

    Args:
        image: (K, J, I) or (C, K, J, I) intensities; of several channels the noisiest counts.
        mask: (K, J, I) bool, voxels to look at; None for all.

    Returns:
        In the image's units; 0.0 for a constant image or an empty mask.

    Raises:
        InputError: the shapes do not fit.
    """
    channels = image if image.ndim == 4 else image[None]
    if channels.ndim != 4 or (mask is not None and mask.shape != channels.shape[1:]):
        shape = None if mask is None else mask.shape
        raise InputError(f"The image is (K, J, I) or (C, K, J, I), not {image.shape}, the mask alike, not {shape}.")
    box = (slice(None),) * 3
    if mask is not None:
        box = box_of(mask)
        if box is None:
            return 0.0
        mask = mask[box].astype(bool, copy=False)
    return max(_channel_noise(channel[box], mask) for channel in channels)


def estimate_noise_near(
    image: np.ndarray, kji: np.ndarray, spacing_kji: tuple[float, float, float], radius_mm: float = 15.0
) -> float:
    """Like `estimate_noise`, in boxes of `radius_mm` to each side of some voxels.

    Noise differs between tissues and grows toward the middle of a CT; what counts for growing is the noise at the
    strokes.

    Args:
        image: (K, J, I) or (C, K, J, I) intensities.
        kji: (N, 3) integer array indices in KJI order.
        spacing_kji: voxel size in mm.
        radius_mm: half the side of each box.
    """
    kji = np.asarray(kji)
    if not len(kji):
        return 0.0
    shape = image.shape[-3:]
    kji = kji[np.unique(np.linspace(0, len(kji) - 1, min(len(kji), _SEEDS)).astype(np.int64))]
    around = box_around(kji)
    box = padded_box(around, radius_mm, spacing_kji, shape)
    start = [side.start for side in box]
    mask = np.zeros([side.stop - side.start for side in box], dtype=bool)
    half = np.ceil(radius_mm / np.asarray(spacing_kji)).astype(np.int64)
    for low, high in zip(np.maximum(kji - start - half, 0).tolist(), (kji - start + half + 1).tolist()):
        mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = True
    return estimate_noise(image[(..., *box)], mask)


def _channel_noise(channel: np.ndarray, mask: np.ndarray | None) -> float:
    differences: list[list[np.ndarray]] = [[], [], []]
    whole_numbers = channel.dtype.kind in "bui"
    # Wide enough for the difference of any two voxels; the narrower type halves the time.
    kind = np.int32 if whole_numbers and channel.dtype.itemsize <= 2 else np.float64
    for slab in _slabs(channel.shape):
        _collect(channel[slab].astype(kind), None if mask is None else mask[slab], differences)
    spreads = []
    for parts in differences:
        together = np.concatenate(parts) if parts else np.empty(0)
        if len(together):
            spreads.append(_median(together, whole_numbers) / _MEDIAN_OF_DIFFERENCE)
    return float(np.median(spreads)) if spreads else 0.0


def _slabs(shape: tuple[int, ...]) -> list[slice]:
    """Pairs of slices, evenly spread over K, that hold about `_SAMPLE` voxels; all slices when they are few."""
    if np.prod(shape) <= _SAMPLE:
        return [slice(0, shape[0])]
    n = max(1, _SAMPLE // (2 * shape[1] * shape[2]))
    starts = np.unique(np.linspace(0, max(shape[0] - 2, 0), n).astype(np.int64))
    return [slice(int(k), int(k) + 2) for k in starts]


def _collect(slab: np.ndarray, mask: np.ndarray | None, differences: list[list[np.ndarray]]) -> None:
    """Append the absolute differences along K, J, I of neighbors that tell about noise."""
    pairs = []
    lively = np.zeros(slab.shape, dtype=bool)  # differs from some neighbor
    for axis in range(3):
        one = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        two = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        with np.errstate(invalid="ignore"):
            difference = np.abs(slab[two] - slab[one])
        lively[one] |= difference != 0
        lively[two] |= difference != 0
        pairs.append((one, two, difference))
    # In a quiet scan of whole numbers a voxel may equal its neighbors by chance, hence only constant voxels among
    # constant ones count; from there the region is followed back to its outermost voxels.
    calm = ~lively
    for one, two, _ in pairs:
        calm[one] &= ~lively[two]
        calm[two] &= ~lively[one]
    constant = calm
    for _ in range(2):
        constant, before = constant.copy(), constant
        for one, two, difference in pairs:
            constant[one] |= before[two] & (difference == 0)
            constant[two] |= before[one] & (difference == 0)
    useful = ~constant & np.isfinite(slab)
    if mask is not None:
        useful &= mask
    for axis, (one, two, difference) in enumerate(pairs):
        differences[axis].append(difference[useful[one] & useful[two]])


def _median(values: np.ndarray, whole_numbers: bool) -> float:
    """The median; of whole numbers with the rounding undone.

    The plain median of whole numbers is a whole number itself, often 0: far too coarse for the noise of a quiet scan.
    So a value v stands for the interval from v - 0.5 to v + 0.5, and 0 for 0 to 0.5.
    """
    if not whole_numbers:
        return float(np.median(values))
    # The lower one of two middle values: between them there may be a number that no value is.
    middle = float(np.partition(values, (len(values) - 1) // 2)[(len(values) - 1) // 2])
    low, high = max(middle - 0.5, 0.0), middle + 0.5
    share = (len(values) / 2 - np.count_nonzero(values < middle)) / np.count_nonzero(values == middle)
    return float(low + share * (high - low))
