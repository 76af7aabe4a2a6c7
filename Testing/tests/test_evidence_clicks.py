"""Networks that were trained to see guidance: what they are shown, and what becomes of their answer."""

import numpy as np
import pytest
import torch
from torch import nn

from Testing.evidence import guided_nets
from Testing.evidence.guided_nets import Picture, extreme_points, extreme_sample, extreme_window, stroke_sample
from Testing.evidence.method import Drawn
from Testing.evidence.methods import METHODS
from Testing.evidence.methods.clicks import DextrLike, NuClickLike
from Testing.tests.test_evidence_backprop import a_case


class Mimic(nn.Module):
    """Calls everything as bright as the guidance's brightest pixel the object; minds what is excluded."""

    def forward(self, x):
        image, guide = x[:, :1], x[:, 3:4]
        bright = (image * (guide > 0.5)).amax(dim=(2, 3), keepdim=True)
        against = x[:, 4:5] if x.shape[1] > 4 else torch.zeros_like(guide)
        score = 1 - 10 * (image - bright).abs() - 5 * against
        return torch.cat([torch.zeros_like(score), score], dim=1)


def two_squares():
    """A picture of 100 x 100 with two bright squares, 20 pixels each, and their instances."""
    instances = np.zeros((100, 100), dtype=int)
    instances[20:40, 20:40], instances[20:40, 50:70] = 1, 2
    return np.repeat((instances > 0)[None].astype(np.float32), 3, axis=0), instances


def a_line(label, row, columns):
    told = np.full((1, 100, 100), -1, dtype=np.int16)
    told[0, row, columns] = label
    return told


class TestNuClickLike:
    def test_segments_the_object_under_a_stroke_and_no_other(self):
        image, instances = two_squares()
        drawn = Drawn.nothing((1, 100, 100)).and_then(a_line(1, 30, slice(25, 35)))
        answer = NuClickLike(image, np.zeros((100, 100), np.uint16), Mimic()).refine(drawn, None)
        # The patch of 96 pixels is sampled pixel by pixel.
        assert np.array_equal(answer[0] > 0, instances == 1)

    def test_a_background_stroke_takes_its_object_away(self):
        image, instances = two_squares()
        drawn = Drawn.nothing((1, 100, 100)).and_then(a_line(0, 30, slice(55, 65)))
        answer = NuClickLike(image, (instances > 0).astype(np.uint16), Mimic()).refine(drawn, None)
        assert np.array_equal(answer[0] > 0, instances == 1)

    def test_objects_of_all_rounds_are_joined_to_the_start_whatever_the_present_labels(self):
        image, instances = two_squares()
        drawn = Drawn.nothing((1, 100, 100)).and_then(a_line(1, 30, slice(25, 35)))
        drawn = drawn.and_then(a_line(1, 30, slice(55, 65)))
        start = np.zeros((100, 100), np.uint16)
        start[80, 80] = 1
        answer = NuClickLike(image, start, Mimic()).refine(drawn, np.ones((1, 100, 100), np.uint16))
        assert np.array_equal(answer[0] > 0, (instances > 0) | (start > 0))

    def test_every_stroke_is_seen_with_those_of_the_other_label_of_all_rounds(self):
        image, _ = two_squares()
        first = Drawn.nothing((1, 100, 100)).and_then(a_line(1, 30, slice(25, 35)))
        both = first.and_then(a_line(0, 60, slice(30, 36)))
        seen = []

        class Watching(Mimic):
            def forward(self, x):
                seen.append((int(x[0, 3].sum()), int(x[0, 4].sum())))
                return super().forward(x)

        NuClickLike(image, np.zeros((100, 100), np.uint16), Watching()).refine(both, None)
        # Lines of 10 and of 6 pixels, one pixel thicker all around.
        assert seen == [(36, 24), (24, 36)]

    def test_holes_are_filled(self):
        image, instances = two_squares()
        image[:, 33:36, 25:28] = 0
        drawn = Drawn.nothing((1, 100, 100)).and_then(a_line(1, 30, slice(25, 35)))
        answer = NuClickLike(image, np.zeros((100, 100), np.uint16), Mimic()).refine(drawn, None)
        assert np.array_equal(answer[0] > 0, instances == 1)

    def test_without_strokes_the_start_stays(self):
        image, instances = two_squares()
        answer = NuClickLike(image, instances.astype(np.uint16), Mimic()).refine(Drawn.nothing((1, 100, 100)), None)
        assert np.array_equal(answer[0], instances)

    def test_a_patch_grows_with_its_stroke(self):
        image = np.zeros((3, 300, 300), dtype=np.float32)
        image[:, 140:160, 50:250] = 1
        told = np.full((1, 300, 300), -1, dtype=np.int16)
        told[0, 150, 55:245] = 1
        answer = NuClickLike(image, np.zeros((300, 300), np.uint16), Mimic()).refine(
            Drawn.nothing((1, 300, 300)).and_then(told), None
        )
        assert answer[0, 150, 55:245].all()


class TestDextrLike:
    def test_segments_the_true_nucleus_under_a_stroke(self):
        image, instances = two_squares()
        drawn = Drawn.nothing((1, 100, 100)).and_then(a_line(1, 30, slice(55, 60)))
        answer = DextrLike(image, instances, Mimic()).refine(drawn, np.zeros((1, 100, 100), np.uint16))
        assert np.array_equal(answer[0] > 0, instances == 2)

    def test_takes_the_false_part_under_a_background_stroke_away(self):
        image, instances = two_squares()
        labels = (instances > 0).astype(np.uint16)[None]
        drawn = Drawn.nothing((1, 100, 100)).and_then(a_line(0, 30, slice(25, 35)))
        answer = DextrLike(image, np.where(instances == 2, 2, 0), Mimic()).refine(drawn, labels)
        assert np.array_equal(answer[0] > 0, instances == 2)

    def test_false_parts_that_only_a_thin_rim_joins_are_two(self):
        image, instances = two_squares()
        labels = (instances > 0).astype(np.uint16)[None]
        labels[0, 30, 40:50], image[:, 30, 40:50] = 1, 1
        drawn = Drawn.nothing((1, 100, 100)).and_then(a_line(0, 30, slice(25, 35)))
        answer = DextrLike(image, np.zeros_like(instances), Mimic()).refine(drawn, labels)
        assert answer[0, 20:40, 50:70].all() and not answer[0, 20:40, 20:40].any()

    def test_a_thin_false_part_is_what_was_stroked_of_it(self):
        image, instances = two_squares()
        image[:, 80, 20:60] = 1
        labels = (instances > 0).astype(np.uint16)[None]
        labels[0, 80, 20:60] = 1
        drawn = Drawn.nothing((1, 100, 100)).and_then(a_line(0, 80, slice(30, 40)))
        answer = DextrLike(image, instances, Mimic()).refine(drawn, labels)
        assert not answer[0, 80, 30:40].any() and answer[0, 80, 20:25].all() and answer[0, 80, 45:60].all()

    def test_a_stroke_that_lies_mostly_beside_a_nucleus_means_it_all_the_same(self):
        image, instances = two_squares()
        drawn = Drawn.nothing((1, 100, 100)).and_then(a_line(1, 30, slice(37, 48)))
        answer = DextrLike(image, instances, Mimic()).refine(drawn, np.zeros((1, 100, 100), np.uint16))
        assert np.array_equal(answer[0] > 0, instances == 1)

    def test_a_stroke_on_no_nucleus_changes_nothing(self):
        image, instances = two_squares()
        drawn = Drawn.nothing((1, 100, 100)).and_then(a_line(1, 80, slice(55, 60)))
        answer = DextrLike(image, instances, Mimic()).refine(drawn, np.zeros((1, 100, 100), np.uint16))
        assert not answer.any()


class TestSimulatedGuidance:
    def test_extreme_points_are_the_middle_of_each_side(self):
        mask = np.zeros((9, 9), dtype=bool)
        mask[2:5, 3:8] = True
        assert extreme_points(mask).tolist() == [[2, 5], [4, 5], [3, 3], [3, 7]]

    def test_window_holds_the_object_with_a_margin(self):
        rows, columns = extreme_window(np.array([[40, 50], [59, 50], [50, 40], [50, 79]]), (200, 200))
        assert (rows[0], rows[-1], columns[0], columns[-1]) == (32, 67, 32, 87)

    @pytest.mark.parametrize("sample, channels", [(stroke_sample, 5), (extreme_sample, 4)])
    def test_samples_ask_for_the_object_the_guidance_lies_in(self, sample, channels, monkeypatch):
        monkeypatch.setattr(guided_nets, "GAPS", 0.0)
        image, instances = two_squares()
        rng = np.random.default_rng(0)
        for _ in range(10):
            inputs, mask = sample(Picture(image, instances, np.zeros_like(instances)), rng)
            assert inputs.shape == (channels, 96, 96) and inputs.dtype == np.float32 and mask.shape == (96, 96)
            if sample is stroke_sample:
                middle = inputs[3] > 0
                assert mask[middle].mean() > 0.4  # the map is one pixel thicker than the stroke
                assert mask.sum() < 1300  # a square, at most 1 / 0.6 times as large
                against = inputs[4] > 0
                assert not against.any() or mask[against].mean() < 0.7
            else:
                assert mask[inputs[3] == 1].any() and 0.2 < mask.mean() < 0.9

    def test_gaps_ask_for_the_background_around(self, monkeypatch):
        monkeypatch.setattr(guided_nets, "GAPS", 1.0)
        image, instances = two_squares()
        gaps = np.zeros_like(instances)
        gaps[20:40, 40:50] = 1
        rng = np.random.default_rng(0)
        _, mask = stroke_sample(Picture(image, instances, gaps), rng)
        assert 0.5 < mask.mean() < 0.95

    def test_training_is_the_same_every_time(self):
        image, instances = two_squares()
        picture = Picture(image, instances, np.zeros_like(instances))
        recipe = guided_nets.GuidedRecipe(extreme_sample, 4, batch=2)
        first, second = (guided_nets.train(recipe, [picture], 0, 3) for _ in range(2))
        for a, b in zip(first.parameters(), second.parameters()):
            assert torch.equal(a, b)


class TestWhatSuits:
    @pytest.mark.parametrize("name", ["NuClick-like", "DEXTR-like"])
    def test_guided_networks_are_for_nuclei(self, name):
        assert METHODS[name].suits(a_case())
        assert not METHODS[name].suits(a_case(dataset="hippocampus")) and not METHODS[name].suits(a_case(None))
