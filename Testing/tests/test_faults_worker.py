"""The worker: killed, hanging, and talking nonsense, in every place where it can: the rows of the fault matrix."""

import sys

import pytest

pytest.importorskip("torch")
if sys.platform == "win32":
    pytest.skip("faults are injected where processes can be forked", allow_module_level=True)

from Testing.faults import damaged_bytes, worker_killed  # noqa: E402
from Testing.faults.as_tests import rows_as_test  # noqa: E402

test_nothing_is_lost = rows_as_test(damaged_bytes, worker_killed)
