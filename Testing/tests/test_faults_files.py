"""Files: a full disk, a power cut, a batch that is killed: the rows of the fault matrix."""

import sys

import pytest

pytest.importorskip("torch")
if sys.platform == "win32":
    pytest.skip("faults are injected where processes can be forked", allow_module_level=True)

from Testing.faults import batch, disk, power_cut  # noqa: E402
from Testing.faults.registry import complaint, measure, rows_of  # noqa: E402

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore")]

ROWS = [
    pytest.param(line, id=line.id, marks=[pytest.mark.slow] if line.slow else [])
    for module in (batch, disk, power_cut)
    for line in rows_of(module)
]


@pytest.mark.parametrize("line", ROWS)
def test_nothing_is_lost(line):
    tally = measure(line)
    assert tally.is_good, complaint(tally)
    if tally.missing and not tally.tried:
        pytest.skip(tally.missing)
