"""Let outlines of structures that the user corrected follow the edges in the image, where these can be trusted."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from ..decoding.accept import fresh_strokes, pairs_of_round, touched_labels
from ..geometry import box_of, extent_mm, padded_box
from ..orientation import contiguous
from ..progress import ShouldCancel, never_cancel
from ..resolution import is_any_of
from ..scratch.at_voxels import labels_at_voxels
from ..scratch.channels import channel_weights
from ..scratch.look import equalized_at_nodes
from ..scratch.walk import walked
from ..scratch.working_grid import at_nodes, marked_nodes, node_spacing, nodes_of, working_grid
from .pull import pull_of_structure, stiffer_far_away
from .sides import BAND, band_mm, cores, nearest_structure

if TYPE_CHECKING:
    from ..image_state import ImageFrame
    from ..present import PresentLabels
    from ..round_input import RoundInput

#: Nodes of the grid at most.
MOST_NODES = 500_000
#: Around strokes of other classes the inside of a structure may change, too: so far, as a part of the image's extent;
#: farther where the network could not be taught, for what it calls an inside is less sure. (.2 left small structures
#: without any core: one of a brain tumor fell from .47 to .28, which now rises. Abdomen MR .916, .912, with .08 .889.)
LEASH, LEASH_UNTAUGHT = 0.08, 0.12
#: How sharply differences of intensity stop the walk.
BETA = 10.0


class Outlines:
    """What does not change between rounds, computed once per image: intensities on a grid of bounded size.

    Args:
        frame: the image.
        device: to compute on.
    """

    def __init__(self, frame: ImageFrame, device: torch.device) -> None:
        self._frame, self._device = frame, device
        self._grid = working_grid(frame.shape, frame.spacing, MOST_NODES)
        self._spacing = node_spacing(self._grid, frame.spacing)
        self._extent = extent_mm(self._grid.shape, self._spacing)

    @cached_property
    def _intensities(self) -> np.ndarray:
        """(C, *grid) equalized; made when the first outline is looked at, for most rounds need none."""
        return equalized_at_nodes(self._frame, self._grid, self._device)

    def followed(
        self,
        labels: np.ndarray,
        network: np.ndarray,
        present: PresentLabels,
        strokes: RoundInput,
        locked: Collection[int] = (),
        seed: int = 0,
        should_cancel: ShouldCancel = never_cancel,
        belief: float = 1.0,
    ) -> np.ndarray:
        """New labels (*frame shape): beside outlines, a walker from the inside of both sides and the strokes decides.

        Only structures that this round's strokes are about and only changes that some stroke shows; what was edited by
        hand stays. See `pull_of_structure` for which outlines are loose enough.

        Args:
            labels: (*frame shape) as the round decoded them.
            network: (*frame shape) the network's own labels.
            present: before the round.
            strokes: of all rounds so far.
            locked: labels that neither gain nor lose a voxel.
            seed: of samples.
            belief: in the network as far as it was tuned, see `weight.belief_in`: less makes outlines looser.

        Raises:
            Cancelled.
        """
        fresh = fresh_strokes(present, strokes)
        pairs = pairs_of_round(strokes, touched_labels(strokes, fresh, locked))
        nodes, was = at_nodes(labels, self._grid), at_nodes(network, self._grid)
        structures = sorted({label for pair in pairs for label in pair} - {0})
        walking = np.array([0, *structures], dtype=np.int64)
        pulls = np.array([np.nan, *(self._pull(nodes == label, was == label, seed, belief) for label in structures)])
        if np.isnan(pulls).all():
            return labels
        # The walk is between these structures and the rest, whatever it is called.
        rows_of = np.zeros(1 + max(int(a.max()) for a in (labels, strokes.wanted, strokes.called)), dtype=np.int64)
        rows_of[walking] = np.arange(len(walking))
        marked, classes = marked_nodes(self._grid, strokes.voxels, rows_of[strokes.wanted], len(walking), fresh)
        given = np.full(self._grid.shape, -1, dtype=np.int64)
        given.reshape(-1)[marked] = classes

        leash = float(np.interp(belief, (0, 1), (LEASH_UNTAUGHT, LEASH))) * self._extent
        margin = leash + (BAND + 2) * max(self._spacing)
        box = padded_box(box_of(is_any_of(nodes, walking[~np.isnan(pulls)])), margin, self._spacing, self._grid.shape)
        rows, given = rows_of[nodes[box]], given[box]
        by_hand = present.manual & (labels == present.labels)
        pull = pulls[nearest_structure(rows, self._spacing)]
        held = (given >= 0) | self._around(by_hand)[box] | np.isnan(pull)
        # What takes part is free also where no stroke shows that it may change: fixed to what may be wrong, it would
        # wear away what is right beside it.
        held |= ~is_any_of(nodes[box], {label for pair in pairs for label in pair})
        held |= cores(rows, given, self._spacing, leash)
        if held.all():
            return labels
        pull = stiffer_far_away(np.nan_to_num(pull), given >= 0, self._spacing, self._extent, belief)
        weights = channel_weights(self._intensities.reshape(len(self._intensities), -1), marked, classes)
        prior = F.one_hot(self._put(np.where(given >= 0, given, rows)), len(walking)).movedim(-1, 0).float()
        solved = walked(
            self._put(self._intensities[(slice(None), *box)]), self._spacing, prior, self._put(held),
            self._put(pull), self._put(weights.astype(np.float32)), should_cancel, BETA,
        )  # fmt: skip
        changed = np.zeros(self._grid.shape, dtype=bool)
        changed[box] = solved.argmax(dim=0).cpu().numpy() != rows
        everywhere = F.one_hot(self._put(rows_of[nodes]), len(walking)).movedim(-1, 0).float()
        everywhere[(slice(None), *box)] = solved
        out = labels_at_voxels(everywhere, self._grid, labels, walking, rows_of, pairs, box, changed, should_cancel)
        np.copyto(out, labels, where=by_hand)
        return out

    def _around(self, by_hand: np.ndarray) -> np.ndarray:
        """(*grid) bool, nodes of (*frame shape) voxels that were edited by hand, and the band beside them: whoever
        edits by hand draws an outline, too."""
        away = np.ones(self._grid.shape, dtype=bool)
        voxels = np.flatnonzero(by_hand)  # much faster than nonzero of three axes
        if not len(voxels):
            return ~away
        away[tuple(nodes_of(self._grid, np.stack(np.unravel_index(voxels, by_hand.shape), axis=1)).T)] = False
        return ndimage.distance_transform_edt(away, sampling=self._spacing) <= band_mm(away.shape, self._spacing)

    def _pull(self, now: np.ndarray, before: np.ndarray, seed: int, belief: float) -> float:
        """NaN where the outline stays."""
        if not now.any():
            return np.nan
        found = pull_of_structure(lambda: self._intensities, now, before, self._spacing, seed, belief)
        return np.nan if found is None else found

    def _put(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(contiguous(array), device=self._device)
