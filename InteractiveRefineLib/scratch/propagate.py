"""One round without a network: strokes in, labels of the whole image out."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from ..backbone.grid import NetworkGrid, most_likely
from ..decoding.accept import fresh_strokes, pairs_of_round, seen_share, touched_labels
from ..geometry import box_of, extent_mm
from ..progress import Progress, ShouldCancel, never_cancel, no_progress
from ..resolution import is_any_of
from .at_voxels import labels_at_voxels
from .choose import TRIAL_NODES, best_factor
from .head import StrokeHead
from .look import Look
from .walk import pull_of, walked, without_loose_parts
from .working_grid import MOST_NODES, at_nodes, nodes_of

if TYPE_CHECKING:
    from ..image_state import ImageFrame
    from ..present import PresentLabels
    from ..round_input import RoundInput

#: Length over which the walk believes strokes more than what it is pulled to, as a part of the image's extent: with
#: the first strokes, and by how much it shrinks as more of them were seen.
LENGTH, SHRINKS = 0.5, 0.47
#: Until more than this part of a structure's strokes was seen, walks over the length times each of these are averaged:
#: contrast may carry a stroke through a large organ or across a small one's border, and two answers err less than
#: either. (Tuning half, three ways to draw the strokes, Dice after round 1 with 1, with 2, and with both: abdomen CT
#: .536 .811 .723, abdomen MR .735 .867 .824, hippocampus .661 .627 .703, brain tumors .587 .824 .702; 2 alone loses up
#: to .1 in the second round. With .6, one walk in the third round, brain tumors drawn in two more ways end at .805
#: instead of .929.)
AVERAGED, TIMES = 0.7, (1.0, 2.0)
#: Distance from fresh strokes from which on present labels count nearly in full, as a part of the image's extent.
#: (Tuning half, Dice after five rounds with .15 and .08: abdomen MR .856 and .886, CT .901 and .908, hippocampus .842
#: and .847, brain tumors .915 and .924; .05 and .11 lie between.)
FRESH_LENGTH = 0.08
#: Pull to a label that the user or another program decided, far from fresh strokes.
HOLD = 1.0
#: Examples of a class taken from what the user or another program decided, at most.
MOST_DECIDED = 200


class StrokePropagation:
    """What does not change between rounds, computed once per image: features of all nodes of the working grid.

    Args:
        frame: the image.
        device: to compute on.
    """

    def __init__(self, frame: ImageFrame, device: torch.device) -> None:
        self._device = device
        self._look, self._coarse = (Look(frame, device, most) for most in (MOST_NODES, TRIAL_NODES))

    def labels(
        self,
        present: PresentLabels,
        strokes: RoundInput,
        locked: Collection[int] = (),
        seed: int = 0,
        progress: Progress = no_progress,
        should_cancel: ShouldCancel = never_cancel,
        *,
        cautious: bool = False,
    ) -> np.ndarray:
        """Labels (*frame shape) after this round; strokes are not yet painted.

        What no stroke of this round is about keeps every voxel: classes that are neither drawn in it nor were drawn
        upon. So do locked classes, and pairs of classes that no stroke shows.

        Args:
            present: labels before, and who decided them.
            strokes: of all rounds so far.
            locked: labels that neither gain nor lose a voxel.
            seed: of the sample of voxels without strokes.
            cautious: nowhere farther than the shortest walk goes.

        Raises:
            Cancelled.
        """
        progress(0, 2, "Learning from the strokes")
        look = self._look
        round_ = _Round(present, strokes, locked, look.grid)
        if not round_.pairs:
            return present.labels.copy()
        n_classes, drawn = len(round_.walking), round_.drawn()
        look = look.listening_to(*drawn)
        marked, classes = look.marked(*drawn, n_classes, round_.fresh)
        prior = self._head(look, round_, marked, classes, seed, should_cancel)
        progress(1, 2, "Following the strokes")
        length = LENGTH - SHRINKS * round_.seen**2
        length *= best_factor(self._coarse, *drawn, n_classes, length, seed, should_cancel)
        away = round_.away(look.spacing)
        hold = self._on_device(HOLD * away * round_.decided)
        at_present = F.one_hot(self._on_device(round_.rows[round_.present]), n_classes).movedim(-1, 0).float()
        # What the user has seen and not complained about is worth more than what the head says. (Tuning half, three
        # ways to draw, Dice after rounds 2 to 5 with the square of what was seen, with all of it, and so: mean of four
        # data sets .763 .843 .873 .890, .772 .845 .875 .889, .778 .846 .877 .887; the largest fall between two rounds
        # .40, .34, .33; the square's errors far away were twice as large on the MR.)
        share = self._on_device(np.where(round_.decided, away, round_.seen**0.5 * away).astype(np.float32))
        prior = torch.lerp(prior, at_present, share)
        given = np.where(round_.blocked, 0, -1)
        given.reshape(-1)[marked] = classes
        fixed = self._on_device(given >= 0)
        prior[:, fixed] = F.one_hot(self._on_device(given[given >= 0]), n_classes).T.float()
        times = TIMES if round_.seen <= AVERAGED and not cautious else (1.0,)
        solved = self._walked(look, [length * each for each in times], prior, fixed, hold, should_cancel)
        sure = np.where(round_.decided, round_.rows[round_.present], 0)
        sure.reshape(-1)[marked] = classes
        solved = without_loose_parts(solved, sure)
        return self._at_image(solved, round_, present.labels, should_cancel)

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, device=self._device)

    def _head(
        self,
        look: Look,
        round_: _Round,
        marked: np.ndarray,
        classes: np.ndarray,
        seed: int,
        should_cancel: ShouldCancel,
    ) -> torch.Tensor:
        """(classes, *grid) what the head says."""
        unmarked = np.flatnonzero((round_.rows[round_.present] == 0) & ~round_.blocked)
        unmarked = np.setdiff1d(unmarked, marked, assume_unique=True)
        examples, labels = round_.decided_nodes(marked, seed)
        head = StrokeHead.fit(
            look.points, np.concatenate([marked, examples]), np.concatenate([classes, labels]),
            len(round_.walking), unmarked, seed, should_cancel,
        )  # fmt: skip
        return head.probabilities(look.points, should_cancel).view(-1, *look.grid.shape)

    @staticmethod
    def _walked(
        look: Look,
        lengths: list[float],
        prior: torch.Tensor,
        fixed: torch.Tensor,
        hold: torch.Tensor,
        should_cancel: ShouldCancel,
    ) -> torch.Tensor:
        """(classes, *grid) mean of the walks over these lengths."""
        total = torch.zeros_like(prior)
        for length in lengths:
            pull = hold + pull_of(length, look.grid.shape, look.spacing)
            total += walked(look.intensities, look.spacing, prior, fixed, pull, look.channel_weights, should_cancel)
        return total / len(lengths)

    def _at_image(
        self, solved: torch.Tensor, round_: _Round, labels: np.ndarray, should_cancel: ShouldCancel
    ) -> np.ndarray:
        """Interpolate probabilities to the image's voxels and accept the changes that strokes show."""
        changing = (most_likely(solved) != 0).cpu().numpy() | (round_.rows[round_.present] != 0)
        region = box_of(changing)
        if region is None:
            return labels.copy()
        return labels_at_voxels(
            solved, self._look.grid, labels, round_.walking, round_.rows, round_.pairs, region,
            should_cancel=should_cancel,
        )  # fmt: skip


class _Round:
    """What the strokes of one round say, on the working grid.

    Attributes:
        walking: (W,) labels that take part, background first; all others are left alone.
        rows: (labels,) the row of every label among `walking`, 0 for those that are left alone.
        pairs: changes (from, to) that are allowed.
        fresh: (S,) bool, stroke voxels whose effect the user has not seen yet; all where there is nothing new.
        seen: 0 to 1, how far the rounds went: the part of its strokes that the newest object had before.
        present: (*grid) present labels.
        decided: (*grid) bool, where the user or another program decided that it is one of the walking classes.
        blocked: (*grid) bool, where a label stands that no stroke may change.
    """

    def __init__(self, present: PresentLabels, strokes: RoundInput, locked: Collection[int], grid: NetworkGrid) -> None:
        self._grid, self._strokes = grid, strokes
        self.fresh = fresh_strokes(present, strokes)
        touched = touched_labels(strokes, self.fresh, locked)
        self.pairs = pairs_of_round(strokes, touched)
        drawn = set(strokes.wanted.tolist())
        self.walking = np.array([0, *sorted((drawn & touched) - {0})], dtype=np.int64)
        highest = max(int(found.max()) for found in (present.labels, strokes.wanted, strokes.called))
        self.rows = np.zeros(highest + 1, dtype=np.int64)
        self.rows[self.walking] = np.arange(len(self.walking))
        self.seen = seen_share(strokes, self.fresh, touched)
        self.present = at_nodes(present.labels, grid)
        changing = {a for a, _ in self.pairs}
        self.blocked = ~is_any_of(self.present, changing | set(self.walking.tolist()))
        if 0 in locked:
            self.blocked |= self.present == 0
        self.decided = at_nodes(present.manual, grid) & (self.rows[self.present] != 0) & ~self.blocked

    def drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """Image voxels (S, 3) of all strokes, and the row among `walking` of each."""
        return self._strokes.voxels, self.rows[self._strokes.wanted]

    def decided_nodes(self, marked: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """A sample of nodes that the user or another program decided, and their rows: examples like strokes."""
        random = np.random.default_rng(seed)
        nodes, labels = [], []
        decided = self.decided.copy()
        decided.reshape(-1)[marked] = False
        for row, label in enumerate(self.walking.tolist()):
            found = np.flatnonzero(decided & (self.present == label)) if row else np.empty(0, np.int64)
            found = random.choice(found, MOST_DECIDED, replace=False) if len(found) > MOST_DECIDED else found
            nodes.append(found)
            labels.append(np.full(len(found), row))
        return np.concatenate(nodes), np.concatenate(labels)

    def away(self, spacing: tuple[float, float, float]) -> np.ndarray:
        """(*grid) float32, 0 at fresh strokes to 1 far from them."""
        elsewhere = np.ones(self._grid.shape, dtype=bool)
        elsewhere[tuple(nodes_of(self._grid, self._strokes.voxels[self.fresh]).T)] = False
        distance = ndimage.distance_transform_edt(elsewhere, sampling=spacing)
        relative = distance / (FRESH_LENGTH * extent_mm(self._grid.shape, spacing))
        return (1 - np.exp(-0.5 * relative**2)).astype(np.float32)
