"""On a pretended graphics card every step of a refinement computes there, and ends with the labels of the processor."""

from dataclasses import fields, replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from InteractiveRefineLib.backbone import Backbone, load_backbone  # noqa: E402
from InteractiveRefineLib.backbone.strokes_only import strokes_only  # noqa: E402
from InteractiveRefineLib.decoding.walker import solve_walker  # noqa: E402
from InteractiveRefineLib.errors import InputError  # noqa: E402
from InteractiveRefineLib.partial.tape import FrozenPrefix  # noqa: E402
from InteractiveRefineLib.scratch.elsewhere import SENTENCE  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.pretend_cuda import pretend_cuda  # noqa: E402
from Testing.tests import (  # noqa: E402
    test_missing_class,
    test_outline_follow,
    test_scratch_elsewhere,
    test_tape,
)
from Testing.tests.card_examples import (  # noqa: E402
    NEW,
    Precise,
    assert_same_on_both,
    of_slices,
    of_three,
    two_rounds,
    with_unet,
    with_wide_kernel,
)
from Testing.tests.cli_examples import LIVER, LPS, SPLEEN, Thresholds, scan, truth  # noqa: E402
from Testing.tests.network_examples import (  # noqa: E402
    UNet3d,
    frozen,
    moved,
    noise,
    randomized,
    running,
    scripted,
    traced,
)
from Testing.tests.session_examples import (  # noqa: E402
    EMPTY,
    IN_LIVER,
    IN_SPLEEN,
    MISSED,
    a_backbone,
    a_session,
    constraints_for,
    hesitant,
)
from Testing.tests.test_session import current_of  # noqa: E402
from Testing.tests.test_walker import a_problem  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def sigmoid():
    return a_backbone(hesitant(n_outputs=2), channel_labels=(1, 2), activation="sigmoid")


def test_the_card_computes_in_single_precision_and_repeatably(card):
    network = Precise()
    a_session(backbone=a_backbone(network), device="cuda").predict()
    assert network.seen == (False, True)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == (True, False)


class TooLargeForTheCard(Thresholds):
    """Runs out of memory wherever its input lies on a card."""

    def forward(self, x):
        if x.is_cuda:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().forward(x)


def assert_two_rounds_same(*more, backbone=a_backbone, **options):
    def rounds(device):
        session = a_session(backbone=backbone(), device=device, **options)
        return session, two_rounds(session, *more)

    return assert_same_on_both(rounds)


class TestTwoRoundsEndWithTheSameLabels:
    @pytest.mark.parametrize("update", ["protected", "cross-entropy", "paper"])
    def test_with_every_update_rule(self, update):
        assert_two_rounds_same(update=update)

    @pytest.mark.parametrize("reach", ["automatic", "local", "whole"])
    def test_with_every_reach(self, reach):
        assert_two_rounds_same(reach=reach, current=current_of(truth()))

    @pytest.mark.parametrize("options", [
        {"grow": "none"}, {"grow": "all"}, {"grow": "all", "growing_rule": "seed"},
    ])  # fmt: skip
    def test_with_every_way_to_grow(self, options):
        assert_two_rounds_same(**options)

    @pytest.mark.parametrize("new_class", ["learned", "grown"])
    def test_with_a_new_class(self, new_class):
        _, labels, _ = assert_two_rounds_same(NEW, new_classes=["lesion"], new_class=new_class)
        assert (labels == 3).any()

    def test_with_locked_classes_hand_edits_and_strokes_that_forbid(self):
        edited = truth()
        edited[2:5, 2:6, 24:30] = SPLEEN.label

        def rounds(device):
            session = a_session(current=current_of(edited), device=device)
            constraints = constraints_for(
                session, (MISSED, LIVER.label), (IN_LIVER, LIVER.label, True), locked=[SPLEEN.label]
            )
            result = session.refine(constraints)
            return session, [result.labels, result.warnings]

        assert_same_on_both(rounds)

    def test_with_a_class_that_the_network_does_not_find(self):
        def rounds(device):
            session = test_missing_class.a_session_without_spleen(device=device)
            constraints = constraints_for(session, (IN_SPLEEN, SPLEEN.label), (EMPTY, 0))
            first = session.refine(constraints)
            assert test_missing_class.grown(first, SPLEEN.label).any()
            constraints.next_round()
            constraints.add_stroke_indices(MISSED, LIVER.label)
            second = session.refine(constraints)
            return session, [first.labels, second.labels, [*first.warnings, *second.warnings]]

        assert_same_on_both(rounds)

    def test_with_one_layer_whose_kernel_sees_neighbors(self):
        assert_two_rounds_same(backbone=with_wide_kernel)

    def test_with_two_layers(self):
        assert_two_rounds_same(backbone=with_unet(), layers=2, steps=20)

    def test_with_a_scripted_network(self):
        assert_two_rounds_same(backbone=with_unet(scripted), layers=2, steps=20)

    @pytest.mark.parametrize("layers", [1, 2])
    def test_with_several_windows(self, layers):
        assert_two_rounds_same(backbone=with_unet(patch_size=(20, 24, 16)), layers=layers, steps=5)

    def test_with_windows_that_are_run_again_because_there_is_no_room_for_them(self):
        assert_two_rounds_same(backbone=with_unet(patch_size=(20, 24, 16)), layers=2, cache_gb=0, steps=2)

    def test_with_a_network_that_runs_as_a_whole_in_every_step(self):
        network = test_tape.ReadsANumber
        *_, warnings = assert_two_rounds_same(backbone=lambda: a_backbone(of_three(network)), layers=2, steps=5)
        assert any("runs as a whole" in w for w in warnings)

    def test_with_a_network_of_slices(self):
        assert_two_rounds_same(backbone=of_slices, layers=2, steps=3)

    def test_with_a_picture(self):
        def rounds(device):
            picture = Volume(scan().array[8:9], LPS, "picture")
            session = a_session(picture, of_slices(), device=device)
            flat = [0, 1, 1]
            constraints = constraints_for(session, (MISSED * flat, LIVER.label), (EMPTY * flat, 0))
            result = session.refine(constraints)
            return session, [result.labels, result.warnings]

        assert_same_on_both(rounds)

    def test_with_independent_channels(self):
        assert_two_rounds_same(backbone=sigmoid)

    def test_with_a_grid_of_other_spacing(self):
        assert_two_rounds_same(backbone=lambda: a_backbone(spacing=(3.0, 2.5, 2.0)))

    def test_without_a_network(self):
        def rounds(device):
            names = ["liver", "spleen"]
            session = a_session(backbone=strokes_only(("image",)), new_classes=names, device=device)
            return session, two_rounds(session, (IN_SPLEEN, 2))

        assert_same_on_both(rounds)

    def test_with_a_network_whose_answer_lies_elsewhere(self):
        def rounds(device):
            result, session = test_scratch_elsewhere.refined(*test_scratch_elsewhere.CONTRADICTION, device=device)
            return session, [result.labels, result.warnings]

        *_, warnings = assert_same_on_both(rounds)
        assert SENTENCE in warnings

    def test_on_the_processor_after_the_card_was_too_small(self):
        def rounds(device):
            network = TooLargeForTheCard()
            session = a_session(backbone=a_backbone(network), device=device)
            return session, two_rounds(session)

        *_, warnings = assert_same_on_both(rounds, on_card=False)
        assert any("too little memory; everything is computed on the CPU" in w for w in warnings)


class WithAMap(Thresholds):
    """Makes tensors on its way, on the device of its input; one of them out of numbers."""

    def forward(self, x):
        along = torch.arange(x.shape[4], device=x.device, dtype=x.dtype)
        mask = torch.zeros(x.shape, device=x.device).copy_(along < 30)
        return super().forward((x * mask).to(x) * torch.tensor([1.25], device=x.device))


def test_an_exported_network_computes_on_the_card_and_back_on_the_processor(tmp_path):
    pytest.importorskip("torch.export.pt2_archive", reason="exported programs need PyTorch 2.8")
    from Testing.tests.test_exported import exported

    x = noise(1, 1, *scan().array.shape)
    network = load_backbone(exported(tmp_path, hesitant_map(), *x.shape, patch_size=[32, 24, 16])).network
    before = network(x)
    assert_two_rounds_same(backbone=lambda: a_backbone(network.cpu(), patch_size=(32, 24, 16)), layers=2)
    with pretend_cuda():
        network.cpu()
    assert torch.equal(network(x), before)


def hesitant_map():
    """`hesitant` with a map in it."""
    network = WithAMap().eval().requires_grad_(False)
    network.load_state_dict(hesitant().state_dict())
    return network


@pytest.mark.parametrize("made", [
    lambda: traced(hesitant_map(), 1, 1, *scan().array.shape),  # holds the device of the tensors on its way
    lambda: frozen(hesitant().eval()),  # holds its weights as constants
])  # fmt: skip
def test_a_network_whose_tensors_stay_on_the_processor_runs_there_and_the_user_is_told(made):
    backbone = Backbone(a_backbone().config, made(), None)

    def rounds(device):
        session = a_session(backbone=backbone, device=device)
        return session, two_rounds(session)

    *_, warnings = assert_same_on_both(rounds, on_card=False)
    assert [w for w in warnings if "cannot run on the graphics card" in w] == warnings[:1]


def test_a_second_card_is_an_error_of_the_user(card):
    with pytest.raises(InputError, match="There is no device 'cuda:1' here"):
        a_session(device="cuda:1")


@pytest.mark.parametrize("shape", [(6, 7, 9), (20, 36, 36), (1, 170, 130)])
def test_the_random_walker_gives_the_same_bits(card, shape):
    problem = a_problem(shape)
    there = {f.name: getattr(problem, f.name) for f in fields(problem)}
    there = {name: value.to(card) if isinstance(value, torch.Tensor) else value for name, value in there.items()}
    found = solve_walker(replace(problem, **there))
    assert found.is_cuda
    assert torch.equal(found.cpu(), solve_walker(problem))


def test_outlines_follow_to_the_same_voxels(card, monkeypatch):
    expected = test_outline_follow.followed()
    assert (expected != test_outline_follow.DECODED).any()
    on_card, walked = [], test_outline_follow.follow.walked

    def watched(intensities, *others):
        on_card.append(intensities.is_cuda)
        return walked(intensities, *others)

    monkeypatch.setattr(test_outline_follow.follow, "walked", watched)
    monkeypatch.setattr(test_outline_follow, "CPU", card)
    assert np.array_equal(test_outline_follow.followed(), expected)
    assert on_card == [True]


def test_the_frozen_prefix_replays_the_same_bits_and_gradients(card):
    found = []
    for device in ("cpu", card):
        network = randomized(UNet3d()).to(device)
        tuned = [*network.head.parameters()]
        prefix = FrozenPrefix(running(network, noise(1, 1, 4, 6, 8).to(device)), tuned, tuned[0])
        values = [v.to(device).requires_grad_() for v in moved([p.cpu() for p in tuned])]
        output = prefix.replay(values)
        found.append([output.detach(), *torch.autograd.grad(output.square().sum(), values)])
    assert all(g.is_cuda for g in found[1])
    assert all(torch.equal(a, b.cpu()) for a, b in zip(*found))
