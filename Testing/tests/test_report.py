"""The account of a refinement counts voxels exactly."""

import dataclasses
import pickle

import numpy as np
import pytest

pytest.importorskip("torch")

from InteractiveRefineLib.constraints import Constraints  # noqa: E402
from InteractiveRefineLib.decoding.reach import Reach  # noqa: E402
from InteractiveRefineLib.image_state import ImageFrame  # noqa: E402
from InteractiveRefineLib.present import PresentLabels  # noqa: E402
from InteractiveRefineLib.report import changes_between, round_result, stroke_codes, versions  # noqa: E402
from InteractiveRefineLib.result import VoxelCodes  # noqa: E402
from InteractiveRefineLib.round_input import RoundInput  # noqa: E402
from InteractiveRefineLib.seeds import Seeds  # noqa: E402
from InteractiveRefineLib.segmentation import Segment  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.grid_examples import grid_matrix  # noqa: E402
from Testing.tests.session_examples import a_backbone  # noqa: E402

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


@pytest.mark.parametrize("seed", range(3))
def test_the_voxels_that_changed_are_enough_to_count(seed):
    rng = np.random.default_rng(seed)
    before, after = rng.integers(0, 4, (2, 4, 5, 6)).astype(np.uint16)
    changed = before != after
    whole = changes_between(before, after, CLASSES, 0.012, {2: "local"}, {1, 3})
    assert changes_between(before[changed], after[changed], CLASSES, 0.012, {2: "local"}, {1, 3}) == whole
    nothing = np.empty(0, np.uint16)
    assert changes_between(nothing, nothing, CLASSES, 0.012, {}, set()) == []


def test_stroke_codes_use_255_for_background():
    codes = stroke_codes(np.array([5, 6]), np.array([0, 3]), (2, 2, 3)).painted()
    expected = np.zeros((2, 2, 3))
    expected[0, 1, 2], expected[1, 0, 0] = 255, 3
    assert np.array_equal(codes, expected)
    assert codes.dtype == np.uint16
    assert not stroke_codes(np.empty(0, int), np.empty(0, int), (2, 2, 3)).painted().any()


class TestTheAccountOfARound:
    """In the user's axes, whatever they are."""

    SHAPE = (4, 5, 6)

    def a_round(self, order=(1, 2, 0), signs=(1, -1, -1)):
        volume = Volume(
            np.random.default_rng(0).normal(size=self.SHAPE).astype(np.float32),
            grid_matrix(np.eye(3)[:, list(order)] * signs, (1.0, 2.0, 2.5)),
        )
        frame, rng = ImageFrame(volume, a_backbone()), np.random.default_rng(1)
        before = rng.integers(0, 4, frame.shape).astype(np.uint16)
        present = PresentLabels(frame)
        present.settle(before)
        labels = before.copy()
        part = tuple(slice(1, n - 1) for n in frame.shape)
        labels[part] = rng.integers(0, 3, labels[part].shape)
        # Three strokes, of which the second is not followed, and two voxels grown from the first.
        kji = np.array([[1, 1, 1], [2, 2, 2], [3, 0, 5], [1, 1, 2], [1, 1, 3]])
        voxels = frame.voxels(np.ravel_multi_index(tuple(kji.T), self.SHAPE), self.SHAPE)
        wanted = np.array([3, 7, 0, 3, 3])
        labels[tuple(voxels[[0, 2]].T)] = wanted[[0, 2]]
        constraints = Constraints(volume.geometry)
        for voxel, label in zip(kji[:3], wanted):
            constraints.add_stroke_indices(voxel[None], int(label))
        strokes = RoundInput(voxels[:3], wanted[:3], before[tuple(voxels[:3].T)].astype(np.int64), np.zeros(3, bool))
        resolved = constraints.resolve(present.in_user_axes, 8)
        reaches = [Reach(3, np.ones((1, 1, 1), np.float32)), Reach(1, np.zeros((1, 1, 1), np.float32))]
        result = round_result(
            frame, present, labels, np.argwhere(labels != before), CLASSES, strokes, Seeds(voxels, wanted), resolved,
            reaches=reaches, loss_curve=[2.0, 1.0], warnings=["a", "b", "a"], timings={"tuning": 1.5}, seed=4,
        )  # fmt: skip
        return result, frame, present, before, labels

    AXES = [((0, 1, 2), (1, 1, 1)), ((0, 1, 2), (-1, -1, 1)), ((1, 2, 0), (1, -1, -1)), ((2, 0, 1), (-1, 1, 1))]

    @pytest.mark.parametrize("order, signs", AXES)
    def test_the_labels_are_those_of_the_frame(self, order, signs):
        result, frame, _, before, labels = self.a_round(order, signs)
        assert np.array_equal(result.previous, frame.to_user(before))
        assert np.array_equal(result.labels, frame.to_user(labels))
        assert result.labels.dtype == result.previous.dtype == np.uint16
        assert result.labels.shape == self.SHAPE and result.labels.flags.c_contiguous

    @pytest.mark.parametrize("order, signs", AXES)
    def test_the_box_is_the_smallest_around_what_changed(self, order, signs):
        result, *_ = self.a_round(order, signs)
        changed = np.argwhere(result.labels != result.previous)
        expected = tuple(slice(a, b + 1) for a, b in zip(changed.min(axis=0).tolist(), changed.max(axis=0).tolist()))
        assert result.changed_box == expected

    def test_without_a_change_there_is_no_box(self):
        _, frame, present, *_ = self.a_round(order=(0, 1, 2), signs=(-1, -1, 1))  # the frame's axes are the user's
        none = np.empty((0, 3), int), np.empty(0, int)
        result = round_result(
            frame, present, present.labels, none[0], CLASSES, RoundInput(*none, none[1], none[1] > 0), Seeds(*none),
            Constraints(frame.geometry).resolve(present.in_user_axes, 8),
            reaches=[], loss_curve=[], warnings=[], timings={}, seed=0,
        )  # fmt: skip
        assert result.changed_box is None and result.changes == [] and result.violated_strokes == 0
        assert np.array_equal(result.labels, result.previous)
        assert not result.strokes.any() and not result.grown.any()

    @pytest.mark.parametrize("order, signs", AXES)
    def test_strokes_are_where_the_user_drew_them(self, order, signs):
        result, *_ = self.a_round(order, signs)
        strokes = np.zeros(self.SHAPE)
        strokes[1, 1, 1], strokes[2, 2, 2], strokes[3, 0, 5] = 3, 7, 255
        assert np.array_equal(result.strokes, strokes)
        strokes[1, 1, 2] = strokes[1, 1, 3] = 3
        assert np.array_equal(result.grown, strokes)

    def test_maps_are_painted_once_and_only_when_somebody_asks(self, monkeypatch):
        painted = []
        make = VoxelCodes.painted
        monkeypatch.setattr(VoxelCodes, "painted", lambda codes: painted.append(1) or make(codes))
        result, *_ = self.a_round()
        assert painted == []
        assert result.strokes is result.strokes and painted == [1]
        same = dataclasses.replace(result, grown=result.strokes)
        assert same.grown is result.strokes and painted == [1]
        assert np.array_equal(pickle.loads(pickle.dumps(result)).grown, result.grown)

    def test_changes_are_counted_with_the_voxels_volume_and_the_words_of_their_reach(self):
        result, frame, _, before, labels = self.a_round()
        mentioned = {3, 7, 0, *result.previous[result.strokes > 0].tolist()}
        volume_ml = frame.geometry.voxel_volume_ml
        assert volume_ml == pytest.approx(0.005)
        expected = changes_between(before, labels, CLASSES, volume_ml, {3: "whole", 1: "local"}, mentioned)
        assert result.changes == expected
        assert [c.label for c in expected] == [1, 2, 3]

    def test_what_else_there_is_to_say(self):
        result, *_ = self.a_round()
        assert result.violated_strokes == 1
        assert result.loss_curve == [2.0, 1.0] and result.timings == {"tuning": 1.5} and result.seed == 4
        assert result.warnings == ["a", "b"]
        assert result.versions == versions()

    def test_the_user_can_write_into_nothing_that_is_shared(self):
        result, _, present, before, labels = self.a_round()
        kept = present.in_user_axes.copy(), labels.copy()
        for array in (result.strokes, result.grown):
            array[:] = 9
        for array in (result.labels, result.previous):
            assert not array.flags.writeable
        assert np.array_equal(present.in_user_axes, kept[0])
        assert np.array_equal(present.labels, before) and np.array_equal(labels, kept[1])


def test_versions_name_what_decides_the_result():
    found = versions()
    assert set(found) == {"interactive-refine", "python", "torch", "numpy", "scipy"}
    assert found["numpy"] == np.__version__
