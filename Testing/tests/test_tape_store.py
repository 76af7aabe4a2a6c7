"""The store of recorded windows: bounded memory, the least recently used goes, nothing of the answer changes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.partial.parts import ConvolutionPart, TapePart  # noqa: E402
from InteractiveRefineLib.partial.prepare import prepare  # noqa: E402
from InteractiveRefineLib.partial.store import TapeStore, bytes_of  # noqa: E402
from InteractiveRefineLib.partial.tape import Tape  # noqa: E402
from Testing.tests.network_examples import UNet3d, a_backbone, noise, randomized  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (8, 12, 16)


def a_tape(side=4):
    """Of a convolution of one channel: it keeps its input, side^3 float32."""
    network = torch.nn.Conv3d(1, 1, 1).requires_grad_(False)
    image = torch.zeros(1, 1, side, side, side)
    return Tape.record(lambda: network(image), list(network.parameters()), network.weight)


def test_a_tape_takes_the_memory_of_what_it_keeps():
    assert bytes_of(a_tape(4)) == 4 * 4**3


def test_over_budget_the_window_not_used_for_the_longest_time_goes_and_is_recorded_again_when_needed():
    recorded = []

    def record(number):
        recorded.append(number)
        return a_tape()

    store = TapeStore(record, budget=2 * 4 * 4**3)
    first, second = store[0], store[1]
    assert store[0] is first  # used again: now 1 is the oldest
    store[2]
    assert recorded == [0, 1, 2] and store.kept()[0] is first
    assert store[0] is first and store[1] is not second
    assert recorded == [0, 1, 2, 1]


def test_the_window_in_use_is_kept_whatever_it_takes():
    store = TapeStore(lambda number: a_tape(), budget=0)
    tape = store[5]
    assert store[5] is tape and store.kept() == [tape]


def test_putting_a_window_again_replaces_it():
    store = TapeStore(lambda number: a_tape(), budget=3 * 4 * 4**3)
    tapes = [a_tape() for _ in range(4)]
    for tape in tapes:
        store.put(0, tape)
    store.put(1, tapes[0])
    assert store.kept() == [tapes[3], tapes[0]]


def prepared(layers, cache_bytes, count=None):
    network = randomized(UNet3d())
    runs = []
    network.register_forward_hook(lambda *_: runs.append(1))
    backbone = a_backbone(network, 3, patch_size=(6, 8, 8), divisible_by=2)
    grid = NetworkGrid(SHAPE, tuple(slice(0, n) for n in SHAPE), SHAPE)
    with torch.no_grad():
        return prepare(backbone, grid, noise(1, *SHAPE), layers, cache_bytes=cache_bytes), runs


@pytest.mark.parametrize("layers, kind", [(1, ConvolutionPart), (2, TapePart)])
def test_without_memory_windows_run_again_and_the_answers_are_the_same_to_the_last_bit(layers, kind):
    (plenty, runs), (nothing, again) = prepared(layers, 2**30), prepared(layers, 0)
    assert type(plenty.part) is type(nothing.part) is kind
    before = len(runs), len(again)
    values = [p + 0.1 for p in plenty.part.initial]
    positions = np.array([[1.0, 2, 3], [6.5, 10.5, 14.25]])
    with torch.no_grad():
        assert torch.equal(plenty.part.at(positions)(values), nothing.part.at(positions)(values))
    assert torch.equal(plenty.part.everywhere(values), nothing.part.everywhere(values))
    assert torch.equal(plenty.logits, nothing.logits)
    assert len(runs) == before[0] and len(again) > before[1]


def test_where_features_take_too_much_memory_they_are_kept_in_half_precision():
    (full, _), (half, _) = prepared(1, 2**30), prepared(1, 0)
    assert full.features.dtype == torch.float32 and half.features.dtype == torch.float16
    largest = float(full.features.abs().max())
    assert float((full.features - half.features.float()).abs().max()) < 2e-3 * largest


@pytest.mark.parametrize("layers", [1, 2])
def test_the_tuned_logits_of_a_region_are_those_of_the_whole(layers):
    network, _ = prepared(layers, 2**30)
    values = [p + 0.1 for p in network.part.initial]
    region = (slice(2, 5), slice(0, 4), slice(9, 16))
    assert torch.equal(network.part.everywhere(values, region), network.part.everywhere(values)[(slice(None), *region)])


def test_only_windows_that_reach_into_the_region_are_computed():
    network, again = prepared(2, 0)
    before = len(again)
    network.part.everywhere(network.part.initial, (slice(0, 1), slice(0, 1), slice(0, 1)))
    assert len(again) - before <= 1
