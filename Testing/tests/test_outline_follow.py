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
from InteractiveRefineLib.outlines.sides import BAND  # noqa: E402
from InteractiveRefineLib.present import PresentLabels  # noqa: E402
from InteractiveRefineLib.round_input import RoundInput  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.session_examples import a_session, usual_constraints  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
K, J, I = np.indices((20, 28, 56))  # noqa: E741


def ball(middle=14, radius=8.0):
    """A ball around (10, 14, middle)."""
    return ((K - 10) ** 2 + (J - 14) ** 2 + (I - middle) ** 2 < radius**2).astype(np.uint16)


#: Class 1 as it is in the image; as the round decoded it, two voxels off; as the network had it, four off.
BALL, DECODED, NETWORK = ball(14), ball(12), ball(10)
#: The same of class 2, and strokes.
OTHER, OTHER_DECODED, OTHER_NETWORK = 2 * ball(33), 2 * ball(31), 2 * ball(29)
#: Strokes in the ball where it is missed, and beside it where there is too much.
MISSED, EXTRA = (np.array([[10, j, i] for j in range(12, 16)]) for i in (21, 6))
SNAP = ((MISSED, 1), (EXTRA, 0))
OTHER_SNAP = ((MISSED + [0, 0, 19], 2), (EXTRA + [0, 0, 19], 0))


def scan(shown=BALL, noise=0.0, seed=0):
    values = 100.0 * (shown > 0) + np.random.default_rng(seed).normal(0, 1, shown.shape) * noise
    return Volume(values.astype(np.float32), LPS, "scan")


def followed(
    strokes=SNAP, labels=DECODED, network=NETWORK, image=None, present=None, manual=None, seen=(), outlines=None,
    **options,
):  # fmt: skip
    """Labels after outlines followed; `present` ones, by default the network's, and strokes `seen` in rounds before."""
    outlines = outlines or Outlines(ImageFrame(image or scan(), strokes_only()), CPU)
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
        small, large = ball(14, 5), ball(14, 9)
        found = followed([(MISSED, 1)], small, ball(9, 5), scan(large))
        far = (ndimage.distance_transform_edt(small == 0) > BAND + 0.5) & (distance_to(MISSED) > 3)
        assert np.array_equal(found[far], small[far]) and large[far].any()
        assert (found > small).any() and not (found > large)[distance_to(MISSED) > 0].any()

    def test_far_from_strokes_outlines_hold_better(self):
        near, far = (followed([(voxels, 1)])[:, :, :24] for voxels in (MISSED, MISSED + [0, 0, 30]))
        assert ((far >= DECODED[:, :, :24]) & (far <= near)).all()
        assert 0 < np.count_nonzero(far > DECODED[:, :, :24]) < 0.8 * np.count_nonzero(near > DECODED[:, :, :24])
        assert np.array_equal(followed([*SNAP, (np.array([[1, 1, 55]]), 0)]), BALL)

    def test_the_channel_that_tells_the_strokes_apart_decides(self):
        channels = np.stack([BALL, (K + J + I) % 2]).astype(np.float32)
        for order in ([0, 1], [1, 0]):
            frame = ImageFrame(Volume(channels[order], LPS, "two"), strokes_only(("a", "b")))
            assert np.array_equal(followed(outlines=Outlines(frame, CPU)), BALL)

    def test_a_stroke_deep_inside_opens_a_hole_that_can_be_seen_there(self):
        hole = np.array([[10, 14, 14]])
        expected = np.where(distance_to(hole) <= 1.5, 0, BALL)
        assert np.array_equal(followed([(hole, 0)], BALL, ball(18), scan(expected)), expected)

    def test_a_hole_wider_than_the_leash_opens_only_where_the_network_could_not_be_taught(self):
        middle, large = np.array([[10, 14, 14]]), ball(14, 9)
        hole = distance_to(middle) <= 3.5
        taught, untaught = (
            followed([(middle, 0)], large, ball(18), scan(large * ~hole), belief=belief) for belief in (1.0, 0.0)
        )
        assert np.count_nonzero(taught != large) == 1, "the stroke itself"
        assert np.array_equal(untaught, large * ~hole)

    def test_a_single_slice_follows_as_well(self):
        flat = [field[10:11] for field in (DECODED, NETWORK, BALL)]
        strokes = [(voxels * [0, 1, 1], label) for voxels, label in SNAP]
        assert np.array_equal(followed(strokes, *flat[:2], scan(flat[2])), flat[2])

    def test_the_same_input_gives_the_same_output_and_is_not_written_to(self):
        fields = [field.copy() for field in (DECODED, NETWORK)]
        outlines = Outlines(ImageFrame(scan(noise=20), strokes_only()), CPU)
        one, other = (followed(SNAP, *fields, outlines=outlines) for _ in range(2))
        assert np.array_equal(one, other) and (one != DECODED).any()
        assert np.array_equal(fields[0], DECODED) and np.array_equal(fields[1], NETWORK)

    def test_a_cancelled_one_says_so(self):
        with pytest.raises(Cancelled):
            followed(should_cancel=lambda: True)

    def test_on_a_coarse_grid_only_voxels_in_cells_of_changed_nodes_change(self, monkeypatch):
        asked, at_voxels = [], follow.labels_at_voxels
        monkeypatch.setattr(follow, "MOST_NODES", 4000)
        monkeypatch.setattr(follow, "labels_at_voxels", lambda *given: asked.append(given) or at_voxels(*given))
        found = followed()
        [(_, grid, _, _, _, _, _, changed, _)] = asked
        assert grid.shape == (10, 14, 28)  # two voxels per node along each side
        cells = changed.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        assert changed.any() and np.array_equal(found[~cells], DECODED[~cells])
        assert np.count_nonzero(found != BALL) < 0.75 * np.count_nonzero(DECODED != BALL)


class TestWhatStays:
    def test_a_structure_that_does_not_stand_out(self):
        for image in (scan(0 * BALL, 10), scan(noise=100)):
            assert np.array_equal(followed(image=image), DECODED)

    def test_a_structure_of_which_the_network_was_right_and_the_image_is_not_even_read(self, monkeypatch):
        monkeypatch.setattr(follow, "equalized_at_nodes", None)
        assert np.array_equal(followed(network=DECODED), DECODED)

    def test_unless_it_could_not_be_taught(self):
        assert np.array_equal(followed(network=DECODED, belief=0.0), BALL)
        assert np.array_equal(followed(belief=0.0), BALL)

    def test_changes_that_no_stroke_shows(self):
        small, large = ball(14, 7), ball(14, 9)
        assert np.array_equal(followed(SNAP[:1]), DECODED | BALL)
        assert np.array_equal(followed(SNAP[:1], small, ball(10, 7)), BALL)
        assert np.array_equal(followed(SNAP[1:], large, ball(10, 9)), BALL)
        assert not (followed(SNAP[1:]) > DECODED & BALL).any()
        assert np.array_equal(followed([(MISSED - [0, 0, 8], 1), (EXTRA - [0, 0, 5], 0)]), DECODED)

    def test_locked_classes(self):
        for locked, expected in (([0], DECODED), ([1], DECODED), ([2], BALL)):
            assert np.array_equal(followed(locked=locked), expected)

    def test_classes_that_no_stroke_of_this_round_is_about(self):
        labels, network, image = DECODED + OTHER_DECODED, NETWORK + OTHER_NETWORK, scan(BALL + OTHER)
        assert np.array_equal(followed([*SNAP, *OTHER_SNAP], labels, network, image), BALL + OTHER)
        old = labels.copy()
        for voxels, label in OTHER_SNAP:
            old[tuple(voxels.T)] = label
        found = followed(SNAP, labels, network, image, present=old, seen=OTHER_SNAP)
        assert np.array_equal(found, BALL + OTHER_DECODED)

    def test_of_two_classes_the_one_of_which_the_network_was_right(self):
        network, expected = NETWORK + OTHER_DECODED, BALL + OTHER_DECODED
        expected[tuple(OTHER_SNAP[1][0].T)] = 0  # nothing but the stroke itself
        found = followed([*SNAP, *OTHER_SNAP], DECODED + OTHER_DECODED, network, scan(BALL + OTHER))
        assert np.array_equal(found, expected)

    def test_what_was_edited_by_hand(self):
        manual = J > 16
        found = followed(present=DECODED, manual=manual)
        assert np.array_equal(found[manual], DECODED[manual]) and np.array_equal(found[J < 12], BALL[J < 12])
        changed = NETWORK != DECODED  # what this round changed is not by hand any more
        assert np.array_equal(followed(present=NETWORK, manual=changed), BALL)

    def test_the_outline_of_what_was_edited_by_hand(self):
        patch = (abs(K - 10) < 2) & (abs(J - 14) < 2) & (I > 44) & (I < 48)
        edited = np.where(patch, 1, DECODED).astype(np.uint16)
        for belief in (1.0, 0.0):
            found = followed(labels=edited, present=edited, manual=patch, belief=belief)
            assert np.array_equal(found, np.where(patch, 1, BALL))

    def test_a_neighbor_that_takes_no_part(self):
        labels = np.where((J > 16) & (I > 12) & (BALL | DECODED > 0), 3, DECODED)
        found = followed(labels=labels)
        assert np.array_equal(found == 3, labels == 3) and np.array_equal(found[J < 14], BALL[J < 14])


class TestInASession:
    @pytest.mark.parametrize("reach", ["automatic", "local", "whole"])
    def test_outlines_follow_unless_the_user_chose_otherwise(self, monkeypatch, reach):
        asked, calls = [], int(reach == "automatic")
        monkeypatch.setattr(Outlines, "followed", lambda _, labels, network, *rest: asked.append(network) or 0 * labels)
        session = a_session(reach=reach)
        first, result = session.predict().copy(), session.refine(usual_constraints(session))
        assert len(asked) == calls and (np.count_nonzero(result.labels) == 3) == bool(calls)
        assert result.violated_strokes == 0  # whatever follows, strokes win
        assert all(np.array_equal(network, first) for network in asked)


class TestFormerBugs:
    def test_strokes_of_background_alone_wear_away_nothing_right_elsewhere(self):
        found = followed(SNAP[1:])
        assert not ((found != DECODED) & (BALL > 0)).any()
        assert ((found != DECODED) & (BALL == 0)).any()

    def test_on_a_coarse_grid_every_voxel_edited_by_hand_stays(self, monkeypatch):
        monkeypatch.setattr(follow, "MOST_NODES", 4000)
        by_hand = K == 11  # half a node, of which strokes hold the other half
        found = followed(present=DECODED, manual=by_hand)
        assert np.array_equal(found[by_hand], DECODED[by_hand]) and (found != DECODED).any()
