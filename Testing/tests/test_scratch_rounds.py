"""Rounds without a network: strokes are obeyed, organs are found, and what no stroke is about stays as it is."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.strokes_only import strokes_only  # noqa: E402
from InteractiveRefineLib.constraints import Constraints  # noqa: E402
from InteractiveRefineLib.errors import Cancelled  # noqa: E402
from InteractiveRefineLib.geometry import Geometry  # noqa: E402
from InteractiveRefineLib.robot import robot_strokes  # noqa: E402
from InteractiveRefineLib.round_input import RoundInput  # noqa: E402
from InteractiveRefineLib.scratch import choose, propagate  # noqa: E402
from InteractiveRefineLib.segmentation import Segment, Segmentation  # noqa: E402
from InteractiveRefineLib.session import RefineSession  # noqa: E402
from InteractiveRefineLib.settings import RefineSettings  # noqa: E402
from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.tests.cli_examples import LPS, scan, truth  # noqa: E402
from Testing.tests.session_examples import drawn  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


LIVER_STROKE = np.array([[8, 12, i] for i in range(5, 15)])
SPLEEN_STROKE = np.array([[8, 12, i] for i in range(22, 28)])
EMPTY = np.array([[8, 2, i] for i in range(10, 26)])


def a_session(image=None, current=None, names=("liver", "spleen"), channels=("image",)):
    return RefineSession(
        image or scan(), strokes_only(channels), RefineSettings(device="cpu"), current, () if current else names
    )


def said(session, *strokes, locked=()):
    constraints = Constraints(session.image.geometry, locked)
    for voxels, label in strokes:
        constraints.add_stroke_indices(voxels, label)
    constraints.next_round()
    return constraints


def dice(labels, label, mask=None):
    mask = truth() == label if mask is None else mask
    return 2 * np.count_nonzero((labels == label) & mask) / (np.count_nonzero(labels == label) + np.count_nonzero(mask))


def usual(session, **options):
    return said(session, (LIVER_STROKE, 1), (SPLEEN_STROKE, 2), (EMPTY, 0), **options)


def a_segmentation(labels):
    segments = [Segment("liver", 1, (0.8, 0.5, 0.4)), Segment("spleen", 2, (0.6, 0.4, 0.7))]
    return Segmentation(labels.astype(np.uint16), Geometry(labels.shape, LPS), segments)


class TestOrgans:
    def test_it_knows_nothing_before_the_first_stroke(self):
        session = a_session()
        assert not session.predict().any()
        assert [segment.name for segment in session.classes] == ["liver", "spleen"]

    def test_one_stroke_each_finds_organs_of_two_looks(self):
        session = a_session()
        result = session.refine(usual(session))
        assert result.violated_strokes == 0
        assert dice(result.labels, 2) > 0.9
        assert dice(result.labels, 1) > 0.75  # its left part is much darker than the right one

    def test_a_second_round_finds_the_rest(self):
        session = a_session()
        constraints = usual(session)
        labels = session.refine(constraints).labels
        for _ in range(2):
            constraints.add_strokes(robot_strokes(truth(), labels, length=10))
            constraints.next_round()
            labels = session.refine(constraints).labels
        assert dice(labels, 1) > 0.93 and dice(labels, 2) > 0.9

    def test_the_same_strokes_give_the_same_labels(self):
        one, other = (session.refine(usual(session)).labels for session in (a_session(), a_session()))
        assert np.array_equal(one, other)

    def test_a_flipped_image_gives_the_flipped_answer(self):
        session = a_session()
        expected = session.refine(usual(session)).labels
        flip = np.diag([1.0, 1.0, -1.0, 1.0])
        flip[2, 3] = truth().shape[0] - 1
        turned = a_session(Volume(np.ascontiguousarray(scan().array[::-1]), LPS @ flip, "flipped"))
        strokes = [(voxels * [-1, 1, 1] + [15, 0, 0], label) for voxels, label in
                   ((LIVER_STROKE, 1), (SPLEEN_STROKE, 2), (EMPTY, 0))]  # fmt: skip
        assert np.array_equal(turned.refine(said(turned, *strokes)).labels[::-1], expected)

    def test_other_units_give_the_same_answer(self):
        session = a_session()
        expected = session.refine(usual(session)).labels
        scaled = a_session(Volume(scan().array * 10 - 300, LPS, "scaled"))
        assert np.mean(scaled.refine(usual(scaled)).labels != expected) < 1e-3

    def test_several_channels_work_in_any_order(self):
        """One shows the liver only, the other one the spleen only: neither could do without the other."""
        noise = np.random.default_rng(1).normal(0, 3, (2, *truth().shape))
        shown = np.stack([truth() == 1, truth() == 2]) * 100.0 + noise
        found = []
        for order in ([0, 1], [1, 0]):
            session = a_session(Volume(shown[order].astype(np.float32), LPS, "two"), channels=("CT", "more"))
            found.append(session.refine(usual(session)).labels)
            assert dice(found[-1], 1) > 0.4 and dice(found[-1], 2) > 0.4  # after a single round
        assert np.mean(found[0] != found[1]) < 1e-3

    def test_a_channel_that_shows_nothing_takes_little_away(self):
        found = []
        for channels in (1, 2):
            noise = np.random.default_rng(1).normal(0, 3, truth().shape)
            shown = np.stack([scan().array, noise.astype(np.float32)])[:channels]
            session = a_session(Volume(shown, LPS, "noisy"), channels=("CT", "noise")[:channels])
            found.append(dice(session.refine(usual(session)).labels, 2))
        assert found[1] > found[0] - 0.05

    def test_a_picture_of_a_single_slice_works_as_well(self):
        session = a_session(Volume(np.ascontiguousarray(scan().array[8:9]), LPS, "slice"))
        strokes = [(voxels * [0, 1, 1], label) for voxels, label in
                   ((LIVER_STROKE, 1), (SPLEEN_STROKE, 2), (EMPTY, 0))]  # fmt: skip
        result = session.refine(said(session, *strokes))
        assert result.violated_strokes == 0 and dice(result.labels, 2, truth()[8:9] == 2) > 0.9

    def test_on_a_coarser_grid_organs_are_found_nearly_as_well(self, monkeypatch):
        monkeypatch.setattr(propagate, "MOST_NODES", 3000)
        session = a_session()
        result = session.refine(usual(session))
        assert result.violated_strokes == 0 and dice(result.labels, 2) > 0.8


class TestWhatNobodyComplainedAbout:
    def test_locked_classes_keep_every_voxel(self):
        session = a_session()
        before = session.refine(usual(session)).labels
        wrong = np.argwhere(before == 2)[:6]
        after = session.refine(said(session, (LIVER_STROKE, 1), (wrong, 1), (EMPTY, 0), locked=[2])).labels
        assert np.array_equal(after == 2, before == 2)

    def test_a_locked_background_neither_gains_nor_loses(self):
        session = a_session(current=a_segmentation(np.where(truth() == 2, 1, truth())))
        before = session.predict()
        after = session.refine(said(session, (SPLEEN_STROKE, 2), (LIVER_STROKE, 1), locked=[0])).labels
        assert np.array_equal(after == 0, before == 0) and (after == 2).any()

    def test_a_class_that_a_round_is_not_about_is_left_alone(self):
        session = a_session()
        constraints = said(session, (LIVER_STROKE, 1), (EMPTY, 0))
        before = session.refine(constraints).labels
        constraints.add_stroke_indices(SPLEEN_STROKE, 2)
        constraints.next_round()
        after = session.refine(constraints).labels
        assert np.array_equal(after == 1, before == 1) and dice(after, 2) > 0.9

    def test_a_class_without_any_stroke_stays_as_it_is(self):
        session = a_session(current=a_segmentation(np.where(truth() == 2, 2, 0)))
        after = session.refine(said(session, (LIVER_STROKE, 1), (EMPTY, 0))).labels
        assert np.array_equal(after == 2, truth() == 2) and dice(after, 1) > 0.7

    def test_an_object_shrinks_only_where_a_stroke_in_it_says_so(self):
        """Of a class that is everywhere, and right, nothing goes because a second stroke was drawn in it."""
        session = a_session(current=a_segmentation(truth()))
        extra = np.array([[8, 21, i] for i in range(5, 9)])
        after = session.refine(said(session, (extra, 1))).labels
        assert (after[truth() == 1] == 1).all() and (after[tuple(extra.T)] == 1).all()
        assert np.array_equal(after == 2, truth() == 2)

    def test_far_from_a_correction_what_the_user_made_stays(self):
        """A hand-made liver, and one stroke: a corner of it is background."""
        session = a_session(current=a_segmentation(truth()))
        corner = np.array([[5, 5, i] for i in range(3, 6)])
        after = session.refine(said(session, (corner, 0))).labels
        far = truth() == 1
        far[:, :14, :11] = False
        assert (after[far] == 1).all() and not after[tuple(corner.T)].any()

    def test_edits_between_rounds_are_kept(self):
        session = a_session()
        constraints = usual(session)
        labels = session.refine(constraints).labels.copy()
        labels[13:15, 4:8, 4:8] = 1  # an island that the user paints
        session.set_current(a_segmentation(labels))
        constraints.add_stroke_indices(np.array([[4, 10, 22], [4, 10, 23]]), 2)
        constraints.next_round()
        after = session.refine(constraints).labels
        assert (after[13:15, 4:8, 4:8] == 1).all()

    def test_a_cancelled_round_changes_nothing(self):
        session = a_session()
        before = session.refine(said(session, (LIVER_STROKE, 1), (EMPTY, 0))).labels.copy()
        with pytest.raises(Cancelled):
            session.refine(usual(session), should_cancel=lambda: True)
        assert np.array_equal(session.predict(), before)


class TestOverTheRounds:
    """What later rounds do otherwise than the first."""

    @pytest.fixture
    def walks(self, monkeypatch):
        """(prior, pull far from all that is fixed) of every walk; each ends where it began."""
        found = []

        def walked(intensities, spacing, prior, fixed, pull, weights, should_cancel):
            found.append((prior.clone(), float(pull.min())))
            return prior.clone()

        monkeypatch.setattr(propagate, "walked", walked)
        monkeypatch.setattr(propagate, "best_factor", lambda *a, **k: 1.0)
        return found

    def play(self, *rounds):
        """Labels after every round."""
        session = a_session(names=("liver",))
        return [session.refine(then).labels for then in drawn(Constraints(session.image.geometry), *rounds)]

    def test_two_lengths_are_averaged_up_to_the_third_round(self, walks):
        self.play(*([(LIVER_STROKE + [up, 0, 0], 1), (EMPTY + [up, 0, 0], 0)] for up in (0, 2, -2, 4)))
        pulls = [pull for _, pull in walks]
        assert len(pulls) == 2 + 2 + 2 + 1
        assert pulls[0:6:2] == pytest.approx([4 * pull for pull in pulls[1:6:2]])
        assert pulls[0] < pulls[2] < pulls[4] < pulls[6], "the more was seen, the shorter"

    def test_a_cautious_answer_takes_the_shorter_walk_only(self, walks):
        session = a_session(names=("liver",))
        session.predict()
        strokes = RoundInput(
            np.concatenate([LIVER_STROKE, EMPTY]), np.repeat([1, 0], [10, 16]), np.zeros(26, int), np.zeros(26, bool)
        )
        for cautious in (False, True):
            session._state.propagation.labels(session._present, strokes, cautious=cautious)
        (_, short), (_, long), (_, cautious) = walks
        assert cautious == short > long

    def test_the_answer_is_the_mean_of_both_walks(self, monkeypatch):
        """One is sure of liver everywhere, the other of nothing: the surer one decides."""
        shares = iter((0.9, 0.3))

        def walked(intensities, spacing, prior, fixed, pull, weights, should_cancel):
            liver = torch.full_like(prior[0], next(shares))
            return torch.stack([1 - liver, liver])

        monkeypatch.setattr(propagate, "walked", walked)
        (labels,) = self.play([(LIVER_STROKE, 1), (EMPTY, 0)])
        assert np.count_nonzero(labels == 0) == len(EMPTY)

    def test_far_from_new_strokes_what_was_seen_counts_more_than_the_head(self, walks, monkeypatch):
        says = iter((1, 0))

        def head(self, look, round_, *others):
            said = torch.zeros((2, *look.grid.shape))
            said[next(says)] = 1
            return said

        monkeypatch.setattr(propagate.StrokePropagation, "_head", head)
        corner = np.array([[1, 1, i] for i in range(1, 11)])
        self.play([(LIVER_STROKE, 1)], [(corner, 0), (corner + [1, 0, 0], 1)])
        (first, _), _, (second, _), _ = walks
        assert first[1].min() == 1.0, "in the first round there is nothing to keep"
        far = second[1, -3:, -3:, -3:]
        assert far.min() == pytest.approx(0.5**0.5, abs=1e-4) and far.max() == far.min(), "half was seen"
        assert second[1, 1, 1, 12] < far.min() / 2, "beside new strokes the head decides"


class TestReports:
    def test_progress_never_goes_back_and_ends(self):
        session, told = a_session(), []
        session.refine(usual(session), progress=lambda step, total, text: told.append((step, total)))
        assert [step for step, _ in told] == sorted(step for step, _ in told) and told[-1][0] == told[-1][1]

    def test_timings_and_no_warnings(self):
        session = a_session()
        result = session.refine(usual(session))
        assert set(result.timings) == {"network", "constraints", "decoding"} and result.warnings == []

    def test_not_this_class_is_background_here(self):
        session = a_session()
        constraints = usual(session)
        session.refine(constraints)
        constraints.add_stroke_indices(SPLEEN_STROKE[:3], 2, True)
        constraints.next_round()
        assert not session.refine(constraints).labels[tuple(SPLEEN_STROKE[:3].T)].any()


class TestHoldingOut:
    def look_and_strokes(self, *strokes):
        from InteractiveRefineLib.image_state import ImageFrame
        from InteractiveRefineLib.scratch.look import Look

        look = Look(ImageFrame(scan(), strokes_only()), torch.device("cpu"), choose.TRIAL_NODES)
        voxels = np.concatenate([voxels for voxels, _ in strokes])
        return look, voxels, np.concatenate([np.full(len(v), label) for v, label in strokes])

    def test_a_single_stroke_of_a_class_is_never_held_out(self):
        look, voxels, classes = self.look_and_strokes((LIVER_STROKE, 1))
        assert choose.best_factor(look, voxels, classes, 2, 0.5) == 1.0

    def test_strokes_are_told_apart_by_class_and_touch(self):
        nodes = np.array([0, 1, 5, 6, 9])
        found = choose._strokes(nodes, np.array([1, 1, 1, 0, 1]), 2, (1, 1, 10))
        assert [stroke.tolist() for stroke in found] == [[3], [0, 1], [2], [4]]

    def chosen(self, monkeypatch, right_at, sure=0.9):
        """The factor where the walk finds held-out strokes at one length only; and the lengths that were tried."""
        look, voxels, classes = self.look_and_strokes(
            (LIVER_STROKE[:3], 1), (LIVER_STROKE[-3:], 1), (EMPTY[:3], 0), (EMPTY[-3:], 0)
        )
        tried = []

        def pretend(intensities, spacing, prior, fixed, pull, channel_weights, should_cancel):
            tried.append(float(pull.flatten()[0]) ** -0.5)
            right = sure if tried[-1] == pytest.approx(usual * right_at, rel=1e-4) else 0.5
            out = torch.full((2, *look.grid.shape), 1 - right)
            for voxels, label in ((LIVER_STROKE, 1), (EMPTY, 0)):
                out[(label, *voxels.T)] = right
            return out

        usual = choose.pull_of(0.5, look.grid.shape, look.spacing) ** -0.5
        monkeypatch.setattr(choose, "walked", pretend)
        return choose.best_factor(look, voxels, classes, 2, 0.5), np.array(tried) / usual

    def test_the_length_that_predicts_held_out_strokes_wins(self, monkeypatch):
        factor, tried = self.chosen(monkeypatch, right_at=1.4)
        assert factor == 1.4 and len(tried) >= len(choose.FACTORS)
        assert tried.reshape(-1, len(choose.FACTORS)) == pytest.approx(np.tile(choose.FACTORS, (len(tried) // 4, 1)))

    def test_a_length_that_is_hardly_better_does_not_win(self, monkeypatch):
        assert self.chosen(monkeypatch, right_at=2.0, sure=0.505)[0] == 1.0

    def test_strokes_of_objects_alone_or_of_background_alone_decide_nothing(self):
        look, voxels, classes = self.look_and_strokes((LIVER_STROKE[:3], 1), (LIVER_STROKE[-3:], 1))
        assert choose.best_factor(look, voxels, classes, 2, 0.5) == 1.0
