"""The benchmark of a graphics card runs through, tried on a pretended one, and tells what the devices disagree in."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from Testing.benchmarks import card  # noqa: E402
from Testing.pretend_cuda import pretend_cuda  # noqa: E402
from Testing.tests.cli_examples import LIVER, scan, truth  # noqa: E402
from Testing.tests.session_examples import a_backbone  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

CUDA = torch.device("cuda:0")


def cells(row):
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_its_rows_are_of_a_refinement_on_both_devices_and_agree_on_a_card_that_computes_like_the_processor(monkeypatch):
    monkeypatch.setattr(card, "ROUNDS", 2)
    with pretend_cuda():
        rows = card.refinement_rows(scan(), truth() == LIVER.label, "liver", a_backbone(patch_size=(20, 24, 16)), CUDA)
    what, cpu, there, ratio, said = zip(*map(cells, rows))
    assert what[:3] == ("network and first labels", "first round", "later round, median")
    assert what[3:] == tuple(f"{name}, only the network on the card" for name in what[:3])
    assert all(float(c) > 0 and float(t) > 0 and float(r) > 0 for c, t, r in zip(cpu, there, ratio))
    assert said == ("probabilities 0.0e+00 apart", *["Dice of classes at least 1.00000"] * 2) * 2


def test_the_walker_is_compared_by_probabilities_and_labels():
    with pretend_cuda():
        (*_, said) = cells(card.walker_row((12, 14, 16), CUDA, repeats=1))
    assert said == "probabilities 0.0e+00 apart, Dice of classes at least 1.00000"


def test_agreement_is_that_of_the_worst_class():
    expected, found = np.array([0, 1, 1, 2, 2, 2]), np.array([0, 1, 0, 2, 2, 2])
    assert card.agreement(expected, found) == "Dice of classes at least 0.66667"
    assert card.agreement(expected * 0, found) == "Dice of classes at least 1.00000"
