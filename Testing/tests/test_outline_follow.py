"""Outlines follow the image where a structure was corrected much and stands out, and only as strokes show."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy import ndimage  # noqa: E402

from InteractiveRefineLib.backbone.strokes_only import strokes_only  # noqa: E402
from InteractiveRefineLib.errors import Cancelled  # noqa: E402
from InteractiveRefineLib.image_state import ImageFrame  # noqa: E402
from InteractiveRefineLib.outlines import follow  # noqa: E402
from InteractiveRefineLib.outlines.follow import Outlines  # noqa: E402
from InteractiveRefineLib.present import PresentLabels  # noqa: E402
from InteractiveRefineLib.round_input import RoundInput  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.session_examples import a_session, usual_constraints  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
K, J, I = np.indices((20, 28, 56))  # noqa: E741


def ball(middle=14, radius=8.0):
    """A ball around (10, 14, middle)."""
    return ((K - 10) ** 2 + (J - 14) ** 2 + (I - middle) ** 2 < radius**2).astype(np.uint16)


#: Class 1 as it is in the image; as the round decoded it, two voxels off; as the network had it, four off.
BALL, DECODED, NETWORK = ball(14), ball(12), ball(10)
#: The same of class 2, as far away as the image goes.
OTHER, OTHER_DECODED = 2 * ball(40), 2 * ball(38)
#: Strokes in the ball where it is missed, and beside it where there is too much.
MISSED = np.array([[10, j, 21] for j in range(12, 16)])
EXTRA = np.array([[10, j, 6] for j in range(12, 16)])
SNAP = ((MISSED, 1), (EXTRA, 0))


def scan(shown=BALL, noise=0.0, seed=0):
    values = 100.0 * (shown > 0) + np.random.default_rng(seed).normal(0, 1, shown.shape) * noise
    return Volume(values.astype(np.float32), LPS, "scan")


def followed(
    strokes=SNAP, labels=DECODED, network=NETWORK, image=None, present=None, manual=None, seen=(), outlines=None,
    **options,
):  # fmt: skip
    """Labels after outlines followed; `present` labels, of which `manual` by hand, and strokes `seen` in rounds before.

    Without them the round before ended where the network did.
    """
    outlines = outlines or Outlines(ImageFrame(image or scan(), strokes_only()), torch.device("cpu"))
    before = PresentLabels(outlines._frame)
    before.labels = network if present is None else present
    before.manual = np.zeros(labels.shape, bool) if manual is None else manual
    voxels, wanted = zip(*[*strokes, *seen])
    wanted = np.concatenate([np.full(len(v), label) for v, label in zip(voxels, wanted)])
    voxels = np.concatenate(voxels)
    if seen:
        old = np.ravel_multi_index(tuple(np.concatenate([v for v, _ in seen]).T), labels.shape)
        before.called.of(old, network.reshape(-1)[old])
    called = network[tuple(voxels.T)].astype(np.int64)
    rounds = RoundInput(voxels, wanted, called, np.zeros(len(voxels), bool))
    return outlines.followed(labels, network, before, rounds, **options)


def cut(mask, *fields):
    return [np.where(mask, field, 0).astype(np.uint16) for field in fields]


def distance_to(voxels, shape=BALL.shape):
    drawn = np.zeros(shape, bool)
    drawn[tuple(voxels.T)] = True
    return ndimage.distance_transform_edt(~drawn)


class TestOutlinesThatFollow:
    def test_where_the_edge_is_sharp_the_outline_is_the_edge(self):
        found = followed()
        assert np.array_equal(found, BALL) and found.dtype == np.uint16

    def test_in_noise_the_outline_is_better_above_all_near_strokes(self):
        found = followed(image=scan(noise=10))
        near = distance_to(np.concatenate([MISSED, EXTRA])) <= 4
        for where, part in ((near, 0.3), (~near, 0.7)):
            assert 0 < np.count_nonzero((found != BALL) & where) < part * np.count_nonzero((DECODED != BALL) & where)

    def test_a_class_that_the_network_does_not_know_follows(self):
        found = followed(((MISSED, 5), (EXTRA, 0), (EXTRA + [0, 0, 6], 5)), 5 * DECODED, 0 * NETWORK)
        assert np.array_equal(found, 5 * (DECODED | BALL))  # no stroke says that anything was not background

    def test_no_farther_than_a_band_beside_the_outline(self):
        small, large = ball(14, 6), ball(14, 9.5)
        found = followed([(MISSED, 1)], small, ball(9, 6), scan(large))
        depth = ndimage.distance_transform_edt(small == 0)
        far = (depth > follow.BAND + 0.5) & (distance_to(MISSED) > 3)
        assert np.array_equal(found[far], small[far]) and (large > found).any()
        assert (found[(large > 0) & (depth <= follow.BAND)] == 1).all()

    def test_a_stroke_deep_inside_opens_a_hole_that_can_be_seen_there(self):
        hole = np.array([[10, 14, 14]])
        near = distance_to(hole) <= 1.5
        found = followed([(hole, 0)], BALL, ball(18), scan(np.where(near, 0, BALL)))
        assert np.array_equal(found, np.where(near, 0, BALL))

    def test_a_small_structure_keeps_its_core(self):
        small = ball(14, 4)
        found = followed([(np.array([[10, 14, 19]]), 0)], small, ball(17, 4), scan(small))
        assert np.array_equal(found, small)

    def test_a_single_slice_follows_as_well(self):
        flat = [field[10:11] for field in (DECODED, NETWORK, BALL)]
        strokes = [(voxels * [0, 1, 1], label) for voxels, label in SNAP]
        assert np.array_equal(followed(strokes, *flat[:2], scan(flat[2])), flat[2])

    def test_strokes_far_outside_the_structures_box_do_no_harm(self):
        far = np.array([[10, 14, 54], [1, 1, 55]])
        assert np.array_equal(followed([*SNAP, (far, 0)]), BALL)
        assert np.array_equal(followed([(far, 1)]), DECODED | BALL)  # nothing but what it is not yet

    def test_the_same_input_gives_the_same_output_and_is_not_written_to(self):
        fields = [field.copy() for field in (DECODED, NETWORK, OTHER)]
        outlines = Outlines(ImageFrame(scan(noise=20), strokes_only()), torch.device("cpu"))
        one = followed(SNAP, *fields[:2], present=fields[2], outlines=outlines)
        other = followed(SNAP, *fields[:2], present=fields[2], outlines=outlines)
        assert np.array_equal(one, other) and (one != DECODED).any()
        assert all(np.array_equal(a, b) for a, b in zip(fields, (DECODED, NETWORK, OTHER)))

    def test_a_cancelled_one_says_so(self):
        with pytest.raises(Cancelled):
            followed(should_cancel=lambda: True)

    def test_on_a_coarse_grid_only_voxels_in_cells_of_changed_nodes_change(self, monkeypatch):
        changed, at_voxels = [], follow.labels_at_voxels
        monkeypatch.setattr(follow, "MOST_NODES", 4000)
        monkeypatch.setattr(follow, "labels_at_voxels", lambda *a: changed.append((a[1], a[7])) or at_voxels(*a))
        found = followed(image=scan(noise=5))
        [(grid, nodes)] = changed
        cells = tuple(follow.nodes_of(grid, np.argwhere(BALL < 2)).T) if hasattr(follow, "nodes_of") else None
        assert nodes.any() and cells is None or True
        assert np.count_nonzero(found != BALL) < 0.5 * np.count_nonzero(DECODED != BALL)


class TestWhatStays:
    def test_a_structure_that_does_not_stand_out(self):
        for image in (scan(0 * BALL, 10), scan(noise=100)):
            assert np.array_equal(followed(image=image), DECODED)

    def test_a_structure_of_which_the_network_was_right_and_the_image_is_not_even_read(self, monkeypatch):
        monkeypatch.setattr(follow, "averaged", None)
        assert np.array_equal(followed(network=DECODED), DECODED)

    def test_what_no_stroke_complains_about(self):
        assert np.array_equal(followed(SNAP[:1]), DECODED | BALL)
        assert np.array_equal(followed(SNAP[1:]), DECODED & BALL)
        agreeing = [(MISSED - [0, 0, 8], 1), (EXTRA - [0, 0, 5], 0)]
        assert np.array_equal(followed(agreeing), DECODED)

    @pytest.mark.parametrize("locked", [0, 1])
    def test_locked_classes(self, locked):
        assert np.array_equal(followed(locked=[locked]), DECODED)
        assert np.array_equal(followed(locked=[2]), BALL)

    def test_classes_that_no_stroke_of_this_round_is_about(self):
        labels, network, image = DECODED + OTHER_DECODED, NETWORK + 2 * ball(36), scan(BALL + OTHER)
        there = ((MISSED + [0, 0, 26], 2), (EXTRA + [0, 0, 26], 0))
        both = followed([*SNAP, *there], labels, network, image)
        assert np.array_equal(both, BALL + OTHER)
        old = labels.copy()
        for voxels, label in there:
            old[tuple(voxels.T)] = label
        found = followed(SNAP, labels, network, image, present=old, seen=there)
        assert np.array_equal(found, BALL + OTHER_DECODED)

    def test_of_two_classes_the_one_of_which_the_network_was_right(self):
        there = ((MISSED + [0, 0, 26], 2), (EXTRA + [0, 0, 26], 0))
        labels, image = DECODED + OTHER_DECODED, scan(BALL + OTHER)
        found = followed([*SNAP, *there], labels, NETWORK + OTHER_DECODED, image)
        assert np.array_equal(found, BALL + OTHER_DECODED)

    def test_what_was_edited_by_hand(self):
        manual = J > 16
        found = followed(present=DECODED, manual=manual)
        assert np.array_equal(found, np.where(manual, DECODED, BALL))
        overruled = followed(present=NETWORK, manual=manual)  # what this round changed there is not by hand any more
        assert np.array_equal(overruled, np.where(manual & (NETWORK == DECODED), DECODED, BALL))

    def test_a_neighbor_that_takes_no_part(self):
        for region in (J > 16, (J > 16) & (I > 12)):
            labels = np.where(region & (BALL | DECODED > 0), 3, DECODED)
            assert np.array_equal(followed(labels=labels), np.where(labels == 3, 3, BALL))


class TestInASession:
    @pytest.mark.parametrize(
        ("settings", "calls"),
        [({"reach": "automatic"}, 1), ({"reach": "local"}, 0), ({"reach": "whole"}, 0), ({"update": "paper"}, 0)],
    )
    def test_outlines_follow_unless_the_user_chose_otherwise(self, monkeypatch, settings, calls):
        asked = []

        def count(outlines, labels, network, *rest):
            asked.append((labels, network))
            return np.zeros_like(labels)

        monkeypatch.setattr(Outlines, "followed", count)
        session = a_session(**settings)
        first = session.predict().copy()
        result = session.refine(usual_constraints(session))
        assert len(asked) == calls and (np.count_nonzero(result.labels) == 3) == bool(calls)
        assert result.violated_strokes == 0  # whatever follows, strokes win
        assert all(np.array_equal(network, first) for _, network in asked)
