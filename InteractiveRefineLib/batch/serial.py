"""Compute the cases one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..errors import Cancelled
from ..progress import Progress, ShouldCancel
from .attempt import attempt_case
from .case import Case
from .networks import NetworkKeeper
from .outcome import Outcome
from .store import CaseStore


def run_here(
    cases: list[Case],
    store: CaseStore,
    *,
    preview: bool,
    progress: Progress,
    should_cancel: ShouldCancel,
    networks: Callable[[], NetworkKeeper] = NetworkKeeper,
) -> Iterator[Outcome]:
    """Yields the outcome of each case, in order; after a cancel there are fewer of them."""
    keeper = networks()
    try:
        for case in cases:
            if should_cancel():
                return
            try:
                yield attempt_case(case, store, keeper, preview=preview, progress=progress, should_cancel=should_cancel)
            except Cancelled:
                return
    finally:
        keeper.forget()
