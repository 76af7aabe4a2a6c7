"""Account of one refinement: what changed, by how much, and with which versions."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import numpy as np
import scipy
import torch

from . import __version__
from .geometry import box_around
from .present import read_only
from .resolution import ResolvedConstraints
from .result import ClassChange, RefinementResult, VoxelCodes
from .round_input import RoundInput
from .seeds import Seeds
from .segmentation import BACKGROUND_STROKE, Segment

if TYPE_CHECKING:
    from .decoding.reach import Reach
    from .image_state import ImageFrame
    from .present import PresentLabels


def round_result(
    frame: ImageFrame,
    present: PresentLabels,
    labels: np.ndarray,
    voxels: np.ndarray,
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
    """The account of one round in the user's axes; `labels` (*frame shape) are the new ones, changed at `voxels`."""
    # Only what changed is brought into the user's axes: turning whole scans would take longer than the walker.
    before, after = present.labels[tuple(voxels.T)], labels[tuple(voxels.T)]
    shape = present.in_user_axes.shape
    flat = frame.user_indices(voxels, shape)
    refined = present.in_user_axes.copy()
    refined.reshape(-1)[flat] = after
    mentioned = set(strokes.wanted.tolist()) | set(strokes.called.tolist())
    return RefinementResult(
        labels=read_only(refined),
        previous=present.in_user_axes,
        changed_box=box_around(np.stack(np.unravel_index(flat, shape), axis=1)) if len(flat) else None,
        changes=changes_between(
            before, after, classes, frame.geometry.voxel_volume_ml, {r.label: r.name for r in reaches}, mentioned
        ),
        strokes=stroke_codes(frame.user_indices(strokes.voxels, shape), strokes.wanted, shape),
        grown=stroke_codes(frame.user_indices(seeds.voxels, shape), seeds.labels, shape),
        violated_strokes=resolved.count_violations(refined),
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
        before, after: label maps of one shape, or just the labels of the voxels that changed.
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


def stroke_codes(flat: np.ndarray, labels: np.ndarray, shape: tuple[int, int, int]) -> VoxelCodes:
    """Codes of voxels, given by flat indices (N,), for their (N,) labels: 255 = background, else the label."""
    return VoxelCodes(shape, flat, np.where(labels == 0, BACKGROUND_STROKE, labels))


def versions() -> dict[str, str]:
    """Versions that decide the result to the last bit."""
    return {
        "interactive-refine": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
