"""What tuning optimizes: logits at the stroke voxels and at a sample of voxels that should stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..partial.parts import LogitsAt, TunedPart


@dataclass(frozen=True, eq=False)
class TuningProblem:
    """One image's constraints and anchors.

    Attributes:
        part: the tuned part of the network.
        to_classes: maps output channels (..., channels) to class logits (..., classes), background first.
        at_strokes: logits at the S stroke voxels.
        wanted: (S,) int64 wanted class of each.
        at_anchors: logits at the A sampled voxels without stroke.
        teacher: (A, classes) float32 probabilities that the anchors should keep.
        anchor_weights: (A,) float32, sum 1; small where an anchor looks like a stroked voxel.
    """

    part: TunedPart
    to_classes: Callable[[torch.Tensor], torch.Tensor]
    at_strokes: LogitsAt
    wanted: torch.Tensor
    at_anchors: LogitsAt
    teacher: torch.Tensor
    anchor_weights: torch.Tensor

    def stroke_logits(self, values: list[torch.Tensor]) -> torch.Tensor:
        """Class logits (S, classes) at the strokes."""
        return self.to_classes(self.at_strokes(values))

    def anchor_logits(self, values: list[torch.Tensor]) -> torch.Tensor:
        """Class logits (A, classes) at the anchors."""
        return self.to_classes(self.at_anchors(values))

    def balanced_weights(self) -> torch.Tensor:
        """(S,) weights with the same sum for every class that has strokes; sum 1."""
        counts = torch.bincount(self.wanted)
        weights = 1.0 / counts[self.wanted].float()
        return weights / weights.sum()

    def violated(self, logits: torch.Tensor) -> torch.Tensor:
        """(S,) bool: strokes whose most likely class is not the wanted one."""
        return logits.argmax(dim=1) != self.wanted
