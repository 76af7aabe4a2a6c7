"""The rows of the fault matrix as tests of pytest."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from .registry import complaint, measure, rows_of


def rows_as_test(*modules: ModuleType) -> Callable:
    """One test function for all rows of some modules; the slow ones are marked."""
    rows = [
        pytest.param(line, id=line.id, marks=[pytest.mark.slow] if line.slow else [])
        for module in modules
        for line in rows_of(module)
    ]

    @pytest.mark.usefixtures("one_thread")
    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("line", rows)
    def test_nothing_is_lost(line):
        tally = measure(line)
        assert tally.is_good, complaint(tally)
        if tally.missing and not tally.tried:
            pytest.skip(tally.missing)

    return test_nothing_is_lost
