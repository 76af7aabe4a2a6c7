"""Decode one refinement: blended logits and strokes in, labels out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import torch

from ..backbone.grid import Box, NetworkGrid, most_likely
from ..backbone.sampling import sample_product
from ..geometry import box_around, padded_box
from ..progress import ShouldCancel, never_cancel, raise_if_cancelled
from ..resolution import is_any_of
from .accept import accept_changes
from .blend import BlendedLogits, Distances, network_labels, slabs
from .clusters import clusters_of
from .distance import COARSE_MM, StrokeDistance
from .edges import EdgeFeatures, resemblance
from .turnover import Pairs, turned_over
from .walker import WalkerProblem, solve_walker

#: Strength of the walker's prior far from strokes where its relaxation length is 1 mm; it falls with the square of
#: that length, as the walker's own diffusion length does: 0.08 for a torso CT, 0.75 for a 40 mm crop. Where the whole
#: image is smaller than any measured one, it is 1.33, as for one of 30 mm; else it would grow without limit.
GAMMA = 12.0
#: Share of the prior that remains at the strokes.
GAMMA_FLOOR = 0.1
#: Largest prior probability of a class that was learned from strokes alone. Believed more, it leaks; without any, the
#: walker needs more strokes.
LEARNED_PRIOR = 0.2
#: Where all classes that no stroke is about stay below this probability together, they take no part in the walk.
_ABSENT = 0.02


@dataclass(frozen=True, eq=False)
class DecodingInput:
    """One refinement to decode; all arrays in the order of the network's tensor axes.

    Attributes:
        labels: (*image shape) present labels.
        manual: (*image shape) bool, where the user or another program decided the label.
        seeds: (N, 3) image voxels whose label is given: the strokes and what was grown from them.
        seed_labels: (N,) their labels.
        fresh: (N,) bool, seeds that are new in this round; only near these may labels change, for of the others the
            user has seen the effect.
        stretch: (N,) how much farther than usual each acts.
        pairs: the changes (from, to) that are allowed.
        spacing: mm along the three axes.
        lengths: how far a stroke acts.
        locked: labels that neither gain nor lose a voxel.
        learned: log-odds (*grid shape) of learned classes that the network does not know, by label.
    """

    labels: np.ndarray
    manual: np.ndarray
    seeds: np.ndarray
    seed_labels: np.ndarray
    fresh: np.ndarray
    stretch: np.ndarray
    pairs: Pairs
    spacing: tuple[float, float, float]
    lengths: Distances
    locked: frozenset[int] = frozenset()
    learned: dict[int, torch.Tensor] = field(default_factory=dict)


class Decoder:
    """Blend, then walk; both write into `labels`, a copy of the present ones.

    Args:
        task: what to decode.
        logits: the blend of initial and tuned logits.
        edges: what cuts the walker's edges.
        device: to compute on.
    """

    def __init__(self, task: DecodingInput, logits: BlendedLogits, edges: EdgeFeatures, device: torch.device) -> None:
        self._task, self._logits, self._edges, self._device = task, logits, edges, device
        self._pairs = {(a, b) for a, b in task.pairs if not {a, b} & task.locked}
        self.labels = task.labels.copy()

    def blend(self, should_cancel: ShouldCancel = never_cancel) -> None:
        """Apply what the blended logits alone turn over."""
        task = self._task
        voxels, labels = turned_over(self._logits, task.labels, task.manual, self._pairs, should_cancel)
        self.labels[tuple(voxels.T)] = labels

    def walk(self, should_cancel: ShouldCancel = never_cancel) -> None:
        """Near the fresh seeds, replace them by the random walker's labels."""
        task = self._task
        rows = np.flatnonzero(task.fresh)
        if not len(rows) or not self._pairs:
            return
        reach = task.lengths.walker_reach * float(task.stretch[rows].max())
        for cluster in clusters_of(task.seeds[rows], task.spacing, 2 * reach):
            raise_if_cancelled(should_cancel)
            self._walk_cluster(rows[cluster], should_cancel)

    def _walk_cluster(self, rows: np.ndarray, should_cancel: ShouldCancel) -> None:
        task, lengths, device = self._task, self._task.lengths, self._device
        reach_mm = lengths.walker_reach * float(task.stretch[rows].max())
        box = padded_box(box_around(task.seeds[rows]), reach_mm, task.spacing, task.labels.shape)
        fresh_near = self._distance(rows, box, lengths.walker_reach)
        inside = np.flatnonzero(_within(task.seeds, box))
        near = self._distance(inside, box, lengths.blend_limit)
        start = np.array([s.start for s in box])
        local = torch.as_tensor(task.seeds[inside] - start, device=device).unbind(dim=1)
        given = torch.as_tensor(task.seed_labels[inside].astype(np.int64), device=device)

        # All classes that no stroke is about walk together, as one that is known once the others are.
        present = task.labels[box]
        classes = sorted({c for pair in self._pairs for c in pair} | set(given.tolist()))
        prior = self._logits.in_box(box, classes, present, task.manual[box]).softmax(dim=0)
        learned = {c: self._probability(task.learned[c], box) for c in classes if c in task.learned}
        for label, probability in learned.items():
            prior *= 1 - LEARNED_PRIOR * probability
            prior[classes.index(label)] += LEARNED_PRIOR * probability
        if float(prior[-1].max()) < _ABSENT:
            prior = prior[:-1]
        number = torch.full((self._logits.n_classes,), -1, device=device)
        number[classes] = torch.arange(len(classes), device=device)
        rows_of_given = torch.arange(len(prior), device=device)[:, None] == number[given][None]

        # Fixed: what is too far away, what is locked, and what is given.
        free = fresh_near <= lengths.walker_reach
        if task.locked:
            free &= torch.as_tensor(~is_any_of(present, task.locked), device=device)
        fixed = ~free
        fixed[local] = True
        prior[(slice(None), *local)] = rows_of_given.float()

        relax = torch.exp(-0.5 * (near / lengths.relax_sigma) ** 2)
        intensities = self._edges.intensities(box, device)
        new = given >= self._logits.n_known
        if bool(new.any()):
            # The network says nothing for a new class: only where it looks like its seeds may the old answer give
            # way. Otherwise the walker fills the fat between a new kidney and the liver.
            likely = [*learned.values()] or [resemblance(intensities, tuple(axis[new] for axis in local))]
            relax *= torch.stack(likely).amax(dim=0)
        gamma = GAMMA * lengths.scale**2 / lengths.relax_sigma**2 * (GAMMA_FLOOR + 1 - relax)
        problem = WalkerProblem(
            intensities, self._edges.factors(), prior[:-1], gamma, fixed, task.spacing,
            more=tuple(self._edges.of_features(box)),
        )  # fmt: skip
        solved = solve_walker(problem, should_cancel=should_cancel)
        solved = torch.cat([solved, 1 - solved.sum(dim=0, keepdim=True)])
        # The class of all others stands for no change.
        names = torch.tensor([*classes, -1][: len(prior)], device=device)
        proposed = names[most_likely(solved)].cpu().numpy()
        proposed = np.where(proposed < 0, present, proposed)
        accepted = accept_changes(present, proposed, self._pairs)
        mask = free.cpu().numpy()
        self.labels[box][mask] = accepted[mask]

    def _probability(self, log_odds: torch.Tensor, box: Box) -> torch.Tensor:
        """Of a learned class in a box of the image, (*box shape)."""
        region, positions = self._logits.grid.nodes_around(box)
        return sample_product(log_odds[region][None], positions)[0].sigmoid_()

    def _distance(self, rows: np.ndarray, box: Box, limit_mm: float) -> torch.Tensor:
        """Distance from some seeds, at most a little more than `limit_mm`."""
        task, coarse = self._task, COARSE_MM * self._task.lengths.scale
        distance = StrokeDistance(task.seeds[rows], box, task.spacing, limit_mm + coarse, task.stretch[rows], coarse)
        return distance.in_box(box).to(self._device)


def unprotected_labels(
    grid: NetworkGrid,
    tuned: torch.Tensor,
    labels: np.ndarray,
    locked: Collection[int] = (),
    should_cancel: ShouldCancel = never_cancel,
) -> np.ndarray:
    """The tuned network's answer everywhere, as the paper has it; only locks are kept.

    Args:
        grid: where the network's grid lies.
        tuned: class logits (C, *grid shape).
        labels: (*image shape) present labels.
        locked: labels that neither gain nor lose a voxel.
    """
    answer = np.empty_like(labels)
    for slab in slabs(tuple(slice(0, n) for n in labels.shape)):
        raise_if_cancelled(should_cancel)
        answer[slab] = network_labels(grid, tuned, slab)
    kept = is_any_of(answer, locked) | is_any_of(labels, locked)
    return np.where(kept, labels, answer)


def _within(voxels: np.ndarray, box: Box) -> np.ndarray:
    """(N,) bool, which voxels (N, 3) lie in the box."""
    return ((voxels >= [s.start for s in box]) & (voxels < [s.stop for s in box])).all(axis=1)
