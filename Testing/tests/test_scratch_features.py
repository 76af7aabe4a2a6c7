"""Features without a network: scales in mm, whatever the voxels' sizes and order, and intensities by their rank."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.scratch.features import equalized, filter_bank, gradient_length, smoothed  # noqa: E402
from InteractiveRefineLib.scratch.working_grid import (  # noqa: E402
    at_nodes,
    averaged,
    node_spacing,
    nodes_of,
    working_grid,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def a_scan(*shape, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


class TestIntensities:
    def test_any_increasing_change_of_units_changes_next_to_nothing(self):
        values = np.random.default_rng(0).uniform(1, 2, 50_000)
        np.testing.assert_allclose(equalized(values), equalized(1000 * values - 5000), atol=1e-5)
        np.testing.assert_allclose(equalized(values), equalized(np.exp(values)), atol=0.01)

    def test_order_is_kept_and_the_range_is_0_to_1(self):
        values = np.linspace(-3, 8, 2000) ** 3
        ranks = equalized(values)
        assert (np.diff(ranks) >= 0).all() and ranks.min() == 0 and ranks.max() == 1 and ranks.dtype == np.float32

    def test_air_does_not_take_the_range_from_tissue(self):
        values = np.concatenate([np.full(90_000, -1000.0), np.random.default_rng(0).uniform(0, 100, 10_000)])
        tissue = equalized(values)[90_000:]
        assert tissue.max() - tissue.min() > 0.5  # by plain ranks it would be 0.1

    def test_a_constant_image_has_no_ranks(self):
        assert equalized(np.full(10, 7.0)).tolist() == [0.0] * 10

    def test_an_image_that_is_constant_but_for_a_few_voxels_keeps_them(self):
        values = np.zeros(10_000)
        values[:5] = 3.0
        assert equalized(values)[:5].tolist() == [1.0] * 5


class TestScales:
    @pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.5, 1.0)])
    def test_a_point_becomes_a_gaussian_of_this_many_mm(self, spacing):
        point = torch.zeros(41, 81, 61)
        point[20, 40, 30] = 1.0
        weights = smoothed(point, spacing, 3.0).numpy()
        assert weights.sum() == pytest.approx(1.0, abs=1e-4)
        for axis, step in enumerate(spacing):
            mm = (np.arange(point.shape[axis]) - point.shape[axis] // 2) * step
            line = weights.sum(axis=tuple(a for a in range(3) if a != axis))
            assert np.sqrt((line * mm**2).sum()) == pytest.approx(3.0, rel=0.01)

    def test_across_thick_slices_a_narrow_gaussian_changes_nothing(self):
        scan = a_scan(6, 10, 10)
        both = smoothed(scan, (10.0, 1.0, 1.0), 2.0)
        assert torch.equal(both[3], smoothed(scan[3:4], (10.0, 1.0, 1.0), 2.0)[0])

    def test_the_gradient_is_per_mm(self):
        ramp = torch.arange(12.0).view(-1, 1, 1).expand(12, 5, 4) * 6
        assert torch.allclose(gradient_length(ramp, (2.0, 1.0, 1.0)), torch.full((12, 5, 4), 3.0))

    def test_slanted_gradients_have_their_full_length(self):
        axes = torch.meshgrid(*[torch.arange(8.0)] * 3, indexing="ij")
        assert torch.allclose(gradient_length(3 * axes[0] + 4 * axes[2], (1.0, 1.0, 1.0)), torch.full((8, 8, 8), 5.0))


class TestBank:
    SPACING = (2.0, 1.0, 1.5)

    def test_flipped_and_turned_images_have_flipped_and_turned_features(self):
        scan = a_scan(1, 20, 24, 28)
        features = filter_bank(scan, self.SPACING)
        flipped = filter_bank(scan.flip(2), self.SPACING).flip(2)
        torch.testing.assert_close(flipped, features, atol=1e-4, rtol=0)
        turned = filter_bank(scan.permute(0, 3, 1, 2), tuple(self.SPACING[a] for a in (2, 0, 1)))
        torch.testing.assert_close(turned.permute(0, 2, 3, 1), features, atol=1e-4, rtol=0)

    def test_the_same_structure_looks_the_same_in_voxels_of_another_size(self):
        """A ball in voxels of 1 mm, and in voxels of 1 x 2 x 1 mm."""
        places = np.stack(np.meshgrid(*[np.arange(40) - 19.5] * 3, indexing="ij"))
        ball = torch.as_tensor(1 / (1 + np.exp(np.linalg.norm(places, axis=0) - 9)), dtype=torch.float32)
        thick = (ball[:, ::2] + ball[:, 1::2]) / 2
        fine = filter_bank(ball[None], (1.0, 1.0, 1.0), scales=(4.0,))
        fine = (fine[:, :, ::2] + fine[:, :, 1::2]) / 2
        coarse = filter_bank(thick[None], (1.0, 2.0, 1.0), scales=(4.0,))
        assert float((fine - coarse).abs().mean()) < 0.03

    def test_every_feature_is_centered_and_of_spread_one(self):
        features = filter_bank(a_scan(2, 20, 24, 28), self.SPACING).flatten(1)
        assert len(features) == 2 * (1 + 3 * 3)  # 8 mm do not fit an image of 24 mm
        assert float(features.mean(dim=1).abs().max()) < 1e-4
        torch.testing.assert_close(features.std(dim=1), torch.ones(len(features)), atol=1e-4, rtol=0)

    def test_channels_do_not_mix(self):
        scan = a_scan(2, 20, 24, 28)
        alone = filter_bank(scan[1:], self.SPACING)
        torch.testing.assert_close(filter_bank(scan, self.SPACING)[-len(alone) :], alone)

    def test_a_single_slice_and_a_constant_image_have_features(self):
        assert bool(filter_bank(a_scan(1, 1, 40, 40), (5.0, 1.0, 1.0)).isfinite().all())
        assert float(filter_bank(torch.ones(1, 8, 8, 8), (1.0, 1.0, 1.0)).abs().max()) < 1e-3


class TestGrid:
    def test_few_voxels_are_taken_as_they_are(self):
        grid = working_grid((35, 52, 34), (1.0, 1.0, 1.0))
        assert grid.shape == (35, 52, 34)
        scan = a_scan(1, 35, 52, 34).numpy()
        assert np.array_equal(averaged(scan, grid, torch.device("cpu")).numpy(), scan)

    def test_many_voxels_become_nearly_isotropic_nodes(self):
        grid = working_grid((78, 512, 512), (2.0, 0.75, 0.75), most=700_000)
        assert 0.9 * 700_000 < np.prod(grid.shape) <= 700_000
        spacing = node_spacing(grid, (2.0, 0.75, 0.75))
        assert max(spacing) / min(spacing) < 1.1

    def test_thick_slices_stay_slices(self):
        assert working_grid((36, 256, 256), (7.7, 1.25, 1.25), most=600_000).shape[0] == 36

    def test_a_node_is_the_mean_of_its_cell(self):
        scan = np.arange(4 * 6 * 2, dtype=np.int16).reshape(1, 4, 6, 2)
        grid = working_grid((4, 6, 2), (1.0, 1.0, 3.0), most=12)
        assert grid.shape == (2, 3, 2)
        expected = scan.reshape(1, 2, 2, 3, 2, 2).mean(axis=(2, 4))
        assert np.array_equal(averaged(scan, grid, torch.device("cpu")).numpy(), expected)

    def test_every_voxel_has_the_node_whose_cell_it_lies_in(self):
        grid = working_grid((4, 6, 2), (1.0, 1.0, 3.0), most=12)
        assert nodes_of(grid, np.array([[0, 0, 0], [1, 1, 1], [2, 4, 0], [3, 5, 1]])).tolist() == [
            [0, 0, 0], [0, 0, 1], [1, 2, 0], [1, 2, 1],
        ]  # fmt: skip
        field = np.zeros((4, 6, 2), dtype=np.uint16)
        field[2:, 4:, 1] = 5
        assert np.argwhere(at_nodes(field, grid)).tolist() == [[1, 2, 1]]
