"""Account of one refinement: what changed, by how much, and with which versions."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import numpy as np
import scipy
import torch

from . import __version__
from .geometry import box_of
from .resolution import ResolvedConstraints
from .result import ClassChange, RefinementResult
from .round_input import RoundInput
from .seeds import Seeds
from .segmentation import BACKGROUND_STROKE, Segment

if TYPE_CHECKING:
    from .decoding.reach import Reach
    from .image_state import ImageFrame


def round_result(
    frame: ImageFrame,
    before: np.ndarray,
    after: np.ndarray,
    classes: list[Segment],
    strokes: RoundInput,
    seeds: Seeds,
    resolved: ResolvedConstraints,
    *,
    reaches: list[Reach],
    loss_curve: list[float],
    warnings: list[str],
    timings: dict[str, float],
    seed: int,
) -> RefinementResult:
    """The account of one round in the user's axes; `before` and `after` are label maps in the frame."""
    drawn = stroke_codes(strokes.voxels, strokes.wanted, frame.shape)
    grown = stroke_codes(seeds.voxels, seeds.labels, frame.shape)
    before, after = frame.to_user(before), frame.to_user(after)
    mentioned = set(strokes.wanted.tolist()) | set(strokes.called.tolist())
    return RefinementResult(
        labels=after,
        previous=before,
        changed_box=box_of(after != before),
        changes=changes_between(
            before, after, classes, frame.geometry.voxel_volume_ml, {r.label: r.name for r in reaches}, mentioned
        ),
        strokes=frame.to_user(drawn),
        grown=frame.to_user(grown),
        violated_strokes=resolved.count_violations(after),
        loss_curve=loss_curve,
        warnings=list(dict.fromkeys(warnings)),
        timings=timings,
        seed=seed,
        versions=versions(),
    )


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
