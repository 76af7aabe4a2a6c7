"""The head grows by a channel: the old ones keep every bit, the new one is linear in the features, at first silent."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.backbone.outputs import ClassLogits  # noqa: E402
from InteractiveRefineLib.partial.grown import GrownPart, grown_classes  # noqa: E402
from InteractiveRefineLib.partial.prepare import prepare  # noqa: E402
from InteractiveRefineLib.standardized import StandardizedFeatures, standard_scales  # noqa: E402
from Testing.tests import network_examples as networks  # noqa: E402
from Testing.tests.network_examples import UNet2d, UNet3d, frozen, moved, noise, randomized, scripted  # noqa: E402
from Testing.tests.test_tuned_parts import close, interpolated, some_positions  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (8, 6, 10)
#: Network, classes, grid shape and what backbone.json says.
NETWORKS = {
    "plain": (lambda: randomized(UNet3d()), 3, SHAPE, {"divisible_by": 2}),
    "windows": (lambda: randomized(UNet3d()), 3, SHAPE, {"patch_size": (6, 4, 4), "divisible_by": 2}),
    "TorchScript": (lambda: scripted(randomized(UNet3d())), 3, SHAPE, {"divisible_by": 2}),
    "frozen TorchScript": (lambda: frozen(randomized(UNet3d())), 3, SHAPE, {"divisible_by": 2}),
    "sigmoid": (lambda: randomized(UNet3d()), 3, SHAPE, {"divisible_by": 2, "activation": "sigmoid"}),
    "2-D": (lambda: randomized(UNet2d()), 2, (1, 8, 10), {"dimensions": 2}),
}
EVERY = [(name, layers) for name in NETWORKS for layers in (1, 2, 3)]


def grown(name, layers, count=2):
    """A prepared network and its part, grown by `count` channels."""
    make, classes, shape, changes = NETWORKS[name]
    backbone = networks.a_backbone(make(), classes, **changes)
    grid = NetworkGrid(shape, tuple(slice(0, n) for n in shape), shape)
    with torch.no_grad():
        network = prepare(backbone, grid, noise(1, *shape), layers)
    assert network.features is not None
    return backbone, network, GrownPart(network.part, StandardizedFeatures([network.features]), count)


@pytest.mark.parametrize("name, layers", EVERY)
def test_before_tuning_the_old_channels_keep_every_bit_and_the_new_ones_never_win(name, layers):
    backbone, network, part = grown(name, layers)
    shape, classes = network.logits.shape[1:], network.logits.shape[0]
    positions = some_positions(shape, 20)
    untouched = network.part.everywhere(network.part.initial)
    whole, there = part.everywhere(part.initial), part.at(positions)(part.initial)
    assert whole.shape == (classes + 2, *shape)
    assert torch.equal(whole[:classes], untouched)
    assert torch.equal(there[:, :classes], network.part.at(positions)(network.part.initial))
    to_classes = ClassLogits(backbone.config)
    known = to_classes(whole[:classes].movedim(0, -1))
    both = grown_classes(known, whole[classes:].movedim(0, -1))
    assert torch.equal(both[..., : known.shape[-1]], known)
    assert torch.equal(both.argmax(dim=-1), known.argmax(dim=-1))
    assert float(both.softmax(dim=-1)[..., known.shape[-1] :].max()) < 1e-8


@pytest.mark.parametrize("name, layers", EVERY)
def test_logits_at_positions_are_those_of_the_whole_grid_whatever_the_values(name, layers):
    _, network, part = grown(name, layers)
    values = moved(part.initial, 0.05)
    positions = some_positions(network.logits.shape[1:], 20)
    assert close(part.at(positions)(values), interpolated(part.everywhere(values), positions))


def test_the_new_channels_are_linear_in_the_features_without_their_mean():
    _, network, part = grown("plain", 1)
    weight, bias = torch.randn(2, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0.5, -1.0])
    features = (network.features * standard_scales(network.features).view(-1, 1, 1, 1)).flatten(1)
    features = features - features.mean(dim=1, keepdim=True)
    expected = (weight @ features + bias[:, None]).view(2, *SHAPE)
    values = [*network.part.initial, weight, bias]
    assert torch.allclose(part.new_everywhere(values), expected, atol=1e-5)
    assert torch.equal(part.everywhere(values)[3:], part.new_everywhere(values))
    voxels = np.argwhere(np.ones(SHAPE))[::7]
    assert torch.allclose(part.columns(voxels.astype(float)), features.T[::7], atol=1e-5)


@pytest.mark.parametrize("name, layers", [("plain", 1), ("plain", 3), ("frozen TorchScript", 2), ("2-D", 1)])
def test_gradients_reach_the_new_row_and_the_old_ones(name, layers):
    _, network, part = grown(name, layers)
    values = [v.detach().clone().requires_grad_(True) for v in part.initial]
    logits = part.at(some_positions(network.logits.shape[1:], 10))(values)
    n_classes = network.logits.shape[0]
    loss = torch.nn.functional.cross_entropy(logits, torch.full((len(logits),), n_classes))
    loss.backward()
    assert all(v.grad is not None and bool(v.grad.abs().sum() > 0) for v in values)
    assert bool((values[-2].grad[0] != 0).any())  # the weights of the class that was asked for


def test_a_new_class_has_the_probability_that_its_channel_says():
    known = torch.tensor([[1.0, 3.0, -2.0], [40.0, -40.0, 0.0]])
    new = torch.tensor([[0.0], [1.0986123]])
    probability = grown_classes(known, new).softmax(dim=-1)
    assert torch.allclose(probability[:, 3], torch.tensor([0.5, 0.75]))
    assert torch.allclose(probability[0, :3] / 0.5, known[0].softmax(dim=0))
