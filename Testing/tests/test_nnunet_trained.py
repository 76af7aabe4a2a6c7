"""Networks that nnU-Net itself planned and trained predict as nnU-Net predicts, and learn from strokes."""

import contextlib

import numpy as np
import pytest
import torch

from InteractiveRefineLib.backbone import load_backbone
from InteractiveRefineLib.backbone.nnunet import load
from InteractiveRefineLib.backbone.nnunet.checkpoint import read_checkpoint
from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.errors import BackboneError
from InteractiveRefineLib.robot import robot_strokes
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import RefineSettings
from Testing.nnunet_training import MODELS, train
from Testing.real_data import data_folder, hippocampus, hippocampus_cases, require_data
from Testing.real_hippocampus import run_cases
from Testing.tests.nnunet_examples import predictor

pytest.importorskip("nnunetv2", exc_type=ImportError)
pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(data_folder() is None, reason="real scans not found; set INTERACTIVE_REFINE_DATA"),
]


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Trained-model folders by the names of MODELS; further folds of the 3-D one have slightly other weights."""
    folders = train(tmp_path_factory.mktemp("nnunet") / "trained", iterations=120)
    model = folders["3d_fullres"]
    weights = read_checkpoint(model / "fold_all" / "checkpoint_final.pth").weights
    generator = torch.Generator().manual_seed(0)
    for number in (0, 1):
        changed = {k: v * (1 + 0.1 * torch.randn(v.shape, generator=generator)) for k, v in weights.items()}
        saved = {"trainer_name": "nnUNetTrainer", "init_args": {"configuration": "3d_fullres"}}
        (model / f"fold_{number}").mkdir()
        torch.save({**saved, "network_weights": changed}, model / f"fold_{number}" / "checkpoint_final.pth")
    return folders


def as_nnunet_says(nnunet, case):
    """What nnU-Net's predictor makes of the file, read by nnU-Net, too; (K, J, I)."""
    path = require_data() / "hippocampus_mr" / "images" / f"{case}.nii.gz"
    image, properties = nnunet.plans_manager.image_reader_writer_class().read_images([str(path)])
    with contextlib.redirect_stdout(None):
        return nnunet.predict_single_npy_array(image, properties)


@pytest.mark.parametrize("name", MODELS)
def test_the_label_map_is_that_of_nnunets_predictor(name, models):
    backbone, nnunet = load_backbone(models[name]), predictor(models[name], ("all",))
    for case in hippocampus_cases()[:3]:
        expected = as_nnunet_says(nnunet, case)
        found = RefineSession(hippocampus(case)[0], backbone).predict()
        assert (found != expected).sum() <= 1e-3 * expected.size
        assert 300 < (expected > 0).sum() < 0.2 * expected.size, "a hippocampus"


def test_several_folds_are_averaged_as_nnunet_averages_them(models):
    backbone = load(models["3d_fullres"], {"folds": [0, 1, "all"]})
    case = hippocampus_cases()[0]
    expected = as_nnunet_says(predictor(models["3d_fullres"], (0, 1, "all")), case)
    session = RefineSession(hippocampus(case)[0], backbone)
    assert (session.predict() != expected).sum() <= 1e-3 * expected.size
    alone = RefineSession(hippocampus(case)[0], load(models["3d_fullres"], {"folds": [0]})).predict()
    assert (alone != expected).any()


def test_what_is_known_without_being_told(models):
    backbone = load_backbone(models["regions"].parent)  # the dataset's folder holds one model
    assert backbone.config.license == "CC BY-SA 4.0"
    assert backbone.details == (
        "checkpoint_final.pth of fold all",
        "Axes as the image stores them, cropped to what is not zero, ZScoreNormalization; no mirroring",
        "Overlapping regions are painted in this order: Hippocampus, then Posterior; a class is what stays visible",
    )
    with pytest.raises(BackboneError, match="several trained models"):
        load_backbone(models["2d"].parent)


@pytest.mark.parametrize("name", MODELS)
def test_three_rounds_of_strokes_are_obeyed_and_improve_the_segmentation(name, models):
    cohort = run_cases(load_backbone(models[name]), hippocampus_cases()[:2], rounds=3)
    assert cohort.violated == 0
    assert (cohort.dice[:, -1] >= cohort.dice[:, 0]).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_averaged_folds_learn_together(layers, models):
    backbone = load(models["3d_fullres"], {"folds": [0, 1]})
    image, truth = hippocampus(hippocampus_cases()[0])
    session = RefineSession(image, backbone, RefineSettings(layers=layers, steps=8 if layers > 1 else None))
    before = session.predict()
    constraints = Constraints(image.geometry)
    strokes = robot_strokes(truth, before)
    constraints.add_strokes(strokes)
    result = session.refine(constraints)
    wanted = np.where(strokes == 255, 0, strokes)
    assert (result.labels == wanted)[strokes > 0].all()
    assert any("The answers of 2 folds are averaged" in warning for warning in result.warnings)
    assert (result.labels == truth).sum() > (before == truth).sum()
