"""What dataset.json says: the channels of the image, the classes, and how the outputs become labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BackboneError
from ...segmentation import BACKGROUND_STROKE, Segment
from ..read_config import class_color
from .said import Said, is_whole


@dataclass(frozen=True)
class Labels:
    """Inputs and outputs of the network.

    Attributes:
        channels: names of the image's channels.
        classes: all structures, by label.
        channel_labels: the label of each output channel.
        activation: "softmax", or "regions" for overlapping regions that are painted one over the other.
        license: as stated, or "".
    """

    channels: tuple[str, ...]
    classes: tuple[Segment, ...]
    channel_labels: tuple[int, ...]
    activation: str
    license: str


def read_labels(path: Path) -> Labels:
    """Read dataset.json; BackboneError names the key that cannot be used."""
    said = Said.read(path)
    labels = said.inner("labels")
    if "background" not in labels.raw:
        hint = " The names come first in nnU-Net v2; this may be a file of version 1." if "0" in labels.raw else ""
        raise BackboneError(f"{path}: 'labels' must name 'background' with label 0.{hint}")
    members = {name: _members(labels, name) for name in labels.raw}
    if members.pop("background") != (0,):
        raise labels.complaint("background", "0")
    members.pop("ignore", None)  # was left out of training: the network has no output for it
    regions = any(len(found) > 1 for found in members.values())
    outputs = _painted_regions(said, members) if regions else _plain_labels(said, members)
    names: dict[int, str] = {}
    for name, label in outputs:
        names.setdefault(label, name)
    if set(names) != set(range(1, len(names) + 1)) or not names or len(names) >= BACKGROUND_STROKE:
        raise BackboneError(
            f"{path}: the labels must be 1, 2, 3, ... without a gap, at most {BACKGROUND_STROKE - 1}, not "
            f"{', '.join(map(str, sorted(names)))}."
        )
    channel_labels = tuple(label for _, label in outputs)
    return Labels(
        channels=_channels(said),
        classes=tuple(_segments(names)),
        channel_labels=channel_labels if regions else (0, *channel_labels),
        activation="regions" if regions else "softmax",
        license=next((said.raw[k] for k in ("license", "licence") if isinstance(said.raw.get(k), str)), ""),
    )


def _members(labels: Said, name: str) -> tuple[int, ...]:
    """The labels that a class or a region is made of."""
    found = labels.raw[name]
    listed = found if isinstance(found, list) else [found]
    if not listed or not all(_as_label(value) is not None for value in listed):
        raise labels.complaint(name, "a whole number from 0 on, or a list of them")
    return tuple(dict.fromkeys(_as_label(value) for value in listed))


def _as_label(value: Any) -> int | None:
    """A label; digits in a text count, as they do for nnU-Net."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if is_whole(value) and value >= 0 else None


def _plain_labels(said: Said, members: dict[str, tuple[int, ...]]) -> list[tuple[str, int]]:
    """(name, label) of each output channel but the first, which is the background."""
    by_label: dict[int, str] = {}
    for name, (label,) in members.items():
        if label:
            by_label.setdefault(label, name)
    return [(by_label[label], label) for label in sorted(by_label)]


def _painted_regions(said: Said, members: dict[str, tuple[int, ...]]) -> list[tuple[str, int]]:
    """(name, label) of each output channel, in the order in which they are painted."""
    names = [name for name, found in members.items() if found != (0,)]
    order = said.value(
        "regions_class_order",
        f"a list of {len(names)} labels, one per region ({', '.join(names)})",
        lambda v: isinstance(v, list) and len(v) == len(names) and all(is_whole(label) and label > 0 for label in v),
    )
    return list(zip(names, order))


def _segments(names: dict[int, str]) -> list[Segment]:
    taken: set[str] = set()
    segments = []
    for label in sorted(names):
        name = names[label]
        if name.strip().lower() in taken:  # differs in upper and lower case only
            name = f"{name} ({label})"
        taken.add(name.strip().lower())
        segments.append(Segment(name, label, class_color(label)))
    return segments


def _channels(said: Said) -> tuple[str, ...]:
    key = "modality" if "channel_names" not in said.raw and "modality" in said.raw else "channel_names"
    expected = 'an object like {"0": "CT"}, one entry per channel'

    def fits(found: Any) -> bool:
        numbered = isinstance(found, dict) and set(found) == {str(i) for i in range(len(found))}
        return numbered and bool(found) and all(isinstance(name, str) for name in found.values())

    found = said.value(key, expected, fits)
    return tuple(found[str(i)] or f"channel {i}" for i in range(len(found)))
