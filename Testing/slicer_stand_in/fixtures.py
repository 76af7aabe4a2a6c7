"""pytest fixtures: `slicer_scene` (slicer-core), `slicer_app` (with Qt), `editor` (a segment editor at work)."""

import gc

import pytest

NO_CORE = "slicer-core is not installed (pip install slicer-core==5.12.4.0 vtk==9.6.0)"
NO_QT = "PyQt5 is not installed (pip install PyQt5==5.15.11)"


def _check(problems):
    found = problems.unexpected()
    problems.clear()
    assert not found, "problems that nobody raised:\n" + "\n".join(found)


@pytest.fixture
def slicer_problems():
    """The recorder of VTK errors, slot exceptions and messages; `allow(regex)` for those that a test provokes."""
    from .problems import problems

    problems.clear()
    yield problems
    _check(problems)


@pytest.fixture
def slicer_scene(slicer_problems):
    """An empty `slicer.mrmlScene` with the real logics; yields the CoreSession (.scene, .pip, .sample_data)."""
    slicer = pytest.importorskip("slicer", reason=NO_CORE)
    if not hasattr(slicer, "vtkSlicerSegmentEditorLogic"):
        pytest.skip(NO_CORE)
    from .bootstrap import CoreSession

    session = CoreSession()
    yield session
    session.close()
    gc.collect()


@pytest.fixture
def slicer_app(slicer_scene):
    """`qt`, `ctk`, slice views, effects and scripted modules over `slicer_scene`; yields the QtSession."""
    pytest.importorskip("PyQt5", reason=NO_QT)
    from .qt_session import QtSession

    session = QtSession(slicer_scene)
    yield session
    session.close()


@pytest.fixture
def editor(slicer_app):
    """An Editor (see editor_driver.py) on a small scan with two empty segments."""
    from .editor_driver import Editor

    found = Editor(slicer_app)
    yield found
    found.close()
