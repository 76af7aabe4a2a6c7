"""Write result files completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from .errors import InputError

#: Endings of two parts that image writers tell apart by name.
_DOUBLE_ENDINGS = (".seg.nrrd", ".seg.nhdr", ".nii.gz")


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` and move it onto `path` when the block succeeds.

    Args:
        path: file to be written. The temporary path has the same ending, on which image writers choose the format.

    Raises:
        InputError: the file cannot be written (also for an OSError inside the block); an older file at `path` is
            then untouched. The temporary file is removed after any exception, which otherwise passes unchanged.
    """
    # A link is followed, so that the file behind it is replaced and not the link.
    target = Path(os.path.realpath(path))
    try:
        temporary = _create_beside(target, full_extension(path))
    except OSError as error:
        raise _explained(error, path) from error
    try:
        try:
            yield temporary
            _flush_to_disk(temporary)
            if target.exists():
                os.chmod(temporary, target.stat().st_mode & 0o7777)
            os.replace(temporary, target)
        except OSError as error:
            raise _explained(error, path) from error
    except BaseException:
        # Also after Ctrl+C: a half-written file must never stay behind.
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    flush_folder(target.parent)


def require_writable(path: str | os.PathLike) -> None:
    """Check before a long computation that its result can be written to `path`; changes nothing.

    Raises:
        InputError: `path` is a folder, or its folder is missing, read-only or on a full disk. Says what to do.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"Cannot write {path}: it is a folder. Give the name of a file in it.")
    if target.exists() and not target.is_file():
        raise InputError(f"Cannot write {path}: it is not an ordinary file. Give another file name.")
    try:
        # Permission bits say little (root, network shares, read-only mounts), so really write a byte.
        probe = _create_beside(target, full_extension(path))
        try:
            probe.write_bytes(b"\0")
        finally:
            probe.unlink()
    except OSError as error:
        raise _explained(error, path) from error


def full_extension(path: str | os.PathLike) -> str:
    """The ending that decides the file format, with both parts of ".nii.gz" and ".seg.nrrd", in the given case."""
    name = Path(path).name
    for ending in _DOUBLE_ENDINGS:
        if name.lower().endswith(ending):
            return name[-len(ending) :]
    return Path(name).suffix


def _create_beside(target: Path, extension: str) -> Path:
    """Create an empty, hidden, uniquely named file in the folder of `target`."""
    temporary = target.parent / f".refine-{secrets.token_hex(6)}{extension}"
    # Not tempfile.mkstemp: its files are private to the user, but results follow the user's umask.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def _flush_to_disk(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make the renaming durable where the system can (not on Windows); the file itself is already safe."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explained(error: OSError, path: str | os.PathLike) -> InputError:
    """One line for the user: which path, why not, and what to do."""
    folder = Path(os.path.realpath(path)).parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"Cannot write {path}: the disk is full. Free some space or choose another folder.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return InputError(f"Cannot write {path}: the folder {folder} is read-only. Choose another folder.")
    if not folder.exists():
        return InputError(f"Cannot write {path}: the folder {folder} does not exist. Create it or choose another one.")
    if not folder.is_dir():
        return InputError(f"Cannot write {path}: {folder} is not a folder. Choose another folder.")
    return InputError(f"Cannot write {path}: {error.strerror or error}. Choose another folder or file name.")
