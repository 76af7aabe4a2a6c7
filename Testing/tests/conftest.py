"""Fixtures for all tests, and how they share the cores."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes: each, and the workers it starts, on one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

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


@pytest.fixture
def card():
    """A pretended graphics card."""
    torch = pytest.importorskip("torch")
    from Testing.pretend_cuda import pretend_cuda

    with pretend_cuda():
        yield torch.device("cuda:0")


def pytest_collection_modifyitems(items):
    """Files with the longest tests first, so that no process sits idle while another works off the last long one."""
    longest = {item.path for item in items if item.get_closest_marker("data") and item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in longest)
