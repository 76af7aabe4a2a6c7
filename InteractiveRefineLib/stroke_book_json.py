"""Stroke books as text for a scene file: lossless, compact, checked when read."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from .errors import InputError
from .geometry import Geometry
from .resolution import Source
from .stroke_book import BookState, Kind, Stroke, StrokeBook

_FORMAT = "InteractiveRefine strokes"
_VERSION = 1
#: More voxels than any scanner makes; a larger number is damage, and would only exhaust the memory.
_MOST_VOXELS = 1 << 36
#: The text of a stroke is made once, as the book is stored anew after each gesture.
_text_of: WeakKeyDictionary[Stroke, dict[str, Any]] = WeakKeyDictionary()


def book_to_json(book: StrokeBook) -> str:
    """The whole book, its geometry included, as one line of JSON (voxels as compressed runs in base64)."""
    indices, codes = book.state.called
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "shape": list(book.geometry.shape),
        "ijk_to_ras": book.geometry.ijk_to_ras.tolist(),
        "rounds": [[[_stroke_text(s) for s in gesture] for gesture in gestures] for gestures in book.state.rounds],
        "called": {"voxels": _packed_voxels(indices), "codes": _packed(codes), "names": list(book.state.called_names)},
    }
    return json.dumps(content, separators=(",", ":"))


def book_from_json(text: str) -> StrokeBook:
    """Read what `book_to_json` wrote.

    Raises:
        InputError: not such a text, or one that is damaged.
    """
    try:
        content = json.loads(text)
        if content["format"] != _FORMAT or content["version"] != _VERSION:
            raise ValueError(f"{content['format']!r} version {content['version']!r}")
        geometry = Geometry(tuple(content["shape"]), np.array(content["ijk_to_ras"], dtype=np.float64))
        size = int(np.prod(geometry.shape, dtype=np.float64))
        if size > _MOST_VOXELS:
            raise ValueError(f"shape {geometry.shape}")
        rounds = tuple(
            tuple(tuple(_stroke(item, size) for item in gesture) for gesture in gestures)
            for gestures in content["rounds"]
        )
        if not rounds:
            raise ValueError("no rounds")
        called, names = _called(content["called"], size)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        raise InputError(
            f"The strokes stored with the scene are damaged or of another version ({error!r:.200}); draw them anew."
        ) from error
    book = StrokeBook(geometry)
    book.state = BookState(rounds, called, names)
    return book


def _stroke_text(stroke: Stroke) -> dict[str, Any]:
    if stroke not in _text_of:
        _text_of[stroke] = {
            "target": stroke.target,
            "kind": stroke.kind.value,
            "source": stroke.source.name.lower(),
            "clipped": int(stroke.n_clipped),
            "voxels": _packed_voxels(stroke.indices),
        }
    return _text_of[stroke]


def _stroke(item: dict[str, Any], size: int) -> Stroke:
    if not isinstance(item["target"], str):
        raise ValueError(f"target {item['target']!r}")
    return Stroke(
        _voxels(item["voxels"], size),
        item["target"],
        Kind(item["kind"]),
        Source[item["source"].upper()],
        int(item["clipped"]),
    )


def _called(item: dict[str, Any], size: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[str, ...]]:
    indices, names = _voxels(item["voxels"], size), tuple(str(name) for name in item["names"])
    codes = np.frombuffer(_unpacked(item["codes"], 4 * len(indices)), dtype="<i4").astype(np.int32)
    if len(codes) != len(indices) or (codes < 0).any() or (codes >= len(names)).any():
        raise ValueError("codes do not fit")
    return (indices, codes), names


def _packed_voxels(indices: np.ndarray) -> str:
    """Ascending flat indices as runs: how far after the end of the one before each starts, and how long it is."""
    starts = np.flatnonzero(np.diff(indices, prepend=-2) != 1)
    first = indices[starts]
    length = np.diff(starts, append=len(indices))
    gap = first - np.concatenate([[0], (first + length)[:-1]]) if len(first) else first
    return base64.b64encode(zlib.compress(np.stack([gap, length]).astype("<i8").tobytes(), 6)).decode("ascii")


def _packed(codes: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(codes.astype("<i4").tobytes(), 6)).decode("ascii")


def _voxels(text: str, size: int) -> np.ndarray:
    """Flat indices int64 below `size` from runs.

    Raises:
        ValueError: they are not such runs.
    """
    data = _unpacked(text, 16 * (size // 2 + 1))
    if len(data) % 16:
        raise ValueError("runs are cut off")
    gap, length = np.frombuffer(data, dtype="<i8").reshape(2, -1).astype(np.int64)
    if not len(gap):
        return np.empty(0, dtype=np.int64)
    # Bounded first, so that no sum can overflow.
    if gap.min() < 0 or length.min() < 1 or max(gap.max(), length.max()) > size or (gap[1:] < 1).any():
        raise ValueError("runs are out of order")
    ends = np.cumsum(gap + length)
    if ends[-1] > size or ends.min() < 0:
        raise ValueError("voxels lie outside the image")
    first = ends - length
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return np.repeat(first, length) + within


def _unpacked(text: str, most: int) -> bytes:
    """At most `most` bytes of a compressed text: a short text must not become a huge array."""
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(base64.b64decode(text, validate=True), most + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(str(error)) from error
    if len(data) > most or not stream.eof:
        raise ValueError("too long or cut off")
    return data
