"""What the walker compares: intensities in the window of interest, and standardized features."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.decoding.edges import (  # noqa: E402
    INTENSITY_FACTOR,
    EdgeFeatures,
    IntensityWindow,
    standardized,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (4, 6, 8)
WHOLE = tuple(slice(0, n) for n in SHAPE)


def an_image(channels=1):
    return np.random.default_rng(0).normal(50, 20, (channels, *SHAPE)).astype(np.float32)


def test_the_window_holds_the_sample_with_half_its_range_on_both_sides():
    sample = np.linspace(100, 200, 1001)[None]
    window = IntensityWindow.around(np.linspace(-1000, 2000, 3001)[None], sample)
    assert window.low[0] == pytest.approx(101 - 49)
    assert window.high[0] == pytest.approx(199 + 49)
    assert window.scale[0] == pytest.approx(np.arange(53, 248).std(), abs=0.5)


def test_a_sample_of_one_value_takes_the_images_own_range():
    window = IntensityWindow.around(np.linspace(0, 1000, 1001)[None], np.full((1, 5), 40.0))
    assert (window.low[0], window.high[0]) == pytest.approx((10, 990))
    assert window.scale[0] > 100


def test_each_channel_has_its_own_window():
    image = np.stack([np.linspace(0, 10, 500), np.linspace(1000, 5000, 500)])
    window = IntensityWindow.around(image, image[:, 100:200])
    assert window.high[0] < 10 < 1000 < window.low[1] < window.high[1]


def test_a_channel_without_contrast_is_harmless():
    window = IntensityWindow.around(np.full((1, 100), 7.0), np.full((1, 3), 7.0))
    assert window.apply(torch.full((1, 2, 2, 2), 7.0)).isfinite().all()


def test_air_and_metal_count_no_more_than_the_ends_of_the_window():
    window = IntensityWindow((0.0,), (100.0,), (10.0,))
    out = window.apply(torch.tensor([[-3000, -1, 0, 50, 100, 30000]], dtype=torch.int16))
    assert out.dtype == torch.float32
    assert out.tolist() == [[0, 0, 0, 5, 10, 10]]


def test_standardized_features_have_spread_one_and_constant_ones_vanish():
    features = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 0.1, 1.0]).view(
        3, 1, 1, 1
    )
    features[2] = 3.0
    out = standardized(features)
    torch.testing.assert_close(out[:2].flatten(1).std(dim=1), torch.ones(2))
    assert not out[2].any()
    assert features[2].eq(3).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_intensities_count_twelve_times_the_mean_feature(channels):
    grid = NetworkGrid(SHAPE, WHOLE, SHAPE)
    features = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(1))
    image = an_image(channels)
    window = IntensityWindow((0.0,) * channels, (100.0,) * channels, (20.0,) * channels)
    box = (slice(1, 3), slice(0, 6), slice(2, 5))
    stacked, factors = EdgeFeatures(image, window, features, grid).in_box(box, torch.device("cpu"))
    assert stacked.shape == (channels + 5, 2, 6, 3)
    assert float(factors[:channels].sum()) == pytest.approx(INTENSITY_FACTOR)
    assert float(factors[channels:].sum()) == pytest.approx(1.0)
    expected = np.clip(image[(slice(None), *box)], 0, 100) / 20
    torch.testing.assert_close(stacked[:channels], torch.from_numpy(expected))
    torch.testing.assert_close(stacked[channels:], standardized(features)[(slice(None), *box)])


def test_without_features_the_intensities_remain():
    edges = EdgeFeatures(an_image(), IntensityWindow((0.0,), (100.0,), (20.0,)), None, NetworkGrid(SHAPE, WHOLE, SHAPE))
    stacked, factors = edges.in_box(WHOLE, torch.device("cpu"))
    assert stacked.shape == (1, *SHAPE)
    assert factors.tolist() == [INTENSITY_FACTOR]


def test_flipped_integer_images_work_as_they_are():
    image = an_image().astype(np.int16)[:, ::-1, :, ::-1]
    edges = EdgeFeatures(image, IntensityWindow((0.0,), (100.0,), (1.0,)), None, NetworkGrid(SHAPE, WHOLE, SHAPE))
    stacked, _ = edges.in_box((slice(0, 2), slice(0, 6), slice(0, 8)), torch.device("cpu"))
    assert np.array_equal(stacked[0].numpy(), np.clip(image[0, :2], 0, 100).astype(np.float32))
