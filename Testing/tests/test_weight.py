"""How much the tuned network is believed, against a bell over the exact distance to the fresh strokes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.decoding.blend import Distances  # noqa: E402
from InteractiveRefineLib.decoding.weight import belief_in, boxes_in_reach, tuned_weight  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE, SPACING = (12, 30, 34), (3.0, 1.0, 1.0)
LENGTHS = Distances(4.0, 3.0, 6.0)
WHOLE = tuple(slice(0, n) for n in SHAPE)
CROP = (slice(2, 11), slice(5, 28), slice(0, 30))
STROKES = np.array([[5, 12, 10], [5, 12, 11], [6, 13, 12], [9, 20, 25]])
#: The distance is interpolated on a lattice of a quarter sigma, or of thick slices: so much the weight may be off.
TOLERANCE = 0.09


def the_weight(grid, strokes=STROKES, stretch=None, trust=None, spacing=SPACING):
    stretch = np.ones(len(strokes)) if stretch is None else np.asarray(stretch)
    return tuned_weight(grid, strokes, stretch, spacing, LENGTHS, trust)


def exact_weight(grid, strokes=STROKES, stretch=None, spacing=SPACING):
    nodes = np.stack(np.meshgrid(*[grid.image_positions(a) for a in range(3)], indexing="ij"), axis=-1)
    away = np.linalg.norm((nodes[..., None, :] - strokes) * spacing, axis=-1)
    away = (away / (np.ones(len(strokes)) if stretch is None else stretch)).min(axis=-1)
    return np.where(away < 3 * LENGTHS.blend_sigma, np.exp(-0.5 * (away / LENGTHS.blend_sigma) ** 2), 0)


GRIDS = [
    NetworkGrid(SHAPE, WHOLE, SHAPE),
    NetworkGrid(SHAPE, WHOLE, (24, 10, 17)),
    NetworkGrid(SHAPE, CROP, (9, 23, 30)),
    NetworkGrid(SHAPE, CROP, (20, 6, 11)),
    NetworkGrid(SHAPE, WHOLE, (36, 1, 34)),
]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("stretch", [(1.0, 1, 1, 1), (1.8, 1.8, 1, 0.7)])
def test_it_falls_as_a_bell_with_the_distance_from_the_strokes(grid, stretch):
    found, expected = the_weight(grid, stretch=stretch).numpy(), exact_weight(grid, stretch=stretch)
    assert found.shape == grid.shape and found.dtype == np.float32
    assert expected.max() > 0.5
    assert found.min() >= 0 and found.max() <= 1
    assert np.abs(found - expected).max() < TOLERANCE
    assert np.abs(found - expected).mean() < 0.006


@pytest.mark.parametrize("grid", GRIDS)
def test_the_boxes_in_reach_are_the_smallest_of_their_kind(grid):
    some, lengths = STROKES[:2], Distances(1.0, 3.0, 6.0)
    box, nodes = boxes_in_reach(grid, some, np.array([1.0, 1.5]), SPACING, lengths)
    assert box == (slice(3, 8), slice(7, 18), slice(5, 17))  # 3 sigma stretched: 4.5 mm, 2 slices or 5 voxels
    weight = tuned_weight(grid, some, np.array([1.0, 1.5]), SPACING, lengths, None)
    weight[nodes] = 0
    assert not weight.any()
    for axis, (side, near) in enumerate(zip(box, nodes)):
        positions = grid.image_positions(axis).clip(-0.999, SHAPE[axis] - 0.001)
        inside = (positions > side.start - 1) & (positions < side.stop)
        assert np.flatnonzero(inside).tolist() == list(range(near.start, near.stop))
    assert boxes_in_reach(grid, STROKES[:0], np.ones(0), SPACING, LENGTHS) == ((slice(0, 0),) * 3,) * 2


def test_where_voxels_are_as_coarse_as_the_lattice_it_is_exact():
    grid = NetworkGrid(SHAPE, WHOLE, SHAPE)
    np.testing.assert_allclose(the_weight(grid), exact_weight(grid), atol=1e-5)
    assert the_weight(grid)[tuple(STROKES.T)].eq(1).all()


def test_a_stretched_stroke_acts_farther_and_a_shrunken_one_less_far():
    grid = NetworkGrid(SHAPE, WHOLE, SHAPE)
    for factor in (1.8, 1.0, 0.7):
        found = the_weight(grid, STROKES[:1], [factor])[5, 12].numpy()
        expected = np.exp(-0.5 * (np.abs(np.arange(SHAPE[2]) - 10) / factor / LENGTHS.blend_sigma) ** 2)
        expected[np.abs(np.arange(SHAPE[2]) - 10) >= 3 * LENGTHS.blend_sigma * factor] = 0
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_far_from_the_strokes_it_is_the_trust_and_near_them_the_larger_of_both():
    grid = GRIDS[1]
    trust = np.random.default_rng(0).random(grid.shape)
    trust[trust < 0.5] = 0
    before, near = trust.copy(), the_weight(grid)
    found = the_weight(grid, trust=trust)
    torch.testing.assert_close(found, torch.maximum(near, torch.from_numpy(trust).float()))
    assert (found > near).any() and (found > torch.from_numpy(trust)).any()
    assert np.array_equal(trust, before)


def test_trust_is_left_as_it_was_also_where_it_has_the_right_type_already():
    trust = np.zeros(GRIDS[0].shape, np.float32)
    the_weight(GRIDS[0], trust=trust)
    assert not trust.any()


def test_without_strokes_only_trust_counts():
    grid, none = GRIDS[1], np.empty((0, 3), dtype=np.int64)
    assert not the_weight(grid, none).any()
    trust = np.full(grid.shape, 0.25)
    assert the_weight(grid, none, trust=trust).eq(0.25).all()


def test_a_stroke_outside_the_networks_crop_acts_into_it():
    grid = NetworkGrid(SHAPE, CROP, (9, 23, 30))
    beside = np.array([[5, 2, 10]])
    found = the_weight(grid, beside).numpy()
    np.testing.assert_allclose(found, exact_weight(grid, beside), atol=1e-5)
    assert found[3, 0, 10] == pytest.approx(np.exp(-0.5 * (3 / LENGTHS.blend_sigma) ** 2))


def test_a_stroke_so_far_outside_that_it_reaches_no_node_does_nothing():
    grid = NetworkGrid(SHAPE, (slice(0, 12), slice(0, 30), slice(28, 34)), (12, 30, 6))
    assert not the_weight(grid, np.array([[5, 12, 3]])).any()
    trust = np.full(grid.shape, 0.5, np.float32)
    assert the_weight(grid, np.array([[5, 12, 3]]), trust=trust).eq(0.5).all()


def test_a_network_that_could_not_be_taught_its_strokes_is_believed_close_to_them_only():
    grid, ones = NetworkGrid(SHAPE, WHOLE, SHAPE), np.ones(len(STROKES))
    usual = the_weight(grid)
    away = np.linalg.norm((np.argwhere(usual.numpy() >= 0)[:, None] - STROKES) * SPACING, axis=-1).min(axis=1)
    beyond = torch.from_numpy(away.reshape(SHAPE) > LENGTHS.blend_sigma)
    assert usual[beyond].max() > 0.5
    for belief in (0.0, 0.25, 1.0):
        found = tuned_weight(grid, STROKES, ones, SPACING, LENGTHS, None, belief)
        assert torch.equal(found[~beyond], usual[~beyond])
        torch.testing.assert_close(found[beyond], belief * usual[beyond])


def test_the_box_in_reach_of_such_a_network_ends_where_its_weight_does():
    grid, ones = NetworkGrid(SHAPE, WHOLE, SHAPE), np.ones(2)
    lengths = Distances(2.0, 3.0, 6.0)
    _, nodes = boxes_in_reach(grid, STROKES[:2], ones, SPACING, lengths, 0.0)
    assert nodes == (slice(4, 7), slice(10, 15), slice(8, 14))  # 2 mm: 1 slice or 2 voxels
    assert (
        boxes_in_reach(grid, STROKES[:2], ones, SPACING, lengths, 0.01)[1]
        == boxes_in_reach(grid, STROKES[:2], ones, SPACING, lengths)[1]
    )
    weight = tuned_weight(grid, STROKES[:2], ones, SPACING, lengths, None, 0.0)
    assert weight[5, 10, 10] > 0 and weight[5, 12, 13] > 0 and weight[5, 12, 14] == 0


@pytest.mark.parametrize("wrong, belief", [(0, 1), (0.33, 1), (5 / 12, 0.5), (0.5, 0), (1, 0)])
def test_the_more_strokes_tuning_leaves_wrong_the_less_the_network_is_believed_beyond_them(wrong, belief):
    assert belief_in(wrong) == pytest.approx(belief)


def test_a_single_slice_has_its_weight_too():
    grid = NetworkGrid((1, 30, 34), (slice(0, 1), slice(0, 30), slice(0, 34)), (1, 15, 17))
    strokes = STROKES * [0, 1, 1]
    found = the_weight(grid, strokes, spacing=(5.0, 1.0, 1.0)).numpy()
    assert np.abs(found - exact_weight(grid, strokes, spacing=(5.0, 1.0, 1.0))).max() < TOLERANCE
