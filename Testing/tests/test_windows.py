"""Windows cover the whole grid, overlap enough and lie where they are expected."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.config import WindowBlend  # noqa: E402
from InteractiveRefineLib.partial.windows import Window, blend_weights, padded_shape, plan_windows  # noqa: E402

sides = st.tuples(*[st.integers(1, 40)] * 3)


def starts(n, patch, overlap):
    return [w.start[2] for w in plan_windows((1, 1, n), (1, 1, patch), overlap)]


@pytest.mark.parametrize(
    ("n", "patch", "overlap", "expected"),
    [
        (10, 4, 0.5, [0, 2, 4, 6]),
        (11, 4, 0.5, [0, 2, 4, 5, 7]),
        (10, 4, 0.0, [0, 3, 6]),
        (8, 4, 0.0, [0, 4]),
        (4, 4, 0.5, [0]),
        (3, 4, 0.5, [0]),
        (6, 4, 0.99, [0, 1, 2]),
        (20, 10, 0.8, [0, 2, 4, 6, 8, 10]),
        (5, 1, 0.5, [0, 1, 2, 3, 4]),
    ],
)
def test_windows_start_exactly_here(n, patch, overlap, expected):
    assert starts(n, patch, overlap) == expected


def test_windows_of_three_axes_are_all_combinations():
    found = plan_windows((4, 2, 6), (4, 2, 4), 0.5)
    assert found == [Window((0, 0, 0)), Window((0, 0, 2))]
    assert found[1].slices((4, 2, 4)) == (slice(0, 4), slice(0, 2), slice(2, 6))


@given(sides, sides, st.floats(0, 0.95))
@settings(max_examples=80, deadline=None)
def test_windows_cover_everything_overlap_enough_and_stay_inside(shape, patch, overlap):
    shape = tuple(max(n, p) for n, p in zip(shape, patch))
    for axis in range(3):
        found = sorted({w.start[axis] for w in plan_windows(shape, patch, overlap)})
        n, p = shape[axis], patch[axis]
        assert found[0] == 0 and found[-1] == n - p
        shared = p - np.diff(found)
        assert (shared >= min(np.floor(p * overlap), p - 1)).all()
        assert (shared >= 0).all()


@pytest.mark.parametrize(
    ("shape", "divisible_by", "patch", "flat", "expected"),
    [
        ((5, 8, 9), 1, None, None, (5, 8, 9)),
        ((5, 8, 9), 4, None, None, (8, 8, 12)),
        ((1, 8, 9), 4, None, 0, (1, 8, 12)),
        ((1, 8, 9), 4, None, None, (4, 8, 12)),
        ((5, 8, 9), 4, (8, 16, 4), None, (8, 16, 12)),
        ((5, 1, 9), 4, (8, 1, 8), 1, (8, 1, 12)),
    ],
)
def test_the_grid_is_padded_to_hold_a_patch_and_to_be_divisible(shape, divisible_by, patch, flat, expected):
    assert padded_shape(shape, divisible_by, patch, flat) == expected


def test_blending_weights_are_a_gaussian_with_its_maximum_in_the_middle():
    weights = blend_weights((1, 3, 8))
    assert weights.shape == (1, 3, 8)
    assert weights.max() == 1
    assert torch.equal(weights, weights.flip(1)) and torch.equal(weights, weights.flip(2))
    # sigma is one voxel along the last axis: neighbors of the middle, at 0.5 and 1.5.
    assert weights[0, 1, 5] / weights[0, 1, 4] == pytest.approx(np.exp(-0.5 * (1.5**2 - 0.5**2)), rel=1e-5)
    assert weights.min() == pytest.approx(1e-4), "no voxel is left without weight"


@pytest.mark.parametrize(
    ("n", "patch", "step", "expected"),
    [
        (10, 4, 2, [0, 2, 4, 6]),
        (11, 4, 2, [0, 2, 4, 6, 7]),
        (10, 4, 3, [0, 3, 6]),
        (9, 4, 4, [0, 4, 5]),
        (4, 4, 1, [0]),
    ],
)
def test_windows_of_a_fixed_step_start_at_its_multiples_and_end_with_the_grid(n, patch, step, expected):
    found = plan_windows((1, 1, n), (1, 1, patch), 0.5, (1, 1, step))
    assert [w.start[2] for w in found] == expected


def test_blending_weights_may_be_constant_wider_or_unscaled():
    assert torch.equal(blend_weights((2, 3, 4), WindowBlend("constant")), torch.ones(2, 3, 4))
    wide = blend_weights((1, 1, 9), WindowBlend(sigma=0.5, floor=0.2))[0, 0]
    assert wide[0] == pytest.approx(np.exp(-0.5 * (4 / 4.5) ** 2), rel=1e-5)
    narrow = blend_weights((1, 1, 8), WindowBlend(floor=1e-3, scaled=False))[0, 0]
    assert narrow.max() == pytest.approx(np.exp(-0.5 * 0.5**2), rel=1e-5), "between two voxels it would be 1"
    assert narrow.min() == pytest.approx(np.exp(-0.5 * 3.5**2), rel=1e-5)
    assert blend_weights((1, 1, 16), WindowBlend(floor=0.3)).min() == pytest.approx(0.3)
