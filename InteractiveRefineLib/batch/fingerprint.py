"""The key of a case: a hash of everything that decides its result, so that finished work is recognized."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from pathlib import Path

from .. import __version__
from ..atomic import full_extension
from .case import Case

_CHUNK = 1 << 22
#: Headers whose voxels lie in other files, and the entry that names these.
_DETACHED = {
    ".nhdr": re.compile(rb"^data ?file: *(.+)$", re.I | re.M),
    ".mhd": re.compile(rb"^ElementDataFile *= *(.+)$", re.M),
}
#: What tools leave behind in a network's folder and what says nothing about the network.
_NO_PART_OF_A_NETWORK = {"__pycache__", "validation", "predictions", "logs"}


def case_key(case: Case, preview: bool, backbones: BackboneHashes) -> tuple[str, dict[str, list[str]]]:
    """The key of a case, and the SHA-256 of its files by column.

    Names, places and times of files do not matter, their contents do; so do the settings with their defaults, the
    backbone's files and this program's version.

    Raises:
        OSError: a file cannot be read.
    """
    files: dict[str, list[str]] = {}
    for column, path in case.files:
        files.setdefault(column, []).append(content_hash(Path(path)))
    decisive = {
        "program": __version__,
        "files": files,
        "channels": [name for name, _ in case.images],
        "backbone": backbones.of(Path(case.backbone)),
        "settings": dataclasses.asdict(case.settings),
        "locks": sorted(name.strip().lower() for name in case.locks),
        "new_classes": list(case.new_classes),
        "preview": preview,
    }
    text = json.dumps(decisive, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest(), files


def content_hash(path: Path) -> str:
    """SHA-256 of what reading `path` as an image or segmentation depends on, its kind of file included."""
    extension = full_extension(path).lower()
    digest = hashlib.sha256(b"folder" if path.is_dir() else extension.encode())
    if path.is_dir():  # a DICOM series: the reader sorts the slices by their positions, whatever they are called
        parts = sorted(file_hash(file) for file in path.iterdir() if file.is_file())
    else:
        parts = [file_hash(path)]
        if extension in _DETACHED:
            parts += [file_hash(file) for file in _detached(path, _DETACHED[extension])]
        elif _is_dicom(path):  # one file stands for its series
            parts += sorted(file_hash(file) for file in path.parent.iterdir() if file.is_file())
    for part in parts:
        digest.update(part.encode())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class BackboneHashes:
    """Hashes of backbone folders, each computed once as long as no file in it changes size or time."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[list[tuple], str]] = {}

    def of(self, folder: Path) -> str:
        """SHA-256 of names and contents of all files in a backbone folder, and in the one that it points to."""
        files = _backbone_files(folder)
        state = [(str(p), s.st_size, s.st_mtime_ns, s.st_ino) for p, s in ((p, p.stat()) for _, p in files)]
        known = self._known.get(str(folder))
        if known is not None and known[0] == state:
            return known[1]
        digest = hashlib.sha256()
        for name, path in files:
            digest.update(f"{name}\0{file_hash(path)}\0".encode())
        self._known[str(folder)] = (state, digest.hexdigest())
        return digest.hexdigest()


def _backbone_files(folder: Path) -> list[tuple[str, Path]]:
    """(name in the folder, path) of all files of a network, sorted."""
    files = _files_below(folder, "")
    try:
        elsewhere = json.loads((folder / "backbone.json").read_text(encoding="utf-8-sig")).get("folder")
    except (OSError, ValueError, AttributeError):
        elsewhere = None
    if isinstance(elsewhere, str):
        target = folder / Path(elsewhere).expanduser()
        if target.is_dir() and target.resolve() != folder.resolve():
            files += _files_below(target, "folder/")
    return files


def _files_below(folder: Path, prefix: str, above: tuple[Path, ...] = ()) -> list[tuple[str, Path]]:
    real = folder.resolve()
    if real in above:  # a link to a folder above
        return []
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _NO_PART_OF_A_NETWORK:
            continue
        if path.is_dir():
            found += _files_below(path, f"{prefix}{path.name}/", (*above, real))
        elif path.is_file():
            found.append((prefix + path.name, path))
    return found


def _detached(header: Path, entry: re.Pattern[bytes]) -> list[Path]:
    """The files that hold the voxels of a header, as far as it names them."""
    text = header.read_bytes()[: 1 << 20]
    names = [n.strip().decode("utf-8", "replace") for found in entry.findall(text) for n in found.splitlines()]
    if any(name.upper().startswith("LIST") or "%" in name for name in names):  # many files: whatever lies beside it
        return sorted(p for p in header.parent.iterdir() if p.is_file() and p != header)
    return [header.parent / name for name in names if (header.parent / name).is_file()]


def _is_dicom(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"
