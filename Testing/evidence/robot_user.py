"""The robot user of the evidence: strokes, points or boxes in the largest errors that are left.

As in the paper's experiments a program stands in for the expert. It knows the truth, marks errors only, and what it
says is always true. Every method is corrected on its own errors.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.metrics import dice_per_class
from InteractiveRefineLib.prompts import Box, Point
from InteractiveRefineLib.robot import ErrorPart, Stroke, blob_in, error_parts, in_image, largest_blob, peeled
from InteractiveRefineLib.skeleton import middle_stroke, thickest_point
from Testing.evidence.boxes import box_around, largest_rectangle
from Testing.evidence.case import Case

KINDS = ("stroke", "point", "box")
#: Errors with fewer voxels are left alone, as in `InteractiveRefineLib.robot`.
MIN_VOXELS = 5
#: Another seed takes one of this many times the errors that it may mark, the larger the likelier.
POOL = 3
#: Another seed may take any slice that shows at least this share of what the best slice shows of the error.
GOOD_SLICE = 0.8
#: Axes whose voxels are longer than this many times the shortest do not count for what is ambiguous: the next slice
#: of a scan with thick slices is another place.
THICK = 2.0


@dataclass(frozen=True, eq=False)
class Asked:
    """What the robot said in one round.

    Attributes:
        map: (K, J, I) int16, -1 where nothing was said, else the label asked for, 0 = background. Of a point its
            voxel, of a box the voxels that are certainly of its class.
        strokes: one by one, in the order they were made; points and boxes too, by their voxels in `map`.
        points, boxes: the same as prompts of the product; empty for strokes.
        painted: (K, J, I) int16, like `map`, but only what is not said by `points` and `boxes`.
        skipped: labels whose errors lie nowhere but where the truth is ambiguous (`RobotUser.erode`).
    """

    map: np.ndarray
    strokes: list[Stroke]
    painted: np.ndarray
    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    skipped: tuple[int, ...] = ()


@dataclass(frozen=True)
class RobotUser:
    """A user who knows the truth and is asked to correct what is wrong.

    Attributes:
        kind: "stroke": along the middle of the error. "point": one voxel where the error is thickest. "box": the
            product's box around a whole structure where most of it is missing and what such a box says is true;
            elsewhere a filled rectangle inside the error, in one slice.
        length: voxels of a stroke, or of a rectangle's side, at most; None = the case's.
        classes_per_round: "all" = every class is corrected in every round; "one" = only the class with the lowest
            Dice, in the largest of its missed and false parts.
        erode: never marks voxels whose truth is ambiguous, that is, within one voxel of a border between classes.
        seed: 0 = always the largest error, along its middle; others vary which error, which slice, where and how
            long, the same way every time.

    Raises:
        InputError: a value that is none of these.
    """

    kind: str = "stroke"
    length: int | None = None
    classes_per_round: str = "all"
    erode: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}.")
        if self.classes_per_round not in ("all", "one"):
            raise InputError(f'classes_per_round must be "all" or "one", not {self.classes_per_round!r}.')
        if self.length is not None and self.length < 1:
            raise InputError(f"length must be at least one voxel, not {self.length}.")

    @property
    def key(self) -> str:
        """A name for files, different for robots that draw differently: "stroke", "stroke-25-one-eroded-seed3"."""
        parts = [
            self.kind,
            "" if self.length is None else str(self.length),
            "one" if self.classes_per_round == "one" else "",
            "eroded" if self.erode else "",
            f"seed{self.seed}" if self.seed else "",
        ]
        return "-".join(part for part in parts if part)

    def draw(self, case: Case, labels: np.ndarray, number: int) -> Asked:
        """What it says in round `number` (from 1) about labels (K, J, I); nothing where nothing is left to correct."""
        if labels.shape != case.truth.shape:
            raise InputError(f"The labels have shape {labels.shape}, the truth has {case.truth.shape}.")
        # Every round and every case has its own dice; without a seed there are none.
        dice = np.random.default_rng((self.seed, zlib.crc32(case.spot.key.encode()), number)) if self.seed else None
        parts, skipped = self._parts(case, labels, dice)
        page = _Page(case, labels)
        axes = (0,) if case.style == "organ" else (0, 1, 2)
        for part in parts:
            if self.kind == "box" and page.structure(part):
                continue
            axis, index, blob = _slice_of(part, axes, dice)
            page.paint(in_image(part, axis, index, self._pixels(case, blob, dice)), point=self.kind == "point")
        return replace(page.asked(), skipped=skipped)

    def _pixels(self, case: Case, blob: np.ndarray, dice: np.random.Generator | None) -> np.ndarray:
        """Pixels (N, 2) of the mark in a 2-D blob."""
        if self.kind == "point":
            return np.array([thickest_point(blob)])
        length = self.length or case.stroke_length
        if dice is not None:
            length = max(1, round(length * dice.uniform(0.7, 1.0)))
        if self.kind == "box":
            return largest_rectangle(blob, length)
        pixels = middle_stroke(blob, length)
        return pixels if dice is None else _beside(pixels, blob, dice)

    def _parts(
        self, case: Case, labels: np.ndarray, dice: np.random.Generator | None
    ) -> tuple[list[ErrorPart], tuple[int, ...]]:
        """The errors to be marked in this round, and the labels that are given up as ambiguous."""
        clear = ~ambiguous(case.truth, case.spacing) if self.erode else None
        if case.style == "organ":
            groups = {label: _missed_and_false(case, labels, label, 1) for label in case.scored}
            count = case.strokes_per_round
        elif self.classes_per_round == "one":
            dice_now = dice_per_class(case.truth, labels, case.scored)
            worst_first = sorted(case.scored, key=lambda label: np.nan_to_num(dice_now[label], nan=1.0))
            groups = {label: _missed_and_false(case, labels, label, 0) for label in worst_first}
            count = 1
        else:
            wrong = case.truth != labels
            groups = {label: [wrong & (case.truth == label)] for label in (*case.scored, 0)}
            count = 1
        found, skipped = [], []
        for label, masks in groups.items():
            parts = _largest_first(masks if clear is None else [mask & clear for mask in masks])
            if parts:
                found += _chosen(parts, count, dice)
                if self.classes_per_round == "one":
                    break
            elif clear is not None and _largest_first(masks):
                skipped.append(label)
        return found, tuple(skipped)


def ambiguous(truth: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """(K, J, I) bool: voxels that touch one of another true label, by a face, an edge or a corner.

    Args:
        spacing: of the voxels in mm along K, J, I; an axis with far longer voxels does not count (see `THICK`).
    """
    size = [1 if step > THICK * min(spacing) else 3 for step in spacing]
    if truth.shape[0] == 1:
        size[0] = 1
    return ndimage.maximum_filter(truth, size, mode="nearest") != ndimage.minimum_filter(truth, size, mode="nearest")


def _missed_and_false(case: Case, labels: np.ndarray, label: int, rim: int) -> list[np.ndarray]:
    """Where a class is missing and where it is falsely, each without a rim of some voxels in every axial slice."""
    true, called = case.truth == label, labels == label
    return [peeled(true & ~called, rim), peeled(called & ~true, rim)]


def _largest_first(masks: list[np.ndarray]) -> list[ErrorPart]:
    """All parts of some masks; at equal size those of the first mask come first."""
    return sorted((part for mask in masks for part in error_parts(mask, MIN_VOXELS)), key=lambda part: -part.size)


def _chosen(parts: list[ErrorPart], count: int, dice: np.random.Generator | None) -> list[ErrorPart]:
    if dice is None:
        return parts[:count]
    pool = parts[: POOL * count]
    sizes = np.array([part.size for part in pool], dtype=float)
    taken = dice.choice(len(pool), min(count, len(pool)), replace=False, p=sizes / sizes.sum())
    return [pool[n] for n in taken]


def _slice_of(part: ErrorPart, axes: tuple[int, ...], dice: np.random.Generator | None) -> tuple[int, int, np.ndarray]:
    """As `blob_in`; with dice one of the slices that show nearly as much."""
    axis, index, blob = blob_in(part, axes)
    if dice is not None:
        shown = part.mask.sum(axis=tuple(a for a in range(3) if a != axis))
        index = int(dice.choice(np.flatnonzero(shown >= GOOD_SLICE * shown.max())))
        blob = largest_blob(part.mask.take(index, axis=axis))
    return axis, index, blob


def _beside(pixels: np.ndarray, blob: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """The stroke moved by a pixel at most, as far as it stays in the blob; unmoved where it would lose half."""
    moved = pixels + dice.integers(-1, 2, size=2)
    inside = ((moved >= 0) & (moved < blob.shape)).all(axis=1)
    moved = moved[inside]
    moved = moved[blob[tuple(moved.T)]]
    return moved if 2 * len(moved) >= len(pixels) else pixels


@dataclass
class _Page:
    """What is being said in this round."""

    case: Case
    labels: np.ndarray
    strokes: list[Stroke] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.map = np.full(self.case.truth.shape, -1, dtype=np.int16)
        self.painted = self.map.copy()

    def paint(self, kji: np.ndarray, point: bool) -> None:
        """Voxels (N, 3), each with its true label: one stroke for each label among them."""
        truth = self.case.truth[tuple(kji.T)]
        for label in np.unique(truth):
            mine = kji[truth == label]
            self.strokes.append(Stroke(mine, int(label)))
            self.map[tuple(mine.T)] = label
            if point:
                ras = self.case.image.geometry.to_ras(mine)[0]
                self.points.append(Point(tuple(float(x) for x in ras), int(label)))
            else:
                self.painted[tuple(mine.T)] = label

    def structure(self, part: ErrorPart) -> bool:
        """Say with a box where the whole structure lies to which the error belongs, if a box can say it."""
        found = box_around(self.case, self.labels, part)
        if found is None:
            return False
        box, core = found
        self.boxes.append(box)
        self.strokes.append(Stroke(core, box.label))
        self.map[tuple(core.T)] = box.label
        return True

    def asked(self) -> Asked:
        """All of it."""
        return Asked(self.map, self.strokes, self.painted, tuple(self.points), tuple(self.boxes))
