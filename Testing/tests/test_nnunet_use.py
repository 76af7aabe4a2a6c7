"""An nnU-Net folder in use: with the user's own classes, and through a worker as 3D Slicer does it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("dynamic_network_architectures")

from InteractiveRefineLib.backbone import load_backbone  # noqa: E402
from InteractiveRefineLib.cli.main import main  # noqa: E402
from InteractiveRefineLib.image_io import write_volume  # noqa: E402
from InteractiveRefineLib.segmentation import Segmentation  # noqa: E402
from InteractiveRefineLib.segmentation_io import read_segmentation, write_segmentation  # noqa: E402
from InteractiveRefineLib.session import RefineSession  # noqa: E402
from Testing.tests.nnunet_examples import random_volume, write_model  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]


def test_merged_classes_are_the_networks_own_labels_with_others_in_their_place(tmp_path):
    model = write_model(tmp_path)
    image = random_volume((20, 18, 22), (1.0, 1.0, 1.0))
    own = RefineSession(image, load_backbone(model)).predict()
    assert {1, 2} <= set(np.unique(own))
    pointing = tmp_path / "mine"
    pointing.mkdir()
    said = {"format": 1, "kind": "nnunet", "folder": str(model), "class_map": {"hippocampus": ["front", "back"]}}
    (pointing / "backbone.json").write_text(json.dumps(said))
    backbone = load_backbone(pointing)
    assert [s.name for s in backbone.config.classes] == ["hippocampus"]
    assert np.array_equal(RefineSession(image, backbone).predict(), own > 0)


def test_a_worker_refines_with_it_as_this_process_does(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    model = write_model(tmp_path)
    image = random_volume((20, 18, 22), (1.0, 1.0, 1.0))
    own = RefineSession(image, load_backbone(model)).predict()
    wrong = np.argwhere(own == 1)[::40][:6]
    strokes = np.zeros(own.shape, np.uint16)
    strokes[tuple(wrong.T)] = 2  # let "front" be "back" there
    write_volume(image, tmp_path / "image.nrrd")
    write_segmentation(Segmentation(strokes, image.geometry, []), tmp_path / "strokes.nrrd")
    files = ["--image", str(tmp_path / "image.nrrd"), "--scribbles", str(tmp_path / "strokes.nrrd")]
    worker = f"'{sys.executable}' -m InteractiveRefineLib worker"
    for name, more in (("here", []), ("there", ["--worker", worker])):
        out = str(tmp_path / f"{name}.seg.nrrd")
        assert main(["refine", *files, "--backbone", str(model), "--output", out, *more]) == 0
    assert (tmp_path / "here.seg.nrrd").read_bytes() == (tmp_path / "there.seg.nrrd").read_bytes()
    refined = read_segmentation(tmp_path / "there.seg.nrrd")
    assert [s.name for s in refined.segments] == ["front", "back"]
    assert (refined.labels[tuple(wrong.T)] == 2).all()
