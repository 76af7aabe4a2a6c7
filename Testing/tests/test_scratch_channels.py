"""Channels count as much as they tell the strokes apart."""

import numpy as np
import pytest

pytest.importorskip("torch")

from InteractiveRefineLib.scratch.channels import channel_weights, separation  # noqa: E402


def test_separation_is_one_where_a_threshold_tells_the_samples_apart_in_either_direction():
    assert separation(np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])) == 1
    assert separation(np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0])) == 1


def test_separation_is_nothing_where_the_samples_are_alike():
    assert separation(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    assert separation(np.array([1.0, 4.0]), np.array([2.0, 3.0])) == 0


def test_of_four_pairs_three_in_order_are_half_of_a_perfect_order():
    assert separation(np.array([1.0, 3.0]), np.array([2.0, 4.0])) == 0.5


NODES = np.array([0, 1, 2, 3])
GOOD, USELESS = [0.1, 0.2, 0.8, 0.9], [0.3, 0.4, 0.4, 0.3]


def test_a_single_channel_counts_as_it_is():
    assert channel_weights(np.array([USELESS]), NODES, np.array([0, 0, 1, 1])).tolist() == [1]


def test_without_strokes_all_channels_are_alike():
    assert channel_weights(np.array([GOOD, USELESS]), NODES[:0], NODES[:0]).tolist() == [1, 1]


def test_the_channel_that_tells_the_strokes_apart_counts_for_both():
    weights = channel_weights(np.array([USELESS, GOOD]), NODES, np.array([0, 0, 1, 1]))
    assert weights.sum() == pytest.approx(2)
    assert weights[1] / weights[0] == pytest.approx((1.05 / 0.05) ** 4)


def test_equally_good_channels_count_alike():
    assert channel_weights(np.array([GOOD, GOOD[::-1]]), NODES, np.array([0, 0, 1, 1])).tolist() == [1, 1]


def test_a_channel_that_is_best_for_any_two_classes_is_not_left_out():
    first = [0.1, 0.1, 0.9, 0.9, 0.9, 0.9]  # tells 0 from 1 and 2
    second = [0.1, 0.1, 0.1, 0.1, 0.9, 0.9]  # tells 0 and 1 from 2
    weights = channel_weights(np.array([first, second]), np.arange(6), np.array([0, 0, 1, 1, 2, 2]))
    assert weights.tolist() == [1, 1]


def test_without_background_strokes_the_rest_of_the_image_stands_for_it():
    bright = np.concatenate([[0.9, 0.9], np.linspace(0, 0.8, 98)])
    usual = np.concatenate([[0.4, 0.4], np.linspace(0, 0.8, 98)])
    weights = channel_weights(np.array([bright, usual]), np.array([0, 1]), np.array([1, 1]))
    assert weights[0] > 1.9
