"""The phantom looks like an abdominal CT, sits in the patient as it says, and is the same every time."""

import numpy as np
import pytest
from scipy import ndimage

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.phantom import PHANTOM_SEGMENTS, PHANTOM_SHAPE, make_phantom

LABEL = {segment.name: segment.label for segment in PHANTOM_SEGMENTS}
SMALL = {"shape_kji": (28, 40, 52), "spacing_kji": (8.0, 6.0, 6.0)}


def volume_ml(segmentation, name):
    return (segmentation.labels == LABEL[name]).sum() * segmentation.geometry.voxel_volume_ml


def center_ras(segmentation, name):
    return segmentation.geometry.to_ras(np.argwhere(segmentation.labels == LABEL[name])).mean(axis=0)


@pytest.fixture(scope="module", params=[0, 53, 10003])
def patient(request):
    return make_phantom(request.param)


def test_the_same_seed_is_the_same_patient():
    (a, a_truth), (b, b_truth) = make_phantom(4, **SMALL), make_phantom(4, **SMALL)
    assert np.array_equal(a.array, b.array) and np.array_equal(a_truth.labels, b_truth.labels)


def test_another_seed_is_another_patient():
    (_, a_truth), (_, b_truth) = make_phantom(4, **SMALL), make_phantom(5, **SMALL)
    assert (a_truth.labels != b_truth.labels).mean() > 0.02


def test_image_and_segmentation_share_one_grid(patient):
    volume, truth = patient
    assert volume.array.shape == truth.labels.shape == PHANTOM_SHAPE
    assert volume.geometry.matches(truth.geometry)
    assert volume.array.dtype == np.float32 and truth.labels.dtype == np.uint16


def test_array_axes_run_toward_left_posterior_superior_around_the_middle():
    volume, _ = make_phantom(0, shape_kji=(8, 16, 24), spacing_kji=(20.0, 15.0, 10.0))
    assert volume.ijk_to_ras.tolist() == [[-10, 0, 0, 115], [0, -15, 0, 112.5], [0, 0, 20, -70], [0, 0, 0, 1]]


def test_every_structure_is_there_with_a_plausible_volume(patient):
    _, truth = patient
    for name, low, high in (
        ("liver", 600, 2000),
        ("liver tumor", 4, 80),
        ("right kidney", 50, 250),
        ("left kidney", 50, 250),
        ("spleen", 40, 350),
        ("vessels", 60, 300),
    ):
        assert low < volume_ml(truth, name) < high, name
    assert set(np.unique(truth.labels)) == {0, *LABEL.values()}


def test_the_organs_lie_on_their_side_of_the_patient(patient):
    _, truth = patient
    # RAS: the first coordinate grows toward the patient's right.
    assert center_ras(truth, "liver")[0] > 20 and center_ras(truth, "right kidney")[0] > 30
    assert center_ras(truth, "spleen")[0] < -50 and center_ras(truth, "left kidney")[0] < -30


def test_the_tumors_lie_inside_the_liver(patient):
    _, truth = patient
    tumor = truth.labels == LABEL["liver tumor"]
    shell = ndimage.binary_dilation(tumor) & ~tumor
    assert np.isin(truth.labels[shell], [LABEL["liver"], LABEL["vessels"]]).mean() > 0.9


def test_the_intensities_are_those_of_a_ct(patient):
    volume, truth = patient
    for name, low, high in (
        ("liver", 95, 125),
        ("liver tumor", 45, 85),
        ("right kidney", 130, 175),
        ("left kidney", 130, 175),
        ("spleen", 110, 140),
        ("vessels", 125, 175),
    ):
        assert low < volume.array[truth.labels == LABEL[name]].mean() < high, name
    assert volume.array[:, 0, 0].mean() == pytest.approx(-1000, abs=15)
    assert -140 < np.median(volume.array[(volume.array > -300) & (volume.array < -50)]) < -80


def test_the_same_patient_at_another_resolution_has_the_same_organs():
    _, fine = make_phantom(2)
    _, coarse = make_phantom(2, **SMALL)
    for name in ("liver", "right kidney", "left kidney", "spleen"):
        assert volume_ml(coarse, name) == pytest.approx(volume_ml(fine, name), rel=0.1)
        assert center_ras(coarse, name) == pytest.approx(center_ras(fine, name), abs=3)


def test_the_shift_changes_the_scan_and_not_the_patient():
    scan, truth = make_phantom(3)
    shifted, shifted_truth = make_phantom(3, shift="domain")
    assert np.array_equal(truth.labels, shifted_truth.labels)
    liver = truth.labels == LABEL["liver"]
    fat = (scan.array > -130) & (scan.array < -70)
    assert shifted.array[liver].std() > 1.15 * scan.array[liver].std(), "more noise"
    assert shifted.array[liver].mean() < scan.array[liver].mean() - 15, "darker organs"
    contrast, shifted_contrast = (s.array[liver].mean() - s.array[fat].mean() for s in (scan, shifted))
    assert shifted_contrast == pytest.approx(0.76 * contrast, rel=0.1), "less contrast"


@pytest.mark.parametrize("wrong", [{"shift": "noise"}, {"shape_kji": (0, 4, 4)}, {"spacing_kji": (1, 1, -1)}])
def test_impossible_requests_are_refused(wrong):
    with pytest.raises(InputError):
        make_phantom(0, **wrong)
