"""Strokes as the scene keeps them: found by segmentation and volume, and read without losing sight of known ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.stroke_book import BookState, Stroke, StrokeBook
from InteractiveRefineLib.stroke_book_json import book_from_json

from .names import STROKES_ATTRIBUTE, STROKES_ROLE, VOLUME_ROLE


def storedText(node) -> str:
    """The text of the strokes in a strokes node; "" when there is none."""
    return (node.GetAttribute(STROKES_ATTRIBUTE) or "") if node is not None else ""


def findStored(segmentationNode, volumeNode, geometry: Geometry, known: Iterable[Stroke] = ()):
    """(node, text, StrokeBook) of the strokes that the scene keeps for a segmentation on a volume, or None.

    Args:
        geometry: strokes that were drawn on another grid are not returned.
        known: see `readStored`.
    """
    for n in range(segmentationNode.GetNumberOfNodeReferences(STROKES_ROLE)):
        node = segmentationNode.GetNthNodeReference(STROKES_ROLE, n)
        if not storedText(node) or node.GetNodeReference(VOLUME_ROLE) not in (None, volumeNode):
            continue
        book = readStored(node, geometry, known)
        if book is not None:
            return node, storedText(node), book
    return None


def readStored(node, geometry: Geometry, known: Iterable[Stroke] = ()) -> StrokeBook | None:
    """The strokes in a strokes node; None when they are damaged (which is logged) or lie on another grid.

    Args:
        known: strokes that are used where the text says the same, as others compare strokes by identity.
    """
    try:
        book = book_from_json(storedText(node))
    except InputError as error:
        logging.warning('Strokes "%s": %s', node.GetName(), error)
        return None
    if not book.geometry.matches(geometry):
        return None
    same = {_content(stroke): stroke for stroke in known}
    rounds = tuple(
        tuple(tuple(same.get(_content(stroke), stroke) for stroke in gesture) for gesture in gestures)
        for gestures in book.state.rounds
    )
    book.state = BookState(rounds, book.state.called, book.state.called_names)
    return book


def _content(stroke: Stroke) -> tuple:
    return stroke.target, stroke.kind, stroke.source, stroke.n_clipped, stroke.indices.tobytes()
