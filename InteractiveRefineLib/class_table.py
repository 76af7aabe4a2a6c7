"""The classes of a session: the network's, then segments it does not know, each with a fixed label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from .class_names import similar
from .errors import InputError
from .geometry import Geometry
from .resample import resample_labels
from .segmentation import BACKGROUND_STROKE, Segment, Segmentation

#: Colors for classes that come without one.
NEW_COLORS = ((0.90, 0.60, 0.10), (0.10, 0.65, 0.85), (0.75, 0.30, 0.75), (0.40, 0.75, 0.25), (0.85, 0.25, 0.35))


class ClassTable:
    """Names and labels of all classes; label k of the network stays k, new classes follow.

    Attributes:
        segments: one per class except background, by label.
        n_known: number of classes the network knows, background included: labels below it have logits.

    Args:
        known: classes of the network, by label.
        added: classes that it does not know.
    """

    def __init__(self, known: Sequence[Segment], added: Sequence[Segment] = ()) -> None:
        self.segments: list[Segment] = list(known)
        self.n_known = len(self.segments) + 1
        for segment in added:
            self.add(segment.name, segment)

    def __len__(self) -> int:
        """Number of classes, background included."""
        return len(self.segments) + 1

    def add(self, name: str, segment: Segment | None = None) -> int:
        """Add a class the network does not know and return its label.

        Raises:
            InputError: the name is empty or taken, or there are too many classes.
        """
        label = len(self)
        if not name.strip():
            raise InputError("A new class needs a name.")
        if self.find(name) is not None:
            raise InputError(f"There is already a class named {name!r} (label {self.find(name)}); use it.")
        if label >= BACKGROUND_STROKE:
            raise InputError(f"At most {BACKGROUND_STROKE - 1} classes are possible; {name!r} would be one more.")
        color = NEW_COLORS[(label - self.n_known) % len(NEW_COLORS)]
        self.segments.append(replace(segment, label=label) if segment else Segment(name.strip(), label, color))
        return label

    def find(self, name: str) -> int | None:
        """Label of the class named `name` (ignoring case and surrounding space), None when there is none."""
        wanted = name.strip().lower()
        if wanted == "background":
            return 0
        return next((s.label for s in self.segments if s.name.strip().lower() == wanted), None)

    def label_of(self, name: str) -> int:
        """Label of the class named `name`.

        Raises:
            InputError: no such class; the text lists those there are.
        """
        label = self.find(name)
        if label is None:
            raise InputError(f"There is no class named {name!r}. Known: {', '.join(s.name for s in self.segments)}.")
        return label

    def name_of(self, label: int) -> str:
        """Name for messages."""
        return "background" if label == 0 else self.segments[label - 1].name

    def _unknown(self, name: str) -> str:
        meant = similar(name, [s.name for s in self.segments[: self.n_known - 1]])
        hint = f" If it is the network's {meant!r}, give it that name." if meant else ""
        return f"The network does not know {name!r}; it is kept and can be corrected too.{hint}"

    def adopt(self, current: Segmentation, geometry: Geometry) -> tuple[np.ndarray, list[str]]:
        """Take over a segmentation: match its segments to classes by name, add those the network does not know.

        Names, colors, IDs and tags of its segments replace the backbone's.

        Returns:
            labels (K, J, I) uint16 in this table's numbering on `geometry`, and warnings.
        """
        warnings = list(current.warnings)
        largest = max(int(current.labels.max(initial=0)), max((s.label for s in current.segments), default=0))
        lookup = np.zeros(largest + 1, dtype=np.uint16)
        before = list(self.segments)
        try:
            for segment, label in zip(current.segments, self._matches(current.segments, warnings)):
                lookup[segment.label] = label
            nameless = sorted(set(np.unique(current.labels).tolist()) - {0} - {s.label for s in current.segments})
            for value in nameless:
                name = f"Segment_{value}"
                known = self.find(name)  # from an earlier round
                lookup[value] = self.add(name) if known is None else known
        except InputError:
            self.segments = before
            raise
        labels = lookup[current.labels]
        if not current.geometry.matches(geometry):
            labels = resample_labels(labels, current.geometry, geometry, method="nearest")
            warnings.append("The current segmentation lies on another grid and was resampled to the image.")
        return labels.astype(np.uint16), warnings

    def _matches(self, segments: Sequence[Segment], warnings: list[str]) -> Iterator[int]:
        """The label of each segment, one after the other; those without a class get one."""
        # A plain label map has numbers only: they are the classes', as in the label maps this program writes.
        numbers, known = all(s.name == f"Segment_{s.label}" for s in segments), len(self)
        taken: set[int] = set()
        for segment in segments:
            label = self.find(segment.name)
            if label in taken:
                segment, label = self._another(segment, taken, warnings)
            if label is None and numbers and segment.label < known:
                label = segment.label
            elif label is None:
                label = self.add(segment.name, segment)
                if self.n_known > 1:
                    warnings.append(self._unknown(segment.name))
            elif label:
                self.segments[label - 1] = replace(segment, label=label)
            taken |= {label} - {0}
            yield label

    def _another(self, segment: Segment, taken: set[int], warnings: list[str]) -> tuple[Segment, int | None]:
        """A segment whose name another one has, under a name of its own, and its label if that name is known."""
        names = (f"{segment.name.strip()} ({number})" for number in count(2))
        name = next(name for name in names if self.find(name) not in taken)
        warnings.append(f"Several segments are named {segment.name!r}; one of them is {name!r} from here on.")
        return replace(segment, name=name), self.find(name)
