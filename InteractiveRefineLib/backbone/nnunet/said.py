"""Values out of nnU-Net's JSON files, with complaints that name file, key and value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import BackboneError
from ..read_config import read_json

_MISSING = object()


class Said:
    """One JSON object of a file, or one within it.

    Attributes:
        path: the file.
        raw: the object.
        where: its key in the file, with a dot behind, or "".
    """

    def __init__(self, path: Path, raw: dict[str, Any], where: str = "") -> None:
        self.path, self.raw, self.where = path, raw, where

    @classmethod
    def read(cls, path: Path) -> Said:
        """A file's object; BackboneError when it is none."""
        return cls(path, read_json(path))

    def complaint(self, key: str, expected: str) -> BackboneError:
        """The error about a key."""
        if key not in self.raw:
            return BackboneError(f"{self.path}: {self.where + key!r} is missing; it must be {expected}.")
        shown = json.dumps(self.raw[key])
        shown = shown if len(shown) < 120 else shown[:117] + "..."
        return BackboneError(f"{self.path}: {self.where + key!r} must be {expected}, not {shown}.")

    def value(self, key: str, expected: str, fits: Callable[[Any], bool], default: Any = _MISSING) -> Any:
        """A value that `fits`; one that is missing is the default, where there is one."""
        found = self.raw.get(key, default)
        if found is _MISSING or not (fits(found) or (key not in self.raw and default is not _MISSING)):
            raise self.complaint(key, expected)
        return found

    def inner(self, key: str) -> Said:
        """An object within this one."""
        found = self.value(key, "an object", lambda v: isinstance(v, dict))
        return Said(self.path, found, f"{self.where}{key}.")

    def text(self, key: str, default: Any = _MISSING) -> str:
        """A text."""
        return self.value(key, "a text", lambda v: isinstance(v, str) and bool(v), default)

    def numbers(self, key: str, count: tuple[int, ...], *, whole: bool = False) -> tuple:
        """As many positive numbers as one of `count` says."""
        kind = "whole numbers" if whole else "numbers"
        expected = f"{' or '.join(map(str, count))} positive {kind}"

        def fits(found: Any) -> bool:
            if not isinstance(found, list) or len(found) not in count or not all(is_number(v) and v > 0 for v in found):
                return False
            return not whole or all(v == int(v) for v in found)

        return tuple(int(v) if whole else float(v) for v in self.value(key, expected, fits))


def is_number(value: Any) -> bool:
    """A finite number, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """A whole number, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)
