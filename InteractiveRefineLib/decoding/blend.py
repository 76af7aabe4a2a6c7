"""Blend old and tuned logits: near the strokes the tuned network speaks, far away the old answer stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..backbone.grid import Box, NetworkGrid, most_likely

#: By how many logits a label that an earlier round accepted leads the network's initial answer: enough to stay,
#: little enough to be corrected by later strokes.
HOLD_ACCEPTED = 2.0
#: The same for a label that the user painted or another program made: no network overrules it from afar.
HOLD_MANUAL = 20.0
#: Logit of a class that is out of the question.
_NEVER = -50.0


@dataclass(frozen=True)
class Distances:
    """Lengths in mm that say how far a stroke acts.

    Attributes:
        blend_sigma: standard deviation of the tuned network's weight, exp(-d^2 / 2 sigma^2).
        relax_sigma: within about this distance the random walker's prior is relaxed.
        walker_reach: the random walker works within this distance of the strokes.
    """

    blend_sigma: float
    relax_sigma: float
    walker_reach: float

    @property
    def blend_limit(self) -> float:
        """Beyond it the weight (below 0.0112) counts as zero."""
        return 3 * self.blend_sigma

    @classmethod
    def for_image(cls, shape: tuple[int, ...], spacing: tuple[float, ...]) -> Distances:
        """The measured lengths for a torso CT (20, 12, 24 mm), shorter where the whole image is small.

        On crops of about 40 mm, 5, 4 and 8 mm were as good as longer ones and did a quarter of the far damage.
        """
        sides = [n * s for n, s in zip(shape, spacing) if n > 1]
        extent = float(np.exp(np.mean(np.log(sides))))
        return cls(min(20.0, 0.12 * extent), min(12.0, 0.1 * extent), min(24.0, 0.2 * extent))


class BlendedLogits:
    """Class logits on the image's grid: present answer + weight x (tuned - initial).

    Blending logits rather than probabilities lets the network's own doubt decide: a given weight turns over voxels
    where the initial network was unsure, and leaves alone those where it was certain. On the real CT, changes
    farther than 20 mm from every stroke were right where the initial margin was small and wrong where it was large.

    Args:
        grid: where the network's grid lies.
        initial, tuned: class logits (C, *grid shape), background first.
        n_classes: all classes; those the network does not know come last and have no logits of their own.
    """

    def __init__(self, grid: NetworkGrid, initial: torch.Tensor, tuned: torch.Tensor, n_classes: int) -> None:
        self._grid, self._initial, self._tuned, self._n_classes = grid, initial, tuned, n_classes

    def initial_labels(self, box: Box) -> np.ndarray:
        """The network's own answer, (*box shape) uint16."""
        return most_likely(self._at(self._initial, box)).cpu().numpy().astype(np.uint16)

    def tuned_labels(self, box: Box) -> np.ndarray:
        """The tuned network's answer everywhere, (*box shape) uint16; only for the rules without protection."""
        return most_likely(self._at(self._tuned, box)).cpu().numpy().astype(np.uint16)

    def tuned_on_grid(self) -> np.ndarray:
        """The tuned network's answer (*grid shape) on its own grid."""
        return most_likely(self._tuned).cpu().numpy()

    def blended(self, box: Box, labels: np.ndarray, manual: np.ndarray, weight: torch.Tensor) -> torch.Tensor:
        """Class logits (n_classes, *box shape).

        Where the present label is not the network's own answer, it is lifted above it: a little where an earlier
        round accepted it, far where the user or another program decided it.

        Args:
            labels: (*box shape) present labels.
            manual: (*box shape) bool, where the user or another program decided the label.
            weight: (*box shape) from 0 (keep) to 1 (believe the tuned network).
        """
        out = self._at(self._initial, box)
        change = self._at(self._tuned, box).sub_(out).mul_(weight)
        present = torch.as_tensor(labels.astype(np.int64), device=out.device)
        edited = most_likely(out) != present
        if bool(edited.any()):
            hold = torch.where(torch.as_tensor(manual, device=out.device), HOLD_MANUAL, HOLD_ACCEPTED)
            lift = out.max(dim=0).values + hold - out.gather(0, present[None])[0]
            out.scatter_add_(0, present[None], (lift * edited)[None])
        return out.add_(change)

    def _at(self, logits: torch.Tensor, box: Box) -> torch.Tensor:
        known = self._grid.sample_box(logits, box)
        outside = self._grid.outside_crop(box)
        if outside is not None:
            mask = torch.as_tensor(outside, device=known.device)
            known.masked_fill_(mask, _NEVER)
            known[0].masked_fill_(mask, 0.0)
        extra = self._n_classes - known.shape[0]
        return known if not extra else torch.cat([known, known.new_full((extra, *known.shape[1:]), _NEVER)])


def blend_weight(distance: torch.Tensor, lengths: Distances) -> torch.Tensor:
    """exp(-d^2 / 2 sigma^2), zero beyond the limit; `distance` in mm, any shape."""
    weight = torch.exp(-0.5 * (distance / lengths.blend_sigma) ** 2)
    return weight.masked_fill_(distance >= lengths.blend_limit, 0.0)


def slabs(box: Box, voxels: int = 2_000_000) -> list[Box]:
    """Cut `box` along its first axis into pieces of at most about `voxels` voxels, to bound memory."""
    area = (box[1].stop - box[1].start) * (box[2].stop - box[2].start)
    step = max(1, voxels // max(1, area))
    first = range(box[0].start, box[0].stop, step)
    return [(slice(a, min(a + step, box[0].stop)), box[1], box[2]) for a in first]
