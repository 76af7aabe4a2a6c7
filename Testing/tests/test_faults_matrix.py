"""The fault matrix itself: what it counts, and that a broken product cannot look good in it."""

import sys

import numpy as np
import pytest

pytest.importorskip("torch")
if sys.platform == "win32":
    pytest.skip("faults are injected where processes can be forked", allow_module_level=True)

from InteractiveRefineLib.constraints import Constraints  # noqa: E402
from InteractiveRefineLib.geometry import Geometry  # noqa: E402
from Testing.faults import __main__ as program  # noqa: E402
from Testing.faults import rows  # noqa: E402
from Testing.faults.registry import NotHere, Row, Tally, complaint, measure  # noqa: E402
from Testing.faults.table import counts, markdown, remarks  # noqa: E402

GEOMETRY = Geometry((1, 1, 6), np.eye(4))


def labels(*values):
    return np.array(values, dtype=np.uint16).reshape(1, 1, -1)


def strokes(*records):
    constraints = Constraints(GEOMETRY)
    for positions, label, forbidden in records:
        constraints.add_stroke_indices(np.array([[0, 0, i] for i in positions]), label, forbidden)
    return constraints


def test_a_stroke_counts_as_lost_when_one_of_its_voxels_is_not_obeyed():
    tally = Tally()
    tally.strokes_obeyed(strokes(([0, 1], 1, False), ([2], 2, True), ([3], 0, False)), labels(1, 1, 1, 0, 0, 0))
    assert tally.strokes_lost == 0
    tally.strokes_obeyed(strokes(([0, 1], 1, False), ([2], 2, True), ([3], 0, False)), labels(1, 0, 2, 5, 0, 0))
    assert tally.strokes_lost == 3


def test_of_two_strokes_on_a_voxel_the_later_one_must_be_obeyed():
    tally = Tally()
    both = strokes(([0, 1], 1, False), ([1], 2, False))
    tally.strokes_obeyed(both, labels(1, 2, 0, 0, 0, 0))
    assert tally.strokes_lost == 0
    tally.strokes_obeyed(both, labels(1, 1, 0, 0, 0, 0))
    assert tally.strokes_lost == 1


def test_a_stroke_that_is_not_known_any_more_is_lost():
    tally, drawn = Tally(), strokes(([0], 1, False), ([1], 2, False))
    tally.strokes_known(drawn, drawn.copy())
    assert tally.strokes_lost == 0
    tally.strokes_known(drawn, strokes(([0], 1, False)))
    tally.strokes_known(drawn, strokes(([0], 1, False), ([1], 2, True)))
    assert tally.strokes_lost == 2


def test_a_segment_is_lost_when_a_voxel_of_it_is_another():
    tally = Tally()
    tally.segments_kept(labels(0, 1, 2, 2, 3, 0), labels(0, 1, 2, 2, 3, 0))
    assert tally.segments_lost == 0
    tally.segments_kept(labels(0, 1, 2, 2, 3, 0), labels(0, 1, 2, 3, 3, 0))
    assert tally.segments_lost == 2, "2 lost a voxel to 3"
    tally.segments_kept(labels(0, 1, 2, 2, 3, 0), None)
    assert tally.segments_lost == 5


def test_cases_and_pickles_are_counted(tmp_path):
    tally = Tally()
    tally.cases_done(5, 3)
    tally.trap(tmp_path)
    tally.trap(tmp_path / "nowhere")
    assert tally.lost == (0, 0, 2, 1)


def outcome(run):
    return measure(Row("group", "a fault", run))


def test_a_row_is_good_only_if_it_tried_something_and_all_of_it_was_survived():
    def good(tally, folder):
        with tally.fault("one"):
            assert folder.is_dir()

    def idle(tally, folder):
        pass

    def broken(tally, folder):
        with tally.fault("one"):
            raise ValueError("kept nothing")
        with tally.fault("two"):
            pass

    def lossy(tally, folder):
        with tally.fault("one"):
            tally.segments_lost += 1

    def crashing(tally, folder):
        raise OSError("no place")

    def impossible(tally, folder):
        raise NotHere("no GPU")

    found = {run.__name__: outcome(run) for run in (good, idle, broken, lossy, crashing, impossible)}
    assert {name for name, tally in found.items() if tally.is_good} == {"good", "impossible"}
    assert counts(found["good"]) == (1, 1, 0, 0, 0, 0)
    assert counts(found["broken"]) == (2, 1, 0, 0, 0, 0) and "ValueError: kept nothing" in complaint(found["broken"])
    assert counts(found["lossy"]) == (1, 0, 0, 1, 0, 0) and "lost 1 segments" in complaint(found["lossy"])
    assert "no fault was injected" in complaint(found["idle"]) and "no place" in complaint(found["crashing"])
    table = markdown([(Row("group", name, None), tally) for name, tally in found.items()])
    assert "| **all**" in table and "**5**" in table and "(not here: no GPU)" in table
    assert remarks([(Row("group", "x", None), found["lossy"])]).startswith("FAILED  group: x")


@pytest.mark.parametrize(("lost", "code"), [(0, 0), (1, 1)])
def test_the_command_fails_when_something_was_lost(monkeypatch, capsys, lost, code):
    def run(tally, folder):
        with tally.fault("one"):
            tally.strokes_lost += lost

    monkeypatch.setattr(rows, "all_rows", lambda: [Row("a group", "a fault", run), Row("a group", "slow", None, True)])
    assert program.main(["--quick"]) == code
    assert "| a fault" in capsys.readouterr().out


def test_every_fault_of_the_list_has_its_row():
    text = "\n".join(f"{line.group} {line.name}".lower() for line in rows.all_rows())
    for fault in (
        "killed before, during and after", "hangs", "on the gpu", "really, in this library", "cancel", "full",
        "read-only", "nan", "infinity", "constant", "one slice", "one voxel", "65,535", "outside", "conflicting",
        "locked", "a single voxel", "10,000,000", "cut at each quarter", "bits flipped", "another architecture",
        "pickle", "garbage", "oversized", "slow", "clock", "cache", "temporary file and its name", "batch",
    ):  # fmt: skip
        assert fault in text, fault
    ids = [line.id for line in rows.all_rows()]
    assert len(set(ids)) == len(ids), "pytest would mix them up"
