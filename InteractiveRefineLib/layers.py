"""Flatten segments of several layers, which may overlap, into one label map."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np

from .seg_nrrd_header import StoredSegment
from .segmentation import Segment


def merge_layers(
    layers: list[np.ndarray], stored: list[StoredSegment], voxel_ml: float
) -> tuple[np.ndarray, list[Segment], list[str]]:
    """Flatten `stored` segments into one label map in which a later segment covers earlier ones.

    Args:
        layers: (K, J, I) integer arrays.
        stored: segments with their value and layer; a value used before gets the smallest free label instead.
        voxel_ml: volume of a voxel in milliliters.

    Returns:
        labels (K, J, I) uint8 or uint16, the segments with their labels in it, and a sentence for every pair of
        segments that overlap and for voxels or segments that could not be kept.
    """
    segments = _with_free_labels(stored)
    labels = np.zeros(layers[0].shape, np.uint8 if max(s.label for s in segments) <= 255 else np.uint16)
    covered = np.zeros(layers[0].shape, np.uint16)
    warnings = []
    kept = []
    for entry, segment in zip(stored, segments):
        if not 0 <= entry.layer < len(layers) or entry.segment.label < 1:
            warnings.append(f'The file has no voxels for the segment "{segment.name}", which is empty now.')
            continue
        mask = layers[entry.layer] == entry.segment.label
        labels[mask] = segment.label
        covered[mask] += 1
        kept.append(entry)
    warnings += _overlaps(layers, kept, np.flatnonzero(covered > 1), voxel_ml)
    for n, layer in enumerate(layers):
        known = {0, *(entry.segment.label for entry in kept if entry.layer == n)}
        for value, count in sorted(counts(layer).items()):
            if value not in known:
                warnings.append(f"{count * voxel_ml:.4g} ml of value {value} belong to no segment and were left out.")
    return labels, segments, warnings


def counts(labels: np.ndarray) -> dict[int, int]:
    """How many voxels of (K, J, I) `labels` have each value that occurs."""
    total: dict[int, int] = {}
    for plane in labels:  # one plane at a time, because sorting the whole volume needs several copies of it
        for value, count in zip(*np.unique(plane, return_counts=True)):
            total[int(value)] = total.get(int(value), 0) + int(count)
    return total


def _with_free_labels(stored: list[StoredSegment]) -> list[Segment]:
    """The segments with their own labels where possible; the others get labels that no segment wants."""
    wanted = {entry.segment.label for entry in stored}
    free = (n for n in range(1, 65536) if n not in wanted)
    taken: set[int] = set()
    segments = []
    for entry in stored:
        label = entry.segment.label
        if label in taken or not 1 <= label <= 65535:
            label = next(free)
        taken.add(label)
        segments.append(replace(entry.segment, label=label))
    return segments


def _overlaps(layers: list[np.ndarray], stored: list[StoredSegment], shared: np.ndarray, voxel_ml: float) -> list[str]:
    """A sentence for each two segments that share some of the voxels with flat indices `shared`."""
    inside = [layers[entry.layer].reshape(-1)[shared] == entry.segment.label for entry in stored]
    sentences = []
    for (first, in_first), (second, in_second) in combinations(zip(stored, inside), 2):
        count = int((in_first & in_second).sum())
        if count:
            names = f'"{first.segment.name}" and "{second.segment.name}"'
            sentences.append(f"{names} overlap in {count * voxel_ml:.4g} ml; the later one keeps these voxels.")
    return sentences
