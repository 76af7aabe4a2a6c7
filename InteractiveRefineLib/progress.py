"""The two callbacks of every long computation: report a step, ask whether to stop."""

from __future__ import annotations

from collections.abc import Callable

from .errors import Cancelled

#: ``progress(step, total, message)``: `step` of `total` is done, `message` says what runs.
Progress = Callable[[int, int, str], None]
#: ``should_cancel()``: True once the user wants to stop.
ShouldCancel = Callable[[], bool]


def no_progress(step: int, total: int, message: str) -> None:
    """Report nothing."""


def never_cancel() -> bool:
    """Never stop."""
    return False


def raise_if_cancelled(should_cancel: ShouldCancel) -> None:
    """Raise `Cancelled` when the user asked to stop.

    Raises:
        Cancelled: `should_cancel()` returned True.
    """
    if should_cancel():
        raise Cancelled("Cancelled: the previous segmentation is unchanged.")
