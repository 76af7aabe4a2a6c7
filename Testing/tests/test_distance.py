"""The distance to strokes against the exact Euclidean distance transform."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

torch = pytest.importorskip("torch")

from InteractiveRefineLib.decoding.distance import stroke_distance  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def whole(shape):
    return tuple(slice(0, n) for n in shape)


def transform(voxels, shape, spacing):
    mask = np.ones(shape, dtype=bool)
    mask[tuple(voxels.T)] = False
    return ndimage.distance_transform_edt(mask, sampling=spacing)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.7, 0.7), (0.5, 2.0, 1.5), (5.0, 5.0, 5.0)])
@pytest.mark.parametrize("limit", [8.0, 30.0])
def test_it_is_within_half_the_coarse_spacing_of_the_exact_distance(spacing, limit):
    shape = (14, 22, 25)
    voxels = np.random.default_rng(0).integers(0, shape, (6, 3))
    found = stroke_distance(voxels, whole(shape), spacing, limit).numpy()
    exact = np.minimum(transform(voxels, shape, spacing), limit)
    assert found.dtype == np.float32
    assert np.abs(found - exact).max() <= 1.5 * np.sqrt(3)  # the diagonal of half a coarse cell, right at a stroke
    assert np.abs(found - exact)[exact > 4].max() <= 1.5
    assert np.abs(found - exact).mean() < 0.5


def test_it_is_exact_where_voxels_are_as_coarse_as_the_coarse_grid():
    shape, spacing = (6, 8, 9), (4.0, 3.0, 2.5)
    voxels = np.array([[1, 2, 3], [4, 4, 4]])
    found = stroke_distance(voxels, whole(shape), spacing, 100.0)
    np.testing.assert_allclose(found, transform(voxels, shape, spacing), atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.4, 1.0, 2.7, 6.0])] * 3),
    seed=st.integers(0, 99),
)
def test_every_box_shape_works_and_never_exceeds_the_limit(shape, spacing, seed):
    rng = np.random.default_rng(seed)
    voxels = rng.integers(0, shape, (3, 3))
    found = stroke_distance(voxels, whole(shape), spacing, 7.0).numpy()
    assert found.shape == shape
    assert found.min() >= 0
    assert found.max() <= 7.0
    exact = np.minimum(transform(voxels, shape, spacing), 7.0)
    assert np.abs(found - exact).max() <= 1.5 * np.sqrt(3) + 1e-4


def test_a_box_away_from_the_origin_is_measured_from_the_same_strokes():
    shape, spacing = (12, 16, 16), (3.0, 3.0, 3.0)
    voxels = np.array([[2, 3, 4], [10, 10, 1]])
    box = (slice(3, 11), slice(5, 16), slice(2, 9))
    found = stroke_distance(voxels, box, spacing, 200.0)
    np.testing.assert_allclose(found, transform(voxels, shape, spacing)[box], atol=1e-4)


def test_strokes_outside_the_box_count_too():
    found = stroke_distance(np.array([[0, 0, 0]]), (slice(5, 6), slice(0, 1), slice(0, 1)), (3.0, 3.0, 3.0), 100.0)
    assert float(found) == pytest.approx(15.0)


def test_a_stretched_stroke_acts_as_if_it_were_nearer():
    shape, spacing = (6, 10, 12), (3.0, 3.0, 3.0)
    voxels = np.array([[1, 2, 3], [4, 8, 8], [0, 9, 0]])
    stretch = np.array([1.0, 1.8, 0.7])
    expected = np.min([transform(v[None], shape, spacing) / f for v, f in zip(voxels, stretch)], axis=0)
    found = stroke_distance(voxels, whole(shape), spacing, 15.0, stretch)
    np.testing.assert_allclose(found, np.minimum(expected, 15.0), atol=1e-4)


def test_no_stretch_is_a_stretch_of_one():
    voxels = np.array([[1, 2, 3], [4, 8, 8]])
    box, spacing = whole((6, 10, 12)), (1.0, 2.0, 1.0)
    plain = stroke_distance(voxels, box, spacing, 9.0)
    assert torch.equal(plain, stroke_distance(voxels, box, spacing, 9.0, np.ones(2)))
