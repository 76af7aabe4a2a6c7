"""What client and worker both know of a segmentation, and how one tells the other what changed of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..geometry import box_of
from ..segmentation import Segment
from .wire import WireError

Called = tuple[np.ndarray, np.ndarray]
#: JSON value that describes a patch; its values are one of the message's arrays.
Patch = dict[str, Any]
#: Nothing was stroked yet.
NO_CALLED: Called = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Memory:
    """A segmentation between two rounds, with what a session must know of its past. Its arrays never change.

    Attributes:
        segments: the class table, one segment per label from 1 on.
        labels: (K, J, I) uint16 in labels of this table; None for the network's own.
        manual: (K, J, I) bool, voxels that the user or another program decided; None for what differs from the network.
        called: flat indices (N,) int64, ascending, of voxels that were stroked, and what they were called (N,) int64.
    """

    segments: list[Segment]
    labels: np.ndarray | None = None
    manual: np.ndarray | None = None
    called: Called = NO_CALLED

    @property
    def names(self) -> list[str]:
        """Names of the classes as they are compared: without case and surrounding space."""
        return [segment.name.strip().lower() for segment in self.segments]

    def renumbered(self, segments: list[Segment]) -> Memory:
        """The same in labels of another table; classes that it lacks become background."""
        new = Memory(segments)
        position = {name: label for label, name in enumerate(new.names, start=1)}
        lookup = np.array([0, *(position.get(name, 0) for name in self.names)])
        if np.array_equal(lookup, np.arange(len(lookup))):
            return replace(self, segments=segments)
        indices, labels = self.called
        return Memory(
            segments,
            None if self.labels is None else lookup.astype(np.uint16)[self.labels],
            self.manual,
            (indices, lookup[labels]),
        )


def changes(old: Memory, new: Memory, arrays: list[np.ndarray]) -> dict[str, Any]:
    """JSON fields that turn `old` into `new` except for the segments; their values are appended to `arrays`."""
    same = all(np.array_equal(a, b) for a, b in zip(old.called, new.called))
    if not same:
        arrays += new.called
    called = None if same else len(arrays) - 2
    return {
        "labels": None if new.labels is None else patch(old.labels, new.labels, arrays),
        "manual": None if new.manual is None else patch(old.manual, new.manual, arrays),
        "called": called,
    }


def changed(
    old: Memory, fields: dict[str, Any], segments: list[Segment], shape: tuple[int, int, int], arrays: list[np.ndarray]
) -> Memory:
    """`old` with the fields of `changes` applied.

    Raises:
        WireError: fields that do not fit.
    """
    called = old.called
    if fields.get("called") is not None:
        indices, labels = (array_at(arrays, fields["called"] + n, np.int64) for n in (0, 1))
        if indices.ndim != 1 or indices.shape != labels.shape:
            raise WireError("A list of stroked voxels has another length than that of their labels.")
        require_between(indices, 0, int(np.prod(shape)) - 1, "stroked voxel")
        called = (indices, labels)
    labels, manual = fields.get("labels"), fields.get("manual")
    new = Memory(
        segments,
        None if labels is None else patched(old.labels, labels, shape, np.uint16, arrays),
        None if manual is None else patched(old.manual, manual, shape, np.bool_, arrays),
        called,
    )
    require_between(called[1], 0, len(segments), "label of a stroked voxel")
    if new.labels is not None and new.labels is not old.labels:
        require_between(new.labels, 0, len(segments), "label of a voxel")
    return new


def patch(old: np.ndarray | None, new: np.ndarray, arrays: list[np.ndarray]) -> Patch:
    """What of `new` (K, J, I) differs from `old` (None = zeros): a box, and its values appended to `arrays`."""
    box = box_of(new if old is None else new != old)
    if box is None:
        return {"box": None}
    arrays.append(new[box])
    return {"box": [[side.start, side.stop] for side in box], "array": len(arrays) - 1}


def patched(
    old: np.ndarray | None, change: Patch, shape: tuple[int, int, int], dtype: type, arrays: list[np.ndarray]
) -> np.ndarray:
    """`old` (None = zeros) with a patch applied; `old` itself is returned where nothing changed, and never written.

    Raises:
        WireError: a box or values that do not fit.
    """
    box = None if not isinstance(change, dict) else box_from(change.get("box"), shape)
    if box is None:
        return np.zeros(shape, dtype=dtype) if old is None else old
    values = array_at(arrays, change.get("array"), dtype)
    if values.shape != tuple(side.stop - side.start for side in box):
        raise WireError(f"Values of shape {values.shape} do not fill the box {change['box']}.")
    new = np.zeros(shape, dtype=dtype) if old is None else old.copy()
    new[box] = values
    return new


def box_from(sides: Any, shape: tuple[int, int, int]) -> tuple[slice, ...] | None:
    """Slices (K, J, I) out of [[start, stop], ...], None for None; WireError when they leave the image."""
    if sides is None:
        return None
    try:
        box = tuple(slice(int(start), int(stop)) for start, stop in sides)
    except (TypeError, ValueError) as error:
        raise WireError(f"A box is three pairs of numbers, not {str(sides)[:100]}.") from error
    if len(box) != 3 or any(not 0 <= side.start < side.stop <= n for side, n in zip(box, shape)):
        raise WireError(f"The box {str(sides)[:100]} does not lie in an image of {shape} voxels.")
    return box


def array_at(arrays: list[np.ndarray], position: Any, dtype: type) -> np.ndarray:
    """The message's array at `position`; WireError when there is none of this type."""
    if not isinstance(position, int) or not 0 <= position < len(arrays) or arrays[position].dtype != dtype:
        raise WireError(f"A message lacks an array of {np.dtype(dtype)} at position {position}.")
    return arrays[position]


def require_between(values: np.ndarray, low: int, high: int, what: str) -> None:
    """Raise WireError unless all values lie between the limits, both included."""
    if values.size and not (low <= int(values.min()) and int(values.max()) <= high):
        raise WireError(f"A {what} lies outside {low} to {high}.")
