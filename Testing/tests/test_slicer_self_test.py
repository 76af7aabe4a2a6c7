"""The module's self-test, the one that Slicer's Reload and Test and CTest run, under pytest."""

import sys
from pathlib import Path

import pytest

MODULE_FILE = Path(__file__).resolve().parents[2] / "InteractiveRefine" / "InteractiveRefine.py"


@pytest.fixture
def module(slicer_app, tmp_path, monkeypatch):
    import slicer

    monkeypatch.setattr(type(slicer.app), "cachePath", str(tmp_path))
    module = slicer_app.register(MODULE_FILE)
    slicer_app.start()
    return module


@pytest.fixture
def case(module):
    """The test case with an empty scene; asked for by name, so that pytest does not collect it a second time."""
    case = sys.modules["InteractiveRefine"].InteractiveRefineTest()
    case.setUp()
    return case


TESTS = [
    "test_geometry_places_every_voxel_where_slicer_does",
    "test_a_script_segments_and_refines_without_a_window",
    "test_the_first_case_takes_three_clicks",
]


def test_these_are_all(case):
    assert sorted(name for name in dir(case) if name.startswith("test_")) == sorted(TESTS)


@pytest.mark.parametrize("name", TESTS)
def test_of_the_module(case, name):
    getattr(case, name)()


def test_reload_and_test_runs_them_all_on_an_empty_scene(module, monkeypatch):
    import slicer

    ran = []

    def recorder(name):
        def run(self):
            ran.append((name, slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTextNode")))
            slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "left behind")

        return run

    for name in TESTS:
        monkeypatch.setattr(sys.modules["InteractiveRefine"].InteractiveRefineTest, name, recorder(name))
    slicer.selfTests["InteractiveRefine"](msec=1)
    assert sorted(ran) == [(name, 0) for name in sorted(TESTS)]


def test_the_build_finds_them_by_plain_discovery(module):
    import unittest

    suites = unittest.TestLoader().loadTestsFromName("InteractiveRefine")
    # Slicer's own base class is found, too, as in every module; it has nothing to run.
    found = [
        case._testMethodName for suite in suites for case in suite if type(case).__name__ == "InteractiveRefineTest"
    ]
    assert sorted(found) == sorted(TESTS)
