"""Blended logits: the old answer far away, the tuned one at the strokes, and what the user did in between."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.grid import NetworkGrid, most_likely  # noqa: E402
from InteractiveRefineLib.decoding.blend import (  # noqa: E402
    HOLD_ACCEPTED,
    HOLD_MANUAL,
    BlendedLogits,
    Distances,
    blend_weight,
    network_labels,
    slabs,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (5, 6, 7)
WHOLE = tuple(slice(0, n) for n in SHAPE)
NOWHERE = np.zeros(SHAPE, dtype=bool)
CROP = (slice(1, 4), slice(0, 6), slice(2, 7))
#: The grid is the image, lies in a part of it, is coarser, or is finer along some axes and coarser along others.
GRIDS = [(WHOLE, None), (CROP, None), (WHOLE, (3, 4, 7)), (CROP, (6, 4, 3)), (WHOLE, (10, 1, 5))]


def a_blend(n_classes=3, crop=WHOLE, grid_shape=None, change=3.0, weight=0.0):
    """Blended logits of random initial and tuned ones of three classes."""
    grid = NetworkGrid(SHAPE, crop, grid_shape or tuple(s.stop - s.start for s in crop))
    generator = torch.Generator().manual_seed(0)
    initial = 2 * torch.randn(3, *grid.shape, generator=generator)
    tuned = initial + change * torch.randn(3, *grid.shape, generator=generator)
    weight = torch.as_tensor(weight, dtype=torch.float32).expand(grid.shape)
    own = network_labels(grid, initial, WHOLE)
    return BlendedLogits(grid, initial, tuned, weight, own, n_classes), initial, tuned, own


def random_weight(shape=SHAPE):
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


def blended(blend, labels, manual=NOWHERE, box=WHOLE):
    """All classes in a box, for which the two ways to ask agree; the row of no class says never."""
    out = blend.in_box(box, list(range(blend.n_classes)), labels[box], manual[box])
    assert out.shape == (blend.n_classes + 1, *[s.stop - s.start for s in box])
    assert (out[-1] == -50).all()
    outside = blend.grid.outside_crop(box)
    inside = np.ones(out.shape[1:], dtype=bool) if outside is None else ~outside
    voxels = np.argwhere(inside) + [s.start for s in box]
    at = blend.at(voxels, labels[tuple(voxels.T)], manual[tuple(voxels.T)])
    torch.testing.assert_close(at, out[:-1, torch.from_numpy(inside)], atol=2e-5, rtol=1e-5)
    return out[:-1]


def labels_of(blend, labels, manual=NOWHERE):
    return most_likely(blended(blend, labels, manual)).numpy()


def other_labels(own, share=0.3, n_classes=3):
    """The network's own labels with some changed."""
    rng = np.random.default_rng(1)
    edited = rng.random(SHAPE) < share
    return np.where(edited, (own + rng.integers(1, n_classes, SHAPE)) % n_classes, own).astype(np.uint16), edited


@pytest.mark.parametrize("crop, grid_shape", GRIDS)
def test_at_weight_zero_everything_is_as_it_is_now(crop, grid_shape):
    blend, _, _, own = a_blend(crop=crop, grid_shape=grid_shape)
    assert np.array_equal(labels_of(blend, own), own)
    edited, where = other_labels(own)
    assert where.any()
    assert np.array_equal(labels_of(blend, edited), edited)
    assert np.array_equal(labels_of(blend, edited, where), edited)


def test_at_weight_one_it_is_the_tuned_network_where_nobody_decided_otherwise():
    blend, _, tuned, own = a_blend(weight=1.0)
    out = blended(blend, own)
    torch.testing.assert_close(out, tuned)
    assert np.array_equal(most_likely(out).numpy(), network_labels(blend.grid, tuned, WHOLE))


def test_in_between_logits_are_mixed_not_labels():
    blend, initial, tuned, own = a_blend(weight=random_weight())
    torch.testing.assert_close(blended(blend, own), initial + random_weight() * (tuned - initial))


@pytest.mark.parametrize("crop, grid_shape", GRIDS[2:])
def test_they_are_mixed_on_the_networks_grid_and_then_interpolated(crop, grid_shape):
    weight = random_weight(grid_shape)
    blend, initial, tuned, own = a_blend(crop=crop, grid_shape=grid_shape, weight=weight)
    expected = blend.grid.sample_box(initial + weight * (tuned - initial), crop)
    torch.testing.assert_close(blended(blend, own, box=crop), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("manual, hold", [(False, HOLD_ACCEPTED), (True, HOLD_MANUAL)])
@pytest.mark.parametrize("grid_shape", [SHAPE, (3, 4, 9)])
def test_a_label_that_is_not_the_networks_leads_by_what_it_is_worth(manual, hold, grid_shape):
    blend, initial, _, own = a_blend(grid_shape=grid_shape)
    initial = blend.grid.sample_box(initial, WHOLE)
    edited, where = other_labels(own)
    out = blended(blend, edited, where & manual)
    lead = out.gather(0, torch.from_numpy(edited.astype(np.int64))[None])[0] - initial.max(dim=0).values
    torch.testing.assert_close(lead[torch.from_numpy(where)], torch.full((int(where.sum()),), hold), atol=1e-4, rtol=0)
    untouched = torch.from_numpy(~where)
    torch.testing.assert_close(out[:, untouched], initial[:, untouched])


def test_what_is_lifted_is_the_blend_and_the_hold_is_measured_in_the_initial_answer():
    blend, initial, tuned, own = a_blend(weight=1.0)
    edited, where = other_labels(own)
    out = blended(blend, edited, where)
    row = torch.from_numpy(edited.astype(np.int64))[None]
    expected = tuned.gather(0, row)[0] + initial.max(dim=0).values + HOLD_MANUAL - initial.gather(0, row)[0]
    where = torch.from_numpy(where)
    torch.testing.assert_close(out.gather(0, row)[0][where], expected[where])


def test_manual_marks_on_the_networks_own_labels_lift_nothing():
    blend, initial, _, own = a_blend()
    assert torch.equal(blended(blend, own, np.ones(SHAPE, dtype=bool)), initial)


def test_manual_edits_hold_against_a_tuned_network_that_accepted_labels_give_way_to():
    blend, _, _, own = a_blend(change=3.0, weight=1.0)
    edited, where = other_labels(own)
    assert np.array_equal(labels_of(blend, edited, where)[where], edited[where])
    assert not np.array_equal(labels_of(blend, edited)[where], edited[where])


@pytest.mark.parametrize("grid_shape", [None, (6, 4, 3)])
def test_outside_the_networks_crop_is_background_unless_the_user_said_otherwise(grid_shape):
    blend, _, tuned, own = a_blend(crop=CROP, grid_shape=grid_shape, weight=1.0)
    outside = np.ones(SHAPE, dtype=bool)
    outside[CROP] = False
    for labels in (own, network_labels(blend.grid, tuned, WHOLE)):
        assert labels.dtype == np.uint16
        assert not labels[outside].any()
        assert labels[CROP].any()
    certain = blended(blend, own).softmax(dim=0)[0]
    assert float(certain[torch.from_numpy(outside)].min()) > 0.999
    mine = own.copy()
    mine[0, 0, 0] = 2
    assert labels_of(blend, mine)[0, 0, 0] == 2
    assert labels_of(blend, mine)[0, 0, 1] == 0


def test_outside_the_crop_it_is_none_of_the_chosen_classes_when_background_is_not_among_them():
    blend, _, _, own = a_blend(crop=CROP, weight=1.0)
    outside = blend.grid.outside_crop(WHOLE)
    probabilities = blend.in_box(WHOLE, [1, 2], own, NOWHERE).softmax(dim=0)
    assert float(probabilities[-1][torch.from_numpy(outside)].min()) > 0.999


def test_unknown_classes_never_win_where_they_are_not():
    for weight in (0.0, 0.5, 1.0):
        blend, _, _, own = a_blend(n_classes=5, change=20.0, weight=weight)
        out = blended(blend, own)
        assert out.shape == (5, *SHAPE)
        assert int(most_likely(out).max()) < 3
        assert out[3:].softmax(dim=0).isfinite().all()
        assert float(out.softmax(dim=0)[3:].max()) < 1e-6


def test_an_unknown_class_stays_where_the_user_painted_it():
    blend, initial, _, mine = a_blend(n_classes=5, weight=1.0)
    mine = mine.copy()
    painted = np.zeros(SHAPE, dtype=bool)
    painted[2, 2:4, 2:5] = True
    mine[painted] = 4
    assert np.array_equal(labels_of(blend, mine, painted) == 4, painted)
    accepted = blended(a_blend(n_classes=5)[0], mine)
    assert np.array_equal(most_likely(accepted).numpy() == 4, painted)
    at = torch.from_numpy(painted)
    torch.testing.assert_close(accepted[4, at], initial.max(dim=0).values[at] + HOLD_ACCEPTED)


@pytest.mark.parametrize("crop, grid_shape", GRIDS)
def test_a_box_gives_what_the_whole_gives(crop, grid_shape):
    shape = grid_shape or tuple(s.stop - s.start for s in crop)
    blend, _, _, own = a_blend(crop=crop, grid_shape=grid_shape, weight=random_weight(shape))
    mine, where = other_labels(own)
    box = (slice(1, 4), slice(2, 6), slice(3, 5))
    for classes in ([0, 1, 2], [1], [0, 2]):
        part = blend.in_box(box, classes, mine[box], where[box])
        torch.testing.assert_close(part, blend.in_box(WHOLE, classes, mine, where)[(slice(None), *box)])


@pytest.mark.parametrize("classes", [[0, 1, 2], [0, 2], [2], [1, 3], [0, 1, 4], [3, 4]])
def test_classes_that_were_not_asked_for_are_one_event_together(classes):
    blend, initial, tuned, own = a_blend(n_classes=5, weight=random_weight())
    blend_of_all = initial + random_weight() * (tuned - initial)
    others = [c for c in range(3) if c not in classes]
    out = blend.in_box(WHOLE, classes, own, NOWHERE)
    for row, label in zip(out, classes):
        torch.testing.assert_close(row, blend_of_all[label] if label < 3 else torch.full(SHAPE, -50.0))
    rest = blend_of_all[others].exp().sum(dim=0).log() if others else torch.full(SHAPE, -50.0)
    torch.testing.assert_close(out[-1], rest)
    known = [n for n, c in enumerate(classes) if c < 3]
    torch.testing.assert_close(
        out.softmax(dim=0)[known], blend_of_all.softmax(dim=0)[[classes[n] for n in known]], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("manual, hold", [(False, HOLD_ACCEPTED), (True, HOLD_MANUAL)])
def test_a_label_among_the_others_is_held_by_lifting_them_together(manual, hold):
    blend, initial, _, own = a_blend(n_classes=5)
    mine = np.where(own == 1, 2, own)  # the network says 1
    mine[own == 2] = 4
    edited = mine != own
    out = blend.in_box(WHOLE, [0, 1], mine.astype(np.uint16), edited & manual)
    best = torch.stack([initial[0], initial[1], initial[2]]).max(dim=0).values  # the others are class 2 alone
    at = torch.from_numpy(edited)
    torch.testing.assert_close(out[-1, at], best[at] + hold)
    torch.testing.assert_close(out[:2], initial[:2])
    torch.testing.assert_close(out[-1, ~at], initial[2, ~at])


def test_the_networks_labels_are_the_likeliest_class_of_the_interpolated_logits():
    blend, initial, tuned, own = a_blend()
    assert np.array_equal(own, initial.argmax(dim=0).numpy())
    finer = NetworkGrid((1, 1, 4), (slice(0, 1), slice(0, 1), slice(0, 4)), (1, 1, 2))
    logits = torch.tensor([[1.0, -1], [0, 0]]).view(2, 1, 1, 2)  # interpolated: 1, 0.5, -0.5, -1
    assert network_labels(finer, logits, (slice(0, 1), slice(0, 1), slice(0, 4))).tolist() == [[[0, 0, 1, 1]]]
    assert network_labels(finer, logits, (slice(0, 1), slice(0, 1), slice(1, 3))).tolist() == [[[0, 1]]]


@pytest.mark.parametrize("nearest", [(False, False, False), (True, False, False)])
@pytest.mark.parametrize("shape", [(4, 5, 6), (20, 9, 17), (1, 6, 30), (40, 3, 2)])
def test_only_voxels_between_different_nodes_are_computed_and_nothing_is_lost(shape, nearest):
    generator = torch.Generator().manual_seed(sum(shape))
    nodes = (1, 6, 7) if shape[0] == 1 else (5, 6, 7)
    grid = NetworkGrid(shape, tuple(slice(0, n) for n in shape), nodes, nearest=nearest)
    logits = torch.randn(4, *nodes, generator=generator)
    logits[2, :, 2:5] += 6.0  # a block on which all nodes agree
    for box in (tuple(slice(0, n) for n in shape), tuple(slice(n // 3, n) for n in shape)):
        expected = grid.sample_box(logits, box).argmax(dim=0).numpy()
        assert np.array_equal(network_labels(grid, logits, box), expected)


def test_the_blend_may_take_the_place_of_the_tuned_logits_but_never_of_the_initial_ones():
    blend, initial, tuned, own = a_blend(weight=torch.full(SHAPE, 0.3))
    first, mine = initial.clone(), tuned.clone(memory_format=torch.contiguous_format)
    inside = BlendedLogits(blend.grid, initial, mine, blend.weight, own, blend.n_classes, into_tuned=True)
    assert torch.equal(inside.field, blend.field) and inside.field is mine and not torch.equal(mine, tuned)
    same = BlendedLogits(blend.grid, initial, initial, blend.weight, own, blend.n_classes, into_tuned=True)
    assert torch.equal(same.field, first) and torch.equal(initial, first)


@pytest.mark.parametrize("crop, grid_shape", GRIDS)
def test_blending_leaves_what_it_is_given_alone(crop, grid_shape):
    weight = torch.full(grid_shape or tuple(s.stop - s.start for s in crop), 0.7)
    blend, initial, tuned, own = a_blend(crop=crop, grid_shape=grid_shape, weight=weight)
    mine, where = other_labels(own)
    given = [initial, tuned, weight, blend.field], [mine, where, own]
    before = [t.clone() for t in given[0]], [a.copy() for a in given[1]]
    labels_of(blend, mine, where)
    blend.in_box(WHOLE, [1], mine, where)
    network_labels(blend.grid, initial, WHOLE)
    assert all(torch.equal(a, b) for a, b in zip(given[0], before[0]))
    assert all(np.array_equal(a, b) for a, b in zip(given[1], before[1]))


def test_the_weight_falls_from_one_as_a_bell_and_ends_at_three_sigma():
    lengths = Distances(20.0, 12.0, 24.0)
    weight = blend_weight(torch.tensor([0.0, 20.0, 40.0, 59.99, 60.0, 100.0]), lengths)
    expected = [1.0, math.exp(-0.5), math.exp(-2), math.exp(-4.5), 0.0, 0.0]
    torch.testing.assert_close(weight, torch.tensor(expected), atol=1e-4, rtol=0)
    assert lengths.blend_limit == 60.0


def test_lengths_are_the_measured_ones_on_a_torso_and_shorter_on_a_crop():
    assert Distances.for_image((100, 512, 512), (3.0, 0.8, 0.8)) == Distances(20.0, 12.0, 24.0)
    small = Distances.for_image((40, 40, 40), (1.0, 1.0, 1.0))
    assert (small.blend_sigma, small.relax_sigma, small.walker_reach) == pytest.approx((4.8, 4.0, 8.0))


def test_the_axis_a_slice_does_not_have_does_not_count():
    flat = Distances.for_image((1, 50, 50), (5.0, 1.0, 1.0))
    assert flat.walker_reach == pytest.approx(10.0)


@pytest.mark.parametrize("voxels", [1, 10, 37, 100, 10_000])
def test_slabs_cover_a_box_once_and_stay_small(voxels):
    box = (slice(2, 13), slice(1, 4), slice(0, 5))
    count = np.zeros((15, 6, 5), dtype=int)
    for slab in slabs(box, voxels):
        count[slab] += 1
        assert count[slab].size <= max(voxels, 15)
    expected = np.zeros_like(count)
    expected[box] = 1
    assert np.array_equal(count, expected)
