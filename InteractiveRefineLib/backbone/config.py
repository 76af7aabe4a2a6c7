"""Read and validate backbone.json, the description of a pretrained network."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BackboneError, InputError
from ..orientation import check_axis_codes
from ..segmentation import Segment

CONFIG_NAME = "backbone.json"
FOLDER_LAYOUT = """Expected folder:
  my-backbone/
    backbone.json   classes, channels, spacing, intensity rule, ... (see the README)
    model.ts        the network as TorchScript, or a factory with its weights"""

CROPS = ("none", "foreground", "body")
INTENSITY_RULES = ("none", "window", "percentile-zscore", "percentile-scale")
ACTIVATIONS = ("softmax", "sigmoid")
#: Distinct colors for classes whose description names none.
_COLORS = (
    (0.50, 0.68, 0.50), (0.95, 0.84, 0.57), (0.69, 0.48, 0.40), (0.44, 0.72, 0.82), (0.85, 0.40, 0.31),
    (0.87, 0.51, 0.40), (0.56, 0.93, 0.56), (0.75, 0.40, 0.34), (0.86, 0.96, 0.08), (0.31, 0.25, 0.00),
)  # fmt: skip


@dataclass(frozen=True)
class IntensityRule:
    """How intensities are brought to what the network was trained on."""

    rule: str = "none"
    low: float = 0.0
    high: float = 0.0
    mean: float | None = None
    std: float | None = None


@dataclass(frozen=True)
class CropRule:
    """Which part of the image the network sees.

    "none": all of it. "foreground": the box of the nonzero voxels. "body": along the axes that are not
    head-foot, the range of slices of which more than `fraction` of the voxels exceed `threshold`.
    """

    mode: str = "none"
    threshold: float = -300.0
    fraction: float = 0.1


@dataclass(frozen=True)
class BackboneConfig:
    """What backbone.json says about a network.

    Attributes:
        classes: one segment per output class except background; `label` is its value in label maps.
        channel_labels: the label of every output channel, in channel order.
        axis_codes: directions toward which the image axes I, J, K increase when the network sees them.
        tensor_axes: order of the network's spatial tensor axes, "KJI" (usual) or "IJK".
        spacing: voxel size in mm along I, J, K the network expects, or None for the image's own.
        spatial_shape: fixed input size along I, J, K, or None.
        patch_size: sliding-window size along I, J, K, or None for the whole image at once.
        overlap: of neighboring windows, 0 to <1.
        divisible_by: every side of the network's input is padded to a multiple of it.
        model: {"torchscript": file} or {"factory": "module:function", "weights": file}.
    """

    name: str
    dimensions: int
    channels: tuple[str, ...]
    classes: tuple[Segment, ...]
    channel_labels: tuple[int, ...]
    axis_codes: str = "LPS"
    tensor_axes: str = "KJI"
    spacing: tuple[float, ...] | None = None
    spatial_shape: tuple[int, ...] | None = None
    crop: CropRule = field(default_factory=CropRule)
    intensity: IntensityRule = field(default_factory=IntensityRule)
    activation: str = "softmax"
    patch_size: tuple[int, ...] | None = None
    overlap: float = 0.5
    divisible_by: int = 1
    model: dict[str, str] = field(default_factory=dict)
    license: str = ""

    @property
    def codes_by_tensor_axis(self) -> str:
        """Axis codes in the order of the network's tensor axes."""
        return self.axis_codes if self.tensor_axes == "IJK" else self.axis_codes[::-1]

    def by_tensor_axis(self, along_ijk: tuple) -> tuple:
        """Reorder a value per image axis I, J, K into the order of the tensor axes."""
        return tuple(along_ijk) if self.tensor_axes == "IJK" else tuple(along_ijk)[::-1]


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
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BackboneError(f"{path} is not valid JSON: {error}. Correct the file.") from error
    if not isinstance(raw, dict):
        raise BackboneError(f"{path} must hold one JSON object, not a {type(raw).__name__}.")
    return _Reader(path, raw).config()


class _Reader:
    """Turns the raw JSON into a config, naming file and key in every complaint."""

    def __init__(self, path: Path, raw: dict[str, Any]) -> None:
        self.path, self.raw = path, raw

    def fail(self, key: str, expected: str) -> BackboneError:
        value = self.raw.get(key, "nothing")
        return BackboneError(f"{self.path}: {key!r} must be {expected}, not {json.dumps(value)}.")

    def config(self) -> BackboneConfig:
        known = {
            "format", "name", "dimensions", "channels", "classes", "axis_codes", "tensor_axes", "spacing",
            "spatial_shape", "crop", "intensity", "activation", "patch_size", "overlap", "divisible_by", "model",
            "license", "made_by", "source", "description",
        }  # fmt: skip
        unknown = sorted(set(self.raw) - known)
        if unknown:
            raise BackboneError(f"{self.path}: unknown key {unknown[0]!r}. Known keys: {', '.join(sorted(known))}.")
        if self.raw.get("format") != 1:
            raise self.fail("format", "1")
        dimensions = self.raw.get("dimensions", 3)
        if dimensions not in (2, 3):
            raise self.fail("dimensions", "2 or 3")
        try:
            codes = check_axis_codes(self.raw.get("axis_codes", "LPS"))
        except InputError as error:
            raise BackboneError(f"{self.path}: 'axis_codes': {error}") from error
        activation = self.choice("activation", ACTIVATIONS, "softmax")
        classes, channel_labels = self.classes(activation)
        overlap = self.number(self.raw, "overlap", 0.5)
        if not 0 <= overlap < 1:
            raise self.fail("overlap", "at least 0 and below 1")
        return BackboneConfig(
            name=str(self.raw.get("name", self.path.parent.name)),
            dimensions=dimensions,
            channels=self.channels(),
            classes=classes,
            channel_labels=channel_labels,
            axis_codes=codes,
            tensor_axes=self.choice("tensor_axes", ("KJI", "IJK"), "KJI"),
            spacing=self.triple("spacing", float, dimensions),
            spatial_shape=self.triple("spatial_shape", int, dimensions),
            crop=self.crop(),
            intensity=self.intensity(),
            activation=activation,
            patch_size=self.triple("patch_size", int, dimensions),
            overlap=overlap,
            divisible_by=self.positive_int("divisible_by", 1),
            model=self.model(),
            license=str(self.raw.get("license", "")),
        )

    def choice(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.raw.get(key, default)
        if value not in allowed:
            raise self.fail(key, "one of " + ", ".join(repr(a) for a in allowed))
        return value

    def number(self, source: dict, key: str, default: float | None) -> float | None:
        value = source.get(key, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise BackboneError(f"{self.path}: {key!r} must be a number, not {json.dumps(value)}.")
        return value

    def positive_int(self, key: str, default: int) -> int:
        value = self.raw.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.fail(key, "a whole number of at least 1")
        return value

    def triple(self, key: str, kind: type, dimensions: int) -> tuple | None:
        value = self.raw.get(key)
        if value is None:
            return None
        numbers = isinstance(value, list) and all(isinstance(v, (int, float)) and v > 0 for v in value)
        if not numbers or len(value) != dimensions or (kind is int and any(v != int(v) for v in value)):
            kind_text = "whole numbers" if kind is int else "numbers"
            raise self.fail(key, f"{dimensions} positive {kind_text} along {'I, J, K'[: 3 * dimensions - 2]}, or null")
        # A 2-D network works on one slice: its third axis has one voxel of any thickness.
        return tuple(kind(v) for v in value) + ((kind(1),) if dimensions == 2 else ())

    def channels(self) -> tuple[str, ...]:
        value = self.raw.get("channels", [{"name": "image"}])
        if not isinstance(value, list) or not value or not all(isinstance(c, dict) and "name" in c for c in value):
            raise self.fail("channels", 'a list like [{"name": "CT"}]')
        return tuple(str(c["name"]) for c in value)

    def classes(self, activation: str) -> tuple[tuple[Segment, ...], tuple[int, ...]]:
        value = self.raw.get("classes")
        if not isinstance(value, list) or not value or not all(isinstance(c, dict) and c.get("name") for c in value):
            raise self.fail("classes", 'a list like [{"name": "background"}, {"name": "liver", "color": [1, 0, 0]}]')
        if activation == "softmax" and len(value) < 2:
            raise self.fail("classes", "at least two entries, the first being the background")
        segments, labels = [], []
        for index, entry in enumerate(value):
            # Softmax networks have a background channel, sigmoid networks none.
            label = index if activation == "softmax" else index + 1
            labels.append(label)
            if label == 0:
                continue
            color = entry.get("color", _COLORS[(label - 1) % len(_COLORS)])
            if not isinstance(color, (list, tuple)) or len(color) != 3 or not all(0 <= c <= 1 for c in color):
                raise BackboneError(
                    f"{self.path}: 'color' of class {entry['name']!r} must be three numbers from 0 to 1, "
                    f"not {json.dumps(color)}."
                )
            tags = {str(k): str(v) for k, v in entry.get("tags", {}).items()}
            segments.append(Segment(str(entry["name"]), label, tuple(float(c) for c in color), tags=tags))
        return tuple(segments), tuple(labels)

    def crop(self) -> CropRule:
        value = self.raw.get("crop", {"mode": "none"})
        if not isinstance(value, dict) or value.get("mode") not in CROPS:
            raise self.fail("crop", 'an object like {"mode": "none"} with a mode of ' + ", ".join(CROPS))
        return CropRule(value["mode"], self.number(value, "threshold", -300.0), self.number(value, "fraction", 0.1))

    def intensity(self) -> IntensityRule:
        value = self.raw.get("intensity", {"rule": "none"})
        if not isinstance(value, dict) or value.get("rule") not in INTENSITY_RULES:
            rules = ", ".join(INTENSITY_RULES)
            raise self.fail("intensity", f'an object like {{"rule": "window", "low": -200, "high": 300}}; rules: {rules}')
        low, high = self.number(value, "low", None), self.number(value, "high", None)
        if value["rule"] != "none" and (low is None or high is None or not low < high):
            raise self.fail("intensity", "given 'low' and 'high' with low < high")
        return IntensityRule(
            value["rule"], low or 0.0, high or 0.0, self.number(value, "mean", None), self.number(value, "std", None)
        )

    def model(self) -> dict[str, str]:
        value = self.raw.get("model", {"torchscript": "model.ts"})
        if isinstance(value, dict) and ("torchscript" in value) != ("factory" in value):
            return {str(k): v for k, v in value.items()}
        raise self.fail("model", '{"torchscript": "model.ts"} or {"factory": "network.py:build", "weights": "weights.pt"}')
