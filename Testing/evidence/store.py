"""Results on disk: one small JSON file per case, method and robot; what is there is not computed again."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from InteractiveRefineLib.atomic import atomic_output
from Testing.evidence.case import Spot
from Testing.evidence.method import Method

#: Raise it when what is measured changes, and every result is computed again.
PROTOCOL = "2"


@dataclass(frozen=True)
class Store:
    """A folder of results.

    Attributes:
        folder: is made when the first result comes.
        keep_old: take results of older versions of a method as they are.
    """

    folder: Path
    keep_old: bool = False

    def find(self, spot: Spot, method: Method, robot: str) -> dict[str, Any] | None:
        """The stored result, or None where there is none of this version."""
        path = self._path(spot, method, robot)
        if not path.is_file():
            return None
        result = json.loads(path.read_text(encoding="utf-8"))
        return result if self.keep_old or result["version"] == _version(method) else None

    def keep(self, spot: Spot, method: Method, robot: str, result: dict[str, Any]) -> None:
        """Store a result, completely or not at all."""
        path = self._path(spot, method, robot)
        path.parent.mkdir(parents=True, exist_ok=True)
        result = {**result, "robot": robot, "version": _version(method)}
        with atomic_output(path) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    def everything(self) -> list[dict[str, Any]]:
        """All stored results, ordered by file name."""
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self.folder.glob("*/*.json"))]

    def _path(self, spot: Spot, method: Method, robot: str) -> Path:
        name = hashlib.sha256(f"{method.name}|{robot}".encode()).hexdigest()[:12]
        return self.folder / spot.key / f"{name}.json"


def _version(method: Method) -> str:
    return f"{PROTOCOL}/{method.version}"


def source_version(folder: Path, without: Sequence[str] = ()) -> str:
    """A hash of all Python code below a folder: results of our own method belong to one state of the library.

    Comments, docstrings and line breaks decide no result, so they do not count.

    Args:
        without: subfolders that decide no result.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        if name.parts[0] not in without:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if (
                    isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
                    and ast.get_docstring(node) is not None
                ):
                    del node.body[0]
            digest.update(name.as_posix().encode() + ast.dump(tree).encode())
    return digest.hexdigest()[:12]
