"""Baselines that change something by back-propagation, and our own method cut down."""

import numpy as np
import pytest
import torch
from torch import nn

from InteractiveRefineLib.backbone import Backbone, BackboneConfig
from InteractiveRefineLib.backbone.config import IntensityRule
from InteractiveRefineLib.decoding.decode import Decoder
from InteractiveRefineLib.errors import BackboneError
from InteractiveRefineLib.outlines.follow import Outlines
from InteractiveRefineLib.volume import Volume
from Testing.evidence.case import Case, Spot
from Testing.evidence.method import Drawn
from Testing.evidence.methods import METHODS, brs, ours
from Testing.evidence.methods.brs import Brs, FBrs, minimize, stroke_energy
from Testing.tests.cli_examples import LIVER
from Testing.tests.session_examples import MISSED, a_session, constraints_for, usual_constraints

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class BiasedNetwork(nn.Module):
    """Class 1 where the input is positive, if only its output were not shifted against class 1 everywhere."""

    def __init__(self, bias, dimensions=3, kernel=1):
        super().__init__()
        convolution = nn.Conv3d if dimensions == 3 else nn.Conv2d
        self.features = convolution(1, 2, 1)
        self.head = convolution(2, 2, kernel, padding=kernel // 2)
        middle = (kernel // 2,) * dimensions
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            self.features.weight[:, 0] = torch.tensor([1.0, -1.0]).view(2, *(1,) * dimensions)
            self.head.weight[(1, 0, *middle)] = 2.0
            self.head.weight[(1, 1, *middle)] = -2.0
            self.head.bias[1] = bias

    def forward(self, x):
        return self.head(torch.relu(self.features(x)))


def a_backbone(bias=-5.0, dimensions=3, kernel=1, **changes):
    fields = {
        "name": "biased",
        "dimensions": dimensions,
        "channels": ("CT",),
        "classes": (LIVER,),
        "channel_labels": (0, 1),
        "intensity": IntensityRule("none"),
    }
    config = BackboneConfig(**{**fields, **changes})
    return Backbone(config, BiasedNetwork(bias, dimensions, kernel).eval().requires_grad_(False), None)


def an_image(shape=(4, 6, 8)):
    """2 in the right half of every row, -2 in the left one."""
    values = np.full(shape, -2.0, dtype=np.float32)
    values[..., shape[2] // 2 :] = 2.0
    return Volume(values, LPS, "halves")


def right_half(shape=(4, 6, 8)):
    labels = np.zeros(shape, dtype=np.uint16)
    labels[..., shape[2] // 2 :] = 1
    return labels


def drawn_at(shape, *strokes):
    """One round with labels at single voxels."""
    told = np.full(shape, -1, dtype=np.int16)
    for kji, label in strokes:
        told[kji] = label
    return Drawn.nothing(shape).and_then(told)


NOTHING = np.zeros((4, 6, 8), dtype=np.uint16)
BOTH = (((1, 2, 6), 1), ((2, 3, 1), 0))


class TestEnergy:
    def test_is_the_mean_over_classes_of_the_mean_cross_entropy_within_each(self):
        logits = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, np.log(3.0)]])
        # Two strokes of class 0 at probability 1/2, one of class 1 at 3/4, which counts as much as the two.
        expected = (np.log(2) + np.log(4 / 3)) / 2
        assert float(stroke_energy(logits, torch.tensor([0, 0, 1]))) == pytest.approx(expected, rel=1e-6)

    def test_a_class_without_strokes_takes_no_share(self):
        assert float(stroke_energy(torch.zeros(2, 3), torch.tensor([2, 2]))) == pytest.approx(np.log(3), rel=1e-6)

    def test_search_ends_where_it_starts_when_all_strokes_are_right(self):
        start = torch.tensor([3.0])
        found = minimize(lambda x: torch.stack([-x, x], dim=1), torch.tensor([1]), start, 1.0, 0.0)
        assert found.tolist() == [3.0]

    def test_search_stops_as_soon_as_the_strokes_are_right(self):
        asked = []

        def logits(x):
            asked.append(float(x.detach()))
            return torch.stack([-x, x], dim=1)

        found = minimize(logits, torch.tensor([1]), torch.tensor([-1.0]), 0.0, 0.0)
        assert float(found) > 0 and asked[-1] == float(found)
        assert [value > 0 for value in asked] == [False] * (len(asked) - 1) + [True]

    def test_pull_wins_where_it_is_strong(self):
        found = minimize(lambda x: torch.stack([-x, x - 10], dim=1), torch.tensor([1]), torch.tensor([0.0]), 1e4, 0.5)
        assert float(found) == pytest.approx(0.5, abs=1e-2)

    @pytest.mark.parametrize("allowed, least, most", [(10, 10, 14), (1000, 30, 100)])
    def test_search_evaluates_no_more_often_than_allowed(self, allowed, least, most, monkeypatch):
        monkeypatch.setattr(brs, "EVALUATIONS", allowed)
        asked = []

        def never_right(x):
            asked.append(1)
            valley = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2  # Rosenbrock's, long and narrow
            return torch.stack([valley + 9, 0 * valley])[None]

        minimize(never_right, torch.tensor([1]), torch.tensor([-1.2, 1.0]), 0.0, 0.0)
        assert least <= len(asked) <= most  # the line search at hand may be finished


@pytest.mark.parametrize("kind", [Brs, FBrs])
class TestBackPropagatingRefinement:
    def test_makes_strokes_right_on_a_network_that_is_wrong_by_a_constant(self, kind):
        answer = kind(an_image(), a_backbone(), 1e-4).refine(drawn_at((4, 6, 8), *BOTH), NOTHING)
        assert answer[1, 2, 6] == 1 and answer[2, 3, 1] == 0

    def test_starts_from_the_networks_own_answer(self, kind):
        method = kind(an_image(), a_backbone(0.0), 1e-4)
        answer = method.refine(drawn_at((4, 6, 8), *BOTH), NOTHING)
        assert np.array_equal(answer, right_half())  # the strokes are right already

    def test_changes_nothing_without_strokes(self, kind):
        labels = right_half()[:, ::-1].copy()
        answer = kind(an_image(), a_backbone(), 1e-4).refine(Drawn.nothing((4, 6, 8)), labels)
        assert np.array_equal(answer, labels)

    def test_strokes_of_classes_the_network_does_not_know_are_left_to_the_runner(self, kind):
        answer = kind(an_image(), a_backbone(0.0), 1e-4).refine(drawn_at((4, 6, 8), ((0, 0, 0), 7)), NOTHING)
        assert np.array_equal(answer, NOTHING)

    def test_remembers_earlier_rounds(self, kind):
        method = kind(an_image(), a_backbone(), 1e-4)
        first = drawn_at((4, 6, 8), *BOTH)
        method.refine(first, NOTHING)
        told = np.full((4, 6, 8), -1, dtype=np.int16)
        told[3, 5, 7] = 1
        answer = method.refine(first.and_then(told), NOTHING)
        assert answer[1, 2, 6] == 1 and answer[2, 3, 1] == 0 and answer[3, 5, 7] == 1

    def test_answers_in_the_users_axes(self, kind):
        turned = Volume(an_image().array[::-1, :, ::-1].copy(), np.diag([1.0, -1.0, -1.0, 1.0]), "turned")
        answer = kind(turned, a_backbone(0.0), 1e-4).refine(drawn_at((4, 6, 8), ((1, 2, 6), 0)), NOTHING)
        assert np.array_equal(answer, right_half()[:, :, ::-1])

    def test_works_slice_by_slice(self, kind):
        backbone = a_backbone(dimensions=2, axis_codes="LPS")
        answer = kind(an_image((3, 4, 8)), backbone, 1e-4).refine(
            drawn_at((3, 4, 8), ((1, 2, 6), 1), ((1, 3, 1), 0)), NOTHING[:3, :4]
        )
        assert answer[1, 2, 6] == 1 and answer[1, 3, 1] == 0


def test_strokes_of_all_rounds_count():
    told = np.full((4, 6, 8), -1, dtype=np.int16)
    told[3, 5, 7], told[1, 2, 6] = 1, 0  # the second one says otherwise than before
    method = FBrs(an_image(), a_backbone())
    strokes = brs._Strokes(drawn_at((4, 6, 8), *BOTH).and_then(told), method._frame, method._state.grid, 2)
    answer = np.full(method._frame.shape, -1)
    answer[tuple(strokes.positions.astype(int).T)] = strokes.wanted
    answer = method._frame.to_user(answer)
    assert {tuple(kji): answer[tuple(kji)] for kji in np.argwhere(answer >= 0).tolist()} == {
        (1, 2, 6): 0,
        (2, 3, 1): 0,
        (3, 5, 7): 1,
    }


class TestBrs:
    def test_offset_touches_only_what_the_strokes_depend_on(self):
        # The network sees single voxels: nothing but the stroke can change.
        answer = Brs(an_image(), a_backbone(), 1e-4).refine(drawn_at((4, 6, 8), ((1, 2, 6), 1)), NOTHING)
        assert np.argwhere(answer).tolist() == [[1, 2, 6]]

    def test_offset_is_in_units_of_the_images_standard_deviation(self):
        backbone = a_backbone()
        method = Brs(an_image(), backbone)
        shape = method._inputs.shape
        inputs = method._inputs + torch.tensor(an_image().array.std(ddof=1)) * 0.5
        torch.testing.assert_close(method._run(0, torch.full(shape, 0.5)), backbone.network(inputs[None])[0])

    def test_refuses_a_network_that_sees_windows(self):
        with pytest.raises(BackboneError, match="'biased' sees windows"):
            Brs(an_image(), a_backbone(patch_size=(4, 4, 4)))


class TestFBrs:
    def test_carries_the_correction_to_all_alike_voxels(self):
        answer = FBrs(an_image(), a_backbone(), 1e-4).refine(drawn_at((4, 6, 8), *BOTH), NOTHING)
        assert np.array_equal(answer, right_half())

    def test_what_was_found_holds_for_the_whole_image(self, monkeypatch):
        # A shift of 10 in the first feature lifts class 1 by 20 everywhere.
        monkeypatch.setattr(brs, "minimize", lambda *args: torch.tensor([[1.0, 1.0], [10.0, 0.0]]))
        answer = FBrs(an_image(), a_backbone()).refine(drawn_at((4, 6, 8), *BOTH), NOTHING)
        assert (answer == 1).all()

    @pytest.mark.parametrize("kernel", [1, 3])
    def test_scales_and_shifts_the_features_before_the_last_layer(self, kernel):
        backbone = a_backbone(kernel=kernel)
        with torch.no_grad():
            noise = torch.randn(backbone.network.head.weight.shape, generator=torch.Generator().manual_seed(3))
            backbone.network.head.weight.copy_(noise)
        method = FBrs(an_image((5, 6, 8)), backbone)
        x = torch.tensor([[1.5, 0.7], [0.3, -0.4]])
        values, shift = method._last_layer(x)
        found = method._state.part.everywhere(values) + shift.view(-1, 1, 1, 1)
        # The network's tensor axes are I, J, K by default.
        inputs = method._frame.image[None].astype(np.float32)
        features = torch.relu(backbone.network.features(torch.from_numpy(inputs)))
        moved = features * x[0].view(1, 2, 1, 1, 1) + x[1].view(1, 2, 1, 1, 1)
        expected = backbone.network.head(moved)[0]
        inner = (slice(None), *(slice(1, -1),) * 3)
        torch.testing.assert_close(found[inner], expected[inner])

    def test_refuses_a_network_without_a_last_convolution(self):
        backbone = a_backbone()
        backbone = Backbone(backbone.config, nn.Sequential(backbone.network, nn.Softplus()), None)
        with pytest.raises(BackboneError, match="end with one convolution"):
            FBrs(an_image(), backbone)


def a_case(backbone="folder", added=(), dataset="nuclei"):
    spot = Spot(dataset, "own errors", "a", "tune")
    return Case(spot, an_image(), ("liver",), NOTHING, NOTHING, (1,), backbone, added)


class TestWhatSuits:
    @pytest.mark.parametrize("name", ["BRS", "f-BRS"])
    def test_refinement_needs_a_network_that_knows_every_class(self, name):
        assert METHODS[name].suits(a_case())
        assert not METHODS[name].suits(a_case(None)) and not METHODS[name].suits(a_case(added=("liver",)))


class TestOursCutDown:
    def test_without_the_walker_differs_by_the_walk_only(self, monkeypatch):
        walked = []
        walk = Decoder.walk

        def watched(decoder, should_cancel):
            before = decoder.labels.copy()
            walk(decoder, should_cancel)
            walked.append((before, decoder.labels.copy()))

        monkeypatch.setattr(Decoder, "walk", watched)
        whole = a_session(reach="local")  # outlines, which would follow edges after the walk, stay
        full = whole.refine(usual_constraints(whole)).labels
        cut = ours.SessionWithoutWalker(whole.image, whole.backbone, whole.settings)
        less = cut.refine(usual_constraints(cut)).labels
        (before, after) = walked[0]
        assert len(walked) == 1 and (before != after).any()
        constraints = usual_constraints(cut).resolve(full, 2, str)
        flat = before.copy()
        told = whole._frame.voxels(constraints.indices, full.shape)
        flat[tuple(told.T)] = constraints.wanted
        assert np.array_equal(less, whole._frame.to_user(flat)) and not np.array_equal(less, full)

    def test_the_walker_is_there_again_afterwards(self):
        before = Decoder.walk
        cut = ours.SessionWithoutWalker(a_session().image, a_session().backbone, a_session().settings)
        cut.refine(usual_constraints(cut))
        assert Decoder.walk is before

    def test_without_following_edges_no_outline_is_asked(self, monkeypatch):
        asked = []
        monkeypatch.setattr(Outlines, "followed", lambda outlines, labels, *rest: asked.append(1) or labels)
        whole = a_session()
        whole.refine(usual_constraints(whole))
        assert asked == [1]
        cut = ours.SessionWithoutOutlines(whole.image, whole.backbone, whole.settings)
        cut.refine(usual_constraints(cut))
        assert asked == [1]

    def test_without_tuning_no_step_is_taken(self):
        session = a_session(steps=0)
        result = session.refine(constraints_for(session, (MISSED, LIVER.label)))
        assert len(result.loss_curve) == 1 and (result.labels[tuple(MISSED.T)] == LIVER.label).all()

    def test_every_ablation_has_results_of_its_own(self):
        names = [method.name for method in ours.METHODS]
        versions = [method.version for method in ours.METHODS]
        assert len(set(names)) == len(names)
        assert len(set(versions)) == len(versions)

    def test_names_say_what_is_changed(self):
        assert {method.name for method in ours.ABLATIONS} == {
            "ours without tuning", "ours without growing", "ours growing all strokes", "ours without the walker",
            "ours without following edges",
            "ours with 1 layer", "ours with 2 layers", "ours with 3 layers",
            "ours with 10 steps", "ours with 30 steps", "ours with 80 steps", "ours with 140 steps",
        }  # fmt: skip
