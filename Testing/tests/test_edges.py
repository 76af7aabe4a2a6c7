"""What the walker compares: intensities in the window of interest, and how much the features differ."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.decoding.edges import (  # noqa: E402
    INTENSITY_FACTOR,
    RESEMBLANCE_SIGMA,
    EdgeFeatures,
    FeatureEdges,
    IntensityWindow,
    resemblance,
)
from InteractiveRefineLib.standardized import standard_scales  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (4, 6, 8)
WHOLE = tuple(slice(0, n) for n in SHAPE)
CPU = torch.device("cpu")


def an_image(channels=1):
    return np.random.default_rng(0).normal(50, 20, (channels, *SHAPE)).astype(np.float32)


def feature_edges(features, grid):
    return FeatureEdges(features, standard_scales(features), grid)


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


@pytest.mark.parametrize("channels", [1, 3])
def test_intensities_count_twelve_times_the_mean_feature(channels):
    grid = NetworkGrid(SHAPE, WHOLE, SHAPE)
    features = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(1))
    image = an_image(channels)
    window = IntensityWindow((0.0,) * channels, (100.0,) * channels, (20.0,) * channels)
    box = (slice(1, 3), slice(0, 6), slice(2, 5))
    edges = EdgeFeatures(image, window, feature_edges(features, grid))
    expected = np.clip(image[(slice(None), *box)], 0, 100) / 20
    torch.testing.assert_close(edges.intensities(box, CPU), torch.from_numpy(expected))
    assert edges.factors().tolist() == pytest.approx([INTENSITY_FACTOR / channels] * channels)
    assert INTENSITY_FACTOR == 12
    parts = (features * standard_scales(features).view(-1, 1, 1, 1))[(slice(None), *box)]
    for axis, found in enumerate(edges.of_features(box)):
        torch.testing.assert_close(found, parts.diff(dim=axis + 1).square().mean(dim=0), atol=1e-5, rtol=1e-5)


def test_without_features_the_intensities_remain():
    edges = EdgeFeatures(an_image(), IntensityWindow((0.0,), (100.0,), (20.0,)), None)
    assert edges.intensities(WHOLE, CPU).shape == (1, *SHAPE)
    assert edges.factors().tolist() == [INTENSITY_FACTOR]
    assert edges.of_features(WHOLE) == [None, None, None]


def test_flipped_integer_images_work_as_they_are():
    image = an_image().astype(np.int16)[:, ::-1, :, ::-1]
    edges = EdgeFeatures(image, IntensityWindow((0.0,), (100.0,), (1.0,)), None)
    found = edges.intensities((slice(0, 2), slice(0, 6), slice(0, 8)), CPU)
    assert np.array_equal(found[0].numpy(), np.clip(image[0, :2], 0, 100).astype(np.float32))


def whole(shape):
    return tuple(slice(0, n) for n in shape)


def smooth_features(shape, channels=4, seed=0):
    """Waves a few nodes long, of different size per channel; the last one is constant."""
    rng = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    waves = [np.sin(np.tensordot(rng.uniform(-0.7, 0.7, 3), index, 1) + n) * 10.0**n for n in range(channels - 1)]
    return torch.from_numpy(np.stack([*waves, np.full(shape, 7.0)])).float()


def voxel_by_voxel(features, grid, box, axis):
    """Mean squared difference of the features interpolated at image voxels, with one spread per channel."""
    fine = grid.sample_box(features, box)
    spread = features.flatten(1).std(dim=1).view(-1, 1, 1, 1)
    return (fine / torch.where(spread > 1e-6, spread, torch.inf)).diff(dim=axis + 1).square().mean(dim=0)


def assert_close_on_average(found, expected, share):
    assert found.shape == expected.shape
    assert float((found - expected).abs().mean()) < share * float(expected.mean())


def test_where_the_grid_is_the_image_they_are_the_squared_differences_of_neighbors():
    grid, features = NetworkGrid(SHAPE, WHOLE, SHAPE), smooth_features(SHAPE)
    edges = feature_edges(features, grid)
    for axis in range(3):
        expected = voxel_by_voxel(features, grid, WHOLE, axis)
        torch.testing.assert_close(edges.in_box(WHOLE, axis), expected, atol=1e-6, rtol=1e-4)


def test_the_values_of_one_small_example():
    grid = NetworkGrid((1, 1, 3), whole((1, 1, 3)), (1, 1, 3))
    features = torch.tensor([[0.0, 2, 4], [1, 0, 1]]).view(2, 1, 1, 3)  # spreads 2 and 0.577
    found = feature_edges(features, grid).in_box(whole((1, 1, 3)), 2)
    assert found.flatten().tolist() == pytest.approx([(1 + 3) / 2] * 2)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("crop", [False, True])
def test_where_the_image_is_coarser_along_an_axis_they_are_exact_along_it(axis, crop):
    shape = (7, 8, 9)
    box = tuple(slice(2, n) if crop and a == axis else slice(0, n) for a, n in enumerate(shape))
    sizes = [s.stop - s.start for s in box]
    sizes[axis] = 3 * sizes[axis] - 4
    grid = NetworkGrid(shape, box, tuple(sizes))
    features = smooth_features(grid.shape)
    found = feature_edges(features, grid).in_box(whole(shape), axis)
    torch.testing.assert_close(found, voxel_by_voxel(features, grid, whole(shape), axis), atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("shape, grid_shape", [((16, 30, 33), (16, 10, 11)), ((40, 20, 36), (13, 20, 8))])
def test_where_the_image_is_finer_they_are_close(shape, grid_shape):
    grid = NetworkGrid(shape, whole(shape), grid_shape)
    features = smooth_features(grid_shape)
    edges = feature_edges(features, grid)
    for axis in range(3):
        assert_close_on_average(
            edges.in_box(whole(shape), axis), voxel_by_voxel(features, grid, whole(shape), axis), 0.12
        )


def test_where_the_image_is_finer_along_one_axis_they_are_exact_inside_cells():
    # Nodes at voxels 1, 4, 7: only between voxels of different cells is it not the difference of the nodes.
    grid = NetworkGrid((1, 1, 9), whole((1, 1, 9)), (1, 1, 3))
    features = torch.tensor([0.0, 3, 9]).view(1, 1, 1, 3)
    found = feature_edges(features, grid).in_box(whole((1, 1, 9)), 2).flatten()
    spread = float(features.std())
    steps = np.array([0, 1, 1, 1, 2, 2, 2, 0]) / spread  # beyond the outermost nodes nothing changes
    assert found.tolist() == pytest.approx((steps**2).tolist(), abs=1e-6)


@pytest.mark.parametrize("grid_shape", [(6, 8, 10), (3, 4, 5), (15, 16, 20)])
def test_beyond_the_crop_nothing_differs_along_the_axis_that_leaves_it(grid_shape):
    shape, crop = (12, 14, 16), (slice(3, 9), slice(2, 10), slice(4, 14))
    edges = feature_edges(smooth_features(grid_shape), NetworkGrid(shape, crop, grid_shape))
    for axis in range(3):
        found = edges.in_box(whole(shape), axis).movedim(axis, 0)
        assert found.isfinite().all()
        assert not found[: crop[axis].start - 1].any() and not found[crop[axis].stop :].any()
        assert found[crop[axis].start + 1 : crop[axis].stop - 2].mean() > 0


def test_an_axis_of_one_voxel_or_one_node_has_no_edges():
    flat = NetworkGrid((1, 8, 9), whole((1, 8, 9)), (1, 4, 9))
    edges = feature_edges(smooth_features(flat.shape), flat)
    assert edges.in_box(whole((1, 8, 9)), 0) is None
    assert edges.in_box(whole((1, 8, 9)), 1).shape == (1, 7, 9)
    assert edges.in_box((slice(0, 1), slice(3, 4), slice(0, 9)), 1) is None
    assert edges.in_box((slice(0, 1), slice(3, 4), slice(0, 9)), 2).shape == (1, 1, 8)
    one_node = NetworkGrid((3, 8, 9), whole((3, 8, 9)), (1, 4, 9))
    edges = feature_edges(smooth_features(one_node.shape), one_node)
    assert edges.in_box(whole((3, 8, 9)), 0) is None
    assert edges.in_box(whole((3, 8, 9)), 1).shape == (3, 7, 9)


@pytest.mark.parametrize("grid_shape", [(6, 8, 10), (3, 4, 5), (15, 16, 20), (6, 3, 21)])
@pytest.mark.parametrize("cropped", [False, True])
def test_a_box_gives_what_the_whole_gives(grid_shape, cropped):
    shape = (8, 10, 12)
    crop = (slice(1, 7), slice(2, 10), slice(0, 10)) if cropped else whole(shape)
    edges = feature_edges(smooth_features(grid_shape), NetworkGrid(shape, crop, grid_shape))
    box = (slice(0, 4), slice(3, 10), slice(7, 12))
    for axis in range(3):
        inside = tuple(slice(s.start, s.stop - 1) if a == axis else s for a, s in enumerate(box))
        expected = edges.in_box(whole(shape), axis)[inside]
        torch.testing.assert_close(edges.in_box(box, axis), expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("grid_shape", [(8, 10, 12), (4, 5, 6), (16, 30, 24), (4, 30, 12)])
def test_only_the_nodes_around_a_box_are_looked_at(grid_shape):
    grid, box = NetworkGrid((8, 10, 12), whole((8, 10, 12)), grid_shape), (slice(2, 4), slice(3, 6), slice(5, 9))
    features = smooth_features(grid_shape)
    edges, asked = feature_edges(features, grid), []
    along = edges._along
    edges._along = lambda axis, start, stop: asked.append((axis, start, stop)) or along(axis, start, stop)
    expected = [edges.in_box(box, axis) for axis in range(3)]
    for axis, start, stop in asked:
        for a, p in enumerate(grid.box_positions(box)):
            if a != axis or grid_shape[a] < grid.image_shape[a]:
                assert start[a] >= p[0] - 1 and stop[a] <= p[-1] + 2
            else:  # of the image
                assert (start[a], stop[a]) == (box[a].start, box[a].stop - 1)
    around = tuple(slice(max(int(np.floor(p[0])) - 1, 0), int(np.ceil(p[-1])) + 2) for p in grid.box_positions(box))
    elsewhere = torch.ones(grid_shape, dtype=torch.bool)
    elsewhere[around] = False
    assert elsewhere.any()
    features[:, elsewhere] = torch.nan
    assert [torch.equal(edges.in_box(box, axis), found) for axis, found in enumerate(expected)] == [True] * 3


def test_asking_changes_nothing():
    features = smooth_features(SHAPE)
    before = features.clone()
    edges = feature_edges(features, NetworkGrid((8, 12, 16), whole((8, 12, 16)), SHAPE))
    first = [edges.in_box(whole((8, 12, 16)), axis).clone() for axis in range(3)]
    for axis in range(3):
        edges.in_box(whole((8, 12, 16)), axis).zero_()
        assert torch.equal(edges.in_box(whole((8, 12, 16)), axis), first[axis])
    assert torch.equal(features, before)


def test_a_voxel_resembles_the_seed_that_is_nearest_in_intensity():
    line = torch.tensor([0.0, 0.25, 1.0, 2.0, 2.5, 9.0]).view(1, 1, 1, 6)
    seeds = tuple(torch.tensor(i) for i in ([0, 0], [0, 0], [3, 0]))  # of intensity 2 and 0
    found = resemblance(line, seeds).flatten()
    away = np.array([0, 0.25, 1, 0, 0.5, 7])
    np.testing.assert_allclose(found, np.exp(-0.5 * (away / RESEMBLANCE_SIGMA) ** 2), atol=1e-6)


def test_of_several_channels_the_least_similar_counts():
    image = torch.tensor([[0.0, 0, 0.25], [0, 0.5, 0.1]]).view(2, 1, 1, 3)
    found = resemblance(image, tuple(torch.tensor([0]) for _ in range(3))).flatten()
    np.testing.assert_allclose(found, np.exp(-0.5 * (np.array([0, 0.5, 0.25]) / RESEMBLANCE_SIGMA) ** 2), atol=1e-6)
