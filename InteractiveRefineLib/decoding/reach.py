"""How far a class may follow the tuned network: near its strokes only, or through its whole structure."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

#: Lead, relative to the background's, at which a voxel's doubt has fallen to exp(-1/2).
VOXEL_DOUBT = 0.3
#: How much farther than usual the strokes of a class act that is missing from the network's answer.
MISSING_STRETCH = 0.8
#: The same for "not this class" strokes: they say little about what is there instead.
GUESSED_STRETCH = 0.7
#: Doubt from which a class counts as more and more missing. Below it (shifted intensities: 0.62) longer lengths hurt.
_ALMOST_MISSING = 0.8
#: Trust below it changes nothing.
NO_TRUST = 0.01
#: Of how many classes the trust is remembered.
_KEPT_CLASSES = 4
#: Logits that are read together: they fit the processor's cache.
_PIECE = 1 << 17


@dataclass(frozen=True, eq=False)
class Reach:
    """The decision for one class.

    Attributes:
        label: of the class.
        trust: (*grid shape) float32 weight of the tuned network far from the strokes, 0 (keep) to 1 (believe it);
            nonzero only in the tuned network's region of the class that holds strokes.
    """

    label: int
    trust: np.ndarray

    @property
    def name(self) -> str:
        """The nearer of the two words a user can choose: "whole" where most of the region is believed."""
        region = self.trust > 0
        return "whole" if region.any() and float(np.median(self.trust[region])) >= 0.5 else "local"


class Doubt:
    """How little the untuned network knows a class on this image, as a whole and voxel by voxel.

    Everything is relative to the median lead (winner over second, in logits) in the background, so that a network's
    own scale of logits cancels. Two things must come together before a stroke is believed far away:

    * the class as a whole is in doubt: (1 - m_c / m_0)^2, m_c the median lead among the voxels called c; 0.09 for the
      liver of the real CT, 0.62 with shifted intensities, 1 with its output row missing;
    * the voxel is in doubt about this class: exp(-(r / 0.3)^2 / 2), r the lead of the winner over c. On the real CT,
      far changes to liver were right at small leads (median 2 of 15) and wrong at large ones (median 6).

    Args:
        initial: (C, *grid shape) initial class logits.
        labels: (*grid shape) the likeliest class.
    """

    def __init__(self, initial: torch.Tensor, labels: np.ndarray) -> None:
        self._initial = initial
        self._largest, lead = largest_and_lead(initial)
        lead = lead.flatten()
        # Sorted once by class: a mask for each of many classes would read everything each time.
        by_class = np.argsort(labels.astype(np.uint16), axis=None, kind="stable")
        order = torch.as_tensor(by_class, device=initial.device)
        counts = np.bincount(labels.reshape(-1), minlength=initial.shape[0]).tolist()
        medians = [float(m.median()) if m.numel() else 0.0 for m in lead[order].split(counts)]
        self.reference = medians[0] if medians[0] > 0 else max(max(medians), 1e-6)
        #: per label, 0 (the network is certain) to 1 (in the dark, or the class is absent)
        self.of_class = [float(np.clip(1 - m / self.reference, 0, 1) ** 2) for m in medians]
        self._trusted: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def knows(self, label: int) -> bool:
        """True when the network finds this class in the image, rightly or not."""
        return label < len(self.of_class) and self.of_class[label] <= _ALMOST_MISSING

    def stretch(self, labels: np.ndarray, guessed: np.ndarray) -> np.ndarray:
        """How much farther than usual each stroke voxel acts, (N,).

        Args:
            labels: (N,) wanted labels; those without logits count as usual.
            guessed: (N,) bool, "not this class" strokes.
        """
        missing = [max(0.0, d - _ALMOST_MISSING) / (1 - _ALMOST_MISSING) for d in self.of_class]
        table = np.ones(max(len(missing), int(labels.max(initial=0)) + 1))
        table[: len(missing)] += MISSING_STRETCH * np.array(missing)
        return np.where(guessed, GUESSED_STRETCH, table[labels])

    def may_be_trusted(self, label: int) -> np.ndarray:
        """(*grid shape) bool, where a class may be trusted far from its strokes, whatever the tuned network says."""
        where = np.zeros(self._largest.shape, dtype=bool)
        where.reshape(-1)[self.trust(label)[0]] = True
        return where

    def trust(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Where a class may be trusted far from its strokes, and how much: flat indices (N,) into the grid, ascending,
        and weights (N,) float32. Kept for the last few classes: strokes of one class come round after round.
        """
        if label not in self._trusted:
            weight = self.of_voxels(label).reshape(-1)
            weight *= np.float32(self.of_class[label])
            where = np.flatnonzero(weight > NO_TRUST)
            while len(self._trusted) >= _KEPT_CLASSES:
                del self._trusted[next(iter(self._trusted))]
            self._trusted[label] = where, weight[where]
        return self._trusted[label]

    def of_voxels(self, label: int) -> np.ndarray:
        """(*grid shape) float32, 1 where the network is undecided about `label`, 0 where it is certain."""
        lead = (self._largest - self._initial[label]).div_(self.reference).div_(VOXEL_DOUBT)
        return lead.square_().mul_(-0.5).exp_().cpu().numpy()


def largest_and_lead(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest of (C, *shape) along the first axis, and by how much it leads the second largest; both (*shape).

    Several times faster on the CPU than topk: the classes of few voxels at a time are brought behind one another.
    """
    rows = logits.movedim(0, -1).reshape(-1, logits.shape[0])
    largest, lead = rows.new_empty(len(rows)), rows.new_empty(len(rows))
    size = len(rows) if rows.is_cuda else max(1, _PIECE // rows.shape[1])
    for piece, first, ahead in zip(rows.split(size), largest.split(size), lead.split(size)):
        classes = piece.T.contiguous()
        first.copy_(classes[0])
        second = torch.full_like(first, -torch.inf)
        for one in classes[1:]:
            torch.maximum(second, torch.minimum(first, one), out=second)
            torch.maximum(first, one, out=first)
        torch.sub(first, second, out=ahead)
    return largest.view(logits.shape[1:]), lead.view(logits.shape[1:])


def may_follow_far(label: int, choice: str, doubt: Doubt, belief: float = 1.0) -> bool:
    """False where a class cannot be trusted far from its strokes, whatever the tuned network says."""
    known = label < len(doubt.of_class)
    return known and (choice == "whole" or (choice == "automatic" and belief > 0 and doubt.of_class[label] > NO_TRUST))


def decide_reach(
    tuned: np.ndarray, label: int, stroke_voxels: np.ndarray, choice: str, doubt: Doubt, belief: float = 1.0
) -> Reach:
    """Decide for one class.

    Args:
        tuned: (*grid shape) labels by the tuned network.
        label: of the class.
        stroke_voxels: (N, 3) integer grid voxels of the class's strokes.
        choice: "automatic" (as far as the network's doubt goes), "local" or "whole".
        doubt: of the untuned network.
        belief: in the tuned network, see `weight.belief_in`; only of "automatic".
    """
    if not may_follow_far(label, choice, doubt, belief):
        return Reach(label, np.zeros(tuned.shape, dtype=np.float32))
    parts, count = ndimage.label(tuned == label)
    touched = np.zeros(count + 1, dtype=bool)
    touched[parts[tuple(stroke_voxels.T)]] = True
    touched[0] = False
    if choice == "whole":
        return Reach(label, touched[parts].astype(np.float32))
    region = np.zeros(tuned.shape, dtype=np.float32)
    where, trust = doubt.trust(label)
    region.reshape(-1)[where] = np.where(touched[parts.reshape(-1)[where]], np.float32(belief) * trust, np.float32(0))
    return Reach(label, region)


def decide_reaches(
    tuned: np.ndarray,
    present: np.ndarray,
    wanted: np.ndarray,
    stroke_voxels: np.ndarray,
    choice: str,
    doubt: Doubt,
    belief: float = 1.0,
) -> list[Reach]:
    """One decision per known class that strokes name; background has no structure that could be missing.

    Far from its strokes no class takes what another one has that the user stroked, too: a weak network, in doubt about
    all of them, would give one organ to its neighbor. (MR of the abdomen, two rounds: left kidney .57 -> .13, now .76.)

    Args:
        tuned: (*grid shape) labels by the tuned network.
        present: (*grid shape) present labels.
        wanted: (N,) labels that strokes name.
        stroke_voxels: (N, 3) integer grid voxels of these strokes.
        choice, belief: see `decide_reach`.
        doubt: of the untuned network.
    """
    known = [label for label in np.unique(wanted).tolist() if 0 < label < len(doubt.of_class)]
    reaches = [decide_reach(tuned, label, stroke_voxels[wanted == label], choice, doubt, belief) for label in known]
    if choice == "automatic" and len(known) > 1:
        for reach in reaches:
            reach.trust[np.isin(present, [label for label in known if label != reach.label])] = 0
    return reaches


def joint_trust(reaches: list[Reach]) -> np.ndarray | None:
    """(*grid shape) the largest trust of all classes, None where none is trusted far from its strokes."""
    trust = functools.reduce(np.maximum, [reach.trust for reach in reaches]) if reaches else None
    return trust if trust is not None and trust.any() else None
