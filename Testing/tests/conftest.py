"""Fixtures for all tests."""

import pytest

from Testing.slicer_stand_in.fixtures import editor, slicer_app, slicer_problems, slicer_scene  # noqa: F401


@pytest.fixture
def one_thread():
    """On tiny arrays, threads only wait for each other: a hundred times slower where the cores are busy."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
