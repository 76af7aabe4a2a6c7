"""The head learns looks and places from strokes; the walk follows them, and keeps what hangs together with a stroke."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.geometry import extent_mm  # noqa: E402
from InteractiveRefineLib.progress import Cancelled  # noqa: E402
from InteractiveRefineLib.scratch import head as heads  # noqa: E402
from InteractiveRefineLib.scratch.head import StrokeHead, embedded, similarity  # noqa: E402
from InteractiveRefineLib.scratch.walk import pull_of, walked, without_loose_parts  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def points(*values):
    return torch.tensor(values, dtype=torch.float32).view(len(values), -1)


class TestHead:
    def test_similarity_is_a_gaussian_of_the_distance(self):
        found = similarity(points(0.0, 3.0), points(0.0, 1.0))
        torch.testing.assert_close(found, torch.exp(-0.5 * torch.tensor([[0.0, 1.0], [9.0, 4.0]])))

    def test_embedding_scales_features_by_their_number_and_places_by_the_extent(self):
        features = torch.stack([torch.arange(8.0).view(2, 2, 2), torch.arange(8.0).view(2, 2, 2), torch.ones(2, 2, 2)])
        found = embedded(features, (1.0, 1.0, 4.0))
        assert found.shape == (8, 6)
        unit = heads.FEATURE_LENGTH * 2**0.5  # the constant one does not count
        torch.testing.assert_close(found[3, :2], torch.full((2,), 3 / unit))
        extent = (2 * 2 * 8) ** (1 / 3)
        step = (found[1, 3:] - found[0, 3:]) * heads.POSITION_LENGTH * extent
        torch.testing.assert_close(step, torch.tensor([0.0, 0.0, 4.0]))

    def test_it_tells_three_classes_apart_though_one_lies_between_the_others(self):
        values = torch.linspace(0, 9, 91).view(-1, 1)
        marked, classes = np.array([10, 12, 45, 47, 80, 82]), np.array([1, 1, 2, 2, 1, 1])
        head = StrokeHead.fit(values, marked, classes, 3, np.array([25, 27, 64, 66]))
        assert head.probabilities(values).argmax(dim=0)[[11, 26, 46, 65, 81]].tolist() == [1, 0, 2, 0, 1]

    def test_probabilities_sum_to_one_in_every_piece(self, monkeypatch):
        values = torch.linspace(0, 9, 91).view(-1, 1)
        head = StrokeHead.fit(values, np.array([10, 80]), np.array([1, 0]), 2, np.array([25]))
        whole = head.probabilities(values)
        torch.testing.assert_close(whole.sum(dim=0), torch.ones(91))
        monkeypatch.setattr(heads, "_CHUNK", 7)
        torch.testing.assert_close(head.probabilities(values), whole)

    def test_a_long_stroke_counts_as_much_as_a_short_one(self):
        amounts = heads._amounts(np.array([1, 1, 1, 1, 2]), 3, 2)
        assert amounts.tolist() == pytest.approx([1 / 12] * 4 + [1 / 3] + [1 / 6] * 2)

    def test_with_strokes_in_the_background_unmarked_voxels_are_believed_less(self):
        amounts = heads._amounts(np.array([0, 1]), 2, 4)
        assert amounts.tolist() == pytest.approx([0.25, 0.5] + [0.25 / 4] * 4)

    def test_without_unmarked_voxels_strokes_alone_decide(self):
        values = torch.linspace(0, 9, 91).view(-1, 1)
        head = StrokeHead.fit(values, np.array([10, 80]), np.array([1, 0]), 2, np.empty(0, np.int64))
        assert head.probabilities(values).argmax(dim=0)[[12, 78]].tolist() == [1, 0]

    def test_the_same_seed_learns_the_same_and_samples_are_bounded(self, monkeypatch):
        monkeypatch.setattr(heads, "N_UNMARKED", 20)
        monkeypatch.setattr(heads, "MOST_STROKE_LANDMARKS", 5)
        values = torch.linspace(0, 9, 901).view(-1, 1)
        one, other = (
            StrokeHead.fit(values, np.arange(100, 140), np.ones(40, np.int64), 2, np.arange(400, 900), seed=3)
            for _ in range(2)
        )
        assert torch.equal(one.weights, other.weights) and len(one.landmarks) == 25

    def test_of_a_class_with_many_strokes_a_sample_is_learned_from_and_of_the_others_all(self, monkeypatch):
        monkeypatch.setattr(heads, "MOST_OF_CLASS", 30)
        learned = []
        fit = heads._fit
        monkeypatch.setattr(heads, "_fit", lambda c, target, *more: learned.append(target) or fit(c, target, *more))
        values, classes = torch.linspace(0, 9, 901).view(-1, 1), np.repeat([1, 0, 2], [400, 30, 5])
        one, other = (
            StrokeHead.fit(values, np.arange(435), classes, 3, np.arange(500, 520), seed=3).weights for _ in range(2)
        )
        assert [torch.bincount(target).tolist() for target in learned] == [[50, 30, 5]] * 2
        assert torch.equal(one, other)

    def test_up_to_the_limit_the_sample_is_every_stroke_as_it_stands(self):
        values, marked, classes = torch.linspace(0, 9, 5001).view(-1, 1), np.arange(4000), np.repeat([1, 0], 2000)
        kept = heads._some_of_each(classes, 2, np.random.default_rng(0))
        assert np.array_equal(kept, np.arange(4000))
        limited = StrokeHead.fit(values, marked, classes, 2, np.arange(4500, 4600))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(heads, "MOST_OF_CLASS", 10**9)
            unlimited = StrokeHead.fit(values, marked, classes, 2, np.arange(4500, 4600))
        assert torch.equal(limited.weights, unlimited.weights) and torch.equal(limited.bias, unlimited.bias)

    def test_learning_can_be_cancelled_at_every_step(self):
        values, asked = torch.linspace(0, 9, 91).view(-1, 1), iter([False, False, True])
        with pytest.raises(Cancelled):
            StrokeHead.fit(
                values, np.array([10, 80]), np.array([1, 0]), 2, np.array([25]), should_cancel=lambda: next(asked)
            )
        assert next(asked, "all were asked") == "all were asked"

    def test_it_can_be_cancelled(self):
        values = torch.linspace(0, 9, 91).view(-1, 1)
        head = StrokeHead.fit(values, np.array([10, 80]), np.array([1, 0]), 2, np.array([25]))
        with pytest.raises(Cancelled):
            head.probabilities(values, lambda: True)


class TestWalk:
    SPACING = (1.0, 1.0, 1.0)

    def walk(self, prior, fixed, held=0.0, step_at=6):
        scan = torch.zeros(1, 1, 1, 12)
        scan[..., step_at:] = 1.0
        given = torch.as_tensor(fixed, dtype=torch.bool).view(1, 1, 12)
        return walked(scan, self.SPACING, prior, given, torch.full((1, 1, 12), held + 0.1), torch.ones(1))[:, 0, 0]

    def prior(self, *objects):
        out = torch.zeros(2, 1, 1, 12)
        out[0] = 1.0
        for i in objects:
            out[:, 0, 0, i] = torch.tensor([0.0, 1.0])
        return out

    def test_a_stroke_spreads_to_the_edge_and_not_beyond(self):
        fixed = [i in (2, 9) for i in range(12)]
        found = self.walk(self.prior(2), fixed)
        assert (found[1] > 0.5).tolist() == [i < 6 for i in range(12)]
        torch.testing.assert_close(found.sum(dim=0), torch.ones(12))
        assert float(found[1, 2]) == 1.0

    def test_what_is_held_stays(self):
        fixed = [i in (2, 9) for i in range(12)]
        found = self.walk(self.prior(2, 7, 8), fixed, held=1.0)
        assert float(found[1, 7]) > 0.5 and float(found[1, 4]) < 0.5

    def test_parts_without_a_stroke_of_theirs_are_background(self):
        labels = torch.tensor([1, 1, 0, 1, 1, 2, 2, 0, 2, 0])
        probabilities = torch.nn.functional.one_hot(labels, 3).T.float().view(3, 1, 1, 10)
        sure = np.zeros((1, 1, 10), dtype=np.int64)
        sure[0, 0, [0, 4, 8]] = [1, 2, 2]  # a 2 inside a 1 anchors nothing of class 1
        found = without_loose_parts(probabilities, sure).argmax(dim=0)[0, 0]
        assert found.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 2, 0]

    def test_the_pull_falls_with_the_square_of_its_length_in_voxels(self):
        assert extent_mm((1, 10, 40), (7.0, 1.0, 1.0)) == pytest.approx(20.0)
        assert pull_of(0.5, (1, 10, 40), (7.0, 1.0, 1.0)) == pytest.approx(0.01)
        assert pull_of(0.5, (1, 20, 80), (7.0, 0.5, 0.5)) == pytest.approx(0.0025)
        assert pull_of(0.5, (1, 1, 1), (2.0, 2.0, 2.0)) == pytest.approx(4.0)
