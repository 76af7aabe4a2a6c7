"""Small structures on real MR with a small network: test cases only, five rounds of the robot user."""

from __future__ import annotations

import pytest

from InteractiveRefineLib.backbone import load_backbone
from Testing.real_backbones import make_backbone_folder
from Testing.real_data import data_folder
from Testing.real_hippocampus import Cohort, cases_for, run_cases

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(data_folder() is None, reason="real scans not found; set INTERACTIVE_REFINE_DATA"),
]


def cohort_of(network: str, folder) -> Cohort:
    backbone = load_backbone(make_backbone_folder(f"hippocampus-{network}", folder))
    return run_cases(backbone, cases_for(network, backbone, 10))


@pytest.fixture(scope="module")
def worst(tmp_path_factory) -> Cohort:
    return cohort_of("full", tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def missing(tmp_path_factory) -> Cohort:
    return cohort_of("miss", tmp_path_factory.mktemp("miss"))


def test_the_ten_worst_cases_of_a_good_network_reach_087(worst):
    assert worst.dice[:, -1].mean() >= 0.87


def test_the_mean_rises_in_every_round(worst):
    assert (worst.dice.mean(axis=0)[1:] > worst.dice.mean(axis=0)[:-1]).all()


def test_a_class_that_never_fires_reaches_086(missing):
    assert missing.dice[:, -1].mean() >= 0.86


def test_no_stroke_is_violated(worst, missing):
    assert worst.violated == 0
    assert missing.violated == 0


def test_at_most_ten_voxels_turn_wrong_far_from_every_stroke(worst, missing):
    assert worst.far.mean(axis=0).max() <= 10
    assert missing.far.mean(axis=0).max() <= 10
