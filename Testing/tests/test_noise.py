"""The noise estimate: right on noise of a known size, blind to edges and padding."""

from __future__ import annotations

import numpy as np
import pytest

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.noise import _median, estimate_noise, estimate_noise_near


def organs(shape=(20, 48, 48)):
    """A piecewise constant image with sharp edges of 100 to 900 units, air padding all around."""
    image = np.full(shape, -1000.0)
    image[:, 6:-6, 6:-6] = 0
    image[4:14, 10:30, 10:28] = 100
    image[8:18, 25:40, 30:40] = 400
    return image, image > -1000


@pytest.mark.parametrize("sigma", [0.5, 1.0, 8.0, 40.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_noise_of_known_size_is_found_within_ten_percent_despite_edges_and_padding(sigma, dtype):
    image, body = organs()
    noise = np.random.default_rng(0).normal(0, sigma, image.shape)
    noisy = np.where(body, image + noise, image)
    # Rounding is noise as well: its variance is 1/12.
    expected = np.hypot(sigma, np.sqrt(1 / 12)) if dtype == np.int16 else sigma
    noisy = np.rint(noisy).astype(dtype) if dtype == np.int16 else noisy.astype(dtype)
    assert estimate_noise(noisy) == pytest.approx(expected, rel=0.1)


def test_a_constant_image_has_no_noise():
    assert estimate_noise(np.full((4, 5, 6), 7)) == 0.0


def test_a_single_voxel_has_no_noise():
    assert estimate_noise(np.ones((1, 1, 1))) == 0.0


def test_a_single_slice_is_enough():
    image = np.random.default_rng(0).normal(0, 5, (1, 100, 100))
    assert estimate_noise(image) == pytest.approx(5, rel=0.1)


def test_padding_that_fills_most_of_the_image_does_not_count():
    image = np.zeros((12, 60, 60), dtype=np.int16)
    image[3:9, 20:40, 20:40] = np.random.default_rng(0).normal(100, 10, (6, 20, 20))
    assert estimate_noise(image) == pytest.approx(10, rel=0.1)


def test_a_large_image_is_sampled_and_gives_the_same_answer_every_time():
    image = np.random.default_rng(0).normal(0, 12, (24, 500, 500)).astype(np.float32)
    assert estimate_noise(image) == pytest.approx(12, rel=0.02)
    assert estimate_noise(image) == estimate_noise(image.copy())


def test_thick_slices_that_differ_by_anatomy_do_not_count():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 200, (10, 1, 1)) + rng.normal(0, 5, (10, 40, 40))
    assert estimate_noise(image) == pytest.approx(5, rel=0.1)


def test_only_voxels_in_the_mask_count():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 50, (10, 30, 30))
    image[:, :, :15] = rng.normal(0, 5, (10, 30, 15))
    mask = np.zeros(image.shape, dtype=bool)
    mask[:, :, :15] = True
    assert estimate_noise(image, mask) == pytest.approx(5, rel=0.1)
    assert estimate_noise(image, np.zeros_like(mask)) == 0.0


def test_voxels_that_are_not_a_number_are_left_out():
    image = np.random.default_rng(0).normal(0, 5, (10, 30, 30))
    image[:, :5] = np.nan
    image[:, 5:7] = np.inf
    assert estimate_noise(image) == pytest.approx(5, rel=0.1)


def test_the_noisiest_channel_counts():
    rng = np.random.default_rng(0)
    image = np.stack([rng.normal(0, 5, (10, 30, 30)), rng.normal(0, 9, (10, 30, 30))])
    assert estimate_noise(image) == pytest.approx(9, rel=0.1)


def test_local_noise_is_that_near_the_seeds_in_mm():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 50, (12, 40, 60))
    image[:, :, :30] = rng.normal(0, 5, (12, 40, 30))
    seeds = np.array([[6, 20, 10], [6, 20, 12]])
    assert estimate_noise_near(image, seeds, (2.0, 1.0, 0.5), 6.0) == pytest.approx(5, rel=0.1)
    assert estimate_noise_near(image, seeds + [0, 0, 35], (2.0, 1.0, 0.5), 6.0) == pytest.approx(50, rel=0.1)
    assert estimate_noise_near(image, seeds[:0], (2.0, 1.0, 0.5), 6.0) == 0.0


def test_scattered_seeds_do_not_include_what_lies_between_them():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 50, (12, 20, 80))
    image[:, :, :20], image[:, :, 60:] = rng.normal(0, 5, (2, 12, 20, 20))
    seeds = np.array([[6, 10, 8], [6, 10, 71]])
    assert estimate_noise_near(image, seeds, (1.0, 1.0, 1.0), 6.0) == pytest.approx(5, rel=0.1)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(InputError, match=r"not \(2, 2, 2\), the mask alike, not \(2, 2, 3\)"):
        estimate_noise(np.zeros((2, 2, 2)), np.zeros((2, 2, 3), dtype=bool))


def test_two_middle_values_far_apart_give_a_number():
    image = np.zeros((1, 1, 3, 3), np.int16)
    image[0, 0] = [[0, 2, 7], [3, 9, 4], [11, 5, 16]]
    for seed in np.argwhere(np.ones((1, 3, 3), bool)):
        assert estimate_noise_near(image, seed[None], (1.0, 1.0, 1.0)) > 0


@pytest.mark.parametrize(
    "values, expected", [([2, 2, 5, 5], 2.5), ([1, 2, 6, 9], 2.5), ([3, 3, 3], 3.0), ([0, 0, 1], 0.375)]
)
def test_the_median_of_whole_numbers_undoes_their_rounding(values, expected):
    assert _median(np.array(values), whole_numbers=True) == expected
