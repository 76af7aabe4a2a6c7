"""Sessions on the small scan of cli_examples, with its network in memory, for tests of what a session does."""

import numpy as np
import torch

from InteractiveRefineLib.backbone import Backbone, BackboneConfig
from InteractiveRefineLib.backbone.config import IntensityRule
from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import RefineSettings
from Testing.tests.cli_examples import LIVER, SPLEEN, Thresholds, scan, truth

#: The middle of what the network misses of the liver, and a place in the background, both (k, j, i).
MISSED = np.array([[8, 12, 13], [8, 12, 14], [8, 12, 15]])
EMPTY = np.array([[8, 2, i] for i in range(10, 16)])
#: Inside the spleen, and inside the part of the liver that the network finds.
IN_SPLEEN = np.array([[8, 12, 24], [8, 12, 25]])
IN_LIVER = np.array([[8, 12, 6], [8, 12, 7]])


def hesitant(scale=0.15, **options):
    """The network `Thresholds`, less sure of itself: some steps of tuning then change its answer."""
    network = Thresholds(**options)
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.mul_(scale)
    return network


def a_backbone(network=None, **changes):
    """A small network that knows background, liver and spleen."""
    fields = {
        "name": "two organs",
        "dimensions": 3,
        "channels": ("CT",),
        "classes": (LIVER, SPLEEN),
        "channel_labels": (0, 1, 2),
        "intensity": IntensityRule("window", 0, 300, 0, 100),
    }
    network = hesitant() if network is None else network
    return Backbone(BackboneConfig(**{**fields, **changes}), network.eval().requires_grad_(False), None)


def a_session(image=None, backbone=None, current=None, new_classes=(), **settings):
    """A session on the CPU; `settings` go to RefineSettings."""
    settings = RefineSettings(**{"device": "cpu", **settings})
    return RefineSession(image or scan(), backbone or a_backbone(), settings, current, new_classes)


def constraints_for(session, *strokes, locked=()):
    """Constraints of (voxels, label) or (voxels, label, True) for "not this class"."""
    constraints = Constraints(session.image.geometry, locked)
    for stroke in strokes:
        constraints.add_stroke_indices(*stroke)
    return constraints


def drawn(constraints, *rounds):
    """The constraints after every round; a round is a list of strokes as in `constraints_for`."""
    for strokes in rounds:
        for stroke in strokes:
            constraints.add_stroke_indices(*stroke)
        constraints.next_round()
        yield constraints


def usual_constraints(session, locked=()):
    """One stroke in the missed part of the liver and one on background."""
    return constraints_for(session, (MISSED, LIVER.label), (EMPTY, 0), locked=locked)


def dice(labels, label, mask=None):
    """Overlap of a class with the truth, or with a mask."""
    mask = truth() == label if mask is None else mask
    found = labels == label
    return 2 * np.count_nonzero(found & mask) / (np.count_nonzero(found) + np.count_nonzero(mask))
