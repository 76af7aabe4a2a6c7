"""The product's promise on a real CT with a real network: every stroke obeyed, everything else left alone."""

from __future__ import annotations

import numpy as np
import pytest

from Testing.real_ct import Story, run_case
from Testing.real_data import data_folder

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(data_folder() is None, reason="real scans not found; set INTERACTIVE_REFINE_DATA"),
]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("backbones")


@pytest.fixture(scope="module")
def liver(work) -> Story:
    return run_case("liver", "protected", 5, work)


def test_our_loading_orientation_crop_and_resampling_give_the_networks_known_liver_dice(liver):
    assert liver.dice[0] == pytest.approx(0.941, abs=0.005)


def test_five_rounds_lift_the_liver_to_097_and_no_round_falls_below_the_start(liver):
    assert liver.dice[-1] >= 0.970
    assert min(liver.dice) == liver.dice[0]


def test_every_stroke_holds_in_every_round(liver):
    assert [r.violated for r in liver.rounds] == [0] * 6
    assert sum(r.strokes for r in liver.rounds) > 5


def test_what_nobody_complained_about_is_left_alone(liver):
    assert max(r.far_lost_ml for r in liver.rounds) <= 10
    assert max(r.far_false_ml for r in liver.rounds) <= 10
    assert max(r.others_ml for r in liver.rounds) <= 5


def test_locked_organs_do_not_change_by_one_voxel(liver):
    assert [r.locked_voxels for r in liver.rounds] == [0] * 6


def test_a_liver_the_network_never_learned_is_there_after_three_rounds(work):
    story = run_case("missing", "protected", 3, work)
    assert story.dice[0] == 0
    assert story.dice[-1] >= 0.93
    assert all(r.violated == 0 for r in story.rounds)


def test_shifted_intensities_are_handled_and_never_made_worse(work):
    story = run_case("shifted", "protected", 5, work)
    assert story.dice[-1] >= 0.82
    assert min(story.dice) == story.dice[0]
    assert all(r.violated == 0 for r in story.rounds)


def test_a_new_organ_is_added_in_three_rounds_and_the_locked_liver_stays(work):
    story = run_case("kidney", "protected", 3, work)
    assert story.dice[0] == 0
    assert story.dice[-1] >= 0.82
    assert all(r.locked_voxels == 0 and r.violated == 0 for r in story.rounds)


@pytest.mark.parametrize("update", ["cross-entropy", "paper"])
def test_the_rules_without_protection_obey_the_strokes_and_show_their_damage(work, liver, update):
    story = run_case("liver", update, 2, work)
    damage = [r.far_lost_ml + r.far_false_ml + r.others_ml for r in story.rounds]
    ours = [r.far_lost_ml + r.far_false_ml + r.others_ml for r in liver.rounds]
    assert all(r.violated == 0 for r in story.rounds)
    assert max(damage) > 5 * max(ours)


def test_two_runs_agree_to_the_last_bit(work, liver):
    again = run_case("liver", "protected", 1, work)
    np.testing.assert_array_equal(again.dice, liver.dice[:2])
