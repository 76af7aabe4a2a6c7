"""Table 1 of the paper on real scans: several labels at once, a missing label, an unlike scan, a new class."""

import numpy as np
import pytest

pytest.importorskip("torch")

from Testing.evidence.case import Spot  # noqa: E402
from Testing.evidence.cases import read_case  # noqa: E402
from Testing.evidence.methods.ours import METHODS  # noqa: E402
from Testing.evidence.networks import Networks  # noqa: E402
from Testing.evidence.play import play  # noqa: E402
from Testing.evidence.robot_user import RobotUser  # noqa: E402
from Testing.real_data import data_folder  # noqa: E402

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(data_folder() is None, reason="real scans are absent: set INTERACTIVE_REFINE_DATA"),
    pytest.mark.usefixtures("one_thread"),
]
OURS = next(method for method in METHODS if method.name == "ours")


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return Networks(tmp_path_factory.mktemp("networks"))


def played(networks, situation, name, rounds=2):
    """Dice (1 + rounds, classes) of a hippocampus crop of the tuning half; no stroke may be left disobeyed."""
    case = read_case(Spot("hippocampus", situation, name, "tune"), networks)
    result, _ = play(case, OURS, RobotUser(), rounds)
    assert [r.disobeyed for r in result] == [0] * (rounds + 1)
    return np.array([list(r.dice.values()) for r in result])


def test_several_labels_are_corrected_by_one_update(networks):
    start, first = played(networks, "own errors", "hippocampus_359", rounds=1)
    assert (first > start + 0.02).all()


def test_a_missing_label_is_inserted_and_the_other_stays(networks):
    dice = played(networks, "missing label", "hippocampus_034")
    assert dice[0, 1] == 0
    assert dice[2, 1] > 0.8
    assert dice[2, 0] > dice[0, 0] - 0.02


def test_a_scan_unlike_the_training_is_corrected_even_where_the_network_finds_nothing_right(networks):
    dice = played(networks, "degraded", "hippocampus_040 inversion").mean(axis=1)
    assert dice[0] < 0.01
    assert dice[2] > 0.7


def test_a_scan_a_little_unlike_the_training_stays_with_its_network(networks):
    dice = played(networks, "degraded", "hippocampus_051 bias field").mean(axis=1)
    assert dice[0] < 0.75
    assert dice[2] > 0.83


def test_structures_that_no_network_knows_are_segmented(networks):
    dice = played(networks, "from scratch", "hippocampus_045").mean(axis=1)
    assert dice[0] == 0
    assert dice[2] > 0.68
