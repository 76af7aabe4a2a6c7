"""A small scan with two organs and a small network that half knows them, for tests of the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from InteractiveRefineLib.cli.main import main
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.image_io import write_volume
from InteractiveRefineLib.segmentation import Segment, Segmentation
from InteractiveRefineLib.segmentation_io import write_segmentation
from InteractiveRefineLib.volume import Volume

SHAPE = (16, 24, 32)
LPS = np.diag([-2.0, -2.0, 3.0, 1.0])
LIVER, SPLEEN = Segment("liver", 1, (0.87, 0.51, 0.40)), Segment("spleen", 2, (0.61, 0.48, 0.70))


class Thresholds(torch.nn.Module):
    """Calls bright voxels liver and brighter ones spleen; two convolutions, so that there is something to tune."""

    def __init__(self, n_outputs=3, dimensions=3):
        super().__init__()
        convolution = torch.nn.Conv3d if dimensions == 3 else torch.nn.Conv2d
        ones = (1,) * dimensions
        self.features = convolution(1, 4, 1)
        self.head = convolution(4, n_outputs, 1)
        with torch.no_grad():
            self.features.weight.copy_(torch.tensor([1.0, -1.0, 1.0, 1.0]).reshape(4, 1, *ones))
            self.features.bias.copy_(torch.tensor([0.0, 1.0, -0.5, -1.5]))
            self.head.weight.zero_()
            self.head.bias.zero_()
            self.head.weight[0, 1] = 8.0
            self.head.weight[1, 2], self.head.weight[1, 3] = 8.0, -24.0
            if n_outputs > 2:
                self.head.weight[2, 3] = 24.0
            self.head.bias[0] = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.features(x)))


def truth():
    """(K, J, I): a liver of 8 x 16 x 14 voxels and a spleen of 8 x 10 x 8."""
    labels = np.zeros(SHAPE, dtype=np.uint16)
    labels[4:12, 4:20, 3:17] = LIVER.label
    labels[4:12, 8:18, 21:29] = SPLEEN.label
    return labels


def scan(seed=0):
    """The scan: 0, 100 and 200 with noise; the left part of the liver is so dark that the network misses it."""
    labels = truth()
    values = np.array([0.0, 100.0, 200.0])[labels]
    values[:, :, 12:17][labels[:, :, 12:17] == LIVER.label] = 48.0
    noise = np.random.default_rng(seed).normal(0, 3, SHAPE)
    return Volume((values + noise).astype(np.float32), LPS, "scan")


def strokes():
    """One stroke in the missed part of the liver and one on background, as a plain label map."""
    labels = np.zeros(SHAPE, dtype=np.uint16)
    labels[8, 12, 13:16] = LIVER.label
    labels[8, 2, 10:16] = 255
    return labels


def write_labels(path, labels, ijk_to_ras=LPS, segments=()):
    """Write a label map, or a .seg.nrrd with `segments`; returns the path as text."""
    write_segmentation(Segmentation(labels, Geometry(labels.shape, ijk_to_ras), list(segments)), path)
    return str(path)


def write_scan(path, volume=None):
    """Write `volume`, or the scan; returns the path as text."""
    write_volume(scan() if volume is None else volume, path)
    return str(path)


def write_backbone(folder, network=None, **changes):
    """Write a backbone folder with the network `Thresholds`; `changes` replace keys of backbone.json."""
    folder.mkdir(parents=True, exist_ok=True)
    network = Thresholds() if network is None else network
    torch.jit.script(network.eval()).save(str(folder / "model.ts"))
    config = {
        "format": 1,
        "name": "two organs",
        "dimensions": 3,
        "channels": [{"name": "CT"}],
        "classes": [{"name": "background"}, *({"name": s.name, "color": list(s.color)} for s in (LIVER, SPLEEN))],
        "axis_codes": "LPS",
        "intensity": {"rule": "window", "low": 0, "high": 300, "mean": 0, "std": 100},
        **changes,
    }
    (folder / "backbone.json").write_text(json.dumps(config), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory):
    """Made once: scripting the network takes longer than most tests."""
    folder = tmp_path_factory.mktemp("example")
    write_scan(folder / "image.nrrd")
    write_labels(folder / "strokes.nrrd", strokes())
    write_backbone(folder / "backbone")
    return folder


@pytest.fixture
def folder(tmp_path, example_folder):
    """A folder of its own with image.nrrd, strokes.nrrd and the backbone."""
    return Path(shutil.copytree(example_folder, tmp_path, dirs_exist_ok=True))


@pytest.fixture
def refine_in(folder, monkeypatch):
    """Run `refine` in the folder, with further options and changed ones; returns the exit code."""
    monkeypatch.chdir(folder)

    def run(*more, **changed):
        options = {"image": "image.nrrd", "backbone": "backbone", "scribbles": "strokes.nrrd", "output": "out.seg.nrrd"}
        options.update(changed)
        words = [w for name, value in options.items() if value is not None for w in (f"--{name}", value)]
        return main(["refine", *words, *more])

    return run


def errors_of(capsys):
    """The lines on stderr, without progress."""
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("interactive-refine:")]
