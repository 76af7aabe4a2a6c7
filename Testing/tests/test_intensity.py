"""Each intensity rule does exactly what backbone.json promises."""

import numpy as np
import pytest

from InteractiveRefineLib.backbone.config import IntensityRule
from InteractiveRefineLib.backbone.intensity import normalize

RAMP = np.array([[0.0, 10.0, 20.0, 30.0, 40.0]])


def test_none_only_converts_to_float32():
    result = normalize(RAMP.astype(np.int16), IntensityRule())
    assert result.dtype == np.float32
    assert result.tolist() == RAMP.tolist()


def test_a_window_clips_and_scales_to_0_and_1():
    assert normalize(RAMP, IntensityRule("window", 10, 30)).tolist() == [[0, 0, 0.5, 1, 1]]


def test_a_window_with_mean_and_std_clips_and_standardizes():
    rule = IntensityRule("window", 10, 30, mean=20, std=5)
    assert normalize(RAMP, rule).tolist() == [[-2, -2, 0, 2, 2]]


def test_percentile_scale_clips_to_percentiles_and_scales_to_0_and_1():
    assert normalize(RAMP, IntensityRule("percentile-scale", 25, 75)).tolist() == [[0, 0, 0.5, 1, 1]]


def test_percentile_zscore_clips_and_has_mean_0_and_deviation_1():
    # Clipped to 10, 10, 20, 30, 30: mean 20, standard deviation sqrt(80).
    expected = np.array([-10, -10, 0, 10, 10]) / np.sqrt(80)
    assert normalize(RAMP, IntensityRule("percentile-zscore", 25, 75))[0] == pytest.approx(expected, abs=1e-6)


def test_channels_have_percentiles_of_their_own_but_share_a_window():
    two = np.concatenate([RAMP, 100 * RAMP])
    scaled = normalize(two, IntensityRule("percentile-scale", 0, 100))
    assert scaled.tolist() == [[0, 0.25, 0.5, 0.75, 1]] * 2
    assert normalize(two, IntensityRule("window", 0, 40))[1].tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("rule", ["percentile-zscore", "percentile-scale"])
def test_a_constant_channel_becomes_exactly_zero(rule):
    # 0.1 has no exact binary form: the standard deviation of many of them is not exactly 0.
    constant = np.full((1, 1001), 0.1, dtype=np.float32)
    assert not normalize(constant, IntensityRule(rule, 1, 99)).any()


def test_a_constant_channel_in_a_window_keeps_its_place_in_it():
    assert normalize(np.full((1, 3), 5.0), IntensityRule("window", 0, 20)).tolist() == [[0.25] * 3]


@pytest.mark.parametrize("rule", ["none", "window", "percentile-zscore", "percentile-scale"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_the_image_itself_stays_as_it_is(rule, dtype):
    image = RAMP.astype(dtype)
    before = image.copy()
    result = normalize(image, IntensityRule(rule, 10, 30))
    assert np.array_equal(image, before)
    assert not np.shares_memory(result, image)


def test_a_flipped_view_gives_the_flipped_result():
    rule = IntensityRule("percentile-scale", 0, 50)
    assert np.array_equal(normalize(RAMP[:, ::-1], rule), normalize(RAMP, rule)[:, ::-1])
