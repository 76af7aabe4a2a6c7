"""Understand single cells of a manifest: lists, images with channel names, settings."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..settings import RefineSettings

_KINDS = {"str": (str,), "int": (int,), "float": (int, float)}
_CHANNEL = re.compile(r"\s*([^=/\\]+?)\s*=\s*(.+)")


def entries_of(cell: str) -> list[str]:
    """The entries of a cell, separated by semicolons."""
    return [entry.strip() for entry in cell.split(";") if entry.strip()]


def path_of(text: str, folder: Path) -> Path:
    """The absolute path that `text` means, relative to `folder`; ~ is the user's home."""
    return Path(folder, Path(text).expanduser()).absolute()


def images_of(cell: str, folder: Path) -> list[tuple[str, Path]]:
    """(channel's name or "", path) of the files of one image, written as `a.nrrd` or `FLAIR=a.nrrd;T1c=b.nrrd`."""
    images = []
    for entry in entries_of(cell):
        named = _CHANNEL.fullmatch(entry)
        # A file may really have = in its name.
        if named and not path_of(entry, folder).exists():
            images.append((named[1], path_of(named[2], folder)))
        else:
            images.append(("", path_of(entry, folder)))
    return images


def settings_of(cell: str, folder: Path, defaults: RefineSettings) -> RefineSettings:
    """Settings as JSON text, or in a JSON file; what they leave out is as in `defaults`.

    Raises:
        InputError: no JSON object, a name or a value that settings cannot have.
    """
    text, source = cell, "the settings"
    if not cell.lstrip().startswith(("{", "[", '"')):
        source = cell
        try:
            text = path_of(cell, folder).read_text(encoding="utf-8-sig")
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{cell} cannot be read ({reason}). Write a JSON file or text like {{}}.") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{cell} is no UTF-8 text, so it is no JSON file.") from error
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{source}: this is no JSON ({error}). The form: {{"reach": "local", "seed": 3}}.') from error
    if not isinstance(values, dict):
        raise InputError(f'{source}: this is no JSON object. The form: {{"reach": "local", "seed": 3}}.')
    return settings_from(values, defaults, source)


def settings_from(values: dict[str, Any], defaults: RefineSettings, source: str = "the settings") -> RefineSettings:
    """`defaults` with other values; InputError for a name or a value that settings cannot have."""
    fields = {f.name: str(f.type) for f in dataclasses.fields(RefineSettings)}
    for name, value in values.items():
        if name not in fields:
            near = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(fields)}."
            raise InputError(f"{source}: there is no setting {name!r}. {hint}")
        kinds = [kind.strip() for kind in fields[name].split("|")]
        allowed = tuple(t for kind in kinds for t in _KINDS.get(kind, ()))
        fits = isinstance(value, allowed) and not isinstance(value, bool)
        if not fits and not (value is None and "None" in kinds):
            expected = " or ".join(
                {"str": "a text", "int": "a whole number", "float": "a number"}.get(k, "null") for k in kinds
            )
            raise InputError(f"{source}: {name!r} must be {expected}, not {json.dumps(value)}.")
    try:
        return dataclasses.replace(defaults, **values)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
