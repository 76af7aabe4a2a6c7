"""What the messages carry comes out as it went in, and what does not fit is refused."""

import json
import os
import subprocess

import numpy as np
import pytest

from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.prompts import Box, Point
from InteractiveRefineLib.segmentation import Segment, Segmentation
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.worker import messages
from InteractiveRefineLib.worker.command import own_group, worker_command, worker_environment
from InteractiveRefineLib.worker.constraint_codec import constraints_from_fields, constraints_to_fields
from InteractiveRefineLib.worker.failure import WorkerError, ended, reason_of_exit
from InteractiveRefineLib.worker.memory import Memory, changed, changes, patch, patched
from InteractiveRefineLib.worker.request import BackboneInfo
from InteractiveRefineLib.worker.table import request_table
from InteractiveRefineLib.worker.wire import WireError

GEOMETRY = Geometry((4, 5, 6), np.diag([1.0, 1.0, 2.0, 1.0]))
LIVER, SPLEEN = Segment("liver", 1), Segment("spleen", 2)


def through_json(fields):
    return json.loads(json.dumps(fields))


def all_kinds_of_input():
    constraints = Constraints(GEOMETRY, locked={2, 1})
    constraints.add_stroke_indices(np.array([[0, 0, 0], [3, 4, 5], [9, 9, 9]]), 1)
    constraints.add_points([Point((1, 1, 1), 2, radius_mm=1.5, forbid=True), Point((90, 0, 0), 1)])
    constraints.next_round()
    constraints.add_boxes([Box((0, 0, 0), (3, 3, 3), 1)])
    constraints.add_stroke_indices(np.array([[1, 1, 1]]), 0)
    constraints.next_round()  # the open round is empty
    return constraints


class TestConstraints:
    def test_come_out_with_rounds_sources_order_clipped_counts_and_locks(self):
        constraints, arrays = all_kinds_of_input(), []
        found = constraints_from_fields(through_json(constraints_to_fields(constraints, arrays)), GEOMETRY, arrays)
        expected = constraints.to_records()
        assert [len(inputs) for inputs in expected] == [3, 3, 0] == [len(inputs) for inputs in found.to_records()]
        for a, b in zip(sum(found.to_records(), []), sum(expected, [])):
            assert (a.forbidden, a.source, a.n_clipped) == (b.forbidden, b.source, b.n_clipped)
            assert a.indices.tolist() == b.indices.tolist() and a.labels.tolist() == b.labels.tolist()
            assert (a.indices.dtype, a.labels.dtype) == (np.int64, np.int32)
        assert found.locked == {1, 2} and found.n_rounds == 2
        assert found.undo_round() and found.n_rounds == 1, "rounds can be taken back as before"

    def test_without_any_input(self):
        arrays = []
        found = constraints_from_fields(constraints_to_fields(Constraints(GEOMETRY), arrays), GEOMETRY, arrays)
        assert found.is_empty and found.to_records() == [[]]

    @pytest.mark.parametrize(
        "change, match",
        [
            ({"rounds": []}, "another number|at least one"),
            ({"rounds": [[[999, False, 3, 0]]]}, "another number of voxels"),
            ({"rounds": [[[1, False, 7, 0]]]}, "cannot be read"),
            ({"rounds": [[[1, False, 3]]]}, "cannot be read"),
            ({"arrays": [0, 5]}, "lacks an array"),
            ({"arrays": [1, 0]}, "lacks an array"),
            ({"locked": ["liver"]}, "cannot be read"),
        ],
    )
    def test_that_do_not_add_up_are_refused(self, change, match):
        arrays = []
        fields = constraints_to_fields(all_kinds_of_input(), arrays)
        with pytest.raises(WireError, match=match):
            constraints_from_fields({**fields, **change}, GEOMETRY, arrays)

    def test_outside_the_image_are_refused(self):
        arrays = []
        fields = constraints_to_fields(all_kinds_of_input(), arrays)
        with pytest.raises(WireError, match="stroked voxel lies outside 0 to 0"):
            constraints_from_fields(fields, Geometry((1, 1, 1), np.eye(4)), arrays)


class TestPatches:
    def test_hold_the_changed_box_only(self):
        old = np.zeros((3, 4, 5), dtype=np.uint16)
        new = old.copy()
        new[1, 2, 3] = new[1, 3, 1] = 7
        arrays = []
        change = patch(old, new, arrays)
        assert change == {"box": [[1, 2], [2, 4], [1, 4]], "array": 0}
        assert arrays[0].tolist() == [[[0, 0, 7], [7, 0, 0]]]
        after = patched(old, through_json(change), old.shape, np.uint16, arrays)
        assert np.array_equal(after, new) and not old.any()

    def test_of_nothing_give_the_same_object_back(self):
        old = np.ones((1, 2, 3), dtype=np.uint16)
        assert patched(old, patch(old, old.copy(), []), old.shape, np.uint16, []) is old

    @pytest.mark.parametrize(
        "box", [[[0, 4], [0, 1], [0, 1]], [[-1, 1], [0, 1], [0, 1]], [[1, 1], [0, 1], [0, 1]], [[0, 1]], "abc", 3]
    )
    def test_outside_the_image_are_refused(self, box):
        with pytest.raises(WireError, match="box"):
            patched(None, {"box": box, "array": 0}, (3, 4, 5), np.uint16, [np.zeros((1, 1, 1), dtype=np.uint16)])

    def test_of_another_type_or_shape_are_refused(self):
        change = {"box": [[0, 1], [0, 1], [0, 1]], "array": 0}
        with pytest.raises(WireError, match="lacks an array of uint16"):
            patched(None, change, (3, 4, 5), np.uint16, [np.zeros((1, 1, 1))])
        with pytest.raises(WireError, match="do not fill the box"):
            patched(None, change, (3, 4, 5), np.uint16, [np.zeros((2, 1, 1), dtype=np.uint16)])


class TestMemory:
    def test_changes_turn_one_into_the_other(self):
        old = Memory([LIVER], np.zeros((1, 1, 3), dtype=np.uint16))
        called = (np.array([0, 2]), np.array([1, 0]))
        new = Memory(
            [LIVER, SPLEEN], np.array([[[0, 2, 0]]], dtype=np.uint16), np.array([[[True, False, False]]]), called
        )
        arrays = []
        found = changed(old, through_json(changes(old, new, arrays)), new.segments, (1, 1, 3), arrays)
        assert found.labels.tolist() == [[[0, 2, 0]]] and found.manual.tolist() == [[[True, False, False]]]
        assert [a.tolist() for a in found.called] == [[0, 2], [1, 0]]

    def test_a_label_without_a_segment_is_refused(self):
        arrays = []
        fields = changes(Memory([]), Memory([LIVER], np.array([[[3]]], dtype=np.uint16)), arrays)
        with pytest.raises(WireError, match="label of a voxel lies outside 0 to 1"):
            changed(Memory([]), fields, [LIVER], (1, 1, 1), arrays)

    def test_is_renumbered_by_name(self):
        labels = np.array([[[0, 1, 2, 3]]], dtype=np.uint16)
        memory = Memory([LIVER, SPLEEN, Segment("cyst", 3)], labels, labels > 2, (np.array([1, 3]), np.array([2, 3])))
        found = memory.renumbered([LIVER, Segment("Cyst ", 2)])
        assert found.labels.tolist() == [[[0, 1, 0, 2]]] and found.called[1].tolist() == [0, 2]


class TestTable:
    def current(self, labels, *segments):
        labels = np.array(labels, dtype=np.uint16).reshape(1, 1, -1)
        return Segmentation(labels, Geometry(labels.shape, np.eye(4)), list(segments))

    @pytest.mark.parametrize(
        "labels, segments, expected",
        [
            ([0, 1, 2], [Segment("Spleen", 1), Segment("cyst", 2)], [0, 2, 3]),
            ([0, 1, 2], [LIVER, SPLEEN], [0, 1, 2]),
            ([0, 2, 2], [SPLEEN], [0, 2, 2]),  # a gap
            ([0, 5, 1], [LIVER], [0, 3, 1]),  # a label without a segment
            ([0, 1, 2], [Segment("Segment_1", 1), Segment("Segment_2", 2)], [0, 1, 2]),
        ],
    )
    def test_is_that_of_a_session(self, labels, segments, expected):
        from InteractiveRefineLib.class_table import ClassTable

        current = self.current(labels, *segments)
        table = request_table([LIVER, SPLEEN], current, current.geometry)
        theirs = ClassTable([LIVER, SPLEEN])
        adopted, warnings = theirs.adopt(current, current.geometry)
        assert table.labels.tolist() == [[expected]] == adopted.tolist()
        assert table.segments == theirs.segments and table.warnings == warnings

    def test_new_classes_follow_and_known_ones_are_passed_over(self):
        current = self.current([1, 2], LIVER, Segment("cyst", 2))
        table = request_table([LIVER, SPLEEN], current, current.geometry, ("Cyst", "tumor"))
        assert [s.name for s in table.segments] == ["liver", "spleen", "cyst", "tumor"]
        assert table.label_of("tumor") == 4 and table.label_of("background") == 0
        with pytest.raises(InputError, match="no class named 'bone'"):
            table.label_of("bone")


def test_segments_settings_and_backbones_survive():
    segment = Segment("liver", 1, (0.1, 0.2, 0.3), "Segment_7", {"a": "b"}, {"NameAutoGenerated": "0"})
    assert messages.segments_from_fields(through_json(messages.segments_to_fields([segment]))) == [segment]
    settings = RefineSettings(update="paper", steps=3, threshold=0.1, device="cuda:1")
    assert messages.settings_from_fields(through_json(vars(settings))) == settings
    info = BackboneInfo(
        "f", "n", (segment,), ("CT", "PET"), 3, (1.0, 1.0, 2.5), "free", ("careful",), "a folder",
        ("x.py is a program",), ("two folds",), {"ignore": ["skin"]}, ("cyst",),
    )  # fmt: skip
    assert messages.backbone_from_fields(through_json(messages.backbone_to_fields(info))) == info


@pytest.mark.parametrize(
    "wrong",
    [{"code": "model.ts"}, {"notes": [1]}, {"kind": None}, {"class_map": []}, {"channels": "CT"}, {"license": 3}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_description_of_a_network_with_other_things_than_texts_is_refused(wrong):
    fields = messages.backbone_to_fields(BackboneInfo("f", "n", (), ("CT",), 3))
    with pytest.raises(WireError, match="description cannot be read"):
        messages.backbone_from_fields({**through_json(fields), **wrong})


def test_a_network_is_asked_for_by_a_folder_and_a_class_map():
    assert messages.network_from_fields({"folder": "f", "class_map": {"a": "b"}}) == ("f", {"a": "b"})
    for wrong in ({}, {"folder": 3}, {"folder": "f", "class_map": "all"}):
        with pytest.raises(WireError, match="needs a folder"):
            messages.network_from_fields(wrong)


def test_settings_of_another_version_or_value_are_refused():
    with pytest.raises(WireError, match="library of client and worker the same"):
        messages.settings_from_fields({"sharpness": 3})
    with pytest.raises(InputError, match="reach must be one of"):
        messages.settings_from_fields({"reach": "far"})
    with pytest.raises(WireError, match="labels 1, 2"):
        messages.segments_from_fields(messages.segments_to_fields([SPLEEN]))


def test_another_protocol_is_told_with_what_to_do():
    with pytest.raises(WireError, match=r"\(99 and 2; the library there is 7\.0\).*same version"):
        messages.require_same_protocol({"protocol": 99, "library": "7.0"})


def test_a_worker_has_a_process_group_of_its_own_and_on_windows_no_window(monkeypatch):
    assert own_group() == {"start_new_session": True}
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x8000000, raising=False)
    assert own_group() == {"creationflags": 0x8000200}


def test_the_command_is_split_as_in_a_shell_but_none_is_started(monkeypatch):
    assert worker_command("", "py") == ["py", "-m", "InteractiveRefineLib", "worker"]
    assert worker_command("ssh 'a b' x;y $HOME") == ["ssh", "a b", "x;y", "$HOME"]
    with pytest.raises(InputError, match="cannot be read"):
        worker_command("ssh 'a")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert worker_environment()["PYTHONPATH"].endswith("elsewhere") and len(worker_environment()["PYTHONPATH"]) > 10
    assert worker_environment("ssh box")["PYTHONPATH"] == "elsewhere", "Slicer's paths are nothing for another program"


def test_errors_have_the_exit_codes_of_the_command_line():
    assert [WorkerError(code, "").exit_code for code in ("bad-input", "cancelled", "out-of-memory", "died")] == [
        2,
        3,
        4,
        1,
    ]
    assert WorkerError("what", "").code == "internal"
    assert reason_of_exit(-9) == "killed by signal 9" and reason_of_exit(3) == "ended with exit code 3"
    assert "ran out of memory" not in str(ended("killed by signal 19", "", greeted=True))
    assert "ran out of memory" not in str(ended("ended with exit code 9", "", greeted=True))
