"""Name and time the stages of one refinement, and number their steps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .progress import Progress


class Stages:
    """Stages that run one after the other and together make one progress bar.

    Example:
        >>> stages = Stages(print, {"growing": 1, "tuning": 2})
        >>> with stages("network") as progress:
        ...     progress(0, 3, "Running the network")
        0 6 Running the network
        >>> with stages("growing") as progress:
        ...     progress(0, 1, "Growing the strokes")
        3 6 Growing the strokes
        >>> stages.finish()
        6 6 Done

    Args:
        progress: is told every step, numbered across all stages.
        lengths: number of steps by stage. A stage that is missing here has as many as it reports itself; only the
            first to report may do so, because the total would change under the user's eyes.

    Attributes:
        seconds: by stage.
    """

    def __init__(self, progress: Progress, lengths: Mapping[str, int]) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._lengths = dict(lengths)
        self._done = 0

    @contextmanager
    def __call__(self, name: str) -> Iterator[Progress]:
        """Run a stage in a `with` block; what it yields is the stage's own progress callback."""

        def report(step: int, total: int, message: str) -> None:
            self._lengths.setdefault(name, total)
            self._progress(self._done + step, self._total, message)

        start = time.perf_counter()
        try:
            yield report
        finally:
            self.seconds[name] = time.perf_counter() - start
        self._done += self._lengths.get(name, 0)

    def finish(self) -> None:
        """Report that all is done, also where stages were skipped or stopped early."""
        self._progress(self._total, self._total, "Done")

    @property
    def _total(self) -> int:
        return sum(self._lengths.values())
