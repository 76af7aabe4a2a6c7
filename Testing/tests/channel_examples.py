"""A tiny head in two scans, FLAIR and T1c, and a network of two channels, for tests of several channels."""

import numpy as np

SHAPE = (8, 16, 16)
NAMES = ("FLAIR", "T1c")
#: An edema of 8 x 8 x 8 voxels, seen in FLAIR only, with a tumor core of 4 x 4 x 4 inside, seen in T1c only.
EDEMA, CORE = (slice(0, 8), slice(4, 12), slice(4, 12)), (slice(2, 6), slice(6, 10), slice(6, 10))
#: What the network misses of them, as in each of them one side is dark.
MISSED_EDEMA = (slice(0, 8), slice(4, 12), slice(10, 12))
MISSED_CORE = (slice(2, 6), slice(6, 10), slice(8, 10))
CLASSES = [{"name": name} for name in ("background", "edema", "core")]


def truth():
    """(K, J, I): 1 edema, 2 core."""
    labels = np.zeros(SHAPE, dtype=np.uint16)
    labels[EDEMA] = 1
    labels[CORE] = 2
    return labels


def scans():
    """FLAIR and T1c, (K, J, I) float32: 0 and 100, and 45 where the network misses it, with a little noise."""
    found = []
    for whole, dark, seed in ((EDEMA, MISSED_EDEMA, 0), (CORE, MISSED_CORE, 1)):
        array = np.random.default_rng(seed).normal(0, 2, SHAPE)
        array[whole] += 100
        array[dark] -= 55
        found.append(array.astype(np.float32))
    return found


def write_two_channel_backbone(folder, **changes):
    """A folder with a network that calls bright FLAIR edema and bright T1c core; returns it as text."""
    import torch

    from Testing.tests.cli_examples import write_backbone

    features, head = torch.nn.Conv3d(2, 4, 1), torch.nn.Conv3d(4, 3, 1)
    with torch.no_grad():
        features.weight.zero_()
        features.bias.copy_(torch.tensor([-0.5, 1.0, -0.5, 1.0]))
        for n, (channel, sign) in enumerate(((0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0))):
            features.weight[n, channel] = sign
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.2, 0.0, 0.0]))
        head.weight[1, 0], head.weight[2, 2] = 2.0, 4.0
    network = torch.nn.Sequential(features, torch.nn.ReLU(), head)
    intensity = {"rule": "window", "low": 0, "high": 300, "mean": 0, "std": 100}
    settings = {"name": "two channels", "channels": [{"name": name} for name in NAMES], "classes": CLASSES}
    return write_backbone(folder, network, **{**settings, "intensity": intensity, **changes})


def add_head(scene):
    """The two scans as volume nodes, and an empty segmentation."""
    from scene_examples import add_segmentation, add_volume

    nodes = [add_volume(scene, array, np.eye(4), name) for name, array in zip(NAMES, scans())]
    return *nodes, add_segmentation(scene, nodes[0], name="Tumor")
