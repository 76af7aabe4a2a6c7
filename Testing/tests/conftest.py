"""Fixtures for all tests."""

import pytest


@pytest.fixture
def one_thread():
    """On tiny arrays, threads only wait for each other: a hundred times slower where the cores are busy."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
