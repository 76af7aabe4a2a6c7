"""Set up decoding for one round: what is fresh, how far the tuned network is believed, the blend of both answers."""

from __future__ import annotations

import numpy as np
import torch

from ..backbone.grid import Box, most_likely
from ..geometry import box_of
from ..image_state import NetworkState
from ..present import PresentLabels
from ..round_input import RoundInput
from ..seeds import Seeds
from ..settings import RefineSettings
from .accept import SETTLED, allowed_pairs
from .blend import BlendedLogits
from .decode import Decoder, DecodingInput
from .reach import Doubt, Reach, decide_reaches, joint_trust, may_follow_far
from .weight import boxes_in_reach, tuned_weight

#: Share of the grid below which computing a part of it takes less time than all of it.
_WORTHWHILE = 0.7


def decoder_of_round(
    state: NetworkState,
    present: PresentLabels,
    strokes: RoundInput,
    seeds: Seeds,
    tuned: torch.Tensor,
    *,
    reach: str,
    n_classes: int,
    locked: set[int],
    learned: dict[int, torch.Tensor] | None = None,
    belief: float = 1.0,
) -> tuple[Decoder, list[Reach]]:
    """The decoder of one round, and the decision of how far each class may follow the tuned network.

    Args:
        tuned: (C, *grid shape) logits of the tuned network; overwritten unless they are the state's own.
        reach: "automatic", "local" or "whole".
        n_classes: all classes, with those the network does not know.
        locked: labels that neither gain nor lose a voxel.
        learned: see `DecodingInput`.
        belief: in the tuned network, see `weight.belief_in`.
    """
    named, nearest = ~strokes.guessed, np.round(state.grid.positions(strokes.voxels)).astype(np.int64)
    tuned_labels = most_likely(tuned).cpu().numpy()
    reaches = decide_reaches(
        tuned_labels, state.on_grid(present.labels), strokes.wanted[named], nearest[named], reach, state.doubt, belief
    )
    guessed = np.append(strokes.guessed, np.zeros(len(seeds.labels) - len(strokes), dtype=bool))
    task = DecodingInput(
        labels=present.labels,
        manual=present.manual,
        seeds=seeds.voxels,
        seed_labels=seeds.labels,
        fresh=fresh_seeds(present, strokes, seeds, state.doubt),
        stretch=state.doubt.stretch(seeds.labels, guessed),
        pairs=allowed_pairs(strokes.called, strokes.wanted),
        spacing=state.frame.spacing,
        lengths=state.lengths,
        locked=frozenset(locked),
        learned=learned or {},
    )
    drawn = np.flatnonzero(task.fresh[: len(strokes)])
    weight = tuned_weight(
        state.grid, strokes.voxels[drawn], task.stretch[drawn], task.spacing, task.lengths, joint_trust(reaches), belief
    )
    logits = BlendedLogits(
        state.grid, state.logits, tuned, weight.to(state.device), state.logit_labels, n_classes, into_tuned=True
    )
    return Decoder(task, logits, state.edges(present.labels, strokes.voxels), state.device), reaches


def region_that_matters(
    state: NetworkState,
    present: PresentLabels,
    strokes: RoundInput,
    seeds: Seeds,
    settings: RefineSettings,
    belief: float = 1.0,
) -> Box | None:
    """The box of the network's grid in which the tuned network is believed at all; None where that is about everywhere.

    Outside it the tuned logits need not be computed: the network is believed near the fresh strokes, and where it is in
    doubt about a stroked class.
    """
    named = {label for label in strokes.wanted[~strokes.guessed].tolist() if label}
    far = [label for label in sorted(named) if may_follow_far(label, settings.reach, state.doubt, belief)]
    if settings.update != "protected" or (far and settings.reach == "whole"):
        return None
    drawn = np.flatnonzero(fresh_seeds(present, strokes, seeds, state.doubt)[: len(strokes)])
    stretch = state.doubt.stretch(strokes.wanted[drawn], strokes.guessed[drawn])
    boxes = [boxes_in_reach(state.grid, strokes.voxels[drawn], stretch, state.frame.spacing, state.lengths, belief)[1]]
    boxes += [box_of(state.doubt.may_be_trusted(label)) for label in far]
    boxes = [box for box in boxes if box is not None and all(side.start < side.stop for side in box)]
    if not boxes:
        return (slice(0, 0),) * 3
    box = tuple(slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*boxes))
    share = np.prod([(s.stop - s.start) / n for s, n in zip(box, state.grid.shape)])
    return box if share < _WORTHWHILE else None


def fresh_seeds(present: PresentLabels, strokes: RoundInput, seeds: Seeds, doubt: Doubt) -> np.ndarray:
    """(N,) bool, seeds whose effect the user has not seen yet; all when there is nothing new.

    Around the others the user has seen the last answer and drawn nothing: there it stays. Decoding around all strokes
    again moved borders nobody complained about and was not more accurate. A class that the network does not know, or
    that is missing from its answer, is at first what all its strokes together make of it: once it is touched, all of
    it is fresh (hippocampus with a missing class, five rounds: Dice .876 instead of .845). Later it is settled as
    others are (a new kidney on the full CT, five rounds: .945 instead of .918, and nothing of its neighbors taken).

    Args:
        doubt: of the untuned network.
    """
    seen = present.labels[tuple(seeds.voxels.T)] == seeds.labels
    seen[: len(strokes)] &= present.called.knows(strokes.voxels, present.labels.shape)
    new = ~seen[: len(strokes)]
    touched = np.union1d(strokes.wanted[new], strokes.called[new])
    for label in touched.tolist():
        if doubt.knows(label):
            continue
        about = (strokes.wanted == label) | (strokes.called == label)
        if np.mean(~new[about]) <= SETTLED:
            seen[seeds.labels == label] = False
            seen[: len(strokes)][strokes.called == label] = False
    return ~seen if not seen.all() else np.ones(len(seen), dtype=bool)
