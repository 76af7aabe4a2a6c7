"""How far a class follows the tuned network: by the untuned network's doubt, or as the user says."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.decoding.reach import (  # noqa: E402
    GUESSED_STRETCH,
    MISSING_STRETCH,
    NO_TRUST,
    VOXEL_DOUBT,
    Doubt,
    Reach,
    decide_reach,
    decide_reaches,
    joint_trust,
    largest_and_lead,
    may_follow_far,
)

SHAPE = (4, 10, 10)


def logits(leads, shape=SHAPE):
    """Logits whose winner in each third of the last axis is class 0, 1, 2 with the given lead (None: absent)."""
    out = torch.zeros(len(leads), *shape)
    edges = np.linspace(0, shape[2], len(leads) + 1).astype(int)
    for c, (lead, a, b) in enumerate(zip(leads, edges, edges[1:])):
        if lead is None:
            out[c] = -30.0
            out[0, ..., a:b] = leads[0]
        else:
            out[c, ..., a:b] = lead
    return out


def doubt_of(initial):
    return Doubt(initial, initial.argmax(dim=0).numpy())


def test_a_class_is_in_doubt_as_far_as_it_leads_less_than_background():
    doubt = doubt_of(logits([10.0, 10.0, 2.0]))
    assert doubt.of_class == pytest.approx([0.0, 0.0, 0.64])


def test_an_absent_class_is_in_full_doubt():
    assert doubt_of(logits([10.0, 8.0, None])).of_class[2] == 1.0


def test_a_class_that_leads_by_more_than_background_is_not_in_doubt():
    assert doubt_of(logits([5.0, 50.0, 5.0])).of_class == pytest.approx([0, 0, 0])


def test_doubt_does_not_depend_on_the_scale_of_the_logits():
    one, many = doubt_of(logits([10.0, 4.0, 2.0])), doubt_of(1000 * logits([10.0, 4.0, 2.0]))
    assert one.of_class == pytest.approx(many.of_class)
    np.testing.assert_allclose(one.of_voxels(1), many.of_voxels(1), rtol=1e-5)


def test_a_network_without_background_anywhere_is_judged_by_its_surest_class():
    doubt = doubt_of(torch.stack([torch.full(SHAPE, -9.0), torch.full(SHAPE, 4.0), torch.zeros(SHAPE)]))
    assert np.isfinite(doubt.of_class).all()
    assert doubt.of_class == pytest.approx([1.0, 0.0, 1.0])


def test_logits_that_are_all_equal_are_harmless():
    doubt = doubt_of(torch.zeros(3, *SHAPE))
    assert np.isfinite(doubt.of_class).all()
    assert np.isfinite(doubt.of_voxels(2)).all()


def test_a_voxel_is_in_doubt_where_the_class_nearly_won():
    doubt = doubt_of(logits([10.0, 10.0, 10.0]))
    of_one = doubt.of_voxels(1)
    assert of_one.dtype == np.float32
    assert of_one[0, 0, 4] == pytest.approx(1.0)  # it won
    assert of_one[0, 0, 0] == pytest.approx(np.exp(-0.5 * (1 / VOXEL_DOUBT) ** 2), abs=1e-6)  # it lost by the reference


@pytest.mark.parametrize("classes_last", [False, True])
def test_the_largest_logit_and_its_lead_are_exact_in_whatever_pieces(classes_last, monkeypatch):
    field = torch.randn(5, 3, 7, 4, generator=torch.Generator().manual_seed(0))
    field[2, 0] = field[3, 0] = 9.0  # equal: no lead
    two = field.topk(2, dim=0).values
    if classes_last:
        field = field.movedim(0, -1).contiguous().movedim(-1, 0)
    for size in (1, 50, 1 << 17):
        monkeypatch.setattr("InteractiveRefineLib.decoding.reach._PIECE", size)
        largest, lead = largest_and_lead(field)
        assert torch.equal(largest, two[0]) and torch.equal(lead, two[0] - two[1])


def test_trust_is_kept_for_the_last_few_classes_and_is_what_it_was():
    field = torch.randn(7, *SHAPE, generator=torch.Generator().manual_seed(1))
    doubt, asked = doubt_of(field), []
    doubt.of_class = [0.6] * 7
    of_voxels = doubt.of_voxels
    doubt.of_voxels = lambda label: asked.append(label) or of_voxels(label)
    first = doubt.trust(1)
    weight = np.float32(doubt.of_class[1]) * of_voxels(1)
    assert first[0].tolist() == np.flatnonzero(weight > NO_TRUST).tolist() and len(first[0])
    assert np.array_equal(first[1], weight[weight > NO_TRUST])
    assert np.array_equal(doubt.may_be_trusted(1), weight > NO_TRUST)
    assert doubt.trust(1) is first and asked == [1]
    for label in (2, 3, 4, 5, 1):
        doubt.trust(label)
    assert asked == [1, 2, 3, 4, 5, 1]  # four are kept


def test_strokes_of_a_missing_class_act_farther_and_not_this_class_strokes_less_far():
    doubt = doubt_of(logits([10.0, 8.0, None]))
    stretch = doubt.stretch(np.array([0, 1, 2, 2, 5]), np.array([False, False, False, True, False]))
    assert stretch == pytest.approx([1.0, 1.0, 1 + MISSING_STRETCH, GUESSED_STRETCH, 1.0])


def test_a_class_in_half_doubt_is_not_stretched():
    assert doubt_of(logits([10.0, 8.0, 2.0])).stretch(np.array([2]), np.array([False])) == pytest.approx([1.0])


def test_no_strokes_no_stretch():
    assert doubt_of(logits([10.0, 8.0])).stretch(np.empty(0, int), np.empty(0, bool)).shape == (0,)


def two_parts():
    """Tuned labels with class 1 in two separate parts; strokes lie in the first."""
    tuned = np.zeros(SHAPE, dtype=np.int64)
    tuned[:, 1:4, 1:4] = 1
    tuned[:, 6:9, 6:9] = 1
    return tuned, np.array([[1, 2, 2], [1, 2, 3]])


def test_local_trusts_nothing_afar():
    tuned, strokes = two_parts()
    reach = decide_reach(tuned, 1, strokes, "local", doubt_of(logits([10.0, None])))
    assert not reach.trust.any()
    assert reach.name == "local"


def test_whole_trusts_the_structure_that_holds_the_strokes_and_no_other():
    tuned, strokes = two_parts()
    reach = decide_reach(tuned, 1, strokes, "whole", doubt_of(logits([10.0, 10.0])))
    expected = np.zeros(SHAPE)
    expected[:, 1:4, 1:4] = 1
    assert np.array_equal(reach.trust, expected)
    assert reach.trust.dtype == np.float32
    assert reach.name == "whole"


def test_whole_with_strokes_that_the_tuned_network_ignores_trusts_nothing():
    tuned, _ = two_parts()
    reach = decide_reach(tuned, 1, np.array([[0, 0, 0]]), "whole", doubt_of(logits([10.0, 10.0])))
    assert not reach.trust.any()


def test_automatic_goes_as_far_as_the_doubt():
    tuned, strokes = two_parts()
    sure = decide_reach(tuned, 1, strokes, "automatic", doubt_of(logits([10.0, 10.0])))
    assert sure.trust.max() == 0
    assert sure.name == "local"
    missing = torch.zeros(2, *SHAPE)
    missing[0] = 5.0
    missing[1] = -5.0
    missing[1][:, :5, :5] = 4.9  # nearly won there, yet is nowhere
    doubt = doubt_of(missing)
    dark = decide_reach(tuned, 1, strokes, "automatic", doubt)
    assert dark.name == "local" or dark.trust.max() > 0
    assert np.array_equal(dark.trust > 0, (tuned == 1) & (np.arange(10) < 5)[:, None] & (np.arange(10) < 5))


def test_an_untaught_network_is_trusted_less_far_away_unless_the_user_says_otherwise():
    tuned, strokes = two_parts()
    missing = torch.zeros(2, *SHAPE)
    missing[0], missing[1] = 5.0, -5.0
    missing[1][:, :5, :5] = 4.9  # nearly won there, yet is nowhere
    doubt = doubt_of(missing)
    usual = decide_reach(tuned, 1, strokes, "automatic", doubt).trust
    assert usual.max() > 0.5
    for belief in (0.0, 0.25):
        found = decide_reach(tuned, 1, strokes, "automatic", doubt, belief).trust
        np.testing.assert_allclose(found, belief * usual)
        several = decide_reaches(tuned, 0 * tuned, np.array([1, 1]), strokes, "automatic", doubt, belief)
        assert np.array_equal(several[0].trust, found)
        assert decide_reach(tuned, 1, strokes, "whole", doubt, belief).trust.max() == 1
    assert not may_follow_far(1, "automatic", doubt, 0.0)
    assert may_follow_far(1, "automatic", doubt, 0.1) and may_follow_far(1, "whole", doubt, 0.0)


def test_the_word_for_a_reach_goes_by_the_middle_of_its_region():
    trust = np.zeros(SHAPE, np.float32)
    trust[0, 0, :3] = 0.9
    assert Reach(1, trust).name == "whole"
    trust[0, 1, :5] = 0.2
    assert Reach(1, trust).name == "local"


def test_a_class_is_known_unless_it_is_almost_missing_or_has_no_logits():
    doubt = doubt_of(logits([10.0, 8.0, None]))
    assert [doubt.knows(label) for label in range(5)] == [True, True, False, False, False]
    almost = doubt_of(logits([10.0, 1.2, 0.9]))  # doubts 0.774 and 0.828: shifted intensities, and hardly there
    assert [doubt_ > 0.8 for doubt_ in almost.of_class] == [False, False, True]
    assert [almost.knows(label) for label in range(3)] == [True, True, False]


def test_the_trust_of_several_classes_is_the_largest():
    one, other = np.zeros((2, 1, 2, 2), np.float32)
    one[0, 0], other[0] = [0.5, 0.25], [0.125, 0.75]
    assert joint_trust([Reach(1, one), Reach(2, other)]).tolist() == [[[0.5, 0.75], [0.125, 0.75]]]


def test_too_little_trust_is_none():
    assert joint_trust([]) is None
    assert joint_trust([Reach(1, np.zeros((1, 2, 2), np.float32)), Reach(2, np.zeros((1, 2, 2)))]) is None
    assert joint_trust([Reach(1, np.full((1, 2, 2), 0.011, np.float32))]) is not None


def test_far_away_no_class_takes_what_another_stroked_class_has():
    doubt = doubt_of(logits([10.0, 1.0, 1.0]))  # in doubt about both organs
    present = logits([10.0, 1.0, 1.0]).argmax(dim=0).numpy()
    tuned = np.where(present == 2, 1, present)  # the tuned network gives the second organ to the first
    strokes = np.array([[1, 5, 4], [1, 5, 8]])
    both = decide_reaches(tuned, present, np.array([1, 2]), strokes, "automatic", doubt)
    assert (both[0].trust[present == 1] > 0).all() and not both[0].trust[present == 2].any()
    alone = decide_reaches(tuned, present, np.array([1, 1]), strokes, "automatic", doubt)
    assert alone[0].trust[present == 2].any()  # nobody said that the second one is there
    whole = decide_reaches(tuned, present, np.array([1, 2]), strokes, "whole", doubt)
    assert (whole[0].trust[present == 2] == 1).all()  # the user's own choice
