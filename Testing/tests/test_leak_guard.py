"""The leak guard: stops a flood behind a narrow place, and never an ordinary, ball-shaped growth."""

from __future__ import annotations

import numpy as np
import pytest

from InteractiveRefineLib.growing import grow
from InteractiveRefineLib.leak_guard import Leak, find_leak, narrow_step

MM = (1.0, 1.0, 1.0)
FAR = 1000.0


def room_behind_corridor(width, length):
    """An image of walls (0) with a corridor (100) along I that opens into a room, and a stroke at its far end."""
    image = np.zeros((31, 31, length + 30))
    a = 15 - width // 2
    image[a : a + width, a : a + width, 1 : 1 + length] = 100
    image[:, :, 1 + length :] = 100
    seeds = np.zeros(image.shape, dtype=np.uint8)
    seeds[15, 15, 1:3] = 4
    return image, seeds


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("length", [8, 14])
def test_a_corridor_that_opens_into_a_room_is_reported_and_left_at_its_end(width, length):
    image, seeds = room_behind_corridor(width, length)
    result = grow(image, seeds, MM, 10, FAR)
    leak = result.leaks[4]
    corridor = width * width * length
    assert 0.7 * corridor <= np.count_nonzero(result.labels) <= corridor + 30
    assert leak.n_voxels > 30
    assert result.steps == leak.step
    assert abs(leak.kji[2] - length) <= 3
    assert result.labels[leak.kji] == 4


def test_the_guard_can_be_switched_off():
    image, seeds = room_behind_corridor(3, 8)
    result = grow(image, seeds, MM, 10, FAR, leak_guard=False)
    assert result.leaks == {}
    assert np.count_nonzero(result.labels) == np.count_nonzero(image)


def test_a_leaking_label_does_not_keep_another_one_from_its_voxels():
    image, seeds = room_behind_corridor(3, 8)
    alone = seeds.copy()
    seeds[15, 15, 37] = 5  # at the far end of the room, which the flood would reach as well
    alone[:] = grow(image, np.where(seeds == 5, seeds, 0), MM, 10, FAR).labels
    labels = grow(image, seeds, MM, 10, FAR).labels
    room = np.s_[:, :, 9 + 5 :]
    np.testing.assert_array_equal(labels[room], alone[room])


@pytest.mark.parametrize("rule", ["chain", "seed"])
def test_after_a_leak_all_stands_as_if_the_leaking_label_had_been_halted_in_time(rule):
    image, seeds = room_behind_corridor(3, 8)
    seeds[30, 30, 37], seeds[0, 2, 35] = 5, 6  # in the room; the flood would meet both
    flooded = grow(image, seeds, MM, 10, FAR, rule=rule, leak_guard=False).labels
    result = grow(image, seeds, MM, 10, FAR, rule=rule)
    assert set(result.leaks) == {4}
    halted = result.labels == 4
    assert np.count_nonzero(flooded == 4) > 5 * np.count_nonzero(halted)
    alone = grow(image, np.where(seeds == 4, 0, seeds), MM, 10, FAR, rule=rule, blocked=halted).labels
    np.testing.assert_array_equal(result.labels[~halted], alone[~halted])
    assert result.n_grown == {label: np.count_nonzero((result.labels == label) & (seeds == 0)) for label in (4, 5, 6)}


def test_the_place_of_a_leak_is_an_index_into_the_whole_image():
    image, seeds = room_behind_corridor(3, 8)
    wide = [(40, 3), (7, 50), (60, 20)]
    leaks = [
        grow(np.pad(image, pad, constant_values=-99), np.pad(seeds, pad), MM, 10, 25.0).leaks[4]
        for pad in ([(0, 0)] * 3, wide)
    ]
    assert leaks[0][:2] == leaks[1][:2]
    assert leaks[1].kji == tuple(n + before for n, (before, _) in zip(leaks[0].kji, wide))


STROKES = {
    "a single voxel": np.s_[20, 20, 20],
    "a line": np.s_[20, 20, 12:28],
    "a short line off center": np.s_[9, 12, 8:12],
    "a filled square": np.s_[20, 14:26, 14:26],
    "a ball": np.s_[18:23, 18:23, 18:23],
}


@pytest.mark.parametrize("stroke", STROKES)
@pytest.mark.parametrize("noise", [0.0, 10.0])
@pytest.mark.parametrize("spacing", [MM, (3.0, 0.8, 0.8)])
@pytest.mark.parametrize("distance", [12.0, FAR])
def test_a_stroke_in_a_homogeneous_organ_does_not_count_as_a_leak(stroke, noise, spacing, distance):
    k, j, i = np.ogrid[:41, :41, :41]
    organ = ((k - 20) / 19) ** 2 + ((j - 20) / 17) ** 2 + ((i - 20) / 19) ** 2 <= 1
    image = np.where(organ, 100.0, -500.0) + np.random.default_rng(1).normal(0, noise, organ.shape)
    seeds = np.zeros(organ.shape, dtype=np.uint8)
    seeds[STROKES[stroke]] = 1
    result = grow(image, seeds, spacing, 20, distance)
    assert result.leaks == {}
    assert np.count_nonzero(result.labels) > 300


def test_a_front_that_grows_like_a_ball_is_no_leak_and_one_that_restarts_is():
    ball = [4 * s * s + 2 for s in range(1, 30)]
    assert all(narrow_step(ball[:n], 1) is None for n in range(1, 30))
    restart = [9] * 12 + [2 * s * s + 9 for s in range(1, 8)]
    assert narrow_step(restart[:14], 3) is None
    assert narrow_step(restart, 3) == 13  # 11 new voxels: still as good as narrow


def test_a_widening_that_is_small_against_the_stroke_is_no_leak():
    restart = [9] * 12 + [2 * s * s + 9 for s in range(1, 8)]
    assert narrow_step(restart, 3) is not None
    assert narrow_step(restart, 2000) is None


def test_the_leak_is_placed_at_the_part_of_the_front_that_the_flood_came_from():
    shape = (40, 40, 40)

    def flat(*voxels):
        return np.ravel_multi_index(tuple(np.array(voxels).T), shape)

    narrow = flat((5, 5, 5), (30, 30, 30))
    flood = flat(*((k, j, 33) for k in range(26, 35) for j in range(26, 35)))
    fronts = [narrow] * 6 + [flood]
    assert find_leak(fronts, 2, shape) == Leak(6, 81, (30, 30, 30))
    assert find_leak(fronts[:6], 2, shape) is None
