"""On a graphics card too small for the whole image only the network runs, window by window; no answer changes."""

import gc
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.device import Devices  # noqa: E402
from Testing.pretend_cuda import pretend_cuda  # noqa: E402
from Testing.tests import test_tape  # noqa: E402
from Testing.tests.card_examples import (  # noqa: E402
    CPU,
    CUDA,
    NEW,
    Precise,
    assert_same_on_both,
    of_slices,
    of_three,
    two_rounds,
    with_unet,
    with_wide_kernel,
)
from Testing.tests.network_examples import scripted  # noqa: E402
from Testing.tests.session_examples import a_backbone, a_session  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SPLIT = Devices(CUDA, CPU)
TOLD = "Memory ran out on the graphics card; only the network runs there from now on, the rest on the CPU, slower."


def windows(network=None, **changes):
    return a_backbone(network, patch_size=(20, 24, 16), **changes)


class TestTheNetworkAloneOnTheCard:
    """Both rounds' labels are those of the processor, and the network's parameters lie on the card."""

    @pytest.mark.parametrize("made, options", [
        (a_backbone, {}),
        (windows, {}),
        (with_wide_kernel, {}),
        (with_unet(), {"layers": 2, "steps": 20}),
        (with_unet(scripted), {"layers": 2, "steps": 20}),
        (with_unet(patch_size=(20, 24, 16)), {"layers": 1, "steps": 5}),
        (with_unet(patch_size=(20, 24, 16)), {"layers": 2, "steps": 2}),
        (lambda: a_backbone(of_three(test_tape.ReadsANumber)), {"layers": 2, "steps": 5}),
        (of_slices, {"layers": 2, "steps": 3}),
        (lambda: a_backbone(spacing=(3.0, 2.5, 2.0)), {"update": "paper"}),
        (a_backbone, {"update": "cross-entropy", "reach": "whole"}),
    ])  # fmt: skip
    def test_ends_with_the_same_labels(self, made, options):
        def rounds(device):
            session = a_session(backbone=made(), device=device, new_classes=["lesion"], **options)
            if device == "cuda":
                session._devices = SPLIT
            return session, two_rounds(session, NEW)

        assert_same_on_both(rounds)

    def test_leaves_nothing_of_the_image_there(self):
        with pretend_cuda() as room:
            session = a_session(backbone=windows(), device="cuda")
            session._devices = SPLIT
            session.predict()
            weights = sum(p.nbytes for p in session.backbone.network.parameters())
            assert 0 < room.taken() <= weights

    def test_of_a_deeper_part_one_window_stays_there(self):
        with pretend_cuda() as room:
            session = a_session(backbone=with_unet(patch_size=(20, 24, 16))(), device="cuda", layers=2)
            session._devices = SPLIT
            session.predict()
            store = session._state.part.tapes
            assert len(store.kept()) == 1 and room.taken() > 0

    def test_computes_there_as_exactly_as_with_everything_on_the_card(self):
        network = Precise()
        with pretend_cuda():
            session = a_session(backbone=a_backbone(network), device="cuda")
            session._devices = SPLIT
            session.predict()
        assert network.seen == (False, True)


def peak(shape_of_windows, devices):
    """The most bytes on the card while a prediction is made."""
    with pretend_cuda() as room:
        session = a_session(backbone=a_backbone(patch_size=shape_of_windows), device="cuda")
        session._devices = devices
        session.predict()
        return room.peak


def test_the_card_holds_less_than_half_then_and_less_still_with_smaller_windows():
    whole, one_window = peak((20, 24, 16), Devices.only(CUDA)), peak((20, 24, 16), SPLIT)
    assert one_window < whole / 2
    assert peak((16, 16, 8), SPLIT) < one_window


@pytest.mark.parametrize("share, on_card, told", [
    (1.0, True, [TOLD]),
    (0.75, False, [TOLD, "The graphics card has too little memory; everything is computed on the CPU, slower."]),
])  # fmt: skip
def test_a_card_with_room_for_one_window_keeps_the_network_and_the_user_is_told(share, on_card, told, request):
    needed = peak((20, 24, 16), SPLIT)
    expected = two_rounds(a_session(backbone=windows()))
    gc.disable()  # what fills the card must go at once, not when the collector happens to run
    request.addfinalizer(gc.enable)
    with pretend_cuda(int(needed * share)):
        session = a_session(backbone=windows(), device="cuda")
        labels_1, labels_2, warnings = two_rounds(session)
        assert all(p.is_cuda == on_card for p in session.backbone.network.parameters())
    assert warnings == [*told, *expected[2]]
    assert np.array_equal(labels_1, expected[0]) and np.array_equal(labels_2, expected[1])


def test_the_next_segmentation_of_the_image_starts_where_this_one_ended_up_and_its_user_is_told_too():
    needed = peak((20, 24, 16), SPLIT)
    with pretend_cuda(needed):
        session = a_session(backbone=windows(), device="cuda")
        session.predict()
        again = session.anew(session.settings)
        assert again._devices == Devices(torch.device("cuda"), CPU) and again._state is session._state
        *_, warnings = two_rounds(again)
        assert warnings[0] == TOLD and warnings.count(TOLD) == 1
        elsewhere = session.anew(replace(session.settings, device="cpu"))
        assert elsewhere._devices == Devices.only(CPU) and elsewhere._state is None
