"""The disk is full, or the place is read-only, while each kind of file is written."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from InteractiveRefineLib.errors import InputError

from .forked_worker import ROOT, in_a_fork
from .outputs import KINDS, Kind
from .registry import NotHere, Tally, row

_GROUP = "The disk is full or read-only"
#: Exit code of the child that tells "what was promised happened"; anything else is a failure.
_AS_PROMISED = 42


def refused(kind: Kind, folder: Path, attack: Callable[[], object], words: tuple[str, ...]) -> None:
    """Writing over an old file fails with one line; the old file is untouched and no other file is left."""
    path = folder / kind.name
    kind.write(path, 1)
    old = path.read_bytes()
    undo = attack()
    try:
        kind.write(path, 2)
        raise AssertionError(f"{kind.name} was written")
    except InputError as error:
        said = str(error)
    finally:
        if callable(undo):
            undo()
    assert "\n" not in said and any(word in said for word in words), said
    assert path.read_bytes() == old, f"the old {kind.name} was damaged"
    left = [p.name for p in folder.iterdir() if p.name != kind.name]
    assert not left, f"left behind: {left}"
    kind.write(path, 2)
    kind.read(path)
    assert path.read_bytes() != old


def _limit(n_bytes: int) -> Callable[[], object]:
    def attack() -> Callable[[], None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return attack


@row(_GROUP, "a file may not grow beyond n bytes: none, half of it, all but one")
def too_large(tally: Tally, folder: Path) -> None:
    for kind in KINDS:
        kind.write(folder / kind.name, 2)
        size = (folder / kind.name).stat().st_size
        (folder / kind.name).unlink()
        for n_bytes in (0, size // 2, size - 1):
            with tally.fault(f"{kind.name} at {n_bytes} of {size} bytes"):
                work = folder / f"{kind.name} {n_bytes}"
                work.mkdir()
                # In a process of its own: a limit in this one would hit whatever else it writes.
                code = in_a_fork(_write_under_limit, kind.name, str(work), n_bytes)
                tally.cases_done(1, int(code == _AS_PROMISED))
                assert code == _AS_PROMISED, (work / "said.txt").read_text() if (work / "said.txt").exists() else code


def _write_under_limit(name: str, folder: str, n_bytes: int) -> None:
    (kind,) = (k for k in KINDS if k.name == name)
    place = Path(folder) / "place"
    place.mkdir()
    try:
        refused(kind, place, _limit(n_bytes), ("disk is full", "free space", "File too large"))
    except BaseException as error:
        (Path(folder) / "said.txt").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        os._exit(1)
    os._exit(_AS_PROMISED)


@row(_GROUP, "a real disk of 64 KB that runs full while each file is written")
def small_disk(tally: Tally, folder: Path) -> None:
    mount = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" -m Testing.faults.disk "$1"',
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            [*mount, "sh", str(folder), sys.executable], cwd=ROOT, env=environment, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
    except FileNotFoundError:
        raise NotHere("no program 'unshare'") from None
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        raise NotHere("no disk of that size can be mounted")
    lines = done.stdout.splitlines()
    assert len(lines) == len(KINDS), done.stderr[-500:]
    for kind, said in zip(KINDS, lines):
        with tally.fault(kind.name):
            tally.cases_done(1, int(said == "as promised"))
            assert said == "as promised", said


def _on_small_disk(place: Path) -> None:
    """On the small disk: fill it but for a little, and write each kind of file."""
    for kind in KINDS:
        try:
            _refused_when_full(kind, place)
            print("as promised")
        except BaseException as error:
            print(f"{kind.name}: {type(error).__name__}: {str(error).splitlines()[0]}")
        for path in place.iterdir():
            path.unlink()


def _refused_when_full(kind: Kind, place: Path) -> None:
    path, filler = place / kind.name, place / "filler"
    path.write_bytes(b"old")
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    for free in (0, 4096, 16384):
        with open(filler, "rb+") as file:
            file.truncate(max(filler.stat().st_size - free, 0))
        try:
            kind.write(path, 2)
        except InputError as error:
            assert "disk" in str(error) and "\n" not in str(error), str(error)
        else:
            kind.read(path)  # it fitted, and is whole
            return
        assert path.read_bytes() == b"old", "the old file was damaged"
        left = {p.name for p in place.iterdir()} - {kind.name, "filler"}
        assert not left, f"left behind: {left}"


@row(_GROUP, "a read-only place: refused before and while writing, nothing changed")
def read_only(tally: Tally, folder: Path) -> None:
    from InteractiveRefineLib import atomic

    for kind in KINDS:
        for code in (errno.EROFS, errno.EACCES):
            with tally.fault(f"{kind.name}: {errno.errorcode[code]} when it is opened"):
                _refused_by_system(kind, folder, atomic.os, "open", code)
            with tally.fault(f"{kind.name}: {errno.errorcode[code]} when it is renamed"):
                _refused_by_system(kind, folder, atomic.os, "replace", code)
        with tally.fault(f"{kind.name}: {errno.errorcode[errno.EIO]} when it is flushed"):
            _refused_by_system(kind, folder, atomic.os, "fsync", errno.EIO)


def _refused_by_system(kind: Kind, folder: Path, system, name: str, code: int) -> None:
    """One call of the system fails; permissions would not stop root, who may run this."""
    before = getattr(system, name)

    def fail(*arguments, **_):
        raise OSError(code, os.strerror(code), str(arguments[0]))

    def attack():
        setattr(system, name, fail)
        return lambda: setattr(system, name, before)

    words = ("read-only",) if code != errno.EIO else ("Cannot write",)
    place = folder / f"{kind.name} {name} {code}"
    place.mkdir()
    refused(kind, place, attack, words)


if __name__ == "__main__":
    _on_small_disk(Path(sys.argv[1]))
