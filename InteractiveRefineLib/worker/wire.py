"""The wire format between client and worker, byte by byte, with every constant of it.

Both directions of the byte stream (stdin and stdout of the worker) are a sequence of frames and nothing else:

    offset  bytes  content
         0      4  the magic b"IRW1"
         4      4  H, unsigned little-endian: length of the header
         8      8  P, unsigned little-endian: length of the payload
        16      H  the header: one JSON object in UTF-8 with at least "kind", a string
      16+H      P  the payload: the arrays of header["arrays"] one after the other, without gaps

header["arrays"] is a list (absent = empty) of {"type": "<i2", "shape": [16, 24, 32], "bytes": 24576, "zlib": false}:
type is one of `ARRAY_TYPES`, always little-endian; the array lies in C order; bytes is its length in the payload, and
P is the sum of them. With "zlib": true these bytes are a zlib stream of the array. Numbers in the header are JSON as
Python writes it: floats round-trip exactly, NaN and Infinity may occur. Nothing is pickled, nothing is executed.

What each kind of message holds is in messages.py. The client begins with "hello", the worker answers with "hello";
a client that finds another `PROTOCOL_VERSION` there ends the worker, and the other way around.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import RefineError

PROTOCOL_VERSION = 2

MAGIC = b"IRW1"
PREFIX = struct.Struct("<4sIQ")
#: Names, tags and warnings; a longer header is not one.
MAX_HEADER_BYTES = 16 * 2**20
#: A volume of 2048 x 2048 x 2048 voxels of 4 bytes.
MAX_PAYLOAD_BYTES = 32 * 2**30
MAX_ARRAYS = 64
ARRAY_TYPES = ("|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8")
#: Smaller arrays are not worth a zlib stream.
SMALLEST_COMPRESSED = 4096

# What the client says.
HELLO, DESCRIBE, LOAD, IMAGE, STATE, REFINE, PREDICT = (
    "hello",
    "describe",
    "load",
    "image",
    "state",
    "refine",
    "predict",
)
CANCEL, PING, SHUTDOWN = "cancel", "ping", "shutdown"
# What the worker answers.
BACKBONE, PROGRESS, RESULT, PREDICTED, PONG, ERROR = "backbone", "progress", "result", "predicted", "pong", "error"

_HOW_TO_CLEAN = (
    "Something else writes into the channel: look at the worker's command and at what the shell there prints at login."
)


class WireError(RefineError):
    """The bytes that came are no message of this protocol."""


@dataclass(frozen=True, eq=False)
class Message:
    """One frame: what it is, its fields (JSON values) and its arrays."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    arrays: list[np.ndarray] = field(default_factory=list)


def encode(
    kind: str, fields: dict[str, Any] | None = None, arrays: Sequence[np.ndarray] = (), pack: bool = True
) -> bytes:
    """One frame.

    Args:
        kind: of the message.
        fields: JSON values, without "kind" and "arrays".
        arrays: of a type in `ARRAY_TYPES`, of any byte order.
        pack: compress them, which pays for label maps and stroke voxels; an image is sent as it is.

    Raises:
        WireError: an array of another type, or a frame that no decoder would take.
    """
    entries, parts = [], []
    for array in arrays:
        array = np.asarray(array)
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)
        if plain.dtype.str not in ARRAY_TYPES:
            raise WireError(f"An array of {array.dtype} cannot be sent to the worker; convert it to float32.")
        data = plain.tobytes()
        packed = pack and len(data) >= SMALLEST_COMPRESSED
        if packed:
            data = zlib.compress(data, 1)
        entries.append({"type": plain.dtype.str, "shape": list(plain.shape), "bytes": len(data), "zlib": packed})
        parts.append(data)
    header = {"kind": kind, **(fields or {})}
    if entries:
        header["arrays"] = entries
    text = json.dumps(header, separators=(",", ":"), default=_plain).encode()
    size = sum(len(part) for part in parts)
    if len(text) > MAX_HEADER_BYTES or size > MAX_PAYLOAD_BYTES or len(entries) > MAX_ARRAYS:
        raise WireError(f"A message {kind!r} of {len(text)} + {size} bytes and {len(entries)} arrays is too large.")
    return b"".join([PREFIX.pack(MAGIC, len(text), size), text, *parts])


class FrameDecoder:
    """Makes messages out of bytes, however they are cut; holds no more memory than arrived."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = PREFIX.size  # bytes until something new can be said
        self._header: dict[str, Any] | None = None
        self._sizes = (0, 0)

    @property
    def is_between_frames(self) -> bool:
        """False while a frame has begun and is not complete."""
        return not self._buffer

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._buffer += data

    def next(self) -> Message | None:
        """The next complete message, None until more bytes came.

        Raises:
            WireError: these bytes are no message; the stream cannot be used any further.
        """
        self._check_magic()
        if len(self._buffer) < self._needed:
            return None
        if self._needed == PREFIX.size:
            self._read_prefix()
        n_header, n_payload = self._sizes
        if self._header is None:
            if len(self._buffer) < PREFIX.size + n_header:
                self._needed = PREFIX.size + n_header
                return None
            self._header = _read_header(bytes(self._buffer[PREFIX.size : PREFIX.size + n_header]), n_payload)
        self._needed = PREFIX.size + n_header + n_payload
        if len(self._buffer) < self._needed:
            return None
        message = self._message(PREFIX.size + n_header)
        del self._buffer[: self._needed]
        self._needed, self._header = PREFIX.size, None
        return message

    def _check_magic(self) -> None:
        start = bytes(self._buffer[: len(MAGIC)])
        if start != MAGIC[: len(start)]:
            words = bytes(self._buffer[:80]).decode("utf-8", "replace").split("\n")[0].strip()
            raise WireError(f"This is no message of a worker: it begins with {words!r}. {_HOW_TO_CLEAN}")

    def _read_prefix(self) -> None:
        _, n_header, n_payload = PREFIX.unpack_from(self._buffer)
        if n_header > MAX_HEADER_BYTES or n_payload > MAX_PAYLOAD_BYTES:
            raise WireError(f"A message claims {n_header} + {n_payload} bytes, more than is ever sent. {_HOW_TO_CLEAN}")
        self._sizes = (n_header, n_payload)

    def _message(self, start: int) -> Message:
        header = self._header or {}
        arrays = []
        with memoryview(self._buffer) as view:
            for entry in header.get("arrays", ()):
                with view[start : start + entry["bytes"]] as part:
                    arrays.append(_read_array(part, entry))
                start += entry["bytes"]
        fields = {name: value for name, value in header.items() if name not in ("kind", "arrays")}
        return Message(header["kind"], fields, arrays)


def _plain(value: object) -> object:
    """numpy's numbers as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _read_header(text: bytes, n_payload: int) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"A message's header is no JSON ({error}). {_HOW_TO_CLEAN}") from error
    if not isinstance(header, dict) or not isinstance(header.get("kind"), str):
        raise WireError("A message's header must be an object with a text 'kind'.")
    entries = header.get("arrays", [])
    if not isinstance(entries, list) or len(entries) > MAX_ARRAYS:
        raise WireError(f"A message's arrays must be a list of at most {MAX_ARRAYS}.")
    for entry in entries:
        _check_entry(entry)
    if sum(entry["bytes"] for entry in entries) != n_payload:
        raise WireError(f"A message's arrays do not add up to its payload of {n_payload} bytes.")
    return header


def _check_entry(entry: Any) -> None:
    """Raise WireError unless `entry` describes an array that may be allocated."""
    valid = isinstance(entry, dict) and entry.get("type") in ARRAY_TYPES and isinstance(entry.get("zlib"), bool)
    shape = entry.get("shape") if valid else None
    valid = valid and isinstance(shape, list) and len(shape) <= 5
    valid = valid and all(_is_count(n) for n in [*shape, entry.get("bytes")])
    if not valid:
        raise WireError(f"A message describes an array that cannot be: {str(entry)[:200]}.")
    size = _size_of(entry)
    if size > MAX_PAYLOAD_BYTES or (not entry["zlib"] and entry["bytes"] != size):
        raise WireError(f"A message's array of {size} bytes is sent as {entry['bytes']} bytes.")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _size_of(entry: dict[str, Any]) -> int:
    return math.prod(entry["shape"]) * np.dtype(entry["type"]).itemsize


def _read_array(data: memoryview, entry: dict[str, Any]) -> np.ndarray:
    """The array, in memory of its own."""
    size = _size_of(entry)
    if entry["zlib"]:
        stream = zlib.decompressobj()
        try:
            # One byte more than there should be shows a stream that goes on, without ever holding all of it.
            plain = stream.decompress(data, size + 1)
        except zlib.error as error:
            raise WireError(f"A message's compressed array is damaged ({error}).") from error
        if len(plain) != size or not stream.eof or stream.unused_data:
            raise WireError(f"A message's compressed array does not hold the {size} bytes it should.")
    else:
        plain = data
    if entry["type"] == "|b1":  # a byte that is neither 0 nor 1 would make a bool that is neither
        return (np.frombuffer(plain, dtype=np.uint8) != 0).reshape(entry["shape"])
    array = np.frombuffer(plain, dtype=entry["type"]).reshape(entry["shape"])
    return array.astype(array.dtype.newbyteorder("="), copy=True)
