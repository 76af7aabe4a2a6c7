"""Ways to damage the bytes of a conversation, as hypothesis strategies."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

_PREFIX = struct.Struct("<4sIQ")
#: What no field expects; each is of another type than most of the others.
STRANGE = (
    None, True, -1, 0, 1, 7, 2**63, 1.5, float("nan"), "", "x", [], [[]], [1, "x"], [[0, 9], [0, 9], [0, 9]], {},
    {"a": 1}, {"box": [[0, 1]], "array": 5}, [{}] * 3,
)  # fmt: skip


def bounded(n: int) -> settings:
    """So many examples, always the same ones, and nothing written to disk."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=n, derandomize=True, database=None, deadline=None, suppress_health_check=checks, print_blob=False
    )


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """Bytes with one to three damages: flipped, cut, doubled, removed, strange ones in between, lying lengths."""
    for _ in range(draw(st.integers(1, 3))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        length = draw(st.integers(1, 40))
        how = draw(st.sampled_from(["flip", "cut", "double", "remove", "insert", "length"]))
        if how == "flip":
            data = data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
        elif how == "cut":
            data = data[:at]
        elif how == "double":
            data = data[: at + length] + data[at:]
        elif how == "remove":
            data = data[:at] + data[at + length :]
        elif how == "insert":
            data = data[:at] + draw(st.binary(min_size=1, max_size=40)) + data[at:]
        else:
            lie = draw(st.sampled_from([0, 1, 2**16, 2**31, 2**32 - 1]))
            data = data[:4] + struct.pack("<I", lie) + data[8:]
    return data


@st.composite
def with_strange_field(draw, frame: bytes) -> bytes:
    """A well-formed frame one of whose fields, at any depth, holds what it should not, or is missing."""
    _, n_header, n_payload = _PREFIX.unpack_from(frame)
    header = json.loads(frame[_PREFIX.size : _PREFIX.size + n_header])
    payload = frame[_PREFIX.size + n_header :]
    header = copy.deepcopy(header)
    places = _places(header) if draw(st.booleans()) else [(header, key) for key in header]
    holder, key = draw(st.sampled_from(places))
    if draw(st.booleans()) and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = draw(st.sampled_from(STRANGE))
    text = json.dumps(header).encode()
    return _PREFIX.pack(b"IRW1", len(text), n_payload) + text + payload


def every_strange_field(frame: bytes, values: tuple = (None, "x", [1, "x"], {"a": 1})) -> Iterator[bytes]:
    """Well-formed frames, each with one of these values in one field, at any depth."""
    _, n_header, n_payload = _PREFIX.unpack_from(frame)
    header = json.loads(frame[_PREFIX.size : _PREFIX.size + n_header])
    payload = frame[_PREFIX.size + n_header :]
    for holder, key in _places(header):
        before = holder[key]
        for value in values:
            holder[key] = value
            text = json.dumps(header).encode()
            yield _PREFIX.pack(b"IRW1", len(text), n_payload) + text + payload
        holder[key] = before


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below `value`; of long lists the first entries."""
    keys = list(value) if isinstance(value, dict) else range(min(len(value), 4)) if isinstance(value, list) else []
    found = []
    for key in keys:
        found += [(value, key), *_places(value[key])]
    return found
