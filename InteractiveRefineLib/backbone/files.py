"""Files of a backbone folder, and what is said when one is missing or cannot be read."""

from __future__ import annotations

from pathlib import Path

from ..errors import BackboneError
from .read_config import FOLDER_LAYOUT


def file_in(folder: Path, name: str, role: str) -> Path:
    """The path of a file that backbone.json names; BackboneError when there is none."""
    path = folder / name
    if not path.is_file():
        raise BackboneError(f"{folder} has no {name}, which backbone.json names as {role}.\n{FOLDER_LAYOUT}")
    return path


def first_line(error: Exception) -> str:
    """The first line of an error's text, for a message of one line."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
