"""What the workers of this computer load first: Ctrl+C at the terminal is for the process that leads them."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Called by Dask in the main thread of each worker process, before it gets a case."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
