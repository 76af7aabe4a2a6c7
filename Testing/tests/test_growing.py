"""Region growing: its rule, its limits, and that it equals the definition voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from growing_oracle import grow_slowly

from InteractiveRefineLib.errors import Cancelled, InputError
from InteractiveRefineLib.growing import grow, grow_voxels

MM = (1.0, 1.0, 1.0)
FAR = 1000.0


def line(*values, dtype=np.int16):
    """A (1, 1, I) array."""
    return np.array([[values]], dtype=dtype)


def grown_line(image, seeds, threshold, distance=FAR, **options):
    options.setdefault("leak_guard", False)
    return grow(line(*image, dtype=float), line(*seeds), MM, threshold, distance, **options).labels[0, 0].tolist()


def random_case(number):
    """A small volume with few intensities, so that ties and reached thresholds are common."""
    rng = np.random.default_rng(number)
    shape = tuple(int(n) for n in rng.integers(1, 8, 3))
    image = rng.integers(0, 5, shape).astype([np.int16, np.uint8, np.float32, np.float64][number % 4])
    if number % 5 == 0:
        image = np.stack([image, rng.integers(0, 3, shape).astype(image.dtype)])
    if image.dtype.kind == "f":
        image[rng.random(image.shape) < 0.03] = np.nan
    n_labels = int(rng.integers(1, 5))
    seeds = np.where(rng.random(shape) < 0.04, rng.integers(1, n_labels + 1, shape), 0).astype(np.uint16)
    seeds[tuple(rng.integers(0, shape))] = 255
    spacing = tuple(float(s) for s in rng.choice([0.5, 0.7, 1.0, 2.5], 3))
    blocked = rng.random(shape) < 0.1 if number % 3 == 0 else None
    return image, seeds, spacing, float(rng.integers(1, 4)), float(rng.choice([0, 1.4, 2.1, 3.5, 100])), blocked


@pytest.mark.parametrize("rule", ["chain", "seed"])
@pytest.mark.parametrize("number", range(60))
def test_growing_equals_the_definition_on_random_volumes(number, rule):
    image, seeds, spacing, threshold, distance, blocked = random_case(number)
    result = grow(image, seeds, spacing, threshold, distance, blocked=blocked, rule=rule, leak_guard=False)
    expected = grow_slowly(image, seeds, spacing, threshold, distance, blocked, rule)
    np.testing.assert_array_equal(result.labels, expected)
    for label in np.unique(seeds[seeds > 0]):
        assert result.n_grown[int(label)] == np.count_nonzero(expected == label) - np.count_nonzero(seeds == label)


def test_random_volumes_contain_ties_blocked_voxels_and_several_labels():
    """Otherwise the comparison above would prove less than it says."""
    n_tied = n_labels = n_stopped_by_distance = 0
    for number in range(60):
        image, seeds, spacing, threshold, distance, blocked = random_case(number)
        both = grow_slowly(image, seeds, spacing, threshold, distance, blocked)
        single = [np.where(seeds == c, c, 0) for c in range(1, 5)]
        alone = [grow_slowly(image, one, spacing, threshold, distance, blocked) for one in single]
        n_tied += int(((np.stack(alone) > 0).sum(axis=0) > 1)[both == 0].any())
        n_labels += len(np.unique(seeds)) > 3
        n_stopped_by_distance += bool((grow_slowly(image, seeds, spacing, threshold, FAR, blocked) != both).any())
    assert min(n_tied, n_labels, n_stopped_by_distance) >= 10


def test_chain_compares_neighbors_and_climbs_a_gentle_slope():
    assert grown_line([0, 1, 2, 3, 9], [7, 0, 0, 0, 0], threshold=2) == [7, 7, 7, 7, 0]


def test_seed_rule_compares_with_the_seed_and_stops_on_a_slope():
    assert grown_line([0, 1, 2, 3, 9], [7, 0, 0, 0, 0], threshold=2, rule="seed") == [7, 7, 0, 0, 0]


def test_a_difference_of_exactly_the_threshold_is_too_much():
    assert grown_line([0, 2, 2], [7, 0, 0], threshold=2) == [7, 0, 0]
    assert grown_line([0, 2, 2], [7, 0, 0], threshold=2.001) == [7, 7, 7]


def test_small_integer_types_do_not_overflow():
    image = np.array([[[250, 5, 5]]], dtype=np.uint8)
    assert grow(image, line(1, 0, 0), MM, 20, FAR).labels.tolist() == [[[1, 0, 0]]]


def test_the_label_with_fewer_steps_wins_and_a_tie_stays_unlabeled():
    assert grown_line([0] * 6, [1, 0, 0, 0, 0, 2], threshold=1) == [1, 1, 1, 2, 2, 2]
    assert grown_line([0] * 5, [1, 0, 0, 0, 2], threshold=1) == [1, 1, 0, 2, 2]


def test_nobody_gets_past_a_tied_voxel():
    image = np.zeros((1, 2, 3))
    image[0, 1] = [9, 0, 9]  # a pocket below the middle, only reachable through the tied voxel
    seeds = np.array([[[1, 0, 2], [0, 0, 0]]])
    assert grow(image, seeds, MM, 1, FAR).labels.tolist() == [[[1, 0, 2], [0, 0, 0]]]


def test_background_strokes_grow_like_any_other_label():
    assert grown_line([0] * 6, [255, 0, 0, 0, 0, 2], threshold=1) == [255, 255, 255, 2, 2, 2]


def test_growth_ends_at_the_distance_measured_along_each_axis_in_mm():
    seeds = np.zeros((7, 7, 7), dtype=np.uint8)
    seeds[3, 3, 3] = 1
    labels = grow(np.zeros(seeds.shape), seeds, (3.0, 1.0, 0.5), 1, 1.5).labels
    assert labels[:, 3, 3].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert labels[3, :, 3].tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert labels[3, 3, :].tolist() == [1, 1, 1, 1, 1, 1, 1]


def test_a_distance_that_is_a_multiple_of_the_spacing_includes_its_voxel():
    assert 3 * 1.1 > 3.3  # as floating point numbers
    labels = grow(np.zeros((1, 1, 9)), line(1, 0, 0, 0, 0, 0, 0, 0, 0), (1, 1, 1.1), 1, 3.3).labels
    assert labels[0, 0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_blocked_voxels_and_other_seeds_are_walls():
    blocked = np.array([[[False, False, True, False, False]]])
    assert grown_line([0] * 5, [1, 0, 0, 0, 0], threshold=1, blocked=blocked) == [1, 1, 0, 0, 0]
    assert grown_line([0, 0, 9, 0, 0], [1, 0, 2, 0, 0], threshold=1) == [1, 1, 2, 0, 0]


def test_voxels_that_are_not_a_number_are_never_crossed():
    assert grown_line([0, 0, np.nan, 0], [1, 0, 0, 0], threshold=np.inf) == [1, 1, 0, 0]


def test_the_channel_with_the_largest_difference_decides():
    image = np.stack([line(0, 0, 0, 0), line(0, 0, 5, 5)])
    assert grow(image, line(1, 0, 0, 0), MM, 3, FAR).labels[0, 0].tolist() == [1, 1, 0, 0]


def test_growth_does_not_wrap_around_the_ends_of_the_array():
    image = np.array([[[9, 9, 0], [0, 9, 9]], [[9, 9, 9], [9, 9, 9]]])
    seeds = np.array([[[0, 0, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]])
    assert grow(image, seeds, MM, 1, FAR).labels.sum() == 1


@pytest.mark.parametrize("n_labels", [9, 40, 300])
def test_many_labels_at_once(n_labels):
    rng = np.random.default_rng(n_labels)
    shape = (9, 10, 11)
    image = rng.integers(0, 4, shape)
    seeds = np.zeros(shape, dtype=np.uint16)
    places = rng.choice(seeds.size, n_labels, replace=False)
    seeds.reshape(-1)[places] = rng.permutation(n_labels) + 1
    for rule in ("chain", "seed"):
        labels = grow(image, seeds, MM, 2, 3.0, rule=rule, leak_guard=False).labels
        np.testing.assert_array_equal(labels, grow_slowly(image, seeds, MM, 2, 3.0, rule=rule))
    assert np.count_nonzero(labels) > 1.5 * n_labels


def test_flipped_and_permuted_views_grow_like_their_copies():
    rng = np.random.default_rng(0)
    image, blocked = rng.integers(0, 4, (7, 8, 9)), rng.random((7, 8, 9)) < 0.1
    seeds = np.where(rng.random(image.shape) < 0.01, rng.integers(1, 4, image.shape), 0)
    views = [array.transpose(2, 0, 1)[::-1, :, ::-1] for array in (image, seeds, blocked)]
    results = [
        grow(a, b, (0.7, 1.0, 2.5), 2, 3.5, blocked=c).labels
        for a, b, c in (views, [np.ascontiguousarray(view) for view in views])
    ]
    np.testing.assert_array_equal(*results)
    assert np.count_nonzero(results[0]) > 5 * np.count_nonzero(seeds)


def test_growing_looks_only_at_the_box_that_the_seeds_can_reach():
    """What lies beyond changes nothing, and the result says where nothing can be."""
    inner = (slice(5, 12), slice(9, 16), slice(4, 11))
    whole = np.full((20, 30, 25), 77.0)
    whole[inner] = np.random.default_rng(0).integers(0, 3, (7, 7, 7))
    seeds = np.zeros(whole.shape, dtype=np.uint8)
    seeds[8, 12, 7], seeds[8, 12, 8] = 1, 2
    asked = []

    def blocked_in(box):
        asked.append(box)
        return np.zeros([side.stop - side.start for side in box], dtype=bool)

    voxels = np.argwhere(seeds)
    result = grow_voxels(whole[None], voxels, seeds[seeds > 0], MM, 2, 3.0, blocked_in=blocked_in)
    assert asked == [result.box] == [(slice(4, 13), slice(8, 17), slice(3, 13))]
    np.testing.assert_array_equal(result.labels, grow(whole, seeds, MM, 2, 3.0).labels)
    np.testing.assert_array_equal(result.labels, grow_slowly(whole, seeds, MM, 2, 3.0))
    outside = result.labels.copy()
    outside[result.box] = 0
    assert not outside.any()


def test_seeds_stay_what_they_are_and_the_input_is_not_changed():
    image, seeds, spacing, threshold, distance, blocked = random_case(6)
    before = seeds.copy()
    labels = grow(image, seeds, spacing, threshold, distance, blocked=blocked).labels
    np.testing.assert_array_equal(seeds, before)
    np.testing.assert_array_equal(labels[before > 0], before[before > 0])
    assert labels.dtype == seeds.dtype


def test_without_seeds_nothing_grows():
    result = grow(np.zeros((2, 2, 2)), np.zeros((2, 2, 2), dtype=np.uint8), MM, 1, FAR)
    assert (result.labels.sum(), result.n_grown, result.steps) == (0, {}, 0)


def test_steps_and_gains_are_reported():
    result = grow(np.zeros((1, 1, 6)), line(1, 0, 0, 0, 0, 2), MM, 1, FAR)
    assert (result.steps, result.n_grown) == (2, {1: 2, 2: 2})


# What can go wrong


def test_cancel_is_asked_at_every_step():
    asked = []
    with pytest.raises(Cancelled):
        grow(
            np.zeros((1, 1, 9)), line(1, 0, 0, 0, 0, 0, 0, 0, 0), MM, 1, FAR,
            should_cancel=lambda: asked.append(1) or len(asked) == 4,
        )  # fmt: skip
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((2, 2, 3))}, r"image has shape \(2, 2, 3\), but the seeds have \(2, 2, 2\)"),
        ({"seeds": np.zeros((2, 2, 2))}, "integers, not float64"),
        ({"blocked": np.zeros((1, 2, 2), dtype=bool)}, "mask of blocked voxels has shape"),
        ({"spacing_kji": (1, 0, 1)}, r"three positive numbers in mm \(K, J, I\), not \(1, 0, 1\)"),
        ({"threshold": np.nan}, "threshold must be 0 or more, not nan"),
        ({"max_distance_mm": -1}, "max_distance_mm must be 0 or more, not -1"),
        ({"rule": "flood"}, "must be one of chain, seed, not 'flood'"),
    ],
)
def test_unusable_input_is_named(change, message):
    good = {
        "image": np.zeros((2, 2, 2)),
        "seeds": np.zeros((2, 2, 2), dtype=np.uint8),
        "spacing_kji": MM,
        "threshold": 1,
        "max_distance_mm": 1,
    }
    with pytest.raises(InputError, match=message):
        grow(**{**good, **change})
