"""A network of two channels, FLAIR and T1c: one update corrects two tumor classes from strokes of both."""

from __future__ import annotations

import pytest

from Testing.real_data import data_folder

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(data_folder() is None, reason="real scans not found; set INTERACTIVE_REFINE_DATA"),
]
torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone import load_backbone  # noqa: E402
from InteractiveRefineLib.channels import combine_channels  # noqa: E402
from InteractiveRefineLib.errors import InputError  # noqa: E402
from Testing.small_cases import held_out_cases, training_cases, tumor  # noqa: E402
from Testing.small_stories import HEADER, Story, play  # noqa: E402
from Testing.train_small_nets import make_small_net  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The network, trained on two of the four cases: about forty seconds on one core."""
    return make_small_net("tumor", tmp_path_factory.mktemp("tumor"))


@pytest.fixture(scope="module")
def stories(folder) -> list[Story]:
    """Three rounds on each of the two other cases."""
    backbone = load_backbone(folder)
    stories = [play("tumor", case, backbone) for case in held_out_cases("tumor")]
    print(HEADER, *(story.table() for story in stories), sep="\n")
    return stories


def test_the_four_cases_are_split_in_two():
    cases = {*training_cases("tumor"), *held_out_cases("tumor")}
    assert len(cases) == 4 and len(training_cases("tumor")) == 2


def test_the_first_update_alone_corrects_both_classes_at_once(stories):
    for story in stories:
        assert (story.dice[1] > story.dice[0] + 0.01).all(), story.table()


def test_both_classes_are_better_still_after_three_rounds(stories):
    for story in stories:
        assert (story.dice[-1] > story.dice[1]).all(), story.table()
        assert (story.dice[-1] > story.dice[0] + 0.03).all(), story.table()


def test_no_round_costs_either_class_more_than_two_hundredths(stories):
    for story in stories:
        assert (story.dice >= story.dice[0] - 0.02).all(), story.table()


def test_both_classes_were_stroked_in_the_same_rounds(stories):
    for story in stories:
        assert (story.strokes[:, 1:] > 0).all(), story.strokes


def test_every_stroke_holds(stories):
    assert [story.violated for story in stories] == [0, 0]


def test_a_missing_channel_is_named(folder):
    image, _ = tumor(held_out_cases("tumor")[0])
    flair = type(image)(image.array[0], image.ijk_to_ras, "flair.nii.gz")
    with pytest.raises(InputError, match="Add an image for T1c, in this order"):
        combine_channels([flair], load_backbone(folder).config.channels)


def test_two_trainings_agree_to_the_last_bit(tmp_path):
    networks = [torch.jit.load(str(make_small_net("tumor", tmp_path / n, steps=2) / "model.ts")) for n in "ab"]
    one, two = (network.state_dict() for network in networks)
    assert all(torch.equal(one[name], two[name]) for name in one)
