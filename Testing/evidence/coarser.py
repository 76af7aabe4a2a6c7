"""Scans on a coarser grid, by averaging blocks of voxels, so that every method of the evidence ends in minutes."""

from __future__ import annotations

import numpy as np

from InteractiveRefineLib.volume import Volume


def coarser_volume(volume: Volume, blocks: tuple[int, int, int]) -> Volume:
    """Means over blocks (K, J, I) of voxels; what is left over at the upper ends is cut off."""
    small = np.stack([_blocks(channel.astype(np.float32), blocks).mean(axis=(1, 3, 5)) for channel in volume.channels])
    matrix = volume.ijk_to_ras.copy()
    ijk = np.array(blocks[::-1], dtype=float)
    matrix[:3, :3] *= ijk
    matrix[:3, 3] = (volume.ijk_to_ras @ [*(ijk - 1) / 2, 1])[:3]
    return Volume(small if volume.array.ndim == 4 else small[0], matrix, volume.name)


def coarser_labels(labels: np.ndarray, blocks: tuple[int, int, int]) -> np.ndarray:
    """The most frequent label of every block (K, J, I) of voxels, uint16; of equally frequent ones the smaller."""
    present = np.unique(labels)
    counts = np.stack([_blocks(labels == label, blocks).sum(axis=(1, 3, 5)) for label in present])
    return present[counts.argmax(axis=0)].astype(np.uint16)


def _blocks(array: np.ndarray, blocks: tuple[int, int, int]) -> np.ndarray:
    kept = tuple(slice(0, n // b * b) for n, b in zip(array.shape, blocks))
    shape = [part for n, b in zip(array.shape, blocks) for part in (n // b, b)]
    return array[kept].reshape(shape)
