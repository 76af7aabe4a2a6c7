"""Linear interpolation of fields, at all combinations of positions or at single places, against scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.sampling import VoxelSampler, sample_product  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def a_field(channels, shape, seed=0):
    return torch.randn(channels, *shape, generator=torch.Generator().manual_seed(seed))


def by_scipy(field, places):
    """(C, N) of (C, *shape) at (N, 3) continuous indices."""
    return np.stack([ndimage.map_coordinates(c, places.T, order=1, mode="nearest") for c in field.double().numpy()])


def ascending(rng, n, kind):
    """Positions along an axis of n nodes: between them, on them, repeated at the ends, or one alone."""
    if kind == "nodes":
        return np.arange(n, dtype=float)
    if kind == "one":
        return rng.uniform(0, n - 1, 1)
    positions = np.sort(rng.uniform(-1, n, int(rng.integers(1, 2 * n + 2))))
    return np.clip(positions, 0, n - 1)


KINDS = st.sampled_from(["nodes", "one", "between"])


@settings(deadline=None, max_examples=150)
@given(
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    channels=st.integers(1, 3),
    kinds=st.tuples(KINDS, KINDS, KINDS),
    seed=st.integers(0, 10**6),
)
def test_every_combination_of_positions_is_what_scipy_interpolates(shape, channels, kinds, seed):
    rng = np.random.default_rng(seed)
    field = a_field(channels, shape, seed)
    positions = [ascending(rng, n, kind) for n, kind in zip(shape, kinds)]
    places = np.stack(np.meshgrid(*positions, indexing="ij"), axis=-1)
    expected = by_scipy(field, places.reshape(-1, 3)).reshape(channels, *places.shape[:3])
    found = sample_product(field, positions)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)


@settings(deadline=None, max_examples=150)
@given(shape=st.tuples(*[st.integers(1, 7)] * 3), channels=st.integers(1, 3), seed=st.integers(0, 10**6))
def test_single_places_are_what_scipy_interpolates(shape, channels, seed):
    rng = np.random.default_rng(seed)
    places = np.clip(rng.uniform(-1, shape, (int(rng.integers(0, 30)), 3)), 0, np.array(shape) - 1)
    whole_numbers = rng.random(len(places)) < 0.2
    places[whole_numbers] = np.round(places[whole_numbers])
    field = a_field(channels, shape, seed)
    found = VoxelSampler(places.T, shape, CPU)(field.movedim(0, -1).contiguous())
    assert found.shape == (len(places), channels) and found.dtype == torch.float32
    np.testing.assert_allclose(found.T, by_scipy(field, places), atol=2e-5)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1)])
def test_at_nodes_it_is_the_field_to_the_last_bit(shape):
    field = a_field(2, shape)
    assert torch.equal(sample_product(field, [np.arange(n, dtype=float) for n in shape]), field)
    nodes = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape))
    found = VoxelSampler(nodes.astype(float), shape, CPU)(field.movedim(0, -1))
    assert torch.equal(found.T.reshape(field.shape), field)


def test_a_place_between_two_nodes_takes_its_share_of_both():
    field = torch.tensor([0.0, 10, 40]).view(1, 1, 1, 3)
    assert sample_product(field, [[0], [0], np.array([0.25, 1.5, 2])]).tolist() == [[[[2.5, 25, 40]]]]
    sampler = VoxelSampler([np.zeros(2), np.zeros(2), np.array([0.25, 1.5])], (1, 1, 3), CPU)
    assert sampler(field.movedim(0, -1)).tolist() == [[2.5], [25]]
    assert sampler(1 + field.movedim(0, -1)).tolist() == [[3.5], [26]]  # one sampler for several fields


def test_places_that_were_clamped_to_the_end_of_an_axis_repeat_its_node():
    # As many places as nodes, and all of them whole numbers: still not the nodes themselves.
    field = a_field(1, (3, 3, 3))
    clamped = np.array([0.0, 0.0, 1.0])
    found = sample_product(field, [clamped] * 3)
    assert torch.equal(found, field[:, [0, 0, 1]][:, :, [0, 0, 1]][..., [0, 0, 1]])
    assert torch.equal(sample_product(field, [clamped + 1] * 3), field[:, [1, 1, 2]][:, :, [1, 1, 2]][..., [1, 1, 2]])


def test_any_memory_layout_and_number_type_gives_the_same_and_is_left_alone():
    numbers = torch.arange(60, dtype=torch.int16).view(1, 3, 4, 5)
    flipped = numbers.movedim(1, 3).contiguous().movedim(3, 1)
    positions = [np.array([0.5, 1.5]), np.array([0.0, 2.5]), np.array([1.0, 3.75])]
    before = flipped.clone()
    expected = by_scipy(numbers, np.stack(np.meshgrid(*positions, indexing="ij"), axis=-1).reshape(-1, 3))
    for field in (numbers, flipped):
        np.testing.assert_allclose(sample_product(field, positions).flatten(), expected[0])
    assert torch.equal(flipped, before)


def test_the_result_may_be_written_to():
    field = a_field(1, (3, 4, 5))
    before = field.clone()
    sample_product(field, [np.arange(n, dtype=float) for n in (3, 4, 5)]).zero_()
    assert torch.equal(field, before)
