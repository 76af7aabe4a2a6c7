"""How many layers are tuned where the user does not say: more on single pictures, as many as there are."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from InteractiveRefineLib import session as session_module  # noqa: E402
from InteractiveRefineLib.errors import BackboneError  # noqa: E402
from InteractiveRefineLib.session import RefineSession  # noqa: E402
from InteractiveRefineLib.settings import RefineSettings  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.network_examples import UNet2d, a_backbone  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def an_image(slices):
    return Volume(np.random.default_rng(0).normal(size=(slices, 16, 16)).astype(np.float32), LPS, "image")


def tuned_layers(monkeypatch, network, slices, **settings):
    """How many layers were asked for, and how many weight tensors are tuned."""
    asked = []

    class Watched(session_module.NetworkState):
        def __init__(self, frame, backbone, layers, *arguments, **named):
            super().__init__(frame, backbone, layers, *arguments, **named)
            asked.append((layers, sum(p.ndim > 1 for p in self.part.initial)))

    monkeypatch.setattr(session_module, "NetworkState", Watched)
    backbone = a_backbone(network, 2, dimensions=2)
    RefineSession(an_image(slices), backbone, RefineSettings(device="cpu", **settings)).predict()
    return asked[0]


def test_the_setting_says_three_for_pictures_and_one_else():
    assert RefineSettings().layers is None
    assert RefineSettings().layers_for(True) == 3 and RefineSettings().layers_for(False) == 1
    assert RefineSettings(layers=2).layers_for(True) == 2 == RefineSettings(layers=2).layers_for(False)


def test_on_a_single_picture_three_layers_are_tuned(monkeypatch):
    assert tuned_layers(monkeypatch, UNet2d(1, 2), 1) == (3, 3)


def test_on_a_stack_of_slices_one_layer_is_tuned(monkeypatch):
    assert tuned_layers(monkeypatch, UNet2d(1, 2), 4) == (1, 1)


def test_what_the_user_says_counts(monkeypatch):
    assert tuned_layers(monkeypatch, UNet2d(1, 2), 1, layers=1) == (1, 1)


def test_a_network_of_two_layers_has_both_tuned(monkeypatch):
    small = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    assert tuned_layers(monkeypatch, small, 1) == (3, 2)


def test_asked_for_three_of_two_layers_is_an_error():
    small = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    session = RefineSession(an_image(1), a_backbone(small, 2, dimensions=2), RefineSettings(device="cpu", layers=3))
    with pytest.raises(BackboneError, match="3 layers were asked for, but the network has only 2"):
        session.predict()
