"""The wire format: its exact bytes, and what becomes of bytes that are none of its own."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from InteractiveRefineLib.worker import wire
from InteractiveRefineLib.worker.wire import FrameDecoder, Message, WireError, encode

TINY = (
    b"IRW1"
    + bytes([85, 0, 0, 0])
    + bytes([4, 0, 0, 0, 0, 0, 0, 0])
    + b'{"kind":"image","job":7,"arrays":[{"type":"<i2","shape":[2],"bytes":4,"zlib":false}]}'
    + bytes([1, 0, 0xFE, 0xFF])
)


def frame(header: bytes, payload: bytes = b"", **claims):
    """A frame of these bytes; its lengths may be lies."""
    sizes = claims.get("n_header", len(header)), claims.get("n_payload", len(payload))
    return struct.pack("<4sIQ", b"IRW1", *sizes) + header + payload


def decoded(data: bytes) -> list[Message]:
    decoder = FrameDecoder()
    decoder.feed(data)
    return list(iter(decoder.next, None))


def test_a_tiny_message_byte_by_byte():
    assert encode("image", {"job": 7}, [np.array([1, -2], dtype=np.int16)]) == TINY


def test_messages_come_out_however_the_bytes_are_cut():
    data = encode("a") + encode("b", {"x": [1, None]}, [np.arange(3.0)]) + encode("c")
    decoder, found = FrameDecoder(), []
    for n in range(len(data)):
        decoder.feed(data[n : n + 1])
        while (message := decoder.next()) is not None:
            found.append(message)
    assert [(m.kind, m.fields) for m in found] == [("a", {}), ("b", {"x": [1, None]}), ("c", {})]
    assert found[1].arrays[0].tolist() == [0.0, 1.0, 2.0]
    assert decoder.is_between_frames


@pytest.mark.parametrize("n", range(1, len(TINY)))
def test_a_truncated_message_is_waited_for(n):
    data = TINY
    decoder = FrameDecoder()
    decoder.feed(data[:n])
    assert decoder.next() is None and not decoder.is_between_frames
    decoder.feed(data[n:])
    assert decoder.next().arrays[0].tolist() == [1, -2]


@pytest.mark.parametrize("dtype", wire.ARRAY_TYPES)
def test_every_type_survives(dtype):
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    (message,) = decoded(encode("x", arrays=[array]))
    assert message.arrays[0].dtype == array.dtype and np.array_equal(message.arrays[0], array)


def test_arrays_of_any_layout_arrive_in_c_order_and_native():
    array = np.arange(24, dtype=">i4").reshape(2, 3, 4).transpose(2, 0, 1)[::-1]
    (message,) = decoded(encode("x", arrays=[array, np.array(3, dtype=np.uint8), np.empty((0, 3), np.float32)]))
    first, scalar, empty = message.arrays
    assert first.tolist() == array.tolist() and first.dtype == np.dtype("i4") and first.flags.c_contiguous
    assert first.flags.writeable and scalar.shape == () and empty.shape == (0, 3)


def test_large_label_maps_are_compressed_and_images_are_not():
    zeros = np.zeros(100_000, dtype=np.uint16)
    assert len(encode("x", arrays=[zeros])) < 2_000 < 200_000 < len(encode("x", arrays=[zeros], pack=False))
    (message,) = decoded(encode("x", arrays=[zeros]))
    assert np.array_equal(message.arrays[0], zeros)


def test_numbers_survive_to_the_last_bit():
    values = {"a": 0.1 + 0.2, "b": 1e-320, "c": float("inf"), "d": np.float64(1 / 3), "e": np.int64(2**53)}
    (message,) = decoded(encode("x", values))
    assert message.fields == values


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array([1j])])
def test_what_is_no_plain_number_is_not_sent(array):
    with pytest.raises(WireError, match="cannot be sent"):
        encode("x", arrays=[array])


ENTRY = b'{"kind":"x","arrays":[{"type":"<i2","shape":[2],"bytes":4,"zlib":false}]}'


@pytest.mark.parametrize(
    "data, match",
    [
        (b"Welcome to gpu-box!\nIRW1", r"begins with 'Welcome to gpu-box!'.*prints at login"),
        (b"IRW2" + bytes(12), "begins with 'IRW2"),
        (frame(b"", n_header=2**25), "claims 33554432"),
        (frame(b"", n_payload=2**60), r"claims 0 \+ 1152921504606846976 bytes"),
        (frame(b"{nonsense"), "no JSON"),
        (frame(b"\xff\xfe"), "no JSON"),
        (frame(b"[" * 100_000), "no JSON"),
        (frame(b"[1]"), "must be an object"),
        (frame(b'{"kind":3}'), "must be an object"),
        (frame(b'{"kind":"x","arrays":{}}'), "must be a list"),
        (frame(b'{"kind":"x","arrays":[3]}'), "cannot be: 3"),
        (frame(b'{"kind":"x","arrays":[' + b",".join([ENTRY] * 65) + b"]}"), "at most 64"),
        (frame(ENTRY, b"123"), "do not add up to its payload of 3 bytes"),
        (frame(ENTRY.replace(b"<i2", b"|O"), b"1234"), "cannot be"),
        (frame(ENTRY.replace(b"[2]", b"[-2]"), b"1234"), "cannot be"),
        (frame(ENTRY.replace(b"[2]", b"[3]"), b"1234"), "array of 6 bytes is sent as 4"),
        (frame(ENTRY.replace(b"[2]", b"[true]"), b"1234"), "cannot be"),
        (frame(ENTRY.replace(b"[2]", b"[99999999,9999999]").replace(b"false", b"true"), b"1234"), "array of"),
        (frame(ENTRY.replace(b"false", b"true"), b"1234"), "damaged"),
    ],
)
def test_what_is_no_message_is_refused_in_words(data, match):
    with pytest.raises(WireError, match=match):
        decoded(data)


def test_a_small_stream_that_unpacks_to_gigabytes_is_refused_without_unpacking_it():
    bomb = zlib.compress(bytes(200 * 2**20), 9)
    header = f'{{"kind":"x","arrays":[{{"type":"|u1","shape":[1000],"bytes":{len(bomb)},"zlib":true}}]}}'
    tracemalloc.start()
    with pytest.raises(WireError, match="does not hold the 1000 bytes"):
        decoded(frame(header.encode(), bomb))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20


def test_a_claimed_length_takes_no_memory():
    data = frame(b'{"kind":"x","arrays":[{"type":"|u1","shape":[8000000000],"bytes":8000000000,"zlib":false}]}')
    data = data[:8] + struct.pack("<Q", 8_000_000_000) + data[16:]
    tracemalloc.start()
    assert decoded(data) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 120), max_size=4), st.booleans())
def test_damaged_bytes_are_refused_or_waited_for_but_never_misread(noise, cuts, keep_start):
    good = TINY
    data = bytearray(good if keep_start else b"")
    for cut in cuts:
        data[cut : cut + 1] = noise[:3]
    data += noise
    try:
        messages = decoded(bytes(data))
    except WireError:
        return
    for message in messages:
        assert isinstance(message.kind, str) and all(isinstance(a, np.ndarray) for a in message.arrays)
