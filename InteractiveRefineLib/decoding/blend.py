"""Blend old and tuned logits: near the strokes the tuned network speaks, far away the old answer stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..backbone.grid import Box, NetworkGrid, most_likely
from ..backbone.sampling import VoxelSampler, sample_product
from ..geometry import extent_mm

#: By how many logits a label that an earlier round accepted leads the network's initial answer: enough to stay,
#: little enough to be corrected by later strokes.
HOLD_ACCEPTED = 2.0
#: The same for a label that the user painted or another program made: no network overrules it from afar.
HOLD_MANUAL = 20.0
#: Extent in mm below which images count as this one seen from farther away: small animals, micro-CT, microscopy. The
#: smallest crops that anything was measured on, of the hippocampus, have 35 mm.
SMALLEST_MEASURED = 30.0
#: Voxels computed together, to bound memory.
CHUNK = 400_000
#: Logit of a class that is out of the question.
_NEVER = -50.0


@dataclass(frozen=True)
class Distances:
    """Lengths in mm that say how far a stroke acts.

    Attributes:
        blend_sigma: standard deviation of the tuned network's weight, exp(-d^2 / 2 sigma^2).
        relax_sigma: within about this distance the random walker's prior is relaxed.
        walker_reach: the random walker works within this distance of the strokes.
        scale: how much smaller than usual whatever else is measured in mm should be; 1 for all clinical images.
    """

    blend_sigma: float
    relax_sigma: float
    walker_reach: float
    scale: float = 1.0

    @property
    def blend_limit(self) -> float:
        """Beyond it the weight (below 0.0112) counts as zero."""
        return 3 * self.blend_sigma

    @classmethod
    def for_image(cls, shape: tuple[int, ...], spacing: tuple[float, ...]) -> Distances:
        """The measured lengths for a torso CT (20, 12, 24 mm), shorter where the whole image is small.

        On crops of about 40 mm, 5, 4 and 8 mm were as good as longer ones and did a quarter of the far damage.
        """
        extent = extent_mm(shape, spacing)
        # A hair more, lest a lattice step of a whole number of voxels be rounded down to one less.
        scale = min(1.0, extent / SMALLEST_MEASURED * (1 + 1e-9))
        return cls(min(20.0, 0.12 * extent), min(12.0, 0.1 * extent), min(24.0, 0.2 * extent), scale)


class BlendedLogits:
    """Class logits on the image's grid: present answer + weight x (tuned - initial).

    Blending logits rather than probabilities lets the network's own doubt decide: a given weight turns over voxels
    where the initial network was unsure, and leaves alone those where it was certain. On the real CT, changes
    farther than 20 mm from every stroke were right where the initial margin was small and wrong where it was large.

    The blend is made on the network's grid, where the weight hardly changes from node to node, and interpolated.
    Where the present label is not the network's own answer, it is lifted above it: a little where an earlier round
    accepted it, far where the user or another program decided it.

    Args:
        grid: where the network's grid lies.
        initial, tuned: class logits (C, *grid shape), background first; fast where C is the fastest axis in memory.
        weight: (*grid shape) from 0 (keep) to 1 (believe the tuned network).
        network_labels: (*image shape) the untuned network's own labels.
        n_classes: all classes; those the network does not know come last and have no logits of their own.
        into_tuned: write the blend into `tuned`, where nobody needs that afterward: memory for another copy of all
            logits takes longer than blending them. `initial` stays as it is even if it is the same.
    """

    def __init__(
        self,
        grid: NetworkGrid,
        initial: torch.Tensor,
        tuned: torch.Tensor,
        weight: torch.Tensor,
        network_labels: np.ndarray,
        n_classes: int,
        *,
        into_tuned: bool = False,
    ) -> None:
        self.grid, self.initial, self.weight = grid, initial, weight
        self.n_known, self.n_classes = initial.shape[0], n_classes
        if tuned is initial:
            self.field = initial
        else:
            self.field = torch.lerp(initial, tuned, weight[None], out=tuned if into_tuned else None)
        self._network_labels = network_labels

    def at(self, voxels: np.ndarray, labels: np.ndarray, manual: np.ndarray) -> torch.Tensor:
        """Blended logits (n_classes, N) of image voxels (N, 3) inside the crop.

        Args:
            labels: (N,) present labels.
            manual: (N,) bool, where the user or another program decided the label.
        """
        sampler = VoxelSampler(self.grid.positions(voxels).T, self.grid.shape, self.initial.device)
        initial, blended = (sampler(field.movedim(0, -1)).T for field in (self.initial, self.field))
        never = initial.new_full((self.n_classes - self.n_known, len(voxels)), _NEVER)
        initial, blended = torch.cat([initial, never]), torch.cat([blended, never])
        present = torch.as_tensor(labels.astype(np.int64), device=initial.device)
        edited = self._network_labels[tuple(voxels.T)] != labels
        return _lifted(blended, initial, present, edited, manual)

    def in_box(self, box: Box, classes: list[int], labels: np.ndarray, manual: np.ndarray) -> torch.Tensor:
        """Blended logits (len(classes) + 1, *box shape) of some classes, and of all others together.

        Args:
            classes: ascending.
            labels, manual: (*box shape), as for `at`.
        """
        outside = self.grid.outside_crop(box)
        region, positions = self.grid.nodes_around(box)

        def sampled(field: torch.Tensor) -> torch.Tensor:
            out = sample_product(self._grouped(field[(slice(None), *region)], classes), positions)
            if outside is not None:
                mask = torch.as_tensor(outside, device=out.device)
                out.masked_fill_(mask, _NEVER)
                out[classes.index(0) if 0 in classes else -1].masked_fill_(mask, 0.0)
            return out

        blended, edited = sampled(self.field), self._network_labels[box] != labels
        if not edited.any():
            return blended
        row = np.full(self.n_classes, len(classes))
        row[classes] = range(len(classes))
        present = torch.as_tensor(row[labels], device=blended.device)
        return _lifted(blended, sampled(self.initial), present, edited, manual)

    def _grouped(self, field: torch.Tensor, classes: list[int]) -> torch.Tensor:
        """Logits of the chosen classes and, as last row, of the event that it is none of them."""
        known = [c for c in classes if c < self.n_known]
        others = [c for c in range(self.n_known) if c not in known]
        never = torch.full_like(field[:1], _NEVER)
        rest = field[others].logsumexp(dim=0, keepdim=True) if others else never
        return torch.cat([field[known], *[never] * (len(classes) - len(known)), rest])


def _lifted(
    blended: torch.Tensor, initial: torch.Tensor, present: torch.Tensor, edited: np.ndarray, manual: np.ndarray
) -> torch.Tensor:
    """`blended` logits (C, ...), in place, raised where the present label was `edited`: it leads the initial ones."""
    if edited.any():
        hold = torch.as_tensor(np.where(manual, HOLD_MANUAL, HOLD_ACCEPTED).astype(np.float32), device=initial.device)
        lift = initial.max(dim=0).values + hold - initial.gather(0, present[None])[0]
        blended.scatter_add_(0, present[None], (lift * torch.as_tensor(edited, device=initial.device))[None])
    return blended


def network_labels(
    grid: NetworkGrid, logits: torch.Tensor, box: Box, node_labels: np.ndarray | None = None
) -> np.ndarray:
    """The likeliest class of logits (C, *grid shape) at all image voxels of a box, (*box shape) uint16.

    Where all nodes around a voxel agree on a class, interpolation cannot change it: only the others are computed.

    Args:
        node_labels: (*grid shape) the likeliest class of every node, where somebody knows it already.
    """
    seen = tuple(
        slice(min(max(s.start, c.start), s.stop), max(min(s.stop, c.stop), s.start)) for s, c in zip(box, grid.crop)
    )
    if seen == tuple(box):
        return _labels_in_crop(grid, logits, box, node_labels)
    labels = np.zeros([s.stop - s.start for s in box], dtype=np.uint16)
    if all(s.start < s.stop for s in seen):
        inside = tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(seen, box))
        labels[inside] = _labels_in_crop(grid, logits, seen, node_labels)
    return labels


def _labels_in_crop(grid: NetworkGrid, logits: torch.Tensor, box: Box, node_labels: np.ndarray | None) -> np.ndarray:
    region, positions = grid.nodes_around(box)
    field = logits[(slice(None), *region)]
    nodes = most_likely(field).cpu().numpy() if node_labels is None else node_labels[region]
    nodes = nodes.astype(np.uint16)
    low = [np.floor(p).astype(np.int64) for p in positions]
    labels = _spread(nodes, low)
    mixed = np.stack(np.unravel_index(np.flatnonzero(_spread(_disagree(nodes), low)), labels.shape), axis=1)
    by_voxel = field.movedim(0, -1)
    for first in range(0, len(mixed), CHUNK):
        some = mixed[first : first + CHUNK].T
        sampler = VoxelSampler([p[i] for p, i in zip(positions, some)], nodes.shape, logits.device)
        labels[tuple(some)] = sampler(by_voxel).argmax(dim=1).cpu().numpy()
    return labels


def _spread(nodes: np.ndarray, index: list[np.ndarray]) -> np.ndarray:
    """`nodes` at all combinations of indices along the three axes; last along the second, which copies whole rows."""
    return nodes.take(index[0], 0).take(index[2], 2).take(index[1], 1)


def _disagree(nodes: np.ndarray) -> np.ndarray:
    """(*shape) bool: cells, named by their lowest corner, whose corners differ; beyond the last node there are none."""
    lowest, highest = nodes, nodes
    for axis in range(3):
        after = np.minimum(np.arange(1, nodes.shape[axis] + 1), nodes.shape[axis] - 1)
        lowest = np.minimum(lowest, lowest.take(after, axis))
        highest = np.maximum(highest, highest.take(after, axis))
    return lowest != highest


def blend_weight(distance: torch.Tensor, lengths: Distances) -> torch.Tensor:
    """exp(-d^2 / 2 sigma^2), zero beyond the limit; `distance` in mm, any shape."""
    weight = torch.exp(-0.5 * (distance / lengths.blend_sigma) ** 2)
    return weight.masked_fill_(distance >= lengths.blend_limit, 0.0)


def slabs(box: Box, voxels: int = 500_000) -> list[Box]:
    """Cut `box` along its first axis into pieces of at most about `voxels` voxels, to bound memory."""
    area = (box[1].stop - box[1].start) * (box[2].stop - box[2].start)
    step = max(1, voxels // max(1, area))
    first = range(box[0].start, box[0].stop, step)
    return [(slice(a, min(a + step, box[0].stop)), box[1], box[2]) for a in first]
