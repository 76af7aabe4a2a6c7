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
    slabs,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (5, 6, 7)
WHOLE = tuple(slice(0, n) for n in SHAPE)
NOWHERE = np.zeros(SHAPE, dtype=bool)


def a_blend(n_classes=3, crop=WHOLE, grid_shape=None, change=3.0):
    """Random initial and tuned logits of three classes."""
    grid = NetworkGrid(SHAPE, crop, grid_shape or tuple(s.stop - s.start for s in crop))
    generator = torch.Generator().manual_seed(0)
    initial = 2 * torch.randn(3, *grid.shape, generator=generator)
    tuned = initial + change * torch.randn(3, *grid.shape, generator=generator)
    return BlendedLogits(grid, initial, tuned, n_classes), initial, tuned


def labels_at(blend, labels, manual=NOWHERE, weight=0.0, box=WHOLE):
    weight = torch.as_tensor(weight, dtype=torch.float32).expand([s.stop - s.start for s in box])
    return most_likely(blend.blended(box, labels[box], manual[box], weight)).numpy()


def other_labels(blend, share=0.3, n_classes=3):
    """The network's own labels with some changed."""
    rng = np.random.default_rng(1)
    own = blend.initial_labels(WHOLE)
    edited = rng.random(SHAPE) < share
    return np.where(edited, (own + rng.integers(1, n_classes, SHAPE)) % n_classes, own).astype(np.uint16), edited


def test_at_weight_zero_everything_is_as_it_is_now():
    blend, _, _ = a_blend()
    own = blend.initial_labels(WHOLE)
    assert np.array_equal(labels_at(blend, own), own)
    edited, where = other_labels(blend)
    assert where.any()
    assert np.array_equal(labels_at(blend, edited), edited)
    assert np.array_equal(labels_at(blend, edited, where), edited)


def test_at_weight_one_it_is_the_tuned_network_where_nobody_decided_otherwise():
    blend, _, tuned = a_blend()
    own = blend.initial_labels(WHOLE)
    out = blend.blended(WHOLE, own, NOWHERE, torch.ones(SHAPE))
    torch.testing.assert_close(out, tuned)
    assert np.array_equal(most_likely(out).numpy(), blend.tuned_labels(WHOLE))
    assert np.array_equal(blend.tuned_labels(WHOLE), tuned.argmax(dim=0).numpy())


def test_in_between_logits_are_mixed_not_labels():
    blend, initial, tuned = a_blend()
    weight = torch.rand(SHAPE, generator=torch.Generator().manual_seed(3))
    out = blend.blended(WHOLE, blend.initial_labels(WHOLE), NOWHERE, weight)
    torch.testing.assert_close(out, initial + weight * (tuned - initial))


@pytest.mark.parametrize("manual, hold", [(False, HOLD_ACCEPTED), (True, HOLD_MANUAL)])
def test_a_label_that_is_not_the_networks_leads_by_what_it_is_worth(manual, hold):
    blend, initial, _ = a_blend()
    edited, where = other_labels(blend)
    out = blend.blended(WHOLE, edited, where & manual, torch.zeros(SHAPE))
    lead = out.gather(0, torch.from_numpy(edited.astype(np.int64))[None])[0] - initial.max(dim=0).values
    torch.testing.assert_close(lead[torch.from_numpy(where)], torch.full((int(where.sum()),), hold), atol=1e-4, rtol=0)
    untouched = torch.from_numpy(~where)
    torch.testing.assert_close(out[:, untouched], initial[:, untouched])


def test_manual_edits_hold_against_a_tuned_network_that_accepted_labels_give_way_to():
    blend, _, _ = a_blend(change=3.0)
    edited, where = other_labels(blend)
    assert np.array_equal(labels_at(blend, edited, where, 1.0)[where], edited[where])
    assert not np.array_equal(labels_at(blend, edited, NOWHERE, 1.0)[where], edited[where])


def test_outside_the_networks_crop_is_background_unless_the_user_said_otherwise():
    crop = (slice(1, 4), slice(0, 6), slice(2, 7))
    blend, _, _ = a_blend(crop=crop)
    outside = np.ones(SHAPE, dtype=bool)
    outside[crop] = False
    for labels in (blend.initial_labels(WHOLE), blend.tuned_labels(WHOLE)):
        assert not labels[outside].any()
        assert labels[crop].any()
    certain = blend.blended(WHOLE, blend.initial_labels(WHOLE), NOWHERE, torch.ones(SHAPE)).softmax(dim=0)[0]
    assert float(certain[torch.from_numpy(outside)].min()) > 0.999
    mine = blend.initial_labels(WHOLE)
    mine[0, 0, 0] = 2
    assert labels_at(blend, mine, NOWHERE, 1.0)[0, 0, 0] == 2
    assert labels_at(blend, mine, NOWHERE, 1.0)[0, 0, 1] == 0


def test_unknown_classes_never_win_where_they_are_not():
    blend, _, _ = a_blend(n_classes=5, change=20.0)
    own = blend.initial_labels(WHOLE)
    for weight in (0.0, 0.5, 1.0):
        out = blend.blended(WHOLE, own, NOWHERE, torch.full(SHAPE, weight))
        assert out.shape == (5, *SHAPE)
        assert int(most_likely(out).max()) < 3
        assert out[3:].softmax(dim=0).isfinite().all()
        assert float(out.softmax(dim=0)[3:].max()) < 1e-6


def test_an_unknown_class_stays_where_the_user_painted_it():
    blend, _, _ = a_blend(n_classes=5)
    mine = blend.initial_labels(WHOLE)
    painted = np.zeros(SHAPE, dtype=bool)
    painted[2, 2:4, 2:5] = True
    mine[painted] = 4
    assert np.array_equal(labels_at(blend, mine, painted, 1.0) == 4, painted)
    assert np.array_equal(labels_at(blend, mine, NOWHERE, 0.0) == 4, painted)


@pytest.mark.parametrize("grid_shape", [None, (3, 4, 7), (10, 9, 5)])
def test_a_box_gives_what_the_whole_gives(grid_shape):
    blend, _, _ = a_blend(grid_shape=grid_shape)
    mine, where = other_labels(blend)
    box = (slice(1, 4), slice(2, 6), slice(3, 5))
    weight = torch.rand(SHAPE, generator=torch.Generator().manual_seed(3))
    whole = blend.blended(WHOLE, mine, where, weight)
    part = blend.blended(box, mine[box], where[box], weight[box])
    torch.testing.assert_close(part, whole[(slice(None), *box)])


def test_blending_leaves_the_networks_logits_alone():
    blend, initial, tuned = a_blend(crop=(slice(1, 4), slice(0, 6), slice(2, 7)))
    before = initial.clone(), tuned.clone()
    mine, where = other_labels(blend)
    labels_at(blend, mine, where, 0.7)
    blend.initial_labels(WHOLE), blend.tuned_labels(WHOLE)
    assert torch.equal(initial, before[0])
    assert torch.equal(tuned, before[1])


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
