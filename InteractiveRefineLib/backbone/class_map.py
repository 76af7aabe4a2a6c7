"""The network's classes under the user's names: merged, renamed, ignored, and classes added that it does not know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..class_names import similar
from ..class_table import NEW_COLORS
from ..errors import BackboneError
from ..segmentation import BACKGROUND_STROKE, Segment
from .config import BackboneConfig

#: Keys of a class map that are no class.
IGNORE, ADD = "ignore", "add"
#: Value of "ignore": everything that the map does not name.
OTHERS = "others"
EXAMPLE = '{"liver": ["liver", "liver vessel"], "spleen": "Milz", "ignore": ["skin"], "add": ["cyst"]}'


def apply_class_map(config: BackboneConfig, class_map: dict[str, Any]) -> BackboneConfig:
    """The same network with other classes.

    A map says for a class of the user's which class of the network it is, or which ones together; "ignore" lists
    classes that shall count as background, or is "others" for all that the map does not name; "add" lists classes that
    the network does not know. Classes that are not named stay as they are. All numbers follow the network's order; a
    class that several become stands where the first of them stood.

    A label map of the result is the network's own label map with its labels replaced, voxel by voxel: of the channels
    that became one class the largest counts, not their sum.

    Example:
        {"liver": ["liver", "liver vessel"], "spleen": "Milz", "ignore": ["skin"], "add": ["cyst"]}

    Raises:
        BackboneError: a name that the network does not know, a class named twice, or nothing that remains; the text
            names the key.
    """
    _check_form(class_map)
    by_name = {_key(segment.name): segment for segment in config.classes}
    taken: dict[int, str] = {}  # label of the network -> name of the user

    def take(key: str, name: str, target: str) -> None:
        segment = by_name.get(_key(name))
        if segment is None:
            raise BackboneError(f"class_map: {json.dumps(key)}: {_unknown(name, config.classes)}")
        if segment.label in taken:
            raise BackboneError(
                f"class_map: {json.dumps(key)}: the network's class {segment.name!r} is named twice. Name it once."
            )
        taken[segment.label] = target

    for name, members in class_map.items():
        if name not in (IGNORE, ADD):
            for member in _listed(members):
                take(name, member, name.strip())
    ignored = class_map.get(IGNORE, [])
    if ignored != OTHERS:
        for name in _listed(ignored):
            take(IGNORE, name, "")
    classes, new_label = _merged(config.classes, taken, kept=ignored != OTHERS)
    if config.classes and not classes:
        raise BackboneError("class_map: 'ignore' leaves no class of the network. Ignore fewer.")
    added = _added(_listed(class_map.get(ADD, [])), [*classes, *config.added], len(classes))
    labels = tuple(new_label[label] if label else 0 for label in config.channel_labels)
    earlier = tuple(replace(s, label=len(classes) + n) for n, s in enumerate(config.added, 1))
    return replace(config, classes=tuple(classes), channel_labels=labels, added=(*earlier, *added))


def _merged(segments: Sequence[Segment], names: dict[int, str], kept: bool) -> tuple[list[Segment], dict[int, int]]:
    """The user's classes in the network's order, and the new label of every label of the network.

    Args:
        names: the user's name by label of the network, "" = ignored; labels that the map does not name are missing.
        kept: whether these stay as they are.
    """
    members: dict[str, list[Segment]] = {}
    for segment in sorted(segments, key=lambda s: s.label):
        name = names.get(segment.label, segment.name if kept else "")
        if name:
            members.setdefault(_key(name), []).append(segment)
    classes, new_label = [], {segment.label: 0 for segment in segments}
    for label, group in enumerate(members.values(), 1):
        name = next((names[s.label] for s in group if s.label in names), group[0].name)
        if len(group) > 1 and any(s.label not in names for s in group):
            raise BackboneError(
                f"class_map: {json.dumps(name)} is also a class of the network, which the map does not name. Add it to "
                f'the list of {json.dumps(name)}, or to "ignore", or choose another name.'
            )
        classes.append(_as_one(name, label, group))
        new_label.update({segment.label: label for segment in group})
    return classes, new_label


def _as_one(name: str, label: int, group: list[Segment]) -> Segment:
    """One class for several: color and tags of the one that has the name, or of the first; a terminology of the first
    alone would be wrong for all of them together."""
    own = next((s for s in group if _key(s.name) == _key(name)), None)
    model = own or group[0]
    return replace(model, name=name, label=label, tags=model.tags if own or len(group) == 1 else {})


def _added(names: list[str], known: list[Segment], n_known: int) -> list[Segment]:
    taken, segments = [segment.name for segment in known], []
    for name in names:
        name = name.strip()
        if _key(name) in [*map(_key, taken), "background"]:
            raise BackboneError(
                f'class_map: "add": there is a class {name!r} already. Add only what the network does not know.'
            )
        taken.append(name)
        label = len(taken)
        if label >= BACKGROUND_STROKE:
            raise BackboneError(f'class_map: "add": at most {BACKGROUND_STROKE - 1} classes are possible.')
        segments.append(Segment(name, label, NEW_COLORS[(label - n_known - 1) % len(NEW_COLORS)]))
    return segments


def _check_form(class_map: Any) -> None:
    if not isinstance(class_map, dict):
        raise BackboneError(f"class_map must be an object like {EXAMPLE}, not {json.dumps(class_map)}.")
    seen: set[str] = set()
    for name, value in class_map.items():
        if _key(name) in seen:
            raise BackboneError(f"class_map names {json.dumps(name)} twice. Put both into one list.")
        seen.add(_key(name))
        if name not in (IGNORE, ADD) and _key(name) in ("", "background", IGNORE, ADD):
            hint = f'To make classes background, list them under "{IGNORE}".' if _key(name) == "background" else ""
            raise BackboneError(f"class_map: {json.dumps(name)} is no name for a class. {hint}".rstrip())
        listed = _listed(value)
        fine = isinstance(listed, list) and all(isinstance(entry, str) and entry.strip() for entry in listed)
        if not fine or (not listed and name not in (IGNORE, ADD)):
            expected = "a list of names" if name in (IGNORE, ADD) else "the name of a class of the network, or a list"
            raise BackboneError(
                f"class_map: {json.dumps(name)} must be {expected}, not {json.dumps(value)}. Example: {EXAMPLE}"
            )


def _unknown(name: str, classes: Sequence[Segment]) -> str:
    names = [segment.name for segment in classes]
    meant = similar(name, names)
    hint = f" Did you mean {meant!r}?" if meant else ""
    return f"the network has no class {name!r}.{hint} It knows {', '.join(names)}."


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _key(name: str) -> str:
    return name.strip().lower()
