"""Account of one refinement: what changed, by how much, and with which versions."""

from __future__ import annotations

import platform

import numpy as np
import scipy
import torch

from . import __version__
from .result import ClassChange
from .segmentation import BACKGROUND_STROKE, Segment


def changes_between(
    before: np.ndarray,
    after: np.ndarray,
    classes: list[Segment],
    voxel_ml: float,
    reaches: dict[int, str],
    mentioned: set[int],
) -> list[ClassChange]:
    """Added and removed volume of every class that changed or was mentioned by a stroke, background left out.

    Args:
        before, after: (K, J, I) label maps.
        voxel_ml: volume of one voxel in milliliters.
        reaches: "local" or "whole" by label.
        mentioned: labels that a stroke wanted or lay on.
    """
    changed = before != after
    lost, gained = np.bincount(before[changed]), np.bincount(after[changed])
    changes = []
    for segment in classes:
        removed = int(lost[segment.label]) if segment.label < len(lost) else 0
        added = int(gained[segment.label]) if segment.label < len(gained) else 0
        if added or removed or segment.label in mentioned:
            reach = reaches.get(segment.label, "")
            changes.append(ClassChange(segment.name, segment.label, added * voxel_ml, removed * voxel_ml, reach))
    return changes


def stroke_codes(voxels: np.ndarray, labels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Paint (N, 3) voxels with their (N,) labels into a uint16 stroke map: 0 = none, 255 = background."""
    out = np.zeros(shape, dtype=np.uint16)
    out[tuple(voxels.T)] = np.where(labels == 0, BACKGROUND_STROKE, labels)
    return out


def versions() -> dict[str, str]:
    """Versions that decide the result to the last bit."""
    return {
        "interactive-refine": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
