"""Which voxels were edited by hand, in every state that rounds left, so that Undo and a reload change no answer."""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import dataclass

import numpy as np

from InteractiveRefineLib.geometry import box_of

#: States that are kept: as many as the segment editor's history holds by default, and the present one.
_KEPT = 6
#: What a stored array may be.
_TYPES = ("|b1", "|u1", "<u2")
#: More voxels than any scanner's image; a larger claim is damage or malice.
_MOST_VOXELS = 2**33
#: More runs than the rows of such an image by far.
_MOST_RUNS = 2**25


@dataclass(frozen=True, eq=False)
class _Packed:
    """A label map or mask as runs of equal values in the box around what is not 0; a thousandth of the array."""

    shape: tuple[int, ...]
    start: tuple[int, ...]
    size: tuple[int, ...]
    type: str
    runs: int
    data: bytes

    @classmethod
    def of(cls, array: np.ndarray, lookup: np.ndarray | None = None) -> _Packed:
        """Pack an array; of a label map, with each label `lookup`ed first (which maps 0 to 0)."""
        box = box_of(array) or (slice(0, 0),) * 3
        flat = np.ascontiguousarray(array[box]).reshape(-1)
        first = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)[: len(flat)]
        values = flat[first] if lookup is None else lookup[flat[first]]
        if values.dtype != bool:
            values = values.astype(np.uint8 if values.max(initial=0) < 256 else np.uint16)
        lengths = np.diff(np.append(first, len(flat))).astype("<u4")
        start, size = tuple(side.start for side in box), array[box].shape
        data = zlib.compress(lengths.tobytes() + values.tobytes(), 1)
        return cls(array.shape, start, size, values.dtype.str, len(first), data)

    def array(self) -> np.ndarray:
        """The whole array.

        Raises:
            ValueError: a damaged text; no more memory is taken than the array it claims to be needs.
        """
        kind, count = np.dtype(self.type), math.prod(self.size)
        if self.type not in _TYPES or math.prod(self.shape) > _MOST_VOXELS or min(*self.shape, *self.size) < 0:
            raise ValueError(f"A label map of type {self.type} and shape {self.shape} was not written by this program.")
        if not 0 <= self.runs <= min(count, _MOST_RUNS):
            raise ValueError(f"{self.runs} runs of {count} voxels were not written by this program.")
        expected = self.runs * (4 + kind.itemsize)
        plain = zlib.decompressobj().decompress(self.data, expected + 1)
        if len(plain) != expected:
            raise ValueError(f"{len(plain)} bytes where {expected} belong.")
        lengths = np.frombuffer(plain, dtype="<u4", count=self.runs)
        values = np.frombuffer(plain, dtype=kind, offset=4 * self.runs)
        if int(lengths.sum(dtype=np.uint64)) != count:
            raise ValueError(f"The runs do not make {count} voxels.")
        whole = np.zeros(self.shape, dtype=kind)
        part = np.repeat(values, lengths).reshape(self.size)
        whole[tuple(slice(a, a + n) for a, n in zip(self.start, self.size))] = part
        return whole

    def toJson(self) -> dict:
        place = {"shape": self.shape, "start": self.start, "size": self.size, "type": self.type, "runs": self.runs}
        return {**place, "data": base64.b64encode(self.data).decode()}

    @classmethod
    def fromJson(cls, stored: dict) -> _Packed:
        shape, start, size = (tuple(int(n) for n in stored[key]) for key in ("shape", "start", "size"))
        packed = cls(shape, start, size, str(stored["type"]), int(stored["runs"]), base64.b64decode(stored["data"]))
        packed.array()  # whether it can be read shows now, not in the middle of a round
        return packed


@dataclass(frozen=True, eq=False)
class _State:
    """Labels after a round, as positions (from 1) in `ids`, and what was decided by hand in them."""

    ids: tuple[str, ...]
    labels: _Packed
    manual: _Packed

    def labelsIn(self, segments) -> np.ndarray:
        """The labels in the numbering of `segments`; segments that are gone become background."""
        label_of = {segment.id: segment.label for segment in segments if segment.id}
        lookup = np.array([0] + [label_of.get(segmentId, 0) for segmentId in self.ids], dtype=np.uint16)
        return lookup[self.labels.array()]


class RoundMemory:
    """What the rounds so far left behind.

    The worker holds voxels that were edited by hand more firmly than those that it decided itself, so both must be told
    apart, also after Undo went back behind the newest round, and after the scene was loaded again.
    """

    def __init__(self) -> None:
        self._states: list[_State] = []

    def remember(self, labels: np.ndarray, segments, manual: np.ndarray | None) -> None:
        """Keep a state: labels (K, J, I) in the numbering of `segments`, and `manual` (K, J, I) bool."""
        if manual is None:
            return
        lookup = np.zeros(int(max([labels.max(initial=0)] + [s.label for s in segments])) + 1, dtype=np.uint16)
        for position, segment in enumerate(segments, start=1):
            lookup[segment.label] = position
        ids = tuple(segment.id for segment in segments)
        state = _State(ids, _Packed.of(labels, lookup), _Packed.of(manual))
        self._states = [*self._states, state][-_KEPT:]

    def manualFor(self, labels: np.ndarray, segments) -> np.ndarray | None:
        """(K, J, I) bool: what was decided by hand in `labels`; None when no round of this scene is known."""
        best, fewest = None, None
        for state in reversed(self._states):
            if state.labels.shape != labels.shape:
                continue
            changed = state.labelsIn(segments) != labels
            n = int(np.count_nonzero(changed))
            if fewest is None or n < fewest:
                best, fewest = state.manual.array() | changed, n
            if n == 0:
                break
        return best

    def toText(self) -> str:
        """The newest state, to be saved with the scene; "" when there is none."""
        if not self._states:
            return ""
        state = self._states[-1]
        return json.dumps({"ids": state.ids, "labels": state.labels.toJson(), "manual": state.manual.toJson()})

    def load(self, text: str) -> None:
        """Take over what a scene brought along; a damaged text counts as nothing known."""
        self._states = []
        try:
            stored = json.loads(text)
            labels, manual = _Packed.fromJson(stored["labels"]), _Packed.fromJson(stored["manual"])
            if labels.shape == manual.shape and int(labels.array().max(initial=0)) <= len(stored["ids"]):
                self._states = [_State(tuple(stored["ids"]), labels, manual)]
        except (ValueError, KeyError, TypeError, MemoryError, zlib.error):
            return

    def learn(self, text: str) -> None:
        """Add the state that another editor left in the scene; the states of our own rounds stay known, for Undo."""
        if not text or text == self.toText():
            return
        own = self._states
        self.load(text)
        self._states = [*own, *self._states][-_KEPT:]

    def clear(self) -> None:
        """Forget everything."""
        self._states = []
