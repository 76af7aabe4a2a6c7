"""The worker is killed before, during and after each kind of message in both directions, or hangs there."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np

from .conversation import KINDS, Undisturbed, survive
from .cutting import DURING, FROM_WORKER, MOMENTS, TO_WORKER, Strike
from .registry import Tally, row

_GROUP = "The worker dies or hangs"
#: Random places in each direction's stream of bytes, beside the edges of the messages.
_N_BYTES = 6


@row(_GROUP, "killed before, during and after each kind of message to it", slow=True)
def killed_at_messages_to_it(tally: Tally, folder: Path) -> None:
    _killed_at_every_message(tally, folder, TO_WORKER)


@row(_GROUP, "killed before, during and after each kind of message from it", slow=True)
def killed_at_messages_from_it(tally: Tally, folder: Path) -> None:
    _killed_at_every_message(tally, folder, FROM_WORKER)


@row(_GROUP, "hangs in the middle of each kind of message to and from it", slow=True)
def hangs_at_messages(tally: Tally, folder: Path) -> None:
    without = Undisturbed(folder)
    for direction, kinds in KINDS.items():
        for kind in kinds:
            survive(tally, Strike(direction, kind, DURING, signal=signal.SIGSTOP), without)


@row(_GROUP, "killed after byte n of either direction, n at random")
def killed_at_random_bytes(tally: Tally, folder: Path) -> None:
    without = Undisturbed(folder)
    random = np.random.default_rng(6)
    for direction in (TO_WORKER, FROM_WORKER):
        # The last bytes are the goodbye's; timings in the results make the stream a little shorter now and then.
        for byte in random.integers(0, without.short.transports[0].n_bytes[direction] - 200, _N_BYTES):
            survive(tally, Strike(direction, byte=int(byte)), without)


def _killed_at_every_message(tally: Tally, folder: Path, direction: str) -> None:
    without = Undisturbed(folder)
    for kind in KINDS[direction]:
        for moment in MOMENTS:
            survive(tally, Strike(direction, kind, moment), without)
