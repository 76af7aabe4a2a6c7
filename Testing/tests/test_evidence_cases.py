"""The cases of the evidence: coarser grids stay where they were, degradations repeat, and no case is on both sides."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict

import numpy as np
import pytest

pytest.importorskip("torch")

from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.evidence.cases import CROPS, REPORT, TUNE, read_case, spots  # noqa: E402
from Testing.evidence.coarser import coarser_labels, coarser_volume  # noqa: E402
from Testing.evidence.degrade import DEGRADATIONS, degraded  # noqa: E402
from Testing.evidence.networks import Networks  # noqa: E402
from Testing.evidence.robot_user import RobotUser  # noqa: E402
from Testing.real_data import data_folder, hippocampus_cases, require_data  # noqa: E402
from Testing.small_cases import training_cases  # noqa: E402

needs_data = pytest.mark.skipif(data_folder() is None, reason="real scans not found; set INTERACTIVE_REFINE_DATA")


def test_a_coarse_voxel_is_the_mean_of_its_block():
    array = np.arange(2 * 3 * 8, dtype=np.int16).reshape(2, 3, 8)
    coarse = coarser_volume(Volume(array, np.eye(4), "scan"), (1, 2, 4))
    assert coarse.array.tolist() == [[[5.5, 9.5]], [[29.5, 33.5]]]  # the third row is left over
    assert coarse.array.dtype == np.float32


def test_a_coarse_voxel_lies_in_the_middle_of_its_block():
    turned = np.array([[0.0, -2.0, 0.0, 10.0], [0.5, 0.0, 0.0, -20.0], [0.0, 0.0, 4.0, 30.0], [0.0, 0.0, 0.0, 1.0]])
    scan = Volume(np.zeros((4, 6, 8), dtype=np.float32), turned, "scan")
    coarse = coarser_volume(scan, (1, 2, 4))
    assert coarse.geometry.shape == (4, 3, 2) and coarse.geometry.spacing_kji == (4.0, 4.0, 2.0)
    for kji in ((0, 0, 0), (3, 2, 1), (1, 0, 1)):
        block = np.array([(kji[0], kji[1] * 2 + j, kji[2] * 4 + i) for j in range(2) for i in range(4)])
        middle = scan.geometry.to_ras(block).mean(axis=0)
        assert np.allclose(coarse.geometry.to_ras(np.array([kji]))[0], middle)


def test_every_channel_gets_coarser():
    array = np.stack([np.zeros((2, 2, 2)), np.full((2, 2, 2), 8.0)]).astype(np.float32)
    coarse = coarser_volume(Volume(array, np.eye(4), "scan"), (2, 2, 2))
    assert coarse.array.tolist() == [[[[0.0]]], [[[8.0]]]]


def test_a_coarse_label_is_the_most_frequent_one_and_of_equals_the_smaller():
    labels = np.array([[[7, 7, 0, 7, 5, 7, 0, 5], [7, 0, 0, 7, 5, 5, 5, 0]]])
    assert coarser_labels(labels, (1, 2, 2)).tolist() == [[[7, 0, 5, 0]]]
    assert coarser_labels(labels, (1, 2, 8)).tolist() == [[[7]]]
    bits = coarser_labels(labels > 0, (1, 2, 2))
    assert bits.tolist() == [[[1, 0, 1, 0]]] and bits.dtype == np.uint16


def test_labels_and_scan_are_cut_off_alike():
    array = np.arange(5 * 7 * 9, dtype=np.float32).reshape(5, 7, 9)
    scan = Volume(array, np.eye(4), "scan")
    assert coarser_volume(scan, (2, 3, 4)).geometry.shape == coarser_labels(array > 9, (2, 3, 4)).shape == (2, 2, 2)


def ramp():
    """A scan of 0..1 along I."""
    return Volume(np.broadcast_to(np.linspace(0, 1, 41), (9, 7, 41)).astype(np.float32).copy(), np.eye(4), "ramp")


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_a_degradation_is_the_same_every_time_changes_the_scan_and_moves_nothing(kind):
    noise = np.random.default_rng(1).normal(50, 9, (9, 7, 41)).astype(np.float32)
    scan = Volume(noise, np.diag([1, 2, 3, 1.0]), "scan")
    before = scan.array.copy()
    first, second = degraded(scan, kind), degraded(scan, kind)
    assert np.array_equal(first.array, second.array) and np.array_equal(scan.array, before)
    assert first.array.dtype == np.float32 and np.isfinite(first.array).all()
    assert np.array_equal(first.ijk_to_ras, scan.ijk_to_ras) and first.array.shape == scan.array.shape
    low, high = np.percentile(scan.array, [0.5, 99.5])
    assert np.abs(first.array - np.clip((scan.array - low) / (high - low), 0, 1)).mean() > 0.02
    assert len({degraded(scan, other).array.tobytes() for other in DEGRADATIONS}) == len(DEGRADATIONS)


def test_degradations_do_what_their_names_say():
    middle = (4, 3, slice(5, 36, 10))
    values = np.array([0.125, 0.375, 0.625, 0.875])
    assert np.allclose(degraded(ramp(), "inversion").array[middle], 1 - values, atol=0.01)
    assert np.allclose(degraded(ramp(), "gamma").array[middle], values**2.5, atol=0.01)
    steps = Volume(np.repeat(np.arange(9.0), 41 * 7).reshape(9, 7, 41).astype(np.float32), np.eye(4), "steps")
    low = degraded(steps, "low resolution").array[:, 0, 0] * 8
    assert np.allclose(low, [1, 1, 1, 4, 4, 4, 7, 7, 7], atol=0.05)
    rough = degraded(ramp(), "blur and noise").array - ramp().array
    assert 0.06 < rough[:, :, 5:-5].std() < 0.1


def test_the_bias_field_is_three_times_as_bright_at_the_end_of_every_axis():
    flat = np.full((9, 7, 41), 1.0, dtype=np.float32)
    flat[0, 0, 0], flat[-1, -1, -1] = 0, 2  # so that the percentiles differ
    field = DEGRADATIONS["bias field"](flat)
    for axis in range(3):
        line = np.moveaxis(field, axis, 0)[:, 3, 3]
        assert line[-1] / line[0] == pytest.approx(np.exp(2 * 0.55 * 1.7 / 3**0.5)) == pytest.approx(3, abs=0.1)


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Networks:
    """Networks without the minutes of training: the small ones learn for two steps, the worst crops are any crops."""
    from Testing.train_small_nets import make_small_net

    folder = tmp_path_factory.mktemp("networks")
    for half, crops in ((TUNE, hippocampus_cases()[::2]), (REPORT, hippocampus_cases()[1::2])):
        (folder / f"worst-{half}-{CROPS}.json").write_text(json.dumps(crops[-CROPS:]), encoding="utf-8")
    for name in ("tumor", "nuclei", "abdomen-mr"):
        make_small_net(name, folder / name, steps=2)
        (folder / name / "done").touch()
    yield Networks(folder)
    shutil.rmtree(folder)


def patient(spot):
    """The patient or picture that a case shows, whatever was done to it."""
    return spot.name.partition(" ")[0]


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_no_case_is_tuned_on_and_reported(networks):
    found = spots(networks)
    assert len({spot.key for spot in found}) == len(found) > 100
    halves = defaultdict(set)
    for spot in found:
        halves[spot.dataset, spot.situation, patient(spot)].add(spot.half)
    assert {len(half) for half in halves.values()} == {1}
    assert {spot.half for spot in found} == {TUNE, REPORT}
    # Over all situations of a data set as well; but where nothing is known of the brain's tumor no network is used.
    halves = defaultdict(set)
    for spot in found:
        apart = spot.situation if spot.dataset == "brain tumor" else ""
        halves[spot.dataset, apart, patient(spot)].add(spot.half)
    assert {len(half) for half in halves.values()} == {1}


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_no_network_was_trained_on_a_case_that_it_is_asked_about(networks):
    split = json.loads((require_data() / "net_hippocampus" / "split.json").read_text(encoding="utf-8"))
    trained = {
        "hippocampus": set(split["train"]),
        "abdomen MR": set(training_cases("abdomen-mr")),
        "brain tumor": {name.split("pat")[1].split("_")[0] for name in training_cases("tumor")},
        "nuclei": set(training_cases("nuclei")),
        "abdomen CT": set(),  # other people's patients
    }
    assert trained["brain tumor"] == {"0004", "0006"}
    for spot in spots(networks):
        if spot.situation != "from scratch":
            assert patient(spot) not in trained[spot.dataset], spot.key


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_one_case_of_every_kind_can_be_read_and_corrected(networks):
    kinds = {}
    for spot in spots(networks):
        kinds.setdefault((spot.dataset, spot.situation), spot)
    assert len(kinds) == 15
    for spot in kinds.values():
        case = read_case(spot, networks)
        assert case.truth.shape == case.start.shape == case.image.geometry.shape, spot.key
        assert case.truth.dtype == case.start.dtype == np.uint16, spot.key
        assert set(case.scored) <= set(np.unique(case.truth).tolist()), spot.key
        assert max(*case.scored, int(case.truth.max()), int(case.start.max())) <= len(case.names), spot.key
        assert (case.backbone is None) == (spot.situation == "from scratch"), spot.key
        assert np.isfinite(case.image.array).all() and np.ptp(case.image.array) > 0, spot.key
        if case.backbone is None:
            assert not case.start.any() and case.added == case.names, spot.key
        elif spot.dataset == "abdomen CT":
            # Only the organ's truth is known: elsewhere the start is the truth, and false parts are background.
            elsewhere = ~np.isin(case.start, case.scored) & ~np.isin(case.truth, case.scored)
            assert np.array_equal(case.truth[elsewhere], case.start[elsewhere]), spot.key
            false = np.isin(case.start, case.scored) & ~np.isin(case.truth, case.scored)
            assert not case.truth[false].any(), spot.key
        if spot.dataset != "nuclei":
            # A stroke is some centimeters long, at most twice as long on one data set as on the other.
            millimeters = case.stroke_length * min(case.spacing[1:])
            assert (15 if spot.dataset == "hippocampus" else 28) <= millimeters <= 55, spot.key
        asked = RobotUser().draw(case, case.start, 1)
        said = asked.map >= 0
        assert said.any() and np.array_equal(asked.map[said], case.truth[said]), spot.key
