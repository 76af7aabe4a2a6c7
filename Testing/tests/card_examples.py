"""Networks and rounds that are played on the processor and on a pretended graphics card, and compared."""

import numpy as np
import torch
from torch import nn

from InteractiveRefineLib.backbone import Backbone
from Testing.pretend_cuda import pretend_cuda
from Testing.tests.cli_examples import LIVER, Thresholds
from Testing.tests.network_examples import UNet2d, UNet3d, randomized
from Testing.tests.session_examples import EMPTY, MISSED, a_backbone, constraints_for, hesitant

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
NEW = (np.array([[3, 5, i] for i in range(20, 26)]), 3)


def with_unet(form=lambda network: network, **changes):
    """A backbone of two levels whose last layers are deeper than one convolution; made anew each time it is called."""

    def made():
        backbone = a_backbone(randomized(UNet3d()), divisible_by=2, **changes)
        return Backbone(backbone.config, form(backbone.network), None)

    return made


def with_wide_kernel():
    network = nn.Sequential(hesitant().features, nn.ReLU(), nn.Conv3d(4, 3, 3, padding=1))
    return a_backbone(randomized(network))


def of_slices():
    return a_backbone(randomized(UNet2d(classes=3)), dimensions=2)


def of_three(network):
    """A network of test_tape with one output for each of three classes."""
    made = network()
    made.head = nn.Conv3d(made.head.in_channels, 3, 1)
    return randomized(made)


class Precise(Thresholds):
    """Knows how exactly the card was asked to compute."""

    def forward(self, x):
        self.seen = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
        return super().forward(x)


def two_rounds(session, *more):
    """Both rounds' labels and all that the user is told; `more` strokes go with the first round's."""
    constraints = constraints_for(session, (MISSED, LIVER.label), (EMPTY, 0), *more)
    first = session.refine(constraints)
    constraints.next_round()
    constraints.add_stroke_indices(MISSED + [1, 5, 0], LIVER.label)
    constraints.add_stroke_indices(MISSED[:1], 0)
    second = session.refine(constraints)
    assert not np.array_equal(first.labels, second.labels)
    return [first.labels, second.labels, [*first.warnings, *second.warnings]]


def assert_same_on_both(rounds, *, on_card=True):
    """Args: rounds takes a device and returns the session and what it found.

    Returns:
        what it found.
    """
    _, expected = rounds("cpu")
    with pretend_cuda():
        session, found = rounds("cuda")
        assert all(p.is_cuda == on_card for p in session.backbone.network.parameters())
    *labels, warnings = found
    assert all(np.array_equal(a, b) for a, b in zip(expected, labels))
    assert warnings == expected[-1] or not on_card
    return found
