"""How far a class may follow the tuned network: near its strokes only, or through its whole structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from ..backbone.grid import most_likely


@dataclass(frozen=True, eq=False)
class Reach:
    """The decision for one class.

    Attributes:
        label: of the class.
        trust: weight of the tuned network far from the strokes, 0 (local) to 1 (whole structure).
        region: (*grid shape) bool, where it applies: the tuned network's region of the class that holds strokes.
    """

    label: int
    trust: float
    region: np.ndarray

    @property
    def name(self) -> str:
        """The nearer of the two words a user can choose."""
        return "whole" if self.trust >= 0.5 else "local"


def doubt_by_class(initial: torch.Tensor) -> dict[int, float]:
    """How little the network knows each class on this image, 0 (certain) to 1 (in the dark, or class absent).

    (1 - m_c / m_0)^2 with m_c the median lead, in logits, of the winning class over the second among the voxels
    called c, and m_0 that of the background: relative, so that a network's own scale of logits cancels. On the real
    CT the liver has 0.09; with shifted intensities 0.62; with its output row missing 1.

    Args:
        initial: (C, *grid shape) initial class logits.
    """
    best = torch.topk(initial, 2, dim=0).values
    lead = best[0] - best[1]
    labels = most_likely(initial)
    medians = [lead[labels == c] for c in range(initial.shape[0])]
    medians = [float(m.median()) if m.numel() else 0.0 for m in medians]
    reference = medians[0] if medians[0] > 0 else max(medians)
    if reference <= 0:
        return dict.fromkeys(range(initial.shape[0]), 1.0)
    return {c: float(np.clip(1 - m / reference, 0, 1) ** 2) for c, m in enumerate(medians)}


def decide_reach(tuned: np.ndarray, label: int, stroke_voxels: np.ndarray, choice: str, doubt: float) -> Reach:
    """Decide for one class.

    Args:
        tuned: (*grid shape) labels by the tuned network.
        label: of the class.
        stroke_voxels: (N, 3) integer grid voxels of the class's strokes.
        choice: "automatic", "local" or "whole".
        doubt: of the class, see `doubt_by_class`; the trust when the choice is automatic.
    """
    trust = {"automatic": doubt, "local": 0.0, "whole": 1.0}[choice]
    parts, _ = ndimage.label(tuned == label)
    touched = np.unique(parts[tuple(stroke_voxels.T)])
    return Reach(label, trust, np.isin(parts, touched[touched > 0]))
