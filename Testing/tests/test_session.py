"""A session from the user's side: strokes hold, the rest stays, and nothing is half done."""

import numpy as np
import pytest

from InteractiveRefineLib.errors import BackboneError, Cancelled, InputError, OutOfMemoryError
from InteractiveRefineLib.segmentation import Segment, Segmentation
from InteractiveRefineLib.segmentation_io import read_segmentation, write_segmentation
from InteractiveRefineLib.settings import UPDATES, RefineSettings
from InteractiveRefineLib.volume import Volume

torch = pytest.importorskip("torch")

from InteractiveRefineLib.constraints import Constraints  # noqa: E402
from InteractiveRefineLib.geometry import Geometry, box_of  # noqa: E402
from Testing.tests.cli_examples import LIVER, LPS, SHAPE, SPLEEN, scan, truth  # noqa: E402
from Testing.tests.network_examples import UNet2d, randomized  # noqa: E402
from Testing.tests.session_examples import (  # noqa: E402
    EMPTY,
    IN_LIVER,
    IN_SPLEEN,
    MISSED,
    a_backbone,
    a_session,
    constraints_for,
    dice,
    hesitant,
    usual_constraints,
)

pytestmark = pytest.mark.usefixtures("one_thread")

VOXEL_ML = 2 * 2 * 3 / 1000


def current_of(labels, segments=(LIVER, SPLEEN), **more):
    return Segmentation(labels, Geometry(SHAPE, LPS), list(segments), **more)


def recorder():
    seen = []
    return seen, lambda *step: seen.append(step)


class StopAfter:
    """Answers True from question n + 1 on; where told of progress, from the report n + 1 on."""

    def __init__(self, n):
        self.n, self.count = n, 0

    def asked(self):
        self.count += 1
        return self.count > self.n

    def told(self, *_):
        self.count += 1

    def passed(self):
        return self.count > self.n


class TestStrokesHold:
    @pytest.mark.parametrize("update", UPDATES)
    @pytest.mark.parametrize("grow", ["new", "all"])
    def test_with_every_update_rule(self, update, grow):
        session = a_session(update=update, grow=grow)
        constraints = constraints_for(
            session, (MISSED, 1), (EMPTY, 0), (IN_SPLEEN, 1), (IN_LIVER, 1, True), (MISSED[:1] + [2, 3, 0], 2, True)
        )
        result = session.refine(constraints)
        assert result.violated_strokes == 0
        assert (result.labels[tuple(MISSED.T)] == 1).all()
        assert (result.labels[tuple(EMPTY.T)] == 0).all()
        assert (result.labels[tuple(IN_SPLEEN.T)] == 1).all()
        assert (result.labels[tuple(IN_LIVER.T)] != 1).all()
        assert np.array_equal(session.segmentation().labels, result.labels)
        assert result.labels.dtype == np.uint16
        assert result.labels.flags.c_contiguous

    @pytest.mark.parametrize("reach", ["automatic", "local", "whole"])
    def test_with_every_reach_and_the_liver_gets_better(self, reach):
        session = a_session(reach=reach)
        before = dice(session.predict(), 1)
        result = session.refine(usual_constraints(session))
        assert result.violated_strokes == 0
        assert dice(result.labels, 1) > before

    def test_over_several_rounds_old_strokes_too(self):
        session = a_session()
        constraints = usual_constraints(session)
        session.refine(constraints)
        constraints.next_round()
        constraints.add_stroke_indices(MISSED + [1, 5, 0], LIVER.label)
        constraints.add_stroke_indices(MISSED[:1], 0)  # the user changed their mind about one voxel
        result = session.refine(constraints)
        assert result.violated_strokes == 0
        assert result.labels[tuple(MISSED[0])] == 0
        assert (result.labels[tuple(MISSED[1:].T)] == 1).all()
        assert (result.labels[tuple((MISSED + [1, 5, 0]).T)] == 1).all()

    def test_at_the_corners_of_the_image(self):
        session = a_session()
        corners = np.array([[k, j, i] for k in (0, 15) for j in (0, 23) for i in (0, 31)])
        result = session.refine(constraints_for(session, (corners, 2)))
        assert result.violated_strokes == 0
        assert (result.labels[tuple(corners.T)] == 2).all()

    def test_of_a_tuned_network_gone_mad(self):
        session = a_session(update="cross-entropy", learning_rate=1e37, steps=5)
        result = session.refine(usual_constraints(session))
        assert result.violated_strokes == 0
        assert any("unstable" in w for w in result.warnings)


class TestTheRestStays:
    def test_classes_that_nobody_complained_about_keep_every_voxel(self):
        session = a_session()
        before = session.predict()
        result = session.refine(usual_constraints(session))
        changed = result.labels != before
        assert changed.any()
        assert (before[changed] == 0).all()
        assert (result.labels[changed] == 1).all()
        assert np.array_equal(result.labels == 2, before == 2)

    def test_a_far_manual_edit_survives_exactly(self):
        edited = a_session().predict()
        edited[13:15, 20:23, 26:30] = 1
        edited[5:7, 9:11, 22:24] = 0
        session = a_session(current=current_of(edited))
        result = session.refine(usual_constraints(session))
        changed = result.labels != edited
        assert changed.any()
        assert not changed[:, :, 20:].any()
        assert np.array_equal(result.previous, edited)

    def test_an_edit_is_held_as_one_not_as_what_an_earlier_round_accepted(self, monkeypatch):
        monkeypatch.setattr("InteractiveRefineLib.decoding.blend.HOLD_ACCEPTED", -5.0)
        edited = a_session().predict()
        hole = (slice(6, 9), slice(8, 11), slice(4, 6))  # in the liver, beyond the walker's reach
        edited[hole] = 0
        session = a_session(current=current_of(edited), reach="whole")
        result = session.refine(usual_constraints(session))
        assert (result.labels[hole] == 0).all()

    def test_a_cancelled_round_is_forgotten(self):
        session = a_session()
        constraints = constraints_for(session, (IN_SPLEEN, 1))
        with pytest.raises(Cancelled):
            session.refine(constraints, should_cancel=StopAfter(4).asked)
        edited = session.predict()
        edited[tuple(IN_SPLEEN.T)] = 0
        session.set_current(current_of(edited))
        result = session.refine(constraints)  # says that background, not spleen, should be liver
        assert np.array_equal(result.labels == 2, edited == 2)

    def test_edits_survive_whole_reach_and_many_rounds(self):
        edited = a_session().predict()
        hole = (slice(6, 9), slice(8, 11), slice(4, 6))  # in the middle of the liver
        edited[hole] = 2
        session = a_session(current=current_of(edited), reach="whole")
        constraints = usual_constraints(session)
        for shift in (0, 3, -3):
            constraints.add_stroke_indices(MISSED + [0, shift, 0], 1)
            result = session.refine(constraints)
            constraints.next_round()
            assert (result.labels[hole] == 2).all()

    def test_a_current_segmentation_far_from_the_networks_answer_changes_near_strokes_only(self):
        made = np.zeros(SHAPE, dtype=np.uint16)
        made[2:6, 2:20, 20:30] = 1
        session = a_session(current=current_of(made))
        result = session.refine(usual_constraints(session))
        far = np.ones(SHAPE, dtype=bool)
        far[:, :, 4:24] = False
        assert np.array_equal(result.labels[far], made[far])
        assert result.violated_strokes == 0

    @pytest.mark.parametrize("update", UPDATES)
    @pytest.mark.parametrize("locked", [{1}, {2}, {0}])
    def test_locked_classes_do_not_change_by_a_voxel(self, update, locked):
        session = a_session(update=update)
        before = session.predict()
        constraints = constraints_for(
            session, (MISSED, 1), (IN_SPLEEN, 1), (IN_LIVER, 2), (EMPTY, 2), (IN_LIVER + [0, 3, 0], 0), locked=locked
        )
        result = session.refine(constraints)
        for label in locked:
            assert np.array_equal(result.labels == label, before == label)
        assert result.violated_strokes == 0
        assert any("locked" in w for w in result.warnings)

    def test_not_this_class_goes_to_no_locked_class(self):
        session = a_session()
        before = session.predict()
        result = session.refine(constraints_for(session, (IN_SPLEEN, 2, True), locked={1}))
        assert (result.labels[tuple(IN_SPLEEN.T)] == 0).all()
        assert np.array_equal(result.labels == 1, before == 1)


class TestNewAndMissingClasses:
    def test_a_new_class_is_carried_by_its_grown_strokes(self):
        session = a_session()
        before = session.predict()
        label = session.add_class("kidney")
        assert label == 3 == session.label_of("Kidney ")
        result = session.refine(constraints_for(session, (IN_SPLEEN, label)))
        kidney = result.labels == label
        assert dice(result.labels, label, truth() == 2) > 0.9
        assert not (kidney & (before == 1)).any()
        assert np.count_nonzero(result.grown == label) > 2 == np.count_nonzero(result.strokes == label)
        assert session.classes[-1].name == "kidney"

    def test_without_growing_it_is_small(self):
        session = a_session(grow="none", new_classes=["kidney"])
        result = session.refine(constraints_for(session, (IN_SPLEEN, 3)))
        assert 2 <= np.count_nonzero(result.labels == 3) < np.count_nonzero(truth() == 2)
        assert np.array_equal(result.grown, result.strokes)

    def test_a_class_that_the_networks_answer_lacks_can_be_drawn(self):
        network = hesitant()
        with torch.no_grad():
            network.head.weight[1], network.head.bias[1] = 0, -2.0
        session = a_session(backbone=a_backbone(network))
        assert not (session.predict() == 1).any()
        result = session.refine(constraints_for(session, (IN_LIVER, 1), (MISSED, 1), (EMPTY, 0)))
        assert result.violated_strokes == 0
        assert np.count_nonzero(result.labels == 1) > 5

    def test_two_new_classes_side_by_side(self):
        session = a_session(new_classes=["a", "b"])
        result = session.refine(constraints_for(session, (IN_SPLEEN, 3), (IN_LIVER, 4)))
        spleen, liver = (dice(result.labels, label, session_mask) for label, session_mask in (
            (3, truth() == 2), (4, result.previous == 1)))  # fmt: skip
        assert min(spleen, liver) > 0.8

    def test_only_strokes_of_new_classes_leave_the_network_as_it_is(self):
        session = a_session(new_classes=["a"])
        result = session.refine(constraints_for(session, (IN_SPLEEN, 3)))
        assert result.loss_curve == []
        assert set(np.unique(result.labels[result.labels != result.previous])) == {3}


class TestCurrentSegmentation:
    def test_an_unknown_segment_keeps_its_name_color_id_and_tags(self):
        labels = np.zeros(SHAPE, dtype=np.uint16)
        labels[1:3, 1:4, 1:5] = 7
        labels[5, 5, 5] = 4
        odd = Segment("Cyst of mine", 7, (0.1, 0.2, 0.3), "Segment_X", {"TerminologyEntry": "~~"}, {"Extra": "1"})
        mine = Segment("LIVER", 4, (0.9, 0.8, 0.7), "liver-id", {"a": "b"})
        session = a_session(current=current_of(labels, [odd, mine], header={"Segmentation_Something": "kept"}))
        before = session.segmentation()
        result = session.refine(usual_constraints(session))
        for segmentation in (before, session.segmentation()):
            cyst = segmentation.segment_named("Cyst of mine")
            assert (cyst.color, cyst.id, cyst.tags, cyst.header) == (odd.color, odd.id, odd.tags, odd.header)
            liver = segmentation.segment_named("liver")
            assert (liver.name, liver.color, liver.id, liver.tags) == ("LIVER", mine.color, mine.id, mine.tags)
            assert liver.label == 1
            assert segmentation.header == {"Segmentation_Something": "kept"}
            assert np.array_equal(segmentation.labels == cyst.label, labels == 7)
        assert any("does not know 'Cyst of mine'" in w for w in result.warnings)

    def test_it_is_shown_before_anything_ran(self):
        session = a_session(current=current_of(truth()))
        assert np.array_equal(session.segmentation().labels, truth())
        assert np.array_equal(session.predict(), truth())

    def test_it_may_be_replaced_between_rounds(self):
        session = a_session()
        constraints = usual_constraints(session)
        edited = session.refine(constraints).labels.copy()
        edited[13:15, 20:23, 26:30] = 2
        session.set_current(current_of(edited))
        constraints.next_round()
        constraints.add_stroke_indices(MISSED + [2, 0, 0], 1)
        result = session.refine(constraints)
        assert np.array_equal(result.previous, edited)
        assert (result.labels[13:15, 20:23, 26:30] == 2).all()
        assert result.violated_strokes == 0

    def test_the_same_plain_label_map_may_be_set_twice(self):
        labels = np.zeros(SHAPE, dtype=np.uint16)
        labels[1:3, 1:4, 1:5] = 7
        session = a_session()
        for _ in range(2):
            session.set_current(current_of(labels, []))
            assert [s.name for s in session.classes] == ["liver", "spleen", "Segment_7"]
            assert np.array_equal(session.segmentation().labels == 3, labels == 7)

    def test_on_another_grid_it_is_resampled_and_that_is_said(self):
        half = Segmentation(truth()[:, ::2, ::2].copy(), Geometry((16, 12, 16), LPS * [2, 2, 1, 1]), [LIVER, SPLEEN])
        session = a_session(current=half)
        assert dice(session.segmentation().labels, 1) > 0.85
        assert any("another grid" in w for w in session.refine(usual_constraints(session)).warnings)

    def test_the_users_arrays_stay_as_they_were(self):
        image, current = scan(), current_of(truth())
        session = a_session(image, current=current)
        session.refine(constraints_for(session, (IN_SPLEEN, 1)))
        assert np.array_equal(image.array, scan().array)
        assert np.array_equal(current.labels, truth())

    def test_label_maps_of_earlier_sessions_keep_their_classes_those_added_by_name_and_by_number(self, tmp_path):
        first = a_session(new_classes=["kidney"])
        first.refine(constraints_for(first, (EMPTY + [-4, 3, 10], 3), (EMPTY, 0)))
        for name in ("of-numbers.nii.gz", "of-names.seg.nrrd"):
            write_segmentation(first.segmentation(), tmp_path / name)
            again = a_session(current=read_segmentation(tmp_path / name), new_classes=["kidney"])
            assert np.array_equal(again.predict(), first.segmentation().labels)
            assert [s.name for s in again.classes] == ["liver", "spleen", "kidney"]
            result = again.refine(constraints_for(again, (MISSED, 1), (IN_SPLEEN, 1), locked=[2]))
            assert (result.labels[tuple(IN_SPLEEN.T)] == 2).all()


class TestRounds:
    def test_later_rounds_do_not_run_the_network_again(self):
        session = a_session()
        calls = []
        session.backbone.network.register_forward_pre_hook(lambda *_: calls.append(1))
        session.predict()
        assert calls
        calls.clear()
        constraints = usual_constraints(session)
        session.refine(constraints)
        constraints.next_round()
        constraints.add_stroke_indices(IN_SPLEEN, 1)
        session.refine(constraints)
        assert not calls

    def test_the_network_keeps_its_weights(self):
        session = a_session(update="cross-entropy")
        before = [p.clone() for p in session.backbone.network.parameters()]
        session.refine(usual_constraints(session))
        assert all(torch.equal(a, b) for a, b in zip(before, session.backbone.network.parameters()))

    def test_predicting_first_makes_no_difference(self):
        one, two = a_session(), a_session()
        one.predict()
        assert (
            one.refine(usual_constraints(one)).labels.tobytes() == two.refine(usual_constraints(two)).labels.tobytes()
        )

    def test_settings_may_change_between_rounds(self):
        session = a_session()
        constraints = usual_constraints(session)
        session.refine(constraints)
        for changed in ({"layers": 2}, {"update": "paper"}, {"reach": "whole", "steps": 3}, {"grow": "all", "seed": 5}):
            session.settings = RefineSettings(device="cpu", **changed)
            constraints.next_round()
            result = session.refine(constraints)
            assert result.violated_strokes == 0
            assert result.seed == session.settings.seed
        assert len(result.loss_curve) == 31

    def test_two_sessions_give_the_same_bytes(self):
        labels = []
        for _ in range(2):
            session = a_session()
            constraints = usual_constraints(session)
            session.refine(constraints)
            constraints.next_round()
            constraints.add_stroke_indices(IN_SPLEEN, 2, True)
            labels.append(session.refine(constraints).labels.tobytes())
        assert labels[0] == labels[1]


class TestNothingToDo:
    def test_empty_strokes_change_nothing_and_say_so(self):
        session = a_session()
        before = session.predict()
        constraints = Constraints(session.image.geometry)
        constraints.add_strokes(np.zeros(SHAPE, np.uint8))
        result = session.refine(constraints)
        assert np.array_equal(result.labels, before)
        assert result.changed_box is None
        assert result.changes == []
        assert any("nothing was changed" in w for w in result.warnings)

    def test_all_strokes_locked_away(self):
        session = a_session()
        before = session.predict()
        with pytest.raises(InputError, match=r"All strokes.*locked \(spleen\); unlock it"):
            session.refine(constraints_for(session, (IN_SPLEEN, 1), locked={2}))
        assert np.array_equal(session.segmentation().labels, before)
        assert session.refine(usual_constraints(session)).violated_strokes == 0

    def test_a_label_that_the_backbone_lacks(self):
        session = a_session()
        message = r"Label 3 is not a class of this segmentation; known are 0 = background, 1 = liver, 2 = spleen"
        with pytest.raises(InputError, match=message):
            session.refine(constraints_for(session, (MISSED, 3)))
        assert np.array_equal(session.segmentation().labels, session.predict())

    def test_an_unknown_or_taken_class_name(self):
        session = a_session()
        with pytest.raises(InputError, match="no class named 'heart'. Known: liver, spleen"):
            session.label_of("heart")
        for name, message in (("Liver", "already a class named 'Liver'"), (" ", "needs a name")):
            with pytest.raises(InputError, match=message):
                session.add_class(name)


class TestUnusableImages:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_nan_and_infinity(self, value):
        array = scan().array.copy()
        array[3, 4, 5:7] = value
        with pytest.raises(InputError, match="scan has 2 voxels that are NaN or infinite. Replace them"):
            a_session(Volume(array, LPS, "scan"))

    @pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint8])
    def test_constant(self, dtype):
        with pytest.raises(InputError, match=r"scan has the same intensity \(7\) everywhere"):
            a_session(Volume(np.full(SHAPE, 7, dtype), LPS, "scan"))

    def test_complex(self):
        with pytest.raises(InputError, match="holds complex64"):
            a_session(Volume(scan().array.astype(np.complex64), LPS, "scan"))

    def test_another_number_of_channels(self):
        image = Volume(np.stack([scan().array] * 3), LPS, "photo")
        with pytest.raises(BackboneError, match=r"needs 1 channel\(s\) \(CT\), but photo has 3"):
            a_session(image)

    def test_a_slice_and_a_3d_network(self):
        session = a_session(Volume(scan().array[8:9], LPS, "slice"))
        with pytest.raises(BackboneError, match="is a 3-D network, but the image is a single slice"):
            session.predict()

    def test_a_2d_network_answers_for_every_slice_of_a_volume_as_for_that_slice_alone(self):
        backbone = a_backbone(randomized(UNet2d(classes=3)), dimensions=2)
        volume = scan()
        labels = a_session(volume, backbone).predict()
        for k in (0, 8, 15):
            alone = a_session(Volume(volume.array[k : k + 1], LPS, "slice"), backbone).predict()
            assert np.array_equal(labels[k : k + 1], alone)
        assert len(np.unique(labels)) > 1

    @pytest.mark.parametrize("across", [1, -1])
    def test_a_slice_and_a_2d_network_work_wherever_the_next_slice_would_lie(self, across):
        image = Volume(scan().array[8:9, :, :24].copy(), LPS @ np.diag([1, 1, across, 1]), "slice")
        session = a_session(image, a_backbone(hesitant(dimensions=2), dimensions=2))
        across_it = np.array([[0, i, i] for i in range(2, 22)])  # all of it is decoded
        result = session.refine(constraints_for(session, (across_it, 1)))
        assert result.violated_strokes == 0
        assert result.labels.shape == (1, 24, 24)
        assert np.count_nonzero(result.labels != result.previous) >= 3


class TestCancel:
    def test_at_every_step_it_leaves_everything_as_it_was(self):
        fresh = a_session(steps=4)
        constraints = usual_constraints(fresh)
        seen, progress = recorder()
        expected = fresh.refine(constraints, progress=progress).labels
        # The same rounds again, cancelled at one progress step after the other.
        for n in range(len(seen) - 1):
            session = a_session(steps=4)
            stop = StopAfter(n)
            with pytest.raises(Cancelled, match="previous segmentation is unchanged"):
                session.refine(constraints, progress=stop.told, should_cancel=stop.passed)
            own = session.predict()
            assert not np.array_equal(own, expected)
            assert np.array_equal(session.segmentation().labels, own)
            assert session.refine(constraints).labels.tobytes() == expected.tobytes()

    def test_at_every_question_in_a_second_round(self):
        def with_one_round():
            session = a_session(steps=4, new_classes=["kidney"])
            constraints = usual_constraints(session)
            session.refine(constraints)
            constraints.next_round()
            constraints.add_stroke_indices(IN_SPLEEN, 3)
            constraints.add_stroke_indices(IN_LIVER, 1, True)
            return session, constraints

        session, constraints = with_one_round()
        before = session.segmentation().labels.tobytes()
        asked = []
        reference, _ = with_one_round()
        expected = reference.refine(constraints, should_cancel=lambda: bool(asked.append(1))).labels
        assert len(asked) > 8
        for n in range(len(asked)):
            with pytest.raises(Cancelled):
                session.refine(constraints, should_cancel=StopAfter(n).asked)
            assert session.segmentation().labels.tobytes() == before
        assert session.refine(constraints).labels.tobytes() == expected.tobytes()

    def test_a_new_segmentation_survives_a_cancelled_round(self):
        session = a_session(current=current_of(truth()))
        with pytest.raises(Cancelled):
            session.refine(usual_constraints(session), should_cancel=lambda: True)
        assert np.array_equal(session.segmentation().labels, truth())

    def test_of_a_prediction(self):
        session = a_session()
        with pytest.raises(Cancelled):
            session.predict(should_cancel=lambda: True)
        assert np.array_equal(session.predict(), a_session().predict())


class TestProgress:
    @pytest.mark.parametrize("update", UPDATES)
    @pytest.mark.parametrize("patch", [None, (16, 12, 8)])
    def test_it_climbs_to_a_total_that_never_changes(self, update, patch):
        session = a_session(update=update, backbone=a_backbone(patch_size=patch))
        constraints = usual_constraints(session)
        for _ in range(3):
            seen, progress = recorder()
            session.refine(constraints, progress=progress)
            steps, totals, messages = zip(*seen)
            assert len(set(totals)) == 1
            assert list(steps) == sorted(steps)
            assert steps[-1] == totals[-1]
            assert steps[0] >= 0
            assert all(messages)
            constraints.next_round()
            constraints.add_stroke_indices(MISSED + [1, 1, 0], 1)

    def test_of_a_prediction_too(self):
        session = a_session(backbone=a_backbone(patch_size=(16, 12, 8)))
        seen, progress = recorder()
        session.predict(progress=progress)
        steps, totals, _ = zip(*seen)
        assert len(seen) > 3
        assert len(set(totals)) == 1
        assert list(steps) == sorted(steps)
        assert steps[-1] == totals[-1]


class TestResult:
    def test_its_fields_agree_with_its_labels(self):
        session = a_session()
        before = session.predict().copy()
        result = session.refine(constraints_for(session, (MISSED, 1), (EMPTY, 0), (IN_SPLEEN, 1), (IN_LIVER, 0)))
        changed = result.labels != result.previous
        assert np.array_equal(result.previous, before)
        assert result.changed_box == box_of(changed)
        assert {c.name for c in result.changes} == {"liver", "spleen"}
        for change in result.changes:
            was, now = before == change.label, result.labels == change.label
            assert change.added_ml == pytest.approx(np.count_nonzero(now & ~was) * VOXEL_ML)
            assert change.removed_ml == pytest.approx(np.count_nonzero(was & ~now) * VOXEL_ML)
        assert {c.name: c.reach in ("local", "whole") for c in result.changes} == {"liver": True, "spleen": False}
        drawn = np.zeros(SHAPE, np.uint16)
        for voxels, label in ((MISSED, 1), (EMPTY, 255), (IN_SPLEEN, 1), (IN_LIVER, 255)):
            drawn[tuple(voxels.T)] = label
        assert np.array_equal(result.strokes, drawn)
        assert len(result.loss_curve) == 31
        assert np.isfinite(result.loss_curve).all()
        assert {"network", "tuning", "decoding"} <= set(result.timings)
        assert {"torch", "numpy", "scipy"} <= set(result.versions)

    def test_the_old_result_is_not_touched_by_the_next_round(self):
        session = a_session()
        constraints = usual_constraints(session)
        first = session.refine(constraints)
        labels, previous = first.labels.copy(), first.previous.copy()
        constraints.next_round()
        constraints.add_stroke_indices(IN_SPLEEN, 1)
        second = session.refine(constraints)
        assert np.array_equal(second.previous, labels)
        assert np.array_equal(first.previous, previous)

    def test_a_results_labels_are_shared_and_therefore_cannot_be_written_to(self):
        session = a_session()
        result = session.refine(usual_constraints(session))
        for array in (result.labels, result.previous):
            with pytest.raises(ValueError, match="read-only"):
                array[:] = 9
        session.predict()[:] = 9  # these are copies
        session.segmentation().labels[:] = 9
        assert session.segmentation().labels.max() == 2


class TestOutOfMemory:
    @pytest.mark.parametrize(
        "error",
        [
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
            MemoryError("Unable to allocate 4 bytes"),
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4 bytes"),
        ],
        ids=["windows", "linux", "numpy", "cuda"],
    )
    def test_it_is_said_clearly_and_nothing_changed(self, error):
        session = a_session()
        before = session.predict()
        constraints = usual_constraints(session)

        def fails(step, total, message):
            if message.startswith("Tuning") or "Decoding" in message:
                raise error

        with pytest.raises(OutOfMemoryError, match="segmentation is unchanged"):
            session.refine(constraints, progress=fails)
        assert np.array_equal(session.segmentation().labels, before)
        reference = a_session()
        assert session.refine(constraints).labels.tobytes() == reference.refine(constraints).labels.tobytes()

    def test_other_errors_stay_what_they_are(self):
        def fails(*_):
            raise RuntimeError("a bug")

        with pytest.raises(RuntimeError, match="a bug"):
            a_session().predict(progress=fails)


def test_asking_for_a_segmentation_before_there_is_one_says_what_to_do():
    with pytest.raises(InputError, match=r"call predict\(\) or refine\(\) first"):
        a_session().segmentation()
