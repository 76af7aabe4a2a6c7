"""The network's grid lies where it should in the image, and sampling between the two is linear interpolation."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from InteractiveRefineLib.backbone.config import CropRule, IntensityRule
from InteractiveRefineLib.errors import BackboneError, InputError
from InteractiveRefineLib.geometry import Geometry

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.grid import (  # noqa: E402
    NetworkGrid,
    by_image_axis,
    flat_axis,
    most_likely,
    plan_grid,
)
from InteractiveRefineLib.backbone.preprocessing import ConfigPreprocessing  # noqa: E402
from InteractiveRefineLib.backbone.sampling import sample_product  # noqa: E402
from InteractiveRefineLib.decoding.blend import BlendedLogits, network_labels  # noqa: E402
from Testing.tests import test_edges, test_weight  # noqa: E402
from Testing.tests.network_examples import a_config, noise  # noqa: E402
from Testing.tests.test_turnover import N_KNOWN, a_weight, assert_they_agree  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def whole(shape):
    return tuple(slice(0, n) for n in shape)


def resized(field, shape):
    return torch.nn.functional.interpolate(field[None], size=shape, mode="trilinear", align_corners=False)[0]


sides = st.integers(1, 9)
shapes = st.tuples(sides, sides, sides)


@st.composite
def grids(draw):
    """A grid over a random crop of a random image."""
    shape, network = draw(shapes), draw(shapes)
    crop = []
    for n in shape:
        start = draw(st.integers(0, n - 1))
        crop.append(slice(start, draw(st.integers(start + 1, n))))
    return NetworkGrid(shape, tuple(crop), network)


@st.composite
def grids_with_box(draw):
    grid = draw(grids())
    box = []
    for n in grid.image_shape:
        start = draw(st.integers(0, n - 1))
        box.append(slice(start, draw(st.integers(start + 1, n))))
    return grid, tuple(box)


@given(shapes, shapes)
@settings(max_examples=40, deadline=None)
def test_bringing_an_image_to_the_network_is_linear_interpolation(shape, network):
    image = noise(2, *shape)
    result = NetworkGrid(shape, whole(shape), network).to_network(image)
    assert result.shape == (2, *network)
    assert torch.allclose(result, resized(image, network), atol=1e-5)


def test_only_the_crop_reaches_the_network():
    image = np.zeros((1, 2, 2, 6), np.int16)
    image[..., 2:] = [2, 3, 4, 5]
    config = a_config(crop=CropRule("foreground"), spacing=(2.0, 1.0, 1.0), intensity=IntensityRule("window", 0, 10))
    result, grid = ConfigPreprocessing(config)(image, Geometry((2, 2, 6), np.eye(4)), torch.device("cpu"))
    assert grid.crop[2] == slice(2, 6)
    assert result.numpy() == pytest.approx(np.broadcast_to([0.25, 0.45], (1, 2, 2, 2)))


def test_integers_become_float32_and_an_equal_grid_takes_the_voxels_themselves():
    image = torch.arange(8, dtype=torch.int16).view(1, 2, 2, 2)
    result = NetworkGrid((2, 2, 2), whole((2, 2, 2)), (2, 2, 2)).to_network(image)
    assert result.dtype == torch.float32
    assert torch.equal(result, image.float())


@given(shapes, shapes)
@settings(max_examples=40, deadline=None)
def test_sampling_the_whole_image_is_linear_interpolation(shape, network):
    field = noise(3, *network)
    sampled = NetworkGrid(shape, whole(shape), network).sample_box(field, whole(shape))
    assert torch.allclose(sampled, resized(field, shape), atol=1e-5)


@given(grids_with_box())
@settings(max_examples=150, deadline=None)
def test_any_box_is_the_slice_of_the_whole(case):
    grid, box = case
    field = noise(2, *grid.shape)
    everything = grid.sample_box(field, whole(grid.image_shape))
    assert everything.shape == (2, *grid.image_shape)
    assert torch.allclose(grid.sample_box(field, box), everything[(slice(None), *box)], atol=1e-6)


def test_voxels_beyond_the_outermost_centers_repeat_the_edge():
    grid = NetworkGrid((1, 8, 1), whole((1, 8, 1)), (1, 2, 1))
    field = torch.tensor([10.0, 20.0]).view(1, 1, 2, 1)
    assert grid.sample_box(field, whole((1, 8, 1))).flatten().tolist() == [10, 10, 11.25, 13.75, 16.25, 18.75, 20, 20]
    first_two = (slice(0, 1), slice(0, 2), slice(0, 1))
    assert grid.sample_box(field, first_two).flatten().tolist() == [10, 10]


@given(grids())
@settings(max_examples=60, deadline=None)
def test_positions_are_where_sampling_takes_its_values(grid):
    # A field that holds its own index is interpolated to the position.
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")).astype(np.float32)
    voxels = np.stack(np.unravel_index(np.arange(np.prod(grid.image_shape)), grid.image_shape), axis=1)
    sampled = grid.sample_box(torch.from_numpy(index), whole(grid.image_shape)).flatten(1).T
    assert np.allclose(sampled.numpy(), grid.positions(voxels), atol=1e-5)


def test_positions_follow_the_centers_of_voxels_and_stay_on_the_grid():
    grid = NetworkGrid((10, 4, 4), (slice(2, 8), slice(0, 4), slice(0, 4)), (3, 4, 8))
    found = grid.positions(np.array([[2, 0, 0], [3, 1, 1], [5, 2, 2], [0, 3, 3], [9, 3, 3]]))
    expected = [[0, 0, 0.5], [0.25, 1, 2.5], [1.25, 2, 4.5], [0, 3, 6.5], [2, 3, 6.5]]
    assert found.tolist() == expected


def test_what_the_network_does_not_see_is_marked():
    grid = NetworkGrid((1, 3, 4), (slice(0, 1), slice(1, 3), slice(1, 3)), (1, 2, 2))
    outside = grid.outside_crop(whole((1, 3, 4)))
    assert outside[0].astype(int).tolist() == [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1]]
    assert grid.outside_crop((slice(0, 1), slice(0, 2), slice(0, 2)))[0].astype(int).tolist() == [[1, 1], [1, 0]]
    assert grid.outside_crop((slice(0, 1), slice(1, 3), slice(1, 3))) is None


IMAGE = np.zeros((1, 4, 6, 8), dtype=np.int16)


def test_without_a_spacing_the_grid_is_the_image():
    assert plan_grid(a_config(), IMAGE, (3, 2, 1)) == NetworkGrid((4, 6, 8), whole((4, 6, 8)), (4, 6, 8))


@pytest.mark.parametrize(("axes", "expected"), [("KJI", (6, 4, 4)), ("IJK", (2, 4, 12))])
def test_a_spacing_decides_the_number_of_voxels(axes, expected):
    config = a_config(spacing=(2.0, 3.0, 2.0) if axes == "KJI" else (6.0, 3.0, 0.667), tensor_axes=axes)
    assert plan_grid(config, IMAGE, (3, 2, 1)).shape == expected


def test_no_side_vanishes_however_large_the_networks_voxels_are():
    assert plan_grid(a_config(spacing=(100.0, 100.0, 100.0)), IMAGE, (3, 2, 1)).shape == (1, 1, 1)


def test_a_fixed_shape_is_taken_whatever_the_spacing_is():
    config = a_config(spacing=(1.0, 1.0, 1.0), spatial_shape=(16, 12, 8))
    assert plan_grid(config, IMAGE, (3, 2, 1)).shape == (8, 12, 16)


def test_the_foreground_is_the_box_of_the_nonzero_voxels_of_any_channel():
    image = np.zeros((2, 4, 6, 8))
    image[0, 1, 2, 3] = -5
    image[1, 2, 4, 3] = 1
    grid = plan_grid(a_config(crop=CropRule("foreground")), image, (1, 1, 1))
    assert grid.crop == (slice(1, 3), slice(2, 5), slice(3, 4))
    assert grid.shape == (2, 3, 1)


def test_the_body_is_cropped_along_the_axes_that_are_not_head_foot():
    image = np.full((1, 4, 10, 10), -1000.0)
    image[:, 0:2, 3:7, 2:9] = 40
    grid = plan_grid(a_config(crop=CropRule("body", -300, 0.1)), image, (1, 1, 1))
    assert grid.crop == (slice(0, 4), slice(3, 7), slice(2, 9))


def test_slices_with_too_little_above_the_threshold_are_no_body():
    image = np.full((1, 1, 10, 10), -1000.0)
    image[0, 0, 2:8, 2:8] = 40
    image[0, 0, 2:3, 9] = 40  # a cable: 1 of 10 voxels is not more than a tenth
    crop = CropRule("body", -300, 0.1)
    grid = plan_grid(a_config(crop=crop, dimensions=2), image, (1, 1, 1))
    assert grid.crop == (slice(0, 1), slice(2, 8), slice(2, 8))


def test_a_coronal_slice_is_not_cropped_through_its_only_slice():
    image = np.full((1, 10, 1, 100), -1000.0)
    image[0, 5, 0, 20:40] = 40
    config = a_config(crop=CropRule("body", -300, 0.05), dimensions=2)
    assert plan_grid(config, image, (1, 1, 1)).crop == (slice(0, 10), slice(0, 1), slice(20, 40))


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        (CropRule("foreground"), "The image is zero everywhere; the backbone's foreground crop finds nothing in it"),
        (CropRule("body", 10, 0.25), r"crop of backbone 'test' finds no slice of which more than 25% exceeds 10\."),
    ],
)
def test_a_crop_that_finds_nothing_is_an_error(crop, message):
    with pytest.raises(InputError, match=message):
        plan_grid(a_config(crop=crop), IMAGE, (1, 1, 1))


@pytest.mark.parametrize(("axes", "size"), [("KJI", "8 x 6 x 1"), ("IJK", "1 x 6 x 8")])
def test_a_3d_network_refuses_a_single_slice(axes, size):
    with pytest.raises(BackboneError, match=f"'test' is a 3-D network, but the image is a single slice .{size} voxels"):
        plan_grid(a_config(tensor_axes=axes), np.zeros((1, 1, 6, 8)), (1, 1, 1))


def test_a_2d_network_sees_a_volume_slice_by_slice_along_k():
    config = a_config(dimensions=2, spacing=(2.0, 0.5, 1.0))
    assert flat_axis(config, IMAGE.shape[1:]) == 0
    assert plan_grid(config, IMAGE, (3, 1, 1)).shape == (4, 12, 4)  # as many slices as the image has


@pytest.mark.parametrize(
    ("shape", "flat", "expected"),
    [((1, 6, 8), 0, (1, 12, 4)), ((6, 1, 8), 1, (12, 1, 4)), ((6, 8, 1), 2, (12, 4, 1)), ((1, 1, 8), 0, (1, 1, 4))],
)
def test_a_2d_network_takes_slices_of_every_direction(shape, flat, expected):
    config = a_config(dimensions=2, spacing=(2.0, 0.5, 1.0))  # I coarser, J finer than the image
    assert flat_axis(config, shape) == flat
    assert plan_grid(config, np.zeros((1, *shape)), (1, 1, 1)).shape == expected
    assert by_image_axis(config, ("I", "J", "K"), shape)[flat] == "K"


def test_a_3d_network_has_no_flat_axis():
    assert flat_axis(a_config(), (1, 2, 3)) is None
    assert by_image_axis(a_config(), (1, 2, 3), (4, 5, 6)) == (3, 2, 1)


def test_the_most_likely_class_is_the_first_among_equals():
    probabilities = torch.tensor([[0.2, 0.5, 0.3, 0.0], [0.5, 0.5, 0.3, 0.0], [0.3, 0.0, 0.4, 0.0]])
    assert most_likely(probabilities).tolist() == [1, 0, 2, 0]


@given(st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_most_likely_class_is_argmax(classes, seed):
    few_values = torch.randint(-2, 3, (classes, 3, 4, 5), generator=torch.Generator().manual_seed(seed)).float()
    expected = torch.from_numpy(few_values.numpy().argmax(axis=0))  # numpy promises the first among equals
    before = few_values.clone()
    assert torch.equal(most_likely(few_values), expected)
    assert torch.equal(few_values, before)


@st.composite
def laid_grids(draw):
    """A grid whose nodes lie anywhere on lines of any step, read linearly along some axes and at the nearest node."""
    shape, network = draw(shapes), draw(shapes)
    quarters = st.integers(-12, 40).map(lambda n: n / 4)
    lines = tuple((draw(quarters), draw(st.integers(1, 14)) / 4) for _ in range(3))
    return NetworkGrid(shape, whole(shape), network, lines, draw(st.tuples(*[st.booleans()] * 3)))


def read_voxel_by_voxel(field, grid):
    """A field (C, *grid shape) at every image voxel, from the eight nodes around it; (C, *image shape)."""
    out = torch.zeros((field.shape[0], *grid.image_shape))
    for voxel in np.ndindex(*grid.image_shape):
        places = []
        for axis, (first, step) in enumerate(grid.lines):
            p = min(max((voxel[axis] - first) / step, 0), grid.shape[axis] - 1)
            low = int(p)
            high = min(low + 1, grid.shape[axis] - 1)
            places.append([(int(p + 0.5), 1.0)] if grid.nearest[axis] else [(low, 1 - (p - low)), (high, p - low)])
        for corner in itertools.product(*places):
            index, weight = zip(*corner)
            out[(slice(None), *voxel)] += float(np.prod(weight)) * field[(slice(None), *index)]
    return out


def test_nodes_on_lines_lie_where_the_lines_say():
    grid = NetworkGrid((1, 1, 6), whole((1, 1, 6)), (1, 1, 3), ((0.0, 1.0), (0.0, 1.0), (1.0, 2.0)))
    assert grid.image_positions(2).tolist() == [1, 3, 5]
    assert grid.axis_positions(2, np.arange(6)).tolist() == [0, 0, 0.5, 1, 1.5, 2]


def test_the_nearest_node_is_read_where_that_is_asked_for_and_the_later_one_of_two():
    lines = ((0.0, 1.0), (0.0, 1.0), (1.0, 2.0))
    grid = NetworkGrid((1, 1, 6), whole((1, 1, 6)), (1, 1, 3), lines, (False, False, True))
    assert grid.axis_positions(2, np.arange(6)).tolist() == [0, 0, 1, 1, 2, 2]
    field = torch.tensor([10.0, 20, 40]).view(1, 1, 1, 3)
    assert grid.sample_box(field, whole((1, 1, 6))).flatten().tolist() == [10, 10, 20, 20, 40, 40]
    filling = NetworkGrid((1, 1, 5), whole((1, 1, 5)), (1, 1, 2), None, (False, False, True))
    assert filling.axis_positions(2, np.arange(5)).tolist() == [0, 0, 1, 1, 1]  # the middle lies between both


@given(laid_grids(), st.data())
@settings(max_examples=60, deadline=None)
def test_fields_on_lines_are_read_as_voxel_by_voxel(grid, data):
    field = noise(2, *grid.shape)
    expected = read_voxel_by_voxel(field, grid)
    assert torch.allclose(grid.sample_box(field, whole(grid.image_shape)), expected, atol=1e-5)
    box = []
    for n in grid.image_shape:
        start = data.draw(st.integers(0, n - 1))
        box.append(slice(start, data.draw(st.integers(start + 1, n))))
    region, positions = grid.nodes_around(tuple(box))
    some = sample_product(field[(slice(None), *region)], positions)
    assert torch.allclose(some, expected[(slice(None), *box)], atol=1e-5)


@given(laid_grids())
@settings(max_examples=60, deadline=None)
def test_image_voxels_at_nodes_are_read_there(grid):
    for axis in range(3):
        nodes = grid.image_positions(axis)
        assert np.allclose(grid.axis_positions(axis, nodes), np.arange(grid.shape[axis]))


@given(laid_grids(), st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_what_turns_over_on_such_grids_is_what_looking_at_everything_finds(grid, seed):
    rng = np.random.default_rng(seed)
    initial = torch.from_numpy(rng.normal(0, 1, (N_KNOWN, *grid.shape)).astype(np.float32))
    tuned = initial + torch.from_numpy(rng.normal(0, 4, initial.shape).astype(np.float32))
    own = network_labels(grid, initial, whole(grid.image_shape))
    logits = BlendedLogits(grid, initial, tuned, a_weight(rng, grid.shape), own, N_KNOWN)
    labels = np.where(rng.random(own.shape) < 0.3, rng.integers(0, N_KNOWN, own.shape), own).astype(np.uint16)
    pairs = {(a, b) for a in range(N_KNOWN) for b in range(N_KNOWN) if a != b and rng.random() < 0.6}
    assert_they_agree(logits, labels, rng.random(own.shape) < 0.2, pairs)


@pytest.mark.parametrize("nearest", [(False, False, False), (True, False, False)])
@pytest.mark.parametrize(
    ("shape", "lines"),
    [
        ((12, 30, 34), ((0.0, 1.0), (0.0, 1.0), (0.0, 1.0))),
        ((5, 12, 17), ((1.0, 2.5), (-1.5, 2.75), (0.5, 2.0))),
        ((30, 9, 60), ((-2.0, 0.5), (12.0, 1.5), (3.0, 0.5))),
    ],
)
def test_the_tuned_network_is_believed_at_voxels_near_the_strokes(shape, lines, nearest):
    grid = NetworkGrid(test_weight.SHAPE, test_weight.WHOLE, shape, lines, nearest)
    for strokes in (test_weight.STROKES, np.array([[1, 0, 1], [11, 28, 33]])):
        found = test_weight.the_weight(grid, strokes)
        expected = torch.from_numpy(test_weight.exact_weight(grid, strokes)).float()
        # Nodes beyond the image matter only as far as its voxels read them.
        found, expected = (grid.sample_box(w[None], test_weight.WHOLE)[0] for w in (found, expected))
        assert expected.max() > 0.5
        assert (found - expected).abs().max() < test_weight.TOLERANCE


@pytest.mark.parametrize("grid_shape", [(3, 5, 4), (9, 6, 14), (6, 7, 8)])
@pytest.mark.parametrize("lines", [None, ((0.5, 2.0), (-1.0, 1.25), (0.25, 0.5))])
def test_features_read_at_the_nearest_nodes_differ_exactly_as_they_do_voxel_by_voxel(grid_shape, lines):
    shape = (6, 7, 8)
    grid = NetworkGrid(shape, whole(shape), grid_shape, lines, (True, True, True))
    features = test_edges.smooth_features(grid_shape)
    for axis in range(3):
        found = test_edges.feature_edges(features, grid).in_box(whole(shape), axis)
        expected = test_edges.voxel_by_voxel(features, grid, whole(shape), axis)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_along_lines_finer_than_the_image_features_differ_exactly(axis):
    shape = (7, 8, 9)
    lines = tuple((0.75, 0.5) if a == axis else (0.0, 1.0) for a in range(3))
    sizes = tuple(n - 2 if a == axis else n for a, n in enumerate(shape))  # fewer nodes than voxels all the same
    grid = NetworkGrid(shape, whole(shape), sizes, lines)
    features = test_edges.smooth_features(sizes)
    found = test_edges.feature_edges(features, grid).in_box(whole(shape), axis)
    expected = test_edges.voxel_by_voxel(features, grid, whole(shape), axis)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-3)
