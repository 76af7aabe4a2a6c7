"""The network's grid lies where it should in the image, and sampling between the two is linear interpolation."""

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
from Testing.tests.network_examples import a_config, noise  # noqa: E402

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
