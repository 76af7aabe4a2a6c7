"""What in a network's folder is a program, and under which license it comes: said before anything of it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: How names of files with terms of use begin, in lower case.
_LICENSE_NAMES = ("license", "licence", "copying", "notice")
#: Where programs lie in a folder that its owner's tool made, e.g. in a MONAI bundle.
_PROGRAMS = {"TorchScript": ("*.ts", "models/*.ts")}
#: What is a program besides, once "trust" in backbone.json says that a MONAI bundle may do what it likes.
_TRUSTED = {
    "Python": ("*.py", "scripts/*.py"),
    "a MONAI configuration that may call any Python": ("configs/*.json", "configs/*.yaml", "configs/*.yml"),
}


def code_in(folder: str | Path) -> list[str]:
    """Sentences about what in a folder is a program and may run when its network is loaded or used.

    A program can do whatever its user can do, so it must come from somebody who is trusted. Only names of files and
    the texts of descriptions are looked at; weights, and exported programs (.pt2), of which everything but tensor
    operations is refused, are no programs. [] where there is none, also where nothing is known of the folder.
    """
    folder = Path(folder).expanduser()
    said = _read(folder / "backbone.json")
    if said is None:
        return _in_other_folder(folder)
    if "kind" in said or "folder" in said:
        target = folder / str(said.get("folder", "."))
        said_there = None if target.resolve() == folder.resolve() else _read(target / "backbone.json")
        trusted = said.get("trust") is True
        return _in_other_folder(target, trusted) if said_there is None else _in_model(said_there)
    return _in_model(said)


def licenses_in(folder: str | Path) -> list[str]:
    """The files with terms of use in a folder, each with its first line: ["MIT License (LICENSE)"]."""
    found = []
    for path in sorted(Path(folder).glob("*")):
        if not path.name.lower().startswith(_LICENSE_NAMES):
            continue
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:  # a folder, or a file of somebody else
            continue
        title = next((line.strip() for line in lines if line.strip()), "")[:80]
        found.append(f"{title} ({path.name})" if title else path.name)
    return found


def _in_model(said: dict[str, Any]) -> list[str]:
    model = said.get("model", {"torchscript": "model.ts"})
    if not isinstance(model, dict):
        return []
    if "torchscript" in model:
        return [_sentence(str(model["torchscript"]), "TorchScript")]
    if "factory" in model:
        return [_sentence(str(model["factory"]).partition(":")[0], "Python")]
    return []


def _in_other_folder(folder: Path, trusted: bool = False) -> list[str]:
    return [
        _sentence(path.relative_to(folder).as_posix(), language)
        for language, patterns in (_PROGRAMS | _TRUSTED if trusted else _PROGRAMS).items()
        for pattern in patterns
        for path in sorted(folder.glob(pattern))
    ]


def _sentence(name: str, language: str) -> str:
    return f"{name} is a program ({language})."


def _read(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, {} when it is damaged, None when there is no such file."""
    try:
        said = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError:
        return None
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
