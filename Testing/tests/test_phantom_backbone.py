"""The embedded backbone is small, fits the phantoms, and fails on the shifted ones, as the demo needs it to."""

import json

import numpy as np
import pytest

from InteractiveRefineLib.phantom import PHANTOM_SEGMENTS, PHANTOM_SPACING_KJI

torch = pytest.importorskip("torch")

from Testing.train_phantom_backbone import FOLDER, WINDOW, held_out_dice  # noqa: E402


@pytest.fixture(scope="module")
def network():
    return torch.jit.load(str(FOLDER / "model.ts")).eval()


def test_the_weights_are_small_enough_to_ship():
    assert (FOLDER / "model.ts").stat().st_size < 4e6


def test_the_description_fits_the_phantoms():
    description = json.loads((FOLDER / "backbone.json").read_text(encoding="utf-8"))
    classes = [(c["name"], tuple(c["color"])) for c in description["classes"][1:]]
    assert classes == [(s.name, s.color) for s in PHANTOM_SEGMENTS]
    assert [s.label for s in PHANTOM_SEGMENTS] == list(range(1, len(PHANTOM_SEGMENTS) + 1))
    assert tuple(description["spacing"]) == PHANTOM_SPACING_KJI[::-1]
    assert (description["intensity"]["low"], description["intensity"]["high"]) == WINDOW
    assert description["made_by"].startswith("python -m Testing.train_phantom_backbone")


@pytest.mark.parametrize("shape", [(8, 8, 8), (16, 40, 24)])
def test_it_takes_every_size_that_is_a_multiple_of_eight(network, shape):
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *shape)).shape == (1, 7, *shape)


def test_its_head_alone_turns_its_features_into_its_output(network):
    image = torch.rand(1, 1, 16, 24, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = network.features(image)
        assert features.shape == (1, 12, 16, 24, 16)
        assert torch.equal(network.head(features), network(image))


def test_it_segments_new_phantoms_well_and_shifted_ones_with_clear_mistakes(network):
    plain, shifted = (held_out_dice(network, 2, shift) for shift in (None, "domain"))
    assert np.mean(list(plain.values())) > 0.9
    assert sum(0.3 < score < 0.85 for score in shifted.values()) >= 2
    assert shifted["liver"] > 0.4
