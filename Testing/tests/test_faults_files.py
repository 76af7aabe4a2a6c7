"""Files: a full disk, a power cut, a batch that is killed: the rows of the fault matrix."""

import sys

import pytest

pytest.importorskip("torch")
if sys.platform == "win32":
    pytest.skip("faults are injected where processes can be forked", allow_module_level=True)

from Testing.faults import batch, disk, power_cut  # noqa: E402
from Testing.faults.as_tests import rows_as_test  # noqa: E402

test_nothing_is_lost = rows_as_test(batch, disk, power_cut)
