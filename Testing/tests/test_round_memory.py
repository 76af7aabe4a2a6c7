"""What rounds leave behind: which voxels were edited by hand, also after Undo and in another numbering."""

import base64
import json
import resource
import sys
import zlib

import numpy as np
import pytest

from InteractiveRefineLib.segmentation import Segment
from Testing.tests.controller_examples import ROOT

sys.path.append(str(ROOT / "InteractiveRefine"))

SEGMENTS = [Segment("liver", 1, id="a"), Segment("spleen", 2, id="b")]
FIRST = np.array([[[0, 1, 1, 2]]], dtype=np.uint16)
SECOND = np.array([[[0, 1, 2, 2]]], dtype=np.uint16)
HAND = np.array([[[False, True, False, False]]])
NOBODY = np.zeros((1, 1, 4), dtype=bool)


def memory():
    from InteractiveRefineScene.round_memory import RoundMemory

    return RoundMemory()


def test_nothing_is_known_at_first():
    assert memory().manualFor(FIRST, SEGMENTS) is None
    assert memory().toText() == ""


def test_what_differs_from_the_round_was_edited_by_hand_since():
    found = memory()
    found.remember(FIRST, SEGMENTS, HAND)

    assert found.manualFor(FIRST, SEGMENTS).tolist() == HAND.tolist()
    assert found.manualFor(SECOND, SEGMENTS).tolist() == [[[False, True, True, False]]]


def test_after_undo_the_round_before_counts():
    found = memory()
    found.remember(FIRST, SEGMENTS, HAND)
    found.remember(SECOND, SEGMENTS, NOBODY)

    assert found.manualFor(FIRST, SEGMENTS).tolist() == HAND.tolist()
    assert found.manualFor(SECOND, SEGMENTS).tolist() == NOBODY.tolist()


def test_segments_are_known_by_id_whatever_their_labels():
    found = memory()
    found.remember(FIRST, SEGMENTS, HAND)
    swapped = [Segment("spleen", 1, id="b"), Segment("liver", 2, id="a")]
    renumbered = np.array([0, 2, 1], dtype=np.uint16)[FIRST]

    assert found.manualFor(renumbered, swapped).tolist() == HAND.tolist()


def test_it_survives_as_text_and_a_damaged_text_counts_as_nothing():
    found, loaded = memory(), memory()
    found.remember(FIRST, SEGMENTS, HAND)

    loaded.load(found.toText())

    assert loaded.manualFor(FIRST, SEGMENTS).tolist() == HAND.tolist()
    assert loaded.manualFor(SECOND, SEGMENTS).tolist() == [[[False, True, True, False]]]
    whole = found.toText()
    for text in ("", "{", whole[:-40], whole.replace('"data": "', '"data": "AAAA'), whole.replace('"b"', '"b", 3')[1:]):
        loaded.load(text)
        assert loaded.manualFor(FIRST, SEGMENTS) is None
    found.clear()
    assert found.manualFor(FIRST, SEGMENTS) is None


@pytest.mark.parametrize("seed", range(6))
def test_any_label_map_comes_back_as_it_was(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 9, 3))
    filled = rng.random(shape) < (0.0, 0.1, 0.5, 1.0, 0.3, 0.9)[seed]
    labels = (rng.integers(0, 400, shape) * filled).astype(np.uint16)
    segments = [Segment(f"s{n}", n, id=f"id{n}") for n in range(1, 400)]
    manual = rng.random(shape) < 0.2
    found, loaded = memory(), memory()
    found.remember(labels, segments, manual)
    loaded.load(found.toText())
    for each in (found, loaded):
        assert np.array_equal(each.manualFor(labels, segments), manual)


def test_another_grid_is_no_round_of_this_one():
    found = memory()
    found.remember(FIRST, SEGMENTS, HAND)
    assert found.manualFor(np.zeros((1, 2, 4), dtype=np.uint16), SEGMENTS) is None


@pytest.mark.parametrize(
    "claim",
    [
        {"shape": [10**6] * 3},
        {"shape": [-1, 1, 4]},
        {"type": "<f8"},
        {"runs": 1},
        {"runs": -1},
        {"runs": 2**40},
        {"size": [1, 1, 2]},
        {"data": base64.b64encode(zlib.compress(bytes(50_000_000))).decode()},  # much more than its size says
        {"data": base64.b64encode(zlib.compress(b"")).decode()},
    ],
    ids=["huge", "negative", "other type", "few runs", "no runs", "many runs", "smaller", "bomb", "empty"],
)
def test_a_text_that_claims_what_cannot_be_counts_as_nothing(claim):
    found, loaded = memory(), memory()
    found.remember(FIRST, SEGMENTS, HAND)
    stored = json.loads(found.toText())
    stored["labels"].update(claim)
    if "shape" in claim:
        stored["manual"].update(claim)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    loaded.load(json.dumps(stored))

    assert loaded.manualFor(FIRST, SEGMENTS) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
