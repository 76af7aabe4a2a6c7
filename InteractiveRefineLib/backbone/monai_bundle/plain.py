"""Read a bundle's configuration as it stands: references are followed, expressions are left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_REFERENCE = re.compile(r"@(\w+(?:(?:::|#)\w+)*)\Z")


class PlainConfig:
    """A configuration of which nothing is evaluated.

    Args:
        config: as `files.read_plain_file` returns it.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config

    def value(self, found: Any) -> Any:
        """What `found` stands for when it is a reference like "@image_key"; None when only an expression knows it."""
        for _ in range(20):  # references may lead to references, and in a damaged file in a circle
            if not isinstance(found, str):
                return found
            reference = _REFERENCE.match(found)
            if reference is None:
                return None if found.startswith(("$", "@", "%")) else found
            found = self._at(re.split("::|#", reference[1]))
        return None

    def _at(self, keys: list[str]) -> Any:
        found: Any = self._config
        for key in keys:
            if isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                return None
        return found

    def numbers(self, found: Any) -> tuple[float, ...] | None:
        """A list of numbers, or None."""
        found = self.value(found)
        values = [self.value(v) for v in found] if isinstance(found, list) else [found]
        plain = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        return tuple(values) if plain and values else None

    def first(self, *keys: str) -> Any:
        """The value of the first key that exists, itself not a reference or expression; None without any."""
        return next((self.value(self._config[key]) for key in keys if key in self._config), None)

    def components(self, key: str) -> list[dict[str, Any]]:
        """All objects with a `_target_` under a key, in order, through references; [] where only code knows them."""
        return list(self._components(self._config.get(key), 0))

    def _components(self, found: Any, depth: int) -> Iterator[dict[str, Any]]:
        found = self.value(found)
        if depth > 10:
            return
        if isinstance(found, list):
            for entry in found:
                yield from self._components(entry, depth + 1)
        elif isinstance(found, dict) and isinstance(found.get("_target_"), str):
            if "transforms" in found:
                yield from self._components(found["transforms"], depth + 1)
            elif self.value(found.get("_disabled_", False)) not in (True, "true", "True"):
                yield found


def short_name(target: Any) -> str:
    """The class a `_target_` names: "monai.transforms.Spacingd" is "Spacingd"."""
    return target.rsplit(".", 1)[-1] if isinstance(target, str) else ""
