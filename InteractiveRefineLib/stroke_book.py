"""The user's strokes, gesture by gesture and round by round, as they are kept with a scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from .constraints import Constraints, distinct
from .errors import InputError
from .geometry import Geometry
from .resolution import Source

#: The target of a stroke that means "no structure": the empty segment ID.
BACKGROUND = ""

#: Label of a segment ID in the numbering of a session; None for a segment that does not exist any more.
LabelOf = Callable[[str], "int | None"]


class Kind(str, Enum):
    """What a stroke says about its voxels."""

    CLASS = "class"  #: they are the target
    NOT = "not"  #: they are not the target


@dataclass(frozen=True, eq=False)
class Stroke:
    """Voxels and what the user said about them. Never changes once made, so that states can share it.

    Attributes:
        indices: (N,) int64 flat indices (C order of K, J, I) of the image's voxels; sorted and made unique here.
        target: ID of a segment, or BACKGROUND.
        kind: CLASS or NOT (which needs a segment).
        source: STROKE, POINT or BOX of `resolution.Source`: how much it weighs against the others of its round.
        n_clipped: voxels of the input that lie outside the image, for the warning.

    Raises:
        InputError: "not background", or indices that are no list of whole numbers of 0 or more.
    """

    indices: np.ndarray
    target: str
    kind: Kind = Kind.CLASS
    source: Source = Source.STROKE
    n_clipped: int = 0

    def __post_init__(self) -> None:
        indices = np.asarray(self.indices)
        if indices.size == 0:
            indices = np.empty(0, dtype=np.int64)
        if indices.ndim != 1 or indices.dtype.kind not in "ui":
            raise InputError(f"A stroke's voxels are a list of flat indices, not {indices.dtype} {indices.shape}.")
        indices = distinct(indices)
        if len(indices) and indices[0] < 0:
            raise InputError(f"A stroke's voxels are flat indices of 0 or more, not {int(indices[0])}.")
        kind, source = Kind(self.kind), Source(self.source)
        if kind is Kind.NOT and self.target == BACKGROUND:
            raise InputError('"Not background" is not a stroke: draw the class that belongs there.')
        indices.setflags(write=False)
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "source", source)


#: What one movement of the mouse added; a box adds its core and its surroundings, so a gesture may hold two strokes.
Gesture = tuple[Stroke, ...]


@dataclass(frozen=True, eq=False)
class BookState:
    """The content of a book at one moment; cheap to keep, as all arrays are shared.

    Attributes:
        rounds: gestures of each round in the order of drawing; the last round is open and may be empty.
        called: flat indices (N,) int64 and, for each, a row of `called_names`: what stroked voxels were called when
            they were first refined.
        called_names: segment IDs (BACKGROUND for none).
    """

    rounds: tuple[tuple[Gesture, ...], ...] = ((),)
    called: tuple[np.ndarray, np.ndarray] = field(
        default_factory=lambda: (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32))
    )
    called_names: tuple[str, ...] = ()


class StrokeBook:
    """All strokes of one image; every state of it can be kept and brought back.

    Attributes:
        geometry: of the image that the indices refer to.
        state: the present content; assign a `BookState` to bring an earlier one back.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.state = BookState()

    @property
    def rounds(self) -> list[list[Stroke]]:
        """The strokes of every round that has some, the oldest first; the last may be the open one."""
        rounds = [[stroke for gesture in gestures for stroke in gesture] for gestures in self.state.rounds]
        return [strokes for strokes in rounds if strokes]

    @property
    def is_empty(self) -> bool:
        """True when there is no stroke at all."""
        return not self.rounds

    @property
    def has_open_strokes(self) -> bool:
        """True when something was drawn since the last round was closed: what Ctrl+Z takes back."""
        return bool(self.state.rounds[-1])

    def __iter__(self) -> Iterator[Stroke]:
        """All strokes, in the order of drawing."""
        return (stroke for strokes in self.rounds for stroke in strokes)

    def targets(self) -> list[str]:
        """Every target that some stroke names, BACKGROUND included, in the order of drawing."""
        return list(dict.fromkeys(stroke.target for stroke in self))

    def add(self, strokes: Stroke | Sequence[Stroke]) -> Gesture:
        """Add what one gesture drew to the open round; strokes without voxels and without clipped ones are left out.

        Returns:
            What was added, maybe nothing.

        Raises:
            InputError: voxels beyond the image.
        """
        gesture = (strokes,) if isinstance(strokes, Stroke) else tuple(strokes)
        size = int(np.prod(self.geometry.shape))
        for stroke in gesture:
            if len(stroke.indices) and stroke.indices[-1] >= size:
                raise InputError(
                    f"A stroke names voxel {int(stroke.indices[-1])}, but the image has {size} voxels "
                    f"({self.geometry.describe()}). The strokes belong to another image."
                )
        gesture = tuple(stroke for stroke in gesture if len(stroke.indices) or stroke.n_clipped)
        if gesture:
            *closed, opened = self.state.rounds
            self._set_rounds((*closed, (*opened, gesture)))
        return gesture

    def take_back(self) -> Gesture:
        """Forget the newest gesture of the open round and return it; empty when the open round has none."""
        *closed, opened = self.state.rounds
        if not opened:
            return ()
        self._set_rounds((*closed, opened[:-1]))
        return opened[-1]

    def close_round(self) -> None:
        """What is drawn from now on overrules what was drawn before. Nothing drawn: no new round."""
        if self.has_open_strokes:
            self._set_rounds((*self.state.rounds, ()))

    def clear(self) -> None:
        """Forget everything."""
        self.state = BookState()

    def forget_target(self, target: str) -> int:
        """Forget all strokes of a segment that is gone; returns how many there were."""
        before = sum(1 for _ in self)
        rounds = [
            tuple(kept for gesture in gestures if (kept := tuple(s for s in gesture if s.target != target)))
            for gestures in self.state.rounds
        ]
        closed = tuple(gestures for gestures in rounds[:-1] if gestures)
        self._set_rounds((*closed, rounds[-1]))
        return before - sum(1 for _ in self)

    def remember_called(self, indices: np.ndarray, targets: Sequence[str]) -> None:
        """Keep what stroked voxels were called when they were first refined.

        Args:
            indices: (N,) int64 flat voxel indices, each once.
            targets: (N,) segment IDs, BACKGROUND for none.
        """
        names = tuple(dict.fromkeys(targets))
        rows = {name: n for n, name in enumerate(names)}
        codes = np.fromiter((rows[t] for t in targets), dtype=np.int32, count=len(targets))
        indices = np.asarray(indices, dtype=np.int64)
        order = np.argsort(indices)
        called = (indices[order], codes[order])
        self.state = BookState(self.state.rounds, called, names)

    def called(self, label_of: LabelOf) -> tuple[np.ndarray, np.ndarray]:
        """What stroked voxels were called: flat indices (N,) int64 and labels (N,) int64, numbered by `label_of`.

        Voxels that were called by the name of a segment that is gone are left out.
        """
        indices, codes = self.state.called
        labels = np.array([_label(name, label_of) for name in self.state.called_names], dtype=np.float64)
        of_voxel = labels[codes] if len(codes) else np.empty(0)
        known = ~np.isnan(of_voxel)
        return indices[known], of_voxel[known].astype(np.int64)

    def to_constraints(self, label_of: LabelOf, locked: Iterable[int] = ()) -> tuple[Constraints, list[str]]:
        """The strokes as constraints of the library.

        Args:
            label_of: the label of a segment ID; None leaves its strokes out. Not asked for BACKGROUND, which is 0.
            locked: labels that must neither gain nor lose a voxel.

        Returns:
            The constraints, round by round, and a sentence for every segment that is gone.
        """
        constraints = Constraints(self.geometry, locked)
        gone: dict[str, int] = {}
        for strokes in self.rounds:
            constraints.next_round()
            for stroke in strokes:
                label = _label(stroke.target, label_of)
                if label is None:
                    gone[stroke.target] = gone.get(stroke.target, 0) + len(stroke.indices)
                    continue
                labels = np.full(len(stroke.indices), label)
                forbidden = stroke.kind is Kind.NOT
                constraints.add_voxels(stroke.indices, labels, forbidden, stroke.source, stroke.n_clipped)
        return constraints, [
            f"{n} stroke voxels belong to a segment that does not exist any more ({target}) and were left out."
            for target, n in gone.items()
        ]

    def _set_rounds(self, rounds: tuple[tuple[Gesture, ...], ...]) -> None:
        self.state = BookState(rounds, self.state.called, self.state.called_names)


def _label(target: str, label_of: LabelOf) -> int | None:
    return 0 if target == BACKGROUND else label_of(target)
