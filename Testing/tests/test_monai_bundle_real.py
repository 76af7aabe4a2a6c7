"""Real weights in MONAI bundles: MONAI's own command line agrees, and three rounds of strokes correct real cases."""

import json
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from InteractiveRefineLib.backbone import load_backbone  # noqa: E402
from InteractiveRefineLib.image_io import read_volume  # noqa: E402
from InteractiveRefineLib.session import RefineSession  # noqa: E402
from Testing.monai_bundles import (  # noqa: E402
    activations,
    discrete,
    export_torchscript,
    hippocampus_bundle,
    inverted,
    monai_prediction,
)
from Testing.real_data import data_folder, hippocampus, hippocampus_cases, require_data  # noqa: E402
from Testing.real_hippocampus import run_cases  # noqa: E402

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(data_folder() is None, reason="real scans not found; set INTERACTIVE_REFINE_DATA"),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore"),
]

#: Another orientation and grid than the files', in windows.
RESAMPLED = [
    {"_target_": "Orientationd", "keys": "@image_key", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [1.1, 0.9, 1.2], "mode": "bilinear"},
]
WINDOWS = {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "overlap": 0.5, "mode": "gaussian"}
NEAREST = [activations(softmax=True), discrete(argmax=True), inverted(nearest=True)]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    plain = hippocampus_bundle(folder / "plain", "weak")
    resampled = hippocampus_bundle(folder / "resampled", "weak", RESAMPLED, inferer=WINDOWS)
    nearest = hippocampus_bundle(folder / "nearest", "weak", RESAMPLED, inferer=WINDOWS, post=NEAREST)
    program = export_torchscript(hippocampus_bundle(folder / "program", "weak"))
    return {"plain": plain, "resampled": resampled, "nearest": nearest, "program": program}


def file_of(case):
    return require_data() / "hippocampus_mr" / "images" / f"{case}.nii.gz"


@pytest.mark.parametrize("name", ["plain", "resampled", "nearest"])
def test_labels_are_those_of_monai_on_real_cases(bundles, name):
    backbone = load_backbone(bundles[name])
    for case in hippocampus_cases()[:1]:
        theirs = monai_prediction(bundles[name], file_of(case))[0]
        ours = RefineSession(hippocampus(case)[0], backbone).predict().T
        assert (ours != theirs).mean() <= 1e-3
        assert (theirs > 0).sum() > 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "resampled", "nearest", "program"])
def test_three_rounds_of_strokes_correct_real_cases_and_obey_every_stroke(bundles, name):
    result = run_cases(load_backbone(bundles[name]), hippocampus_cases()[:1], rounds=3)
    assert result.violated == 0
    assert (result.dice[:, -1] >= result.dice[:, 0] + 0.02).all()
    assert result.far.max() <= 60


def test_the_file_that_monais_run_writes_is_our_prediction(bundles, tmp_path):
    """The whole bundle as its owner runs it: `python -m monai.bundle run`, with ignite's evaluator and SaveImaged."""
    pytest.importorskip("ignite")
    from monai.bundle import run

    folder, case = bundles["resampled"], hippocampus_cases()[0]
    inputs = tmp_path / "in"
    inputs.mkdir()
    (inputs / f"{case}.nii.gz").write_bytes(file_of(case).read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(
            config_file=str(folder / "configs" / "inference.json"), meta_file=str(folder / "configs" / "metadata.json"),
            bundle_root=str(folder), dataset_dir=str(inputs), output_dir=str(tmp_path / "out"),
        )  # fmt: skip
    written = read_volume(next((tmp_path / "out").glob("*.nii.gz"))).array
    ours = RefineSession(hippocampus(case)[0], load_backbone(folder)).predict()
    assert (ours != np.rint(written)).mean() <= 1e-3


def test_a_bundle_that_a_backbone_json_points_to_is_described_and_loaded(bundles, tmp_path):
    description = {"format": 1, "kind": "monai", "folder": str(bundles["plain"]), "name": "Hippocampus"}
    (tmp_path / "backbone.json").write_text(json.dumps(description))
    lines = load_backbone(tmp_path).describe().splitlines()
    assert lines[0].startswith("Backbone    Hippocampus")
    assert any("MONAI bundle" in line for line in lines)
    assert lines[-2:] == ["  1  anterior hippocampus", "  2  posterior hippocampus"]
