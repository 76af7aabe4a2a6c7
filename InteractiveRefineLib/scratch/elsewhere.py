"""Recognize that a network's answer lies elsewhere altogether than what the user marks: then strokes alone decide."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..metrics import dice
from ..present import PresentLabels
from ..progress import ShouldCancel, never_cancel

if TYPE_CHECKING:
    from ..image_state import NetworkState
    from ..round_input import RoundInput

#: How far the wanted class lies behind the winner at half of a class's strokes, relative to the background's own lead.
CONTRADICTED = 0.6
#: Dice of what the strokes alone make of the drawn structures, all together, with what the network calls so, from which
#: both mean the same place. Inverted scans: .001; the next case, a weak network with its first strokes: .145.
SAME_PLACE = 0.02
#: What the strokes make must be at least this part of the network's structures in size to show another place: three
#: points a class make a speck, of which Dice is small wherever it lies (hippocampus, points: .79 -> .03 in one round).
LARGE_ENOUGH = 0.05
#: Only so many rounds decide; each that might costs as much as a round by strokes alone.
DECIDING_ROUNDS = 3
#: So many voxels of every class must contradict the network: a few points do not show where a structure is.
FEWEST = 8
SENTENCE = (
    "What the network found lies elsewhere altogether than what you marked, so it is not used here: "
    "the strokes alone decide. If that is wrong, draw one stroke in a structure where the network found it."
)


def network_is_elsewhere(
    state: NetworkState, strokes: RoundInput, n_known: int, seed: int, should_cancel: ShouldCancel = never_cancel
) -> bool:
    """True where strokes contradict the network firmly, and what they find by themselves lies where it found nothing.

    A scan of another kind (inverted intensities, another sequence) makes a network find its structures confidently in
    the wrong place. Tuning cannot mend that, and holding on to it keeps what is wrong: five rounds on inverted
    hippocampus crops reached Dice .29 and .32. Two things must come together, for background and for every known class
    that is drawn: where the user contradicted the network it was sure of itself, which happens in ordinary errors too;
    and the strokes by themselves lead to another place, which does not. A single stroke in a structure where the
    network found it ends this. (Now .77 and .86; no other tuning case was switched.)

    What one of the first rounds decided stays: more strokes carry farther, in the end also to the network's place, and
    a network that comes and goes ruins what was reached. (Dice .013 in the second round, .022 in the third.)

    Args:
        strokes: of all rounds so far.
        n_known: labels below it are known to the network.
        seed: of the sample of voxels without strokes.

    Raises:
        Cancelled.
    """
    strokes = strokes.only(~strokes.guessed)  # "not this class" says nothing of where another one is
    agreed = _upon_network(state, strokes, n_known) & (strokes.wanted == strokes.called)
    if (strokes.wanted[agreed] > 0).any():
        return False
    rounds = islice(strokes.round_by_round(), DECIDING_ROUNDS)
    return any(_leads_elsewhere(state, until_then, n_known, seed, should_cancel) for until_then in rounds)


def _leads_elsewhere(
    state: NetworkState, strokes: RoundInput, n_known: int, seed: int, should_cancel: ShouldCancel
) -> bool:
    """The decision by these strokes."""
    classes = np.unique(strokes.wanted[strokes.wanted < n_known]).tolist()
    if len(classes) < 2 or classes[0] != 0 or not all(map(state.doubt.knows, classes)):
        return False  # a class that is missing altogether is not elsewhere: see `tuning.missing_class`
    contradicted = _upon_network(state, strokes, n_known) & (strokes.wanted != strokes.called)
    nodes = np.round(state.grid.positions(strokes.voxels)).astype(np.int64)
    logits = state.logits[(slice(None), *(torch.as_tensor(column, device=state.device) for column in nodes.T))]
    for label in classes:
        rows = torch.as_tensor(contradicted & (strokes.wanted == label), device=state.device)
        behind = (logits.amax(dim=0) - logits[label])[rows]
        if len(behind) < FEWEST or float(behind.median()) < CONTRADICTED * state.doubt.reference:
            return False
    nothing = PresentLabels(state.frame)
    nothing.settle(np.zeros(state.frame.shape, dtype=np.uint16))
    upon_nothing = replace(strokes, called=np.zeros_like(strokes.called))
    # Long walks reach the network's place, too, wherever it lies: on inverted scans Dice rose up to .065.
    alone = state.propagation.labels(nothing, upon_nothing, (), seed, should_cancel=should_cancel, cautious=True)
    by_strokes, by_network = np.isin(alone, classes[1:]), np.isin(state.labels, classes[1:])
    if np.count_nonzero(by_strokes) < LARGE_ENOUGH * np.count_nonzero(by_network):
        return False
    return dice(by_strokes, by_network) < SAME_PLACE


def _upon_network(state: NetworkState, strokes: RoundInput, n_known: int) -> np.ndarray:
    """(N,) bool, strokes for known classes where the network's own answer stood."""
    own = strokes.called == state.labels[tuple(strokes.voxels.T)]
    return own & (strokes.wanted < n_known)
