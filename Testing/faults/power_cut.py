"""The power goes, or the process is killed, at each step on the way of a file to its name."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

from .forked_worker import in_a_fork
from .outputs import KINDS
from .registry import Tally, row

_GROUP = "Power cut"
#: The calls on the way of a file to its name, in order; at each the process dies, before it is made.
_STEPS = ("open", "fsync", "chmod", "replace", "close")
#: Dying after so many bytes of the file.
_WRITING = "half of it"
#: For the kinds after the first one, which go the same way.
_DECISIVE = (_WRITING, "replace")


@row(
    _GROUP,
    "in the middle of writing, and between the temporary file and its name: the old file is whole, or the new one",
)
def at_each_step(tally: Tally, folder: Path) -> None:
    for n, kind in enumerate(KINDS):
        for step in _DECISIVE if n else (_WRITING, *_STEPS):
            with tally.fault(f"{kind.name} at {step}"):
                place = folder / f"{kind.name} {step}"
                place.mkdir()
                path = place / kind.name
                kind.write(path, 1)
                old = path.read_bytes()
                code = in_a_fork(_die_at, kind.name, str(path), step)
                # A library that looks after a short write reports it (1) before the system kills it.
                killed = (-signal.SIGXFSZ, 1) if step == _WRITING else (-signal.SIGKILL,)
                assert code in killed, f"the power was not cut: {code}"
                kind.read(path)
                is_whole = path.read_bytes() == old
                if not is_whole:  # then it is the new one, all of it
                    kind.write(place / ("new " + kind.name), 2)
                    is_whole = path.read_bytes() == (place / ("new " + kind.name)).read_bytes()
                    (place / ("new " + kind.name)).unlink()
                tally.cases_lost += not is_whole
                left = [p.name for p in place.iterdir() if p.name != kind.name]
                # What is left is recognized by its name, is hidden, and is in nobody's way.
                assert len(left) <= 1 and all(name.startswith(".refine-") for name in left), left
                kind.write(path, 3)
                kind.read(path)


def _die_at(name: str, path: str, step: str) -> None:
    from InteractiveRefineLib import atomic

    class Dying:
        """The system, in which one call is the last one."""

        def __getattr__(self, called: str):
            if called == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return getattr(os, called)

    atomic.os = Dying()
    (kind,) = (k for k in KINDS if k.name == name)
    if step == _WRITING:  # the system kills whoever writes more than is allowed
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (Path(path).stat().st_size // 2, resource.RLIM_INFINITY))
    kind.write(Path(path), 2)
