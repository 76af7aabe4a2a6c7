"""Decode one refinement: blended logits and strokes in, proposed labels out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from ..backbone.grid import Box, NetworkGrid, most_likely
from ..geometry import box_of, padded_box
from ..progress import ShouldCancel, never_cancel, raise_if_cancelled
from .blend import BlendedLogits, Distances, blend_weight, slabs
from .clusters import clusters_of
from .distance import stroke_distance
from .edges import EdgeFeatures, resemblance
from .reach import NO_TRUST, Reach
from .walker import WalkerProblem, solve_walker

#: Strength of the walker's prior far from strokes where its relaxation length is 1 mm; it falls with the square of
#: that length, as the walker's own diffusion length does: 0.08 for a torso CT, 0.75 for a 40 mm crop.
GAMMA = 12.0
#: Share of the prior that remains at the strokes.
GAMMA_FLOOR = 0.1
#: A class below this probability everywhere in a region takes no part in the walk.
_ABSENT = 0.02


@dataclass(frozen=True, eq=False)
class DecodingInput:
    """One refinement to decode; all arrays in the order of the network's tensor axes.

    Attributes:
        labels: (*image shape) present labels.
        manual: (*image shape) bool, where the user or another program decided the label.
        n_strokes: how many of the seeds lie under strokes; they come first, and distances are measured from them.
        seeds: (N, 3) image voxels whose label is given: the strokes and what was grown from them.
        seed_labels: (N,) their labels.
        stretch: (N,) how much farther than usual each acts.
        reaches: one per class with strokes.
        spacing: mm along the three axes.
        lengths: how far a stroke acts.
        n_known: labels below it are known to the network.
        locked: labels that neither gain nor lose a voxel.
    """

    labels: np.ndarray
    manual: np.ndarray
    n_strokes: int
    seeds: np.ndarray
    seed_labels: np.ndarray
    stretch: np.ndarray
    reaches: list[Reach]
    spacing: tuple[float, float, float]
    lengths: Distances
    n_known: int
    locked: frozenset[int] = frozenset()


class Decoder:
    """Blend, then walk.

    Args:
        task: what to decode.
        logits: initial and tuned logits.
        edges: what cuts the walker's edges.
        grid: where the network's grid lies in the image.
        device: to compute on.
    """

    def __init__(
        self, task: DecodingInput, logits: BlendedLogits, edges: EdgeFeatures, grid: NetworkGrid, device: torch.device
    ) -> None:
        self._task, self._logits, self._edges, self._grid, self._device = task, logits, edges, grid, device
        self._trust: torch.Tensor | None = None
        self.box = self._plan()

    def _plan(self) -> Box:
        """Box of the image in which labels may change."""
        task = self._task
        far_mm = task.lengths.blend_limit * float(task.stretch.max())
        box = padded_box(_box_around(task.seeds), far_mm, task.spacing, task.labels.shape)
        trust = np.maximum.reduce([r.trust for r in task.reaches]) if task.reaches else np.zeros((1, 1, 1))
        region = box_of(trust > NO_TRUST)
        if region is not None:
            self._trust = torch.from_numpy(trust)[None].to(self._device)
            box = _union(box, _image_box(region, self._grid, task.labels.shape))
        return box

    def blend(self, should_cancel: ShouldCancel = never_cancel) -> np.ndarray:
        """Labels (*box shape) by the blended logits alone."""
        proposed = np.empty([s.stop - s.start for s in self.box], dtype=self._task.labels.dtype)
        for slab in slabs(self.box):
            raise_if_cancelled(should_cancel)
            labels = most_likely(self._blended(slab))
            proposed[_inside(slab, self.box)] = labels.cpu().numpy().astype(proposed.dtype)
        return proposed

    def _blended(self, box: Box) -> torch.Tensor:
        task = self._task
        strokes = slice(0, task.n_strokes)
        distance = stroke_distance(
            task.seeds[strokes], box, task.spacing, task.lengths.blend_limit, task.stretch[strokes]
        )
        weight = blend_weight(distance.to(self._device), task.lengths)
        if self._trust is not None:
            weight = torch.maximum(weight, self._grid.sample_box(self._trust, box)[0])
        return self._logits.blended(box, task.labels[box], task.manual[box], weight)

    def walk(self, proposed: np.ndarray, should_cancel: ShouldCancel = never_cancel) -> None:
        """Replace `proposed` (*box shape) near the strokes by the random walker's labels, in place."""
        reach = self._task.lengths.walker_reach * float(self._task.stretch.max())
        for rows in clusters_of(self._task.seeds, self._task.spacing, 2 * reach):
            raise_if_cancelled(should_cancel)
            self._walk_cluster(rows, proposed, should_cancel)

    def _walk_cluster(self, rows: np.ndarray, proposed: np.ndarray, should_cancel: ShouldCancel) -> None:
        task, lengths, device = self._task, self._task.lengths, self._device
        seeds, seed_labels, stretch = task.seeds[rows], task.seed_labels[rows], task.stretch[rows]
        reach_mm = lengths.walker_reach * float(stretch.max())
        box = padded_box(_box_around(seeds), reach_mm, task.spacing, task.labels.shape)
        prior = self._blended(box).softmax(dim=0)
        near = stroke_distance(seeds, box, task.spacing, lengths.blend_limit, stretch).to(device)
        start = np.array([s.start for s in box])
        local = torch.as_tensor(seeds - start, device=device).unbind(dim=1)
        given = torch.as_tensor(seed_labels.astype(np.int64), device=device)
        occurring = torch.nonzero(prior.flatten(1).max(dim=1).values > _ABSENT).flatten()
        classes = torch.unique(torch.cat([occurring, given]))
        prior = prior[classes]

        # Fixed: what is too far away, what is locked, and what is given.
        free = near <= lengths.walker_reach
        if task.locked:
            locked = np.isin(task.labels[box], sorted(task.locked))
            free &= torch.as_tensor(~locked, device=device)
        fixed = ~free
        fixed[local] = True
        prior[(slice(None), *local)] = (classes[:, None] == given[None]).float()

        relax = torch.exp(-0.5 * (near / lengths.relax_sigma) ** 2)
        features, factors = self._edges.in_box(box, device)
        new = given >= task.n_known
        if bool(new.any()):
            # The network says nothing for a new class: only where it looks like its seeds may the old answer give
            # way. Otherwise the walker fills the fat between a new kidney and the liver.
            relax *= resemblance(features[: self._edges.n_intensities], tuple(axis[new] for axis in local))
        gamma = GAMMA / lengths.relax_sigma**2 * (GAMMA_FLOOR + 1 - relax)
        problem = WalkerProblem(features, factors, prior, gamma, fixed, task.spacing)
        labels = classes[most_likely(solve_walker(problem, should_cancel=should_cancel))].cpu().numpy()
        mask = free.cpu().numpy()
        proposed[_inside(box, self.box)][mask] = labels[mask]


def unprotected_labels(
    logits: BlendedLogits,
    labels: np.ndarray,
    locked: Collection[int] = (),
    should_cancel: ShouldCancel = never_cancel,
) -> np.ndarray:
    """The tuned network's answer everywhere, as the paper has it; only locks are kept.

    Args:
        logits: initial and tuned logits.
        labels: (*image shape) present labels.
        locked: labels that neither gain nor lose a voxel.
    """
    tuned = np.empty_like(labels)
    with torch.no_grad():
        for slab in slabs(tuple(slice(0, n) for n in labels.shape)):
            raise_if_cancelled(should_cancel)
            tuned[slab] = logits.tuned_labels(slab)
    kept = np.isin(tuned, sorted(locked)) | np.isin(labels, sorted(locked))
    return np.where(kept, labels, tuned)


def _box_around(voxels: np.ndarray) -> Box:
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(voxels.min(axis=0), voxels.max(axis=0)))


def _inside(inner: Box, outer: Box) -> Box:
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer))


def _union(a: Box, b: Box) -> Box:
    return tuple(slice(min(x.start, y.start), max(x.stop, y.stop)) for x, y in zip(a, b))


def _image_box(region: Box, grid: NetworkGrid, shape: tuple[int, ...]) -> Box:
    """Box of the image over a box of the network's grid, with one grid voxel of margin."""
    sides = []
    for side, crop, n, size in zip(region, grid.crop, grid.shape, shape):
        scale = (crop.stop - crop.start) / n
        low = int(np.floor(crop.start + (side.start - 1) * scale))
        high = int(np.ceil(crop.start + (side.stop + 1) * scale))
        sides.append(slice(max(0, low), min(size, high)))
    return tuple(sides)
