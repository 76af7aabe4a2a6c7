"""The account of a refinement counts voxels exactly."""

import numpy as np
import pytest

pytest.importorskip("torch")

from InteractiveRefineLib.report import changes_between, stroke_codes, versions  # noqa: E402
from InteractiveRefineLib.segmentation import Segment  # noqa: E402

CLASSES = [Segment("liver", 1), Segment("spleen", 2), Segment("cyst", 3)]


def test_added_and_removed_are_counted_by_class():
    before = np.array([[[0, 0, 1, 1, 2, 3]]], np.uint16)
    after = np.array([[[1, 1, 1, 2, 0, 3]]], np.uint16)
    liver, spleen = changes_between(before, after, CLASSES, 0.5, {1: "whole"}, set())
    assert (liver.name, liver.label, liver.added_ml, liver.removed_ml, liver.reach) == ("liver", 1, 1.0, 0.5, "whole")
    assert (spleen.name, spleen.added_ml, spleen.removed_ml, spleen.reach) == ("spleen", 0.5, 0.5, "")


def test_mentioned_classes_are_listed_though_they_did_not_change():
    labels = np.array([[[0, 1, 2]]], np.uint16)
    changes = changes_between(labels, labels.copy(), CLASSES, 1.0, {}, {0, 3})
    assert [(c.name, c.added_ml, c.removed_ml) for c in changes] == [("cyst", 0.0, 0.0)]


@pytest.mark.parametrize("seed", range(5))
def test_volumes_agree_with_masks(seed):
    rng = np.random.default_rng(seed)
    before, after = rng.integers(0, 4, (2, 4, 5, 6)).astype(np.uint16)
    for change in changes_between(before, after, CLASSES, 0.012, {}, set()):
        was, now = before == change.label, after == change.label
        assert change.added_ml == pytest.approx((now & ~was).sum() * 0.012)
        assert change.removed_ml == pytest.approx((was & ~now).sum() * 0.012)


def test_stroke_codes_use_255_for_background():
    codes = stroke_codes(np.array([[0, 1, 2], [1, 0, 0]]), np.array([0, 3]), (2, 2, 3))
    expected = np.zeros((2, 2, 3))
    expected[0, 1, 2], expected[1, 0, 0] = 255, 3
    assert np.array_equal(codes, expected)
    assert codes.dtype == np.uint16
    assert not stroke_codes(np.empty((0, 3), int), np.empty(0, int), (2, 2, 3)).any()


def test_versions_name_what_decides_the_result():
    found = versions()
    assert set(found) == {"interactive-refine", "python", "torch", "numpy", "scipy"}
    assert found["numpy"] == np.__version__
