"""Features in units of their spread."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.standardized import (  # noqa: E402
    StandardizedFeatures,
    standard_deviations,
    standard_scales,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def some_features():
    features = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    return features * torch.tensor([5.0, 0.1, 1.0]).view(3, 1, 1, 1)


def test_scaled_channels_have_spread_one_and_constant_ones_vanish():
    features = some_features()
    features[2] = 3.0
    scaled = features * standard_scales(features).view(3, 1, 1, 1)
    torch.testing.assert_close(scaled[:2].flatten(1).std(dim=1), torch.ones(2))
    assert not scaled[2].any()


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_standard_deviations_are_those_of_double_precision(last, dtype, monkeypatch):
    monkeypatch.setattr("InteractiveRefineLib.standardized._PIECE", 1000)
    field = torch.randn(4, 20, 21, 22, generator=torch.Generator().manual_seed(0))
    field = field * torch.tensor([1.0, 500, 1e-2, 0]).view(4, 1, 1, 1) + torch.tensor([0, -900, 7, 3.3]).view(
        4, 1, 1, 1
    )
    field[0, 0] += 100  # the first voxels are not like the others
    field = field.to(dtype)
    expected = field.double().flatten(1).std(dim=1)
    if last:
        field = field.movedim(0, -1).contiguous().movedim(-1, 0)
    found = standard_deviations(field)
    assert found.dtype == torch.float32 and float(found[3]) == 0
    torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=0)


def test_voxels_are_read_from_all_parts_each_channel_in_units_of_its_spread():
    features, intensities = some_features(), torch.arange(120.0).view(1, 4, 5, 6)
    at = (torch.tensor([0, 3]), torch.tensor([1, 4]), torch.tensor([2, 5]))
    found = StandardizedFeatures([intensities, features]).at(at)
    together = torch.cat([intensities, features])
    scaled = together * standard_scales(together).view(4, 1, 1, 1)
    assert torch.equal(found, scaled[:, [0, 3], [1, 4], [2, 5]].T)


@pytest.mark.parametrize("half", [False, True])
def test_means_sums_and_samples_are_those_of_the_scaled_features(half):
    features, intensities = some_features(), torch.arange(120.0).view(1, 4, 5, 6)
    scaled = torch.cat([f * standard_scales(f).view(-1, 1, 1, 1) for f in (intensities, features)])
    found = StandardizedFeatures([intensities, features.half() if half else features])
    close = dict(atol=5e-3, rtol=5e-3) if half else dict(atol=1e-5, rtol=1e-5)
    weights = torch.tensor([[1.0, 0, -2, 0.5], [0, 3, 0, 0]])
    torch.testing.assert_close(found.means(), scaled.flatten(1).mean(dim=1), **close)
    torch.testing.assert_close(found.weighted(weights), torch.einsum("mf,fkji->mkji", weights, scaled), **close)
    middle = scaled[:, 1:3, 2:4, 3:5].flatten(1).mean(dim=1)
    torch.testing.assert_close(found.sampled(np.array([[1.5, 2.5, 3.5]]))[0], middle, **close)
