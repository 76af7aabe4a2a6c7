"""Small animals, micro-CT and microscopy: however small the voxels are, a stroke does what it does in a small crop."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.decoding.blend import SMALLEST_MEASURED, Distances  # noqa: E402
from InteractiveRefineLib.geometry import extent_mm  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.cli_examples import LIVER  # noqa: E402
from Testing.tests.session_examples import a_session, constraints_for  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (40, 48, 56)
#: The side of a voxel in mm with which the image is as large as the smallest one that counts as it is.
THRESHOLD = SMALLEST_MEASURED / extent_mm(SHAPE, (1.0, 1.0, 1.0))
IN_DARK_PART = np.array([[20, 24, i] for i in range(28, 33)])
BESIDE = np.array([[20, j, 48] for j in range(18, 30)])


def intensities():
    """An egg-shaped organ, the right part of which is so dark that the network misses it."""
    k, j, i = np.indices(SHAPE)
    organ = ((k - 20) / 11) ** 2 + ((j - 24) / 12) ** 2 + ((i - 26) / 16) ** 2 < 1
    values = np.where(organ, np.where(i > 24, 48.0, 100.0), 0.0)
    return (values + np.random.default_rng(0).normal(0, 12, SHAPE)).astype(np.float32)


def before_and_after(side):
    """Labels before and after one round of the same strokes, with voxels of this side in mm."""
    session = a_session(Volume(intensities(), np.diag([-side, -side, side, 1.0]), "scan"))
    before = session.predict()
    constraints = constraints_for(session, (IN_DARK_PART, LIVER.label), (BESIDE, 0))
    constraints.next_round()
    return before, session.refine(constraints).labels


@pytest.fixture(scope="module")
def at_threshold():
    return before_and_after(THRESHOLD)


def test_a_small_crop_is_corrected(at_threshold):
    before, after = at_threshold
    assert np.count_nonzero(before != after) > 200


@pytest.mark.parametrize("smaller", [8, 128, 1024])
def test_the_same_voxels_get_the_same_labels_however_small_they_are(at_threshold, smaller):
    for found, expected in zip(before_and_after(THRESHOLD / smaller), at_threshold):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("smaller", [10, 100, 1000])
def test_nor_does_it_matter_that_the_sides_are_no_powers_of_two(at_threshold, smaller):
    assert np.count_nonzero(before_and_after(THRESHOLD / smaller)[1] != at_threshold[1]) == 0


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((24, 53, 34), (1.0, 1.0, 1.0)),  # a crop of the hippocampus, the smallest image measured
        ((78, 512, 512), (2.0, 0.727, 0.727)),  # a torso CT
        ((1, 256, 256), (1.0, 1.0, 1.0)),  # a picture
        ((30, 30, 30), (1.0, 1.0, 1.0)),
    ],
)
def test_images_of_the_usual_sizes_count_as_they_are(shape, spacing):
    assert Distances.for_image(shape, spacing).scale == 1.0


def test_smaller_ones_count_in_proportion_to_their_extent():
    assert Distances.for_image((30, 30, 30), (0.5, 0.5, 0.5)).scale == pytest.approx(0.5)
    assert Distances.for_image((1, 300, 300), (1.0, 1e-3, 1e-3)).scale == pytest.approx(0.01)


def test_the_lattice_of_small_images_is_no_step_finer_by_rounding():
    # Of 30 voxels a side a step of the lattice is three voxels, whatever their side.
    for side in (0.7, 0.3, 0.1, 0.01, 1e-3, 1 / 3, 1 / 1024):
        assert int(3.0 * Distances.for_image((30, 30, 30), (side,) * 3).scale / side) == 3
