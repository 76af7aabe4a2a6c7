"""Ctrl+C: the first asks the computation to stop at its next step, the second stops it at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

_requested = threading.Event()


def interrupt_requested() -> bool:
    """True after Ctrl+C; the `should_cancel` of every command."""
    return _requested.is_set()


@contextlib.contextmanager
def listening_for_interrupts() -> Iterator[None]:
    """Inside the block, count Ctrl+C; afterward everything is as before."""
    _requested.clear()
    # Only the main thread may set signal handlers; elsewhere Ctrl+C is somebody else's business.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _on_interrupt(number: int, frame: object) -> None:
    if _requested.is_set():
        raise KeyboardInterrupt
    _requested.set()
