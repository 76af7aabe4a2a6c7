"""What is new to the decoder in a round: everything at first, later only what the user has not seen the effect of."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.decoding.blend import Distances  # noqa: E402
from InteractiveRefineLib.decoding.reach import NO_TRUST, Doubt  # noqa: E402
from InteractiveRefineLib.decoding.setup import decoder_of_round, fresh_seeds, region_that_matters  # noqa: E402
from InteractiveRefineLib.decoding.weight import UNTAUGHT_SENTENCE, belief_in  # noqa: E402
from InteractiveRefineLib.image_state import ImageFrame, NetworkState  # noqa: E402
from InteractiveRefineLib.outlines.follow import Outlines  # noqa: E402
from InteractiveRefineLib.present import PresentLabels  # noqa: E402
from InteractiveRefineLib.round_input import RoundInput  # noqa: E402
from InteractiveRefineLib.seeds import Seeds  # noqa: E402
from InteractiveRefineLib.settings import RefineSettings  # noqa: E402
from Testing.tests.cli_examples import scan  # noqa: E402
from Testing.tests.session_examples import (  # noqa: E402
    EMPTY,
    IN_LIVER,
    IN_SPLEEN,
    MISSED,
    a_backbone,
    a_session,
    constraints_for,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def state():
    backbone = a_backbone()
    return NetworkState(ImageFrame(scan(), backbone), backbone, 1, torch.device("cpu"))


def a_round(*strokes, grown=(), guessed=None):
    """Strokes and seeds of (voxels, label), the grown ones last."""
    voxels = np.concatenate([v for v, _ in strokes])
    wanted = np.concatenate([np.full(len(v), label) for v, label in strokes]).astype(np.int64)
    called = np.zeros(len(wanted), np.int64)
    guessed = np.zeros(len(wanted), bool) if guessed is None else np.array(guessed)
    every = [(voxels, wanted), *[(np.array(v), np.full(len(v), label)) for v, label in grown]]
    seeds = Seeds(*(np.concatenate(parts) for parts in zip(*every)))
    return RoundInput(voxels, wanted, called, guessed), seeds


def at_first(state):
    present = PresentLabels(state.frame)
    present.settle(state.labels)
    return present


def after(present, strokes, seeds):
    """The present labels after a round that gave every seed its label."""
    labels, called = present.labels.copy(), present.called.copy()
    called.of(np.ravel_multi_index(tuple(strokes.voxels.T), labels.shape), labels[tuple(strokes.voxels.T)])
    labels[tuple(seeds.voxels.T)] = seeds.labels
    present.accept(labels, labels.copy(), called, np.argwhere(labels != present.labels))
    return present


def by_hand(present, voxels, label):
    edited = present.labels.copy()
    edited[tuple(np.array(voxels).T)] = label
    present.give(edited, None)
    present.settle(edited)
    return present


def doubt_about(*missing):
    """Of a network with the classes 0, 1 and 2 that is sure of all but the missing ones, which it finds nowhere."""
    logits = torch.zeros(3, 1, 1, 3)
    for label in range(3):
        logits[label, ..., label] = 10.0
    for label in missing:
        logits[label], logits[0, ..., label] = -30.0, 10.0
    return Doubt(logits, logits.argmax(dim=0).numpy())


def fresh(present, strokes, seeds, doubt=None):
    return fresh_seeds(present, strokes, seeds, doubt or doubt_about())


class TestFreshSeeds:
    def test_in_the_first_round_all_strokes_are(self, state):
        # Also those that confirm what is there already, as on the spleen.
        assert fresh(at_first(state), *a_round((MISSED, 1), (EMPTY, 0), (IN_SPLEEN, 2))).all()

    def test_grown_ones_are_where_they_ask_for_another_label(self, state):
        one = a_round((MISSED, 1), grown=[(MISSED + [1, 0, 0], 1), (IN_LIVER, 1)])
        assert fresh(at_first(state), *one).tolist() == [True] * 6 + [False] * 2

    def test_in_the_second_round_only_what_is_new(self, state):
        present = after(at_first(state), *a_round((MISSED, 1), grown=[(MISSED + [1, 0, 0], 1)]))
        two = a_round((MISSED, 1), (EMPTY, 0), grown=[(MISSED + [1, 0, 0], 1), (EMPTY + [1, 0, 0], 2)])
        expected = [False] * 3 + [True] * 6 + [False] * 3 + [True] * 6
        assert fresh(present, *two).tolist() == expected

    def test_a_new_stroke_that_confirms_what_is_there_is_new(self, state):
        present = after(at_first(state), *a_round((MISSED, 1)))
        assert fresh(present, *a_round((MISSED, 1), (IN_LIVER, 1))).tolist() == [False] * 3 + [True] * 2

    def test_an_old_stroke_that_wants_another_label_now_is(self, state):
        present = after(at_first(state), *a_round((MISSED, 1), (EMPTY, 0)))
        assert fresh(present, *a_round((MISSED, 2), (EMPTY, 0))).tolist() == [True] * 3 + [False] * 6

    def test_when_nothing_is_new_all_are(self, state):
        one = a_round((MISSED, 1), (EMPTY, 0), grown=[(MISSED + [1, 0, 0], 1)])
        assert fresh(after(at_first(state), *one), *one).tolist() == [True] * 12

    def test_what_was_changed_by_hand_since_is(self, state):
        one = a_round((MISSED, 1), (EMPTY, 0), grown=[(MISSED + [1, 0, 0], 1)])
        present = by_hand(after(at_first(state), *one), [MISSED[1], MISSED[2] + [1, 0, 0]], 0)
        expected = [False, True] + [False] * 9 + [True]
        assert fresh(present, *one).tolist() == expected

    def test_asking_remembers_nothing(self, state):
        present = at_first(state)
        for _ in range(2):
            fresh(present, *a_round((MISSED, 1)))
        assert not len(present.called.items(state.frame.shape)[1])


class TestFreshSeedsOfAClassTheNetworkDoesNotFind:
    """What it is, all its strokes make it together: once it is touched, all of them are fresh, until it is settled."""

    GROWN = MISSED + [1, 0, 0]

    def second_round(self, state, label, new, new_label, doubt, called=0):
        """A round with strokes and grown seeds of `label` and others of background, then one with a new stroke."""
        strokes = (MISSED, label), (EMPTY, 0)
        present = after(at_first(state), *a_round(*strokes, grown=[(self.GROWN, label)]))
        one, seeds = a_round(*strokes, (new, new_label), grown=[(self.GROWN, label)])
        one.called[len(MISSED) + len(EMPTY) :] = called
        return fresh(present, one, seeds, doubt).tolist()

    ONLY_NEW = [False] * 9 + [True] * 2 + [False] * 3
    ALL_OF_IT = [True] * 3 + [False] * 6 + [True] * 2 + [True] * 3

    @pytest.mark.parametrize("label, doubt, expected", [
        (3, doubt_about(), ALL_OF_IT), (1, doubt_about(1), ALL_OF_IT),
        (1, doubt_about(), ONLY_NEW), (1, doubt_about(2), ONLY_NEW),
    ])  # fmt: skip
    def test_a_new_stroke_of_it(self, state, label, doubt, expected):
        assert self.second_round(state, label, IN_LIVER, label, doubt) == expected

    @pytest.mark.parametrize("label, doubt, expected", [
        (3, doubt_about(), ALL_OF_IT), (1, doubt_about(1), ALL_OF_IT), (1, doubt_about(), ONLY_NEW),
    ])  # fmt: skip
    def test_a_new_stroke_on_it(self, state, label, doubt, expected):
        assert self.second_round(state, label, IN_LIVER, 0, doubt, called=label) == expected

    @pytest.mark.parametrize("label, doubt", [(3, doubt_about()), (1, doubt_about(1))])
    def test_a_new_stroke_of_another_class_elsewhere_does_not_touch_it(self, state, label, doubt):
        assert self.second_round(state, label, IN_LIVER, 2, doubt) == self.ONLY_NEW

    @pytest.mark.parametrize("label, doubt", [(3, doubt_about()), (1, doubt_about(1))])
    def test_once_most_of_its_strokes_were_seen_only_what_is_new_is(self, state, label, doubt):
        one_new = self.second_round(state, label, IN_LIVER[:1], label, doubt)
        assert one_new == [False] * 9 + [True] + [False] * 3  # three of four; of two new ones above, three of five
        one_upon = self.second_round(state, label, IN_LIVER[:1], 0, doubt, called=label)
        assert one_upon == [False] * 9 + [True] + [False] * 3

    def test_strokes_that_took_something_from_it_are_fresh_with_it(self, state):
        strokes = (MISSED, 3), (EMPTY, 0)
        present = after(at_first(state), *a_round(*strokes))
        one, seeds = a_round(*strokes, (IN_LIVER, 3), (IN_SPLEEN, 3))
        one.called[3:5] = 3  # two background strokes were drawn on it
        assert fresh(present, one, seeds).tolist() == [True] * 5 + [False] * 4 + [True] * 4


class TestTheDecoderOfARound:
    """The tuned network here calls everything liver, ten logits ahead."""

    def decoded(self, state, present, one, reach="local", n_classes=3, locked=(), tuned=None, **more):
        if tuned is None:
            tuned = torch.zeros_like(state.logits)
            tuned[1] = 10.0
        decoder, reaches = decoder_of_round(
            state, present, *one, tuned, reach=reach, n_classes=n_classes, locked=set(locked), **more
        )
        decoder.blend()
        return decoder, reaches

    def test_believes_the_tuned_network_around_the_fresh_strokes_only(self, state):
        corner = np.array([[1, 1, 1]])
        present = after(at_first(state), *a_round((corner, 1)))
        before = present.labels.copy()
        found, _ = self.decoded(state, present, a_round((corner, 1), (np.array([[14, 21, 30]]), 1)))
        changed = np.argwhere(found.labels != before)
        assert len(changed) and (found.labels[tuple(changed.T)] == 1).all()
        away = np.linalg.norm((changed - [14, 21, 30]) * state.frame.spacing, axis=1)
        assert away.max() <= state.lengths.blend_limit + 1
        assert np.array_equal(present.labels, before)
        both, _ = self.decoded(state, at_first(state), a_round((corner, 1), (np.array([[14, 21, 30]]), 1)))
        assert both.labels[1, 1, 3] == 1 and found.labels[1, 1, 3] == 0

    def test_allows_the_changes_that_strokes_show(self, state):
        strokes, seeds = a_round((EMPTY, 1))
        found, _ = self.decoded(state, at_first(state), (strokes, seeds))
        assert (found.labels[tuple(EMPTY.T)] == 1).all()
        strokes = RoundInput(strokes.voxels, strokes.wanted, np.full(len(EMPTY), 2), strokes.guessed)
        found, _ = self.decoded(state, at_first(state), (strokes, seeds))
        assert not (found.labels == 1)[state.labels == 0].any()

    def test_leaves_locked_labels_alone(self, state):
        found, _ = self.decoded(state, at_first(state), a_round((EMPTY, 1)), locked={0})
        found.walk()
        assert np.array_equal(found.labels, state.labels)

    def test_decides_for_every_known_class_that_strokes_name_how_far_it_reaches(self, state):
        guessed = [False] * 9 + [True] * 2 + [False] * 2
        one = a_round((MISSED, 1), (EMPTY, 0), (IN_SPLEEN, 2), (IN_LIVER, 3), guessed=guessed)
        for reach, name in (("local", "local"), ("whole", "whole")):
            found, reaches = self.decoded(state, at_first(state), one, reach, n_classes=4)
            assert [(r.label, r.name) for r in reaches] == [(1, name)]  # "not this class" names none
        assert (found.labels[state.labels == 0] == 1).all()

    def test_believes_a_network_that_could_not_be_taught_close_to_the_strokes_only(self, state):
        usual, _ = self.decoded(state, at_first(state), a_round((EMPTY, 1)))
        untaught, _ = self.decoded(state, at_first(state), a_round((EMPTY, 1)), belief=0.0)
        for found, reach in ((usual, state.lengths.blend_limit), (untaught, state.lengths.blend_sigma)):
            changed = np.argwhere(found.labels != state.labels)
            away = np.linalg.norm((changed[:, None] - EMPTY) * state.frame.spacing, axis=-1).min(axis=1)
            assert 0.5 * reach < away.max() <= reach + 1
        whole, reaches = self.decoded(state, at_first(state), a_round((EMPTY, 1)), "whole", belief=0.0)
        assert reaches[0].name == "whole" and (whole.labels[state.labels == 0] == 1).all()

    def test_believes_such_a_network_less_far_from_the_strokes_too(self, state, monkeypatch):
        everywhere = np.arange(state.labels.size), np.ones(state.labels.size, np.float32)
        monkeypatch.setattr(state.doubt, "of_class", [0.0, 1.0, 1.0])
        monkeypatch.setattr(state.doubt, "trust", lambda label: everywhere)
        for belief in (1.0, 0.25, 0.0):
            _, reaches = self.decoded(state, at_first(state), a_round((EMPTY, 1)), "automatic", belief=belief)
            assert [float(reach.trust.max()) for reach in reaches] == [belief]

    def test_strokes_that_only_guess_act_less_far(self, state):
        sure, _ = self.decoded(state, at_first(state), a_round((EMPTY, 1)))
        guess, _ = self.decoded(state, at_first(state), a_round((EMPTY, 1), guessed=[True] * 6))
        assert 0 < np.count_nonzero(guess.labels != state.labels) < np.count_nonzero(sure.labels != state.labels)


class TestTheRegionThatMatters:
    def region(self, state, *strokes, belief=1.0, **settings):
        return region_that_matters(state, at_first(state), *a_round(*strokes), RefineSettings(**settings), belief)

    def test_around_the_strokes_of_classes_that_the_network_is_certain_of(self, state, monkeypatch):
        monkeypatch.setattr(state.doubt, "of_class", [0.0, NO_TRUST, NO_TRUST])
        monkeypatch.setattr(state, "lengths", Distances(1.0, 1.0, 1.0))
        region = self.region(state, (MISSED, 1))
        low, high = MISSED.min(axis=0), MISSED.max(axis=0)
        reach = np.ceil(3.0 / np.array(state.frame.spacing)).astype(int)
        assert [s.start for s in region] == np.maximum(low - reach, 0).tolist()
        assert [s.stop for s in region] == np.minimum(high + reach + 1, state.grid.shape).tolist()

    def test_on_a_coarser_grid_it_is_counted_in_nodes(self, monkeypatch):
        backbone = a_backbone(spacing=(4.0, 4.0, 6.0))
        state = NetworkState(ImageFrame(scan(), backbone), backbone, 1, torch.device("cpu"))
        monkeypatch.setattr(state.doubt, "of_class", [0.0, NO_TRUST, NO_TRUST])
        monkeypatch.setattr(state, "lengths", Distances(1.0, 1.0, 1.0))
        region = self.region(state, (MISSED, 1))
        nodes = [state.grid.image_positions(axis) for axis in range(3)]
        for axis, side in enumerate(region):
            reach = np.ceil(3.0 / state.frame.spacing[axis]) + 1
            inside = nodes[axis][side]
            assert inside.min() > MISSED[:, axis].min() - reach and inside.max() < MISSED[:, axis].max() + reach

    def test_also_where_the_network_is_in_doubt_about_a_stroked_class(self, state, monkeypatch):
        monkeypatch.setattr(state.doubt, "of_class", [0.0, 2 * NO_TRUST, 0.0])
        monkeypatch.setattr(state, "lengths", Distances(1.0, 1.0, 1.0))
        doubtful = np.zeros(state.grid.shape, bool)
        doubtful[2:5, 3:7, 8:20] = True
        monkeypatch.setattr(state.doubt, "may_be_trusted", lambda label: doubtful if label == 1 else ~doubtful)
        alone = self.region(state, (MISSED, 1), reach="local")
        both = self.region(state, (MISSED, 1))
        assert [s.start for s in both] == np.minimum([s.start for s in alone], [2, 3, 8]).tolist()
        assert [s.stop for s in both] == np.maximum([s.stop for s in alone], [5, 7, 20]).tolist()

    def test_close_to_the_strokes_where_the_network_could_not_be_taught(self, state, monkeypatch):
        monkeypatch.setattr(state.doubt, "of_class", [0.0, 2 * NO_TRUST, 0.0])
        monkeypatch.setattr(state, "lengths", Distances(2.0, 1.0, 1.0))
        monkeypatch.setattr(state.doubt, "may_be_trusted", lambda label: np.ones(state.grid.shape, bool))
        assert self.region(state, (MISSED, 1)) is None
        region, reach = self.region(state, (MISSED, 1), belief=0.0), np.ceil(2.0 / np.array(state.frame.spacing))
        assert [s.start for s in region] == np.maximum(MISSED.min(axis=0) - reach, 0).tolist()
        assert [s.stop for s in region] == np.minimum(MISSED.max(axis=0) + reach + 1, state.grid.shape).tolist()

    def test_everywhere_where_little_would_be_saved_or_nothing_is_protected(self, state, monkeypatch):
        monkeypatch.setattr(state.doubt, "of_class", [0.0, 2 * NO_TRUST, 0.0])
        monkeypatch.setattr(state, "lengths", Distances(1.0, 1.0, 1.0))
        monkeypatch.setattr(state.doubt, "may_be_trusted", lambda label: np.ones(state.grid.shape, bool))
        assert self.region(state, (MISSED, 1)) is None
        assert self.region(state, (IN_SPLEEN, 2)) is not None  # certain of it
        assert self.region(state, (IN_SPLEEN, 2), reach="whole") is None
        assert self.region(state, (IN_SPLEEN, 2), update="cross-entropy") is None

    def test_how_much_stays_wrong_after_tuning_decides_how_far_the_network_is_believed(self, monkeypatch):
        given = []

        def region(*arguments):
            given.append(arguments[5])
            return region_that_matters(*arguments)

        def decoder(*arguments, **more):
            given.append(more["belief"])
            return decoder_of_round(*arguments, **more)

        def followed(outlines, labels, *arguments):
            given.append(arguments[6])
            return labels

        monkeypatch.setattr(Outlines, "followed", followed)
        monkeypatch.setattr("InteractiveRefineLib.network_round.region_that_matters", region)
        monkeypatch.setattr("InteractiveRefineLib.network_round.decoder_of_round", decoder)
        monkeypatch.setattr("InteractiveRefineLib.network_round.belief_in", lambda wrong: 1 - 0.5 * wrong)
        session = a_session(steps=0)
        session.refine(constraints_for(session, (MISSED, 1), (EMPTY, 0)))
        assert given == [0.75, 0.75, 0.75], "without a step the liver's stroke stays wrong, the background's is right"

    @pytest.mark.parametrize("wrong_share, told", [(0.0, False), (0.49, False), (0.5, True), (1.0, True)])
    def test_the_user_is_told_of_a_network_that_could_not_be_taught(self, monkeypatch, wrong_share, told):
        monkeypatch.setattr(
            "InteractiveRefineLib.network_round.belief_in", lambda _, belief_in=belief_in: belief_in(wrong_share)
        )
        session = a_session()
        warnings = session.refine(constraints_for(session, (MISSED, 1), (EMPTY, 0))).warnings
        assert (UNTAUGHT_SENTENCE in warnings) == told

    def test_who_chose_an_update_without_protection_is_not_told(self, monkeypatch):
        monkeypatch.setattr("InteractiveRefineLib.network_round.belief_in", lambda _: 0.0)
        session = a_session(update="cross-entropy")
        assert session.refine(constraints_for(session, (MISSED, 1))).warnings == []

    def test_computing_nothing_outside_it_changes_nothing(self, monkeypatch):
        def labels_of():
            session = a_session(reach="local")
            return session.refine(constraints_for(session, (MISSED, 1), (EMPTY, 0))).labels

        found = labels_of()
        monkeypatch.setattr("InteractiveRefineLib.network_round.region_that_matters", lambda *_: None)
        assert np.array_equal(found, labels_of())
