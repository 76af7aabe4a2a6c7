"""A lock on a folder, which the system lets go of when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

#: What the system answers when somebody else has the lock; anything else means that there are no locks here.
_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


class FolderLock:
    """Take the lock without waiting.

    Args:
        path: of the lock's file, which stays.

    Attributes:
        held: False when another process has it. True also where the file system knows no locks.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self.held = True
        try:
            _lock(self._descriptor)
        except OSError as error:
            if error.errno in _TAKEN:
                self.held = False
                self.release()

    def release(self) -> None:
        """Let go of it; once more does no harm."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


def _lock(descriptor: int) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
