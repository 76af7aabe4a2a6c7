"""From output channels to class logits: the likeliest class is always the answer that the network's owner gives."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.config import BackboneConfig  # noqa: E402
from InteractiveRefineLib.backbone.outputs import ClassLogits  # noqa: E402
from InteractiveRefineLib.segmentation import Segment  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def class_logits(activation, labels, n_classes=None, **more):
    n_classes = max(labels) if n_classes is None else n_classes
    classes = tuple(Segment(f"class {label}", label) for label in range(1, n_classes + 1))
    config = BackboneConfig("test", 3, ("CT",), classes, tuple(labels), activation=activation, **more)
    return ClassLogits(config)


def random_channels(count, seed=0, n=4000):
    return torch.randn(n, count, generator=torch.Generator().manual_seed(seed)) * 3


def painted(channels, labels):
    """nnU-Net's rule: one region after the other is painted where its sigmoid exceeds one half."""
    out = np.zeros(len(channels), int)
    for channel, label in zip(torch.sigmoid(channels.double()).numpy().T, labels):
        out[channel > 0.5] = label
    return out


def test_softmax_channels_of_their_own_classes_pass_as_they_are():
    channels = random_channels(4)
    assert class_logits("softmax", (0, 1, 2, 3))(channels) is channels


@pytest.mark.parametrize("labels", [(0, 2, 1), (0, 1, 1, 2), (0, 1, 0, 2, 1), (2, 0, 1), (0, 0, 1)])
def test_of_merged_channels_the_largest_counts_and_ignored_ones_are_background(labels):
    channels = random_channels(len(labels))
    found = class_logits("softmax", labels)(channels)
    for label in range(max(labels) + 1):
        own = [c for c, of in enumerate(labels) if of == label]
        assert torch.equal(found[:, label], channels[:, own].max(dim=1).values)
    winner = np.array(labels)[channels.argmax(dim=1).numpy()]
    assert np.array_equal(found.argmax(dim=1).numpy(), winner)


@pytest.mark.parametrize("labels", [(1,), (1, 2, 3), (2, 1), (1, 2, 1), (1, 0, 2)])
def test_a_sigmoid_class_wins_where_it_is_the_likeliest_and_exceeds_one_half(labels):
    channels = random_channels(len(labels))
    found = class_logits("sigmoid", labels)(channels)
    best, winner = channels.max(dim=1)
    expected = np.where(best.numpy() > 0, np.array(labels)[winner.numpy()], 0)
    assert np.array_equal(found.argmax(dim=1).numpy(), expected)


def test_a_sigmoid_channel_at_exactly_one_half_is_background():
    assert class_logits("sigmoid", (1,))(torch.zeros(1, 1)).argmax(dim=1).item() == 0


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_regions_are_painted_in_every_order(n):
    for order in itertools.permutations(range(1, n + 1)):
        channels = random_channels(n, seed=n)
        found = class_logits("regions", order)(channels)
        assert found.shape == (len(channels), n + 1)
        assert np.array_equal(found.argmax(dim=1).numpy(), painted(channels, order))


def test_regions_that_are_painted_with_the_same_label_are_one_class():
    for labels in [(1, 2, 1), (1, 1, 2), (2, 1, 1, 2)]:
        channels = random_channels(len(labels), seed=7)
        found = class_logits("regions", labels)(channels)
        assert np.array_equal(found.argmax(dim=1).numpy(), painted(channels, labels))


def test_one_small_example_of_regions():
    # whole = 2, core = -1, inner = 0.5: only inner and whole exceed one half, inner is painted last.
    found = class_logits("regions", (1, 2, 3))(torch.tensor([[2.0, -1.0, 0.5]]))
    assert found.tolist() == [[-2.0, -0.5, -1.0, 0.5]]


@pytest.mark.parametrize(
    ("activation", "labels"),
    [("softmax", (0, 1, 1, 2)), ("sigmoid", (1, 2, 1)), ("regions", (1, 2, 3)), ("regions", (2, 1, 2))],
)
def test_gradients_reach_every_channel_and_are_finite(activation, labels):
    channels = random_channels(len(labels)).requires_grad_()
    logits = class_logits(activation, labels)(channels)
    torch.logsumexp(logits, dim=1).sum().backward()
    assert channels.grad.isfinite().all()
    assert (channels.grad != 0).any(dim=0).all()
    ties = torch.zeros(3, len(labels), requires_grad=True)
    class_logits(activation, labels)(ties).sum().backward()
    assert ties.grad.isfinite().all()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "regions"])
def test_any_number_of_leading_axes_may_precede_the_channels(activation):
    labels = (0, 1, 2) if activation == "softmax" else (1, 2, 3)
    channels = random_channels(3, n=24)
    flat = class_logits(activation, labels)(channels)
    found = class_logits(activation, labels)(channels.view(2, 3, 4, 3))
    assert torch.equal(found.view(24, -1), flat)
