"""The node that shows the strokes in the slice views and keeps them with the scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import slicer

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.resolution import Source
from InteractiveRefineLib.stroke_book import BACKGROUND, BookState, Gesture, Kind, Stroke, StrokeBook
from InteractiveRefineLib.stroke_book_json import book_to_json

from .hidden_node import ensureItem, follow, makeHiddenSegmentation, removeLeftItems, removeNode
from .names import (
    BACKGROUND_COLOR,
    OVERLAY_KIND_TAG,
    OVERLAY_TARGET_TAG,
    STROKES_ATTRIBUTE,
    STROKES_NODE_NAME,
    STROKES_ROLE,
    VOLUME_ROLE,
)
from .overlay import addVoxels, removeVoxels, showVoxels
from .painted_strokes import readPaintedStrokes
from .stored_strokes import findStored, readStored, storedText
from .translate import _
from .volumes import geometryOf

__all__ = ["StrokeNode", "readPaintedStrokes"]

_GROWN = "grown"
#: How strongly each kind of overlay fills the slice view, and whether it has an outline.
_LOOKS = {Kind.CLASS.value: (1.0, 1.0), Kind.NOT.value: (0.2, 1.0), _GROWN: (0.35, 0.0)}


class StrokeNode:
    """Strokes of one segmentation on one volume: the book, its overlay segments, and its text in the scene.

    Everything that changes the strokes goes through here, so that book, overlay and stored text agree. Another editor
    may keep a StrokeNode on the same text: what it stored is read before anything is changed, and never overwritten.

    Attributes:
        book: StrokeBook; read it, do not change it directly (assign states through `setState`).
        onChanged: called without arguments after the strokes changed (also by Undo); None = nobody.
        onReadAnew: called with the `BookState` before strokes of another editor were taken over; None = nobody.
    """

    def __init__(self, segmentationNode, volumeNode, node, text: str, book: StrokeBook) -> None:
        """Use `find` or `findOrCreate`."""
        self.book = book
        self.onChanged: Callable[[], None] | None = None
        self.onReadAnew: Callable[[BookState], None] | None = None
        self._text = text  # as last read or stored here
        self._segmentationNode = segmentationNode
        self._volumeNode = volumeNode
        self._node = node
        self._grown: dict[str, np.ndarray] = {}

    @classmethod
    def find(cls, segmentationNode, volumeNode) -> StrokeNode | None:
        """The strokes that the scene already keeps for this segmentation on this volume, else None (also after load).

        Strokes that were drawn on another grid than the volume's present one are not returned.
        """
        removeLeftItems(segmentationNode.GetScene())
        stored = findStored(segmentationNode, volumeNode, geometryOf(volumeNode))
        if stored is None:
            return None
        found = cls(segmentationNode, volumeNode, *stored)
        ensureItem(found.node)  # scenes of other programs, or without a subject hierarchy, may lack it
        found.refresh()
        return found

    @classmethod
    def findOrCreate(cls, segmentationNode, volumeNode) -> StrokeNode:
        """`find`, or new strokes with a node, hidden from editors and referenced from the segmentation node.

        Raises:
            InputError: no volume, or one without an image.
        """
        found = cls.find(segmentationNode, volumeNode)
        if found is None:
            found = cls(segmentationNode, volumeNode, None, "", StrokeBook(geometryOf(volumeNode)))
            found.refresh()
        return found

    @property
    def node(self):
        """vtkMRMLSegmentationNode of the overlay; None after `remove()`, `release()` or when someone removed it."""
        return self._node if self._node is not None and self._node.GetScene() is not None else None

    def readAnew(self) -> bool:
        """Take over what another editor of the same segmentation stored since; False when there is nothing new."""
        before, found = self.book.state, self._storedByOthers()
        if found is None:
            return False
        self._node, self._text, self.book = found
        self._redraw()
        if self.onReadAnew is not None:
            self.onReadAnew(before)
        if self.onChanged is not None:
            self.onChanged()
        return True

    def addStrokes(self, strokes: Stroke | Sequence[Stroke]) -> Gesture:
        """Add what one gesture drew and show it; returns what was added, maybe nothing.

        Raises:
            InputError: voxels beyond the image.
        """
        self.readAnew()
        gesture = self.book.add(strokes)
        for stroke in gesture:
            if not _isShown(stroke):
                continue
            shown = self._overlay(stroke.kind.value, stroke.target)
            segmentation = self._node.GetSegmentation()
            for otherId in _strokeOverlays(segmentation):
                if otherId != shown:  # the later stroke overrules the earlier one
                    removeVoxels(segmentation, otherId, stroke.indices, self.book.geometry)
            addVoxels(segmentation, shown, stroke.indices, self.book.geometry)
        if gesture:
            self._changed()
        return gesture

    def takeBack(self) -> bool:
        """Forget the newest gesture since the last round; False when there is none (then the editor's Undo is next)."""
        self.readAnew()
        if not self.book.take_back():
            return False
        self._redraw()
        self._changed()
        return True

    def closeRound(self) -> None:
        """The strokes so far were refined; later ones overrule them."""
        self.readAnew()
        self.book.close_round()
        self._changed()

    def clear(self) -> None:
        """Forget all strokes."""
        self.setState(BookState())

    def setState(self, state: BookState) -> None:
        """Bring back an earlier `book.state` (used by Undo and Redo)."""
        self.readAnew()
        if state is self.book.state:
            return
        self.book.state = state
        self._redraw()
        self._changed()

    def rememberCalled(self, indices: np.ndarray, targets: Sequence[str]) -> None:
        """Keep what stroked voxels were called when first refined (see `StrokeBook.remember_called`)."""
        self.readAnew()
        self.book.remember_called(indices, targets)
        self._store()

    def showGrown(self, grown: Mapping[str, np.ndarray] | None) -> None:
        """Show what would grow from the strokes, lighter than the strokes.

        Args:
            grown: target segment ID (BACKGROUND for none) -> flat indices int64; None or {} = nothing.
        """
        grown = dict(grown or {})
        if self.node is None and not grown:
            return
        for target in {*self._grown, *grown}:
            indices = grown.get(target)
            showVoxels(
                self._segmentation(),
                self._overlay(_GROWN, target),
                np.empty(0, dtype=np.int64) if indices is None else indices,
                self.book.geometry,
            )
        self._grown = grown

    def setVisible(self, visible: bool) -> None:
        """Show or hide the overlay in all slice views."""
        if self.node is not None:
            self._node.GetDisplayNode().SetVisibility(visible)

    def refresh(self) -> None:
        """Redraw everything from the book: colors and names of the segments, and the volume's transform."""
        self.readAnew()
        self._segmentation().RemoveAllSegments()
        self._redraw()
        self.showGrown(self._grown)
        self._store()

    def remove(self) -> None:
        """Remove the node and what belongs to it from the scene."""
        if self.node is not None:
            removeNode(self._node)
        self._node, self._text = None, ""

    def release(self) -> None:
        """The scene is about to close: forget all strokes and nodes, touch nothing."""
        self.book = StrokeBook(self.book.geometry)
        self._grown, self._text = {}, ""
        self.onChanged = self.onReadAnew = None
        self._node = self._segmentationNode = self._volumeNode = None

    def _changed(self) -> None:
        self._store()
        if self.onChanged is not None:
            self.onChanged()

    def _store(self) -> None:
        if self._segmentationNode is not None:
            self._ensureNode()
            self._text = book_to_json(self.book)
            self._node.SetAttribute(STROKES_ATTRIBUTE, self._text)

    def _storedByOthers(self):
        """(node, text, StrokeBook) when the scene keeps other strokes than we read or stored last, else None."""
        if not self._text:
            return None  # nothing of ours was stored yet
        known = list(self.book)
        if self.node is None:  # somebody removed it, and maybe another editor made it anew
            return findStored(self._segmentationNode, self._volumeNode, self.book.geometry, known)
        text = storedText(self._node)
        if text in ("", self._text):
            return None
        book = readStored(self._node, self.book.geometry, known)
        if book is None:  # whoever wrote it can read it: it stays, and ours go to another node
            self._node, self._text = None, ""
            return None
        return self._node, text, book

    def _ensureNode(self) -> None:
        """Make the node, also anew when somebody removed it: the strokes live in the book."""
        if self.node is not None:
            return
        if self._segmentationNode is None:
            raise InputError(_("The scene was closed. Select a segmentation and a volume."))
        segmentationNode, volumeNode = self._segmentationNode, self._volumeNode
        name = f"{STROKES_NODE_NAME} {segmentationNode.GetName()}"
        self._node = makeHiddenSegmentation(segmentationNode.GetScene(), name, volumeNode, saved=True)
        self._node.SetNodeReferenceID(VOLUME_ROLE, volumeNode.GetID())
        segmentationNode.AddNodeReferenceID(STROKES_ROLE, self._node.GetID())
        self._redraw()

    def _segmentation(self):
        self._ensureNode()
        follow(self._node, self._volumeNode)  # the volume may have been put below another transform
        return self._node.GetSegmentation()

    def _redraw(self) -> None:
        """Show every stroke voxel in the overlay of the newest stroke on it."""
        segmentation = self._segmentation()
        strokes = [stroke for stroke in self.book if _isShown(stroke)]
        names = [self._overlay(stroke.kind.value, stroke.target) for stroke in strokes]
        if strokes:
            voxels = np.concatenate([stroke.indices for stroke in strokes])[::-1]
            owners = np.repeat(np.arange(len(strokes)), [len(stroke.indices) for stroke in strokes])[::-1]
            voxels, newest = np.unique(voxels, return_index=True)  # the first of the reversed, so the newest
            owners = owners[newest]
        for overlayId in _strokeOverlays(segmentation):
            mine = [n for n, name in enumerate(names) if name == overlayId]
            indices = voxels[np.isin(owners, mine)] if mine else np.empty(0, dtype=np.int64)
            showVoxels(segmentation, overlayId, indices, self.book.geometry)

    def _overlay(self, kind: str, target: str) -> str:
        """ID of the overlay segment for strokes of a kind and target; made when it does not exist."""
        segmentation, overlayId = self._segmentation(), f"{kind}:{target}"
        if segmentation.GetSegment(overlayId) is None:
            targets = self._segmentationNode.GetSegmentation()
            original = targets.GetSegment(target) if target != BACKGROUND else None
            name = original.GetName() if original is not None else (target or "background")
            segment = slicer.vtkSegment()
            segment.SetName({Kind.NOT.value: f"not {name}", _GROWN: f"{name} ({_('grown')})"}.get(kind, name))
            segment.SetColor(*(original.GetColor() if original is not None else BACKGROUND_COLOR))
            segment.SetTag(OVERLAY_KIND_TAG, kind)
            segment.SetTag(OVERLAY_TARGET_TAG, target)
            segmentation.AddSegment(segment, overlayId)
            display, (fill, outline) = self._node.GetDisplayNode(), _LOOKS[kind]
            display.SetSegmentOpacity2DFill(overlayId, fill)
            display.SetSegmentOpacity2DOutline(overlayId, outline)
        return overlayId


def _isShown(stroke: Stroke) -> bool:
    """The surroundings of a box are a thick shell that would hide the image."""
    return not (stroke.source is Source.BOX and stroke.kind is Kind.NOT)


def _strokeOverlays(segmentation) -> list[str]:
    ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    return [overlayId for overlayId in ids if not overlayId.startswith(f"{_GROWN}:")]
