"""Undo and Redo of the segment editor bring back the strokes of that moment too."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .names import STATE_TAG
from .segments import segmentIdsOf, tagOf

#: The mark of segments as they were before anything was applied: no tag.
_NEVER = ""
#: Far more than the editor keeps (10), so that a state is never forgotten before the editor forgets it.
_MOST_STATES = 100


class UndoLink:
    """Ties the strokes to the undo states of a segmentation.

    A tag on the segments names the stroke state that belongs to the segmentation as it is. Slicer's history keeps tags
    with its states; when Undo or Redo brings another tag back, the strokes of that state are brought back as well.
    Strokes that are drawn later belong to the state in which they were drawn.

    Attributes:
        state: mark of the present state; changes with every applied round, Undo and Redo.
        onRestored: called with the mark of the state that Undo or Redo brought back; None = nobody.
    """

    def __init__(self, segmentationNode, strokeNode) -> None:
        """Start watching `segmentationNode`; `strokeNode` is a StrokeNode."""
        self.onRestored: Callable[[str], None] | None = None
        self._node = segmentationNode
        self._segmentation = segmentationNode.GetSegmentation()
        self._strokes = strokeNode
        self._states: dict[str, object] = {}
        # Segments that carry each mark: a copy of a segment brings its mark along and must not count.
        self._carriers: dict[str, set[str]] = {}
        self.state = self._adopted()
        strokeNode.onReadAnew = self._onReadAnew
        events = ("SegmentModified", "SegmentAdded", "SegmentRemoved", "SourceRepresentationModified")
        self._observations = [
            self._segmentation.AddObserver(getattr(type(self._segmentation), event), self._onSegmentsChanged)
            for event in events
        ]

    @contextmanager
    def applying(self) -> Iterator[None]:
        """Around ONE write of the result into the segments, undo state included.

        Inside: `SegmentWriter.apply`, then `strokeNode.closeRound()`. At its end the segments get the mark of the new
        state. If an exception leaves it, the strokes are as they were before.
        """
        self._strokes.readAnew()  # what another editor drew belongs to the state before
        before = self._strokes.book.state
        self._states[self.state] = before
        try:
            yield
            mark = uuid.uuid4().hex
            ids = segmentIdsOf(self._node)
            for segmentId in ids:
                self._segmentation.GetSegment(segmentId).SetTag(STATE_TAG, mark)
            self._carriers[mark] = set(ids)  # only now, as every tag set above is heard as a change of the segments
            self.state = mark
        except BaseException:
            self._strokes.setState(before)
            raise
        for old in list(self._states)[:-_MOST_STATES]:
            del self._states[old]
            self._carriers.pop(old, None)

    def release(self) -> None:
        """Stop watching and forget all states."""
        for observation in self._observations:
            self._segmentation.RemoveObserver(observation)
        self._observations = []
        if self._strokes is not None:
            self._strokes.onReadAnew = None
        self._node = self._segmentation = self._strokes = self.onRestored = None
        self._states.clear()
        self._carriers.clear()

    def _adopted(self) -> str:
        """The mark that segments carry already, from an earlier link or a loaded scene."""
        marks = [mark for segmentId in segmentIdsOf(self._node) if (mark := self._markOf(segmentId))]
        if not marks:
            return _NEVER
        newest = max(marks, key=marks.count)
        self._carriers[newest] = {
            segmentId for segmentId in segmentIdsOf(self._node) if self._markOf(segmentId) == newest
        }
        return newest

    def _onReadAnew(self, before) -> None:
        """Another editor changed strokes and mark: its state follows ours, to which Undo can go back."""
        self._states[self.state] = before
        self.state = self._adopted()

    def _onSegmentsChanged(self, caller, event) -> None:
        if self._node is None:
            return
        mark = self._present()
        if mark == self.state:
            if self._isOverwritten():
                self._strokes.readAnew()  # now, while its mark can be seen: our Undo may take it off again
            return
        # Another editor on these segments may have brought its strokes back already, or drawn some that we never saw.
        if not self._strokes.readAnew():
            # What was drawn since belongs to the state that is left: Redo brings it back.
            self._states[self.state] = self._strokes.book.state
            self.state = mark
            self._strokes.setState(self._states[mark])
        if self.onRestored is not None:
            self.onRestored(self.state)

    def _present(self) -> str:
        """The mark of the state that the segments are in; the present one where that cannot be told.

        While Slicer restores a state, its segments change one by one: as long as one still carries the present mark,
        the state has not been left.
        """
        marks = {segmentId: self._markOf(segmentId) for segmentId in segmentIdsOf(self._node)}
        carried = [mark for segmentId, mark in marks.items() if segmentId in self._carriers.get(mark, ())]
        if self.state in carried:
            return self.state
        known = [mark for mark in carried if mark in self._states]
        if known:
            return known[-1]
        bare = [segmentId for segmentId in self._carriers.get(self.state, ()) if marks.get(segmentId) == _NEVER]
        # No mark at all: the first state, unless the segments that carried the mark were removed.
        return _NEVER if bare and _NEVER in self._states else self.state

    def _isOverwritten(self) -> bool:
        """True once no segment carries the present mark, but some one of another editor, or of a forgotten state."""
        marks = {self._markOf(segmentId) for segmentId in segmentIdsOf(self._node)}
        return self.state not in marks and marks != {_NEVER} and bool(marks)

    def _markOf(self, segmentId: str) -> str:
        return tagOf(self._segmentation.GetSegment(segmentId), STATE_TAG) or _NEVER
