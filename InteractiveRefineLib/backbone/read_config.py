"""Read backbone.json and say precisely what is missing or wrong in it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ..errors import BackboneError, InputError
from ..orientation import check_axis_codes
from ..segmentation import BACKGROUND_STROKE, Segment
from .config import ACTIVATIONS, CROPS, INTENSITY_RULES, BackboneConfig, CropRule, IntensityRule

CONFIG_NAME = "backbone.json"
FOLDER_LAYOUT = """Expected folder:
  my-backbone/
    backbone.json   classes, channels, spacing, intensity rule, ... (see Docs/bring-your-own-network.md)
    model.ts        the network as TorchScript; or model.pt2 of torch.export, or a factory with its weights"""

#: Distinct colors for classes whose description names none.
_COLORS = (
    (0.50, 0.68, 0.50), (0.95, 0.84, 0.57), (0.69, 0.48, 0.40), (0.44, 0.72, 0.82), (0.85, 0.40, 0.31),
    (0.87, 0.51, 0.40), (0.56, 0.93, 0.56), (0.75, 0.40, 0.34), (0.86, 0.96, 0.08), (0.31, 0.25, 0.00),
)  # fmt: skip
_KEYS = {
    "format", "name", "dimensions", "channels", "classes", "axis_codes", "tensor_axes", "spacing", "spatial_shape",
    "crop", "intensity", "activation", "patch_size", "overlap", "divisible_by", "model",
    "license", "made_by", "source", "description", "class_map",
}  # fmt: skip


def class_color(label: int) -> tuple[float, float, float]:
    """The color of a class whose description names none."""
    return _COLORS[(label - 1) % len(_COLORS)]


def read_config(folder: Path) -> BackboneConfig:
    """Read `folder`/backbone.json.

    Raises:
        BackboneError: the file is missing, no JSON, or a key is missing or wrong; the text names it.
    """
    path = folder / CONFIG_NAME
    if not folder.is_dir():
        raise BackboneError(f"{folder} is not a folder.\n{FOLDER_LAYOUT}")
    if not path.is_file():
        raise BackboneError(f"{folder} has no {CONFIG_NAME}.\n{FOLDER_LAYOUT}")
    return _Reader(path, read_json(path)).config()


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object from a file; BackboneError names the file and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows put a byte-order mark first
    except OSError as error:
        raise BackboneError(f"{path} cannot be read: {error.strerror}. Check the file's permissions.") from error
    except ValueError as error:
        raise BackboneError(f"{path} is not valid JSON: it is no UTF-8 text. Correct the file.") from error
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BackboneError(f"{path} is not valid JSON: {error}. Correct the file.") from error
    if not isinstance(raw, dict):
        raise BackboneError(f"{path} must hold one JSON object, not a {type(raw).__name__}.")
    return raw


class _Reader:
    """Turns the raw JSON into a config, naming file and key in every complaint."""

    def __init__(self, path: Path, raw: dict[str, Any]) -> None:
        self.path, self.raw = path, raw

    def fail(self, key: str, expected: str) -> BackboneError:
        if key not in self.raw:
            return BackboneError(f"{self.path}: {key!r} is missing; it must be {expected}.")
        return BackboneError(f"{self.path}: {key!r} must be {expected}, not {json.dumps(self.raw[key])}.")

    def only_known(self, found: dict, known: set[str], where: str = "") -> None:
        for key in sorted(set(found) - known):
            raise BackboneError(f"{self.path}: unknown key {key!r}{where}. Known keys: {', '.join(sorted(known))}.")

    def config(self) -> BackboneConfig:
        self.only_known(self.raw, _KEYS)
        if not _is_int(self.raw.get("format")) or self.raw["format"] != 1:
            raise self.fail("format", "1")
        dimensions = self.raw.get("dimensions", 3)
        if not _is_int(dimensions) or dimensions not in (2, 3):
            raise self.fail("dimensions", "2 or 3")
        activation = self.choice("activation", ACTIVATIONS, "softmax")
        classes, channel_labels = self.classes(activation)
        divisible_by = self.raw.get("divisible_by", 1)
        if not _is_int(divisible_by) or divisible_by < 1:
            raise self.fail("divisible_by", "a whole number of at least 1")
        patch_size = self.triple("patch_size", int, dimensions)
        if patch_size and any(n % divisible_by for n in patch_size[:dimensions]):
            raise self.fail("patch_size", f"multiples of 'divisible_by' ({divisible_by})")
        return BackboneConfig(
            name=self.text("name", self.path.parent.name),
            dimensions=dimensions,
            channels=self.channels(),
            classes=classes,
            channel_labels=channel_labels,
            axis_codes=self.axis_codes(),
            tensor_axes=self.choice("tensor_axes", ("KJI", "IJK"), "KJI"),
            spacing=self.triple("spacing", float, dimensions),
            spatial_shape=self.triple("spatial_shape", int, dimensions),
            crop=self.crop(),
            intensity=self.intensity(),
            activation=activation,
            patch_size=patch_size,
            overlap=self.number("overlap", 0.5, 0, 0.99),
            divisible_by=divisible_by,
            model=self.model(),
            license=self.text("license", ""),
        )

    def text(self, key: str, default: str) -> str:
        value = self.raw.get(key, default)
        if not isinstance(value, str):
            raise self.fail(key, "a text")
        return value

    def axis_codes(self) -> str:
        try:
            return check_axis_codes(self.raw.get("axis_codes", "LPS"))
        except InputError as error:
            raise BackboneError(f"{self.path}: 'axis_codes': {error}") from error

    def choice(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.raw.get(key, default)
        if value not in allowed:
            raise self.fail(key, "one of " + ", ".join(repr(a) for a in allowed))
        return value

    def number(self, key: str, default: float | None, low: float = -math.inf, high: float = math.inf) -> float | None:
        """A number within [low, high]; `key` may be "outer.inner"; a default of None makes it optional."""
        *outer, inner = key.split(".")
        source = self.raw[outer[0]] if outer else self.raw
        if inner not in source or (source[inner] is None and default is None):
            return default
        if not _is_number(source[inner]) or not low <= source[inner] <= high:
            limits = "" if low == -math.inf else f" from {low:g} to {high:g}" if high < math.inf else f" above {low:g}"
            raise BackboneError(f"{self.path}: {key!r} must be a number{limits}, not {json.dumps(source[inner])}.")
        return float(source[inner])

    def triple(self, key: str, kind: type, dimensions: int) -> tuple | None:
        value = self.raw.get(key)
        if value is None:
            return None
        numbers = isinstance(value, list) and all(_is_number(v) and v > 0 for v in value)
        if not numbers or len(value) != dimensions or (kind is int and any(v != int(v) for v in value)):
            kind_text = "whole numbers" if kind is int else "numbers"
            raise self.fail(key, f"{dimensions} positive {kind_text} along {'I, J, K'[: 3 * dimensions - 2]}, or null")
        # A 2-D network works on one slice: its third axis has one voxel of any thickness.
        return tuple(kind(v) for v in value) + ((kind(1),) if dimensions == 2 else ())

    def channels(self) -> tuple[str, ...]:
        value = self.raw.get("channels", [{"name": "image"}])
        if not isinstance(value, list) or not value or not all(isinstance(c, dict) and _has_name(c) for c in value):
            raise self.fail("channels", 'a list like [{"name": "CT"}]')
        return tuple(c["name"] for c in value)

    def classes(self, activation: str) -> tuple[tuple[Segment, ...], tuple[int, ...]]:
        value = self.raw.get("classes")
        if not isinstance(value, list) or not value or not all(isinstance(c, dict) and _has_name(c) for c in value):
            raise self.fail("classes", 'a list like [{"name": "background"}, {"name": "liver", "color": [1, 0, 0]}]')
        if activation == "softmax" and len(value) < 2:
            raise self.fail("classes", "at least two entries, the first being the background")
        # Softmax networks have a background channel, sigmoid networks none.
        labels = tuple(range(len(value))) if activation == "softmax" else tuple(range(1, len(value) + 1))
        if labels[-1] >= BACKGROUND_STROKE:
            raise BackboneError(
                f"{self.path}: 'classes' may name at most {BACKGROUND_STROKE - 1} structures, not {labels[-1]}; "
                f"{BACKGROUND_STROKE} marks background strokes."
            )
        segments: list[Segment] = []
        for entry, label in zip(value, labels):
            self.only_known(entry, {"name", "color", "tags"}, f" of class {entry['name']!r}")
            if label:
                segments.append(self.segment(entry, label))
        names = [s.name.strip().lower() for s in segments]
        for segment, name in zip(segments, names):
            if names.count(name) > 1:
                raise BackboneError(f"{self.path}: 'classes' names {segment.name!r} twice; every name must be another.")
        return tuple(segments), labels

    def segment(self, entry: dict[str, Any], label: int) -> Segment:
        color, tags = entry.get("color", list(class_color(label))), entry.get("tags", {})
        if not isinstance(color, list) or len(color) != 3 or not all(_is_number(c) and 0 <= c <= 1 for c in color):
            expected, found = "three numbers from 0 to 1", color
        elif not isinstance(tags, dict) or not all(isinstance(v, str) for v in tags.values()):
            expected, found = "an object of texts", tags
        else:
            return Segment(entry["name"], label, tuple(float(c) for c in color), tags=dict(tags))
        what = f"{'tags' if found is tags else 'color'!r} of class {entry['name']!r}"
        raise BackboneError(f"{self.path}: {what} must be {expected}, not {json.dumps(found)}.")

    def crop(self) -> CropRule:
        value = self.raw.setdefault("crop", {"mode": "none"})
        if not isinstance(value, dict) or value.get("mode") not in CROPS:
            raise self.fail("crop", 'an object like {"mode": "none"} with a mode of ' + ", ".join(CROPS))
        self.only_known(value, {"mode", "threshold", "fraction"}, " in 'crop'")
        return CropRule(value["mode"], self.number("crop.threshold", -300.0), self.number("crop.fraction", 0.1, 0, 1))

    def intensity(self) -> IntensityRule:
        value = self.raw.setdefault("intensity", {"rule": "none"})
        if not isinstance(value, dict) or value.get("rule") not in INTENSITY_RULES:
            example = '{"rule": "window", "low": -200, "high": 300}'
            raise self.fail("intensity", f"an object like {example} with a rule of {', '.join(INTENSITY_RULES)}")
        self.only_known(value, {"rule", "low", "high", "mean", "std"}, " in 'intensity'")
        limits = (0, 100) if value["rule"].startswith("percentile") else ()
        low, high = self.number("intensity.low", None, *limits), self.number("intensity.high", None, *limits)
        if value["rule"] != "none" and (low is None or high is None or not low < high):
            raise self.fail("intensity", "given 'low' and 'high' with low < high")
        mean, std = self.number("intensity.mean", None), self.number("intensity.std", None)
        if (mean is None) != (std is None) or (std is not None and not (std > 0 and value["rule"] == "window")):
            raise self.fail("intensity", "given 'mean' and 'std' > 0 together, with the rule 'window', or neither")
        return IntensityRule(value["rule"], low or 0.0, high or 0.0, mean, std)

    def model(self) -> dict[str, Any]:
        value = self.raw.get("model", {"torchscript": "model.ts"})
        if isinstance(value, dict):
            files = {key: v for key, v in value.items() if not (key == "kwargs" and "factory" in value)}
            known = set(files) in ({"torchscript"}, {"exported"}, {"factory"}, {"factory", "weights"})
            if known and all(isinstance(v, str) and v for v in files.values()):
                if not isinstance(value.get("kwargs", {}), dict):
                    raise self.fail("model", "given 'kwargs' as an object, the factory's arguments by name")
                return dict(value)
        examples = '{"torchscript": "model.ts"}', '{"exported": "model.pt2"}'
        example = '{"factory": "network.py:build", "weights": "weights.pt"}'
        raise self.fail("model", f"{examples[0]} or {examples[1]} or {example}")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _has_name(entry: dict[str, Any]) -> bool:
    return isinstance(entry.get("name"), str) and bool(entry["name"].strip())
