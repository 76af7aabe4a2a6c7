"""Progress on stderr: a bar on a terminal, now and then a line in a log file."""

from __future__ import annotations

import shutil
import sys
import time

from tqdm import tqdm

#: In a log, a line for every new stage, and otherwise at most one in so many seconds.
LOG_INTERVAL_S = 10.0
_FORMAT = "{desc}: step {n_fmt} of {total_fmt} |{bar:30}| {elapsed}"


class ProgressReport:
    """A `progress` callback for the library; use it in a `with` block, so that the bar is gone before other output."""

    def __init__(self) -> None:
        self._bar = None
        if sys.stderr.isatty():
            # Some terminals (in containers) claim to have no size, and tqdm would then show nothing at all.
            columns, rows = shutil.get_terminal_size()
            self._bar = tqdm(
                desc="Starting",
                total=1,
                file=sys.stderr,
                leave=False,
                bar_format=_FORMAT,
                ncols=columns,
                nrows=rows,
            )
        self._stage = ""
        self._last_line = -LOG_INTERVAL_S

    def __enter__(self) -> ProgressReport:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, step: int, total: int, message: str) -> None:
        """`step` of `total` is done, `message` says what runs."""
        if self._bar is not None:
            self._bar.set_description_str(message, refresh=False)
            self._bar.total = max(1, total)
            self._bar.n = step
            self._bar.refresh()
            return
        # Messages may carry a changing number (the loss): a stage is what they begin with.
        stage = message.split(",")[0].split("(")[0]
        now = time.monotonic()
        if stage != self._stage or now - self._last_line >= LOG_INTERVAL_S:
            print(f"{message}: step {step} of {total}", file=sys.stderr, flush=True)
            self._stage, self._last_line = stage, now
