"""The distance to strokes against the exact Euclidean distance transform."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

torch = pytest.importorskip("torch")

from InteractiveRefineLib.decoding.distance import StrokeDistance  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def whole(shape):
    return tuple(slice(0, n) for n in shape)


def voxels_of(box):
    return np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in box], indexing="ij"), axis=-1).reshape(-1, 3)


def stroke_distance(voxels, box, spacing, limit, *more, **options):
    """The distances of all voxels of the box, for which the three ways to ask agree."""
    distance = StrokeDistance(voxels, box, spacing, limit, *more, **options)
    found = distance.in_box(box)
    assert torch.equal(distance.at_product([np.arange(s.start, s.stop) for s in box]), found)
    torch.testing.assert_close(distance.at(voxels_of(box)).view(found.shape), found)
    return found


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


@pytest.mark.parametrize("coarse_mm", [0.5, 2.0, 6.0])
def test_the_lattice_is_as_fine_as_one_asks(coarse_mm):
    shape, spacing = (14, 22, 25), (1.0, 0.5, 0.5)
    voxels = np.random.default_rng(1).integers(0, shape, (4, 3))
    found = stroke_distance(voxels, whole(shape), spacing, 50.0, coarse_mm=coarse_mm).numpy()
    error = np.abs(found - transform(voxels, shape, spacing)).max()
    assert error <= 0.5 * np.sqrt(3) * coarse_mm
    assert error <= 1e-4 if coarse_mm == 0.5 else error > 0.1 * coarse_mm


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


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (1.0, 0.8, 2.0)])
def test_a_part_of_the_box_gets_what_the_whole_box_gets(spacing):
    box, part = (slice(3, 15), slice(5, 16), slice(2, 13)), (slice(4, 9), slice(5, 6), slice(7, 13))
    distance = StrokeDistance(np.array([[2, 3, 4], [10, 10, 8]]), box, spacing, 20.0)
    expected = distance.in_box(box)[1:6, 0:1, 5:11]
    torch.testing.assert_close(distance.in_box(part), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(distance.at(voxels_of(part)).view(expected.shape), expected, atol=1e-5, rtol=0)


def test_between_voxels_it_is_interpolated_and_beyond_the_box_it_stays():
    distance = StrokeDistance(np.array([[4, 0, 0]]), (slice(2, 8), slice(0, 1), slice(0, 1)), (3.0, 1.0, 1.0), 100.0)
    found = distance.at_product([np.array([1.5, 2, 2.5, 4, 4.25, 6.5, 7, 7.5]), np.zeros(1), np.zeros(1)])
    assert found.flatten().tolist() == pytest.approx([6, 6, 4.5, 0, 0.75, 7.5, 9, 9])


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


def test_far_from_every_stroke_it_is_the_limit_and_nothing_infinite():
    found = stroke_distance(np.array([[0, 0, 0]]), whole((40, 1, 2)), (1.0, 1.0, 1.0), 7.5)
    assert found.isfinite().all()
    torch.testing.assert_close(found[9:], torch.full_like(found[9:], 7.5))
    assert float(found[6].max()) < 7
