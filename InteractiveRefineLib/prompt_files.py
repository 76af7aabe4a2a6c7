"""Read points and boxes from JSON: our own short form, or markups that 3D Slicer saved (.mrk.json)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .prompts import Box, Point

#: Maps a class's name to its label; raises LookupError or ValueError (InputError is one) for an unknown name.
ResolveLabel = Callable[[str], int]

_POINTS_FORM = '{"points": [{"ras": [x, y, z], "label": 3 or "liver", "radius_mm": 2, "not": false}]}'
_BOXES_FORM = '{"boxes": [{"corners": [[x, y, z], [x, y, z]], "label": 3 or "liver"}]}'


def read_points(path: str | Path, resolve_label: ResolveLabel | None = None, radius_mm: float = 0.0) -> list[Point]:
    """Points of a JSON file, in the file's order.

    In markups of Slicer every point list counts. The text of a control point names its class ("liver", "liver-2",
    "not liver", "background", "3"); when it does not, the name of its list does. Points that were not placed yet are
    left out.

    Args:
        path: own form {"points": [{"ras": [x, y, z], "label": 3 or "liver", "radius_mm": 2, "not": false}]}, RAS in
            mm, or a .mrk.json.
        resolve_label: label of a name; without it only "background" and numbers are understood.
        radius_mm: of points whose file states none.

    Raises:
        InputError: the file cannot be read or does not have that form; names the file, the key and the value.
    """
    file = _File(path, _POINTS_FORM, resolve_label)
    if "markups" in file.content:
        return [
            point
            for where, node in file.nodes("Fiducial", "a point list (Fiducial)")
            for point in _points_of_list(file, where, node, radius_mm)
        ]
    points = []
    for where, item in file.items("points", {"ras", "label"}, {"radius_mm", "not"}):
        forbid = item.get("not", False)
        if not isinstance(forbid, bool):
            raise file.fail(f"{where}.not", forbid, "true or false")
        radius = file.number(f"{where}.radius_mm", item.get("radius_mm", radius_mm))
        label = file.label(f"{where}.label", item["label"])
        ras = file.vector(f"{where}.ras", item["ras"])
        points.append(file.build(where, Point, ras, label, radius, forbid))
    return points


def read_boxes(path: str | Path, resolve_label: ResolveLabel | None = None) -> list[Box]:
    """Boxes of a JSON file, in the file's order.

    In markups of Slicer every ROI counts; its name, or the text of its control point, names the class. It may be
    turned by quarter turns only.

    Args:
        path: own form {"boxes": [{"corners": [[x, y, z], [x, y, z]], "label": 3 or "liver"}]}, RAS in mm, or a
            .mrk.json.
        resolve_label: label of a name; without it only "background" and numbers are understood.

    Raises:
        InputError: the file cannot be read or does not have that form; names the file, the key and the value.
    """
    file = _File(path, _BOXES_FORM, resolve_label)
    if "markups" in file.content:
        return [_box_of_roi(file, where, node) for where, node in file.nodes("ROI", "an ROI")]
    boxes = []
    for where, item in file.items("boxes", {"corners", "label"}, set()):
        corners = item["corners"]
        if not isinstance(corners, list) or len(corners) != 2:
            raise file.fail(f"{where}.corners", corners, "two opposite corners [[x, y, z], [x, y, z]]")
        a, b = (file.vector(f"{where}.corners[{n}]", corner) for n, corner in enumerate(corners))
        boxes.append(file.build(where, Box, a, b, file.label(f"{where}.label", item["label"])))
    return boxes


def _points_of_list(file: _File, where: str, node: dict, radius_mm: float) -> list[Point]:
    controls = node.get("controlPoints")
    if not isinstance(controls, list) or not all(isinstance(control, dict) for control in controls):
        raise file.fail(f"{where}.controlPoints", controls, "a list of control points")
    points = []
    for number, control in enumerate(controls):
        here = f"{where}.controlPoints[{number}]"
        if control.get("positionStatus", "defined") != "defined":
            continue
        ras = file.vector(f"{here}.position", control.get("position")) * file.to_ras(where, node)
        label, forbid = file.label_of_texts(f"{here}.label", [control.get("label"), node.get("name")])
        points.append(file.build(here, Point, ras, label, radius_mm, forbid))
    return points


def _box_of_roi(file: _File, where: str, node: dict) -> Box:
    to_ras = file.to_ras(where, node)
    center = file.vector(f"{where}.center", node.get("center")) * to_ras
    size = file.vector(f"{where}.size", node.get("size"))
    if node.get("insideOut", False):
        raise file.fail(f"{where}.insideOut", True, "a box whose inside is the class: turn off Inside out")
    turns = node.get("orientation", [1, 0, 0, 0, 1, 0, 0, 0, 1])
    try:
        axes = np.array(turns, dtype=np.float64).reshape(3, 3)
    except (TypeError, ValueError):
        raise file.fail(f"{where}.orientation", turns, "nine numbers") from None
    axes = np.abs(axes)  # flips, also those from LPS to RAS, leave a box around its center as it is
    if not np.allclose(axes, np.round(axes), atol=1e-4) or not np.allclose(axes.sum(axis=0), 1, atol=1e-3):
        raise file.fail(f"{where}.orientation", turns, "an ROI along the R, A and S axes: reset its rotation in Slicer")
    half = np.round(axes) @ np.abs(size) / 2
    texts = [node.get("name")] + [c.get("label") for c in node.get("controlPoints", []) if isinstance(c, dict)]
    label, forbid = file.label_of_texts(f"{where}.name", texts)
    if forbid:
        raise file.fail(f"{where}.name", texts[0], 'the name of a class; a box cannot mean "not"')
    return file.build(where, Box, center - half, center + half, label)


class _File:
    """A JSON file, with messages that say where in it something is wrong."""

    def __init__(self, path: str | Path, form: str, resolve_label: ResolveLabel | None) -> None:
        self.path, self.form, self.resolve_label = Path(path), form, resolve_label
        try:
            content = json.loads(self.path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}.") from error
        except ValueError as error:  # not JSON, or not even text
            raise InputError(f"{self.path} is not JSON ({error}). Expected {form} or a .mrk.json of Slicer.") from error
        if not isinstance(content, dict):
            raise self.fail("the file", content, "an object")
        self.content: dict[str, Any] = content

    def fail(self, key: str, value: object, expected: str) -> InputError:
        """The error that `key` holds `value`, but `expected` was expected."""
        shown = json.dumps(value, default=str)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return InputError(f"{self.path}: {key} is {shown}, but expected is {expected}. The form: {self.form}.")

    def items(self, key: str, required: set[str], optional: set[str]) -> list[tuple[str, dict]]:
        """The objects in the list `key`, each with its place."""
        listed = self.content.get(key)
        if not isinstance(listed, list):
            raise self.fail(f'"{key}"', listed, "a list")
        for number, item in enumerate(listed):
            if not isinstance(item, dict) or not required <= set(item) <= required | optional:
                keys = ", ".join(sorted(required) + [f"{name} (may be missing)" for name in sorted(optional)])
                raise self.fail(f"{key}[{number}]", item, f"an object with the keys {keys}")
        return [(f"{key}[{number}]", item) for number, item in enumerate(listed)]

    def nodes(self, kind: str, what: str) -> list[tuple[str, dict]]:
        """Slicer's markups of one type, each with its place."""
        listed = self.content["markups"]
        if not isinstance(listed, list) or not all(isinstance(node, dict) for node in listed):
            raise self.fail("markups", listed, "a list of markups")
        found = [(f"markups[{number}]", node) for number, node in enumerate(listed) if node.get("type") == kind]
        if not found:
            raise self.fail("markups", [node.get("type") for node in listed], what)
        return found

    def to_ras(self, where: str, node: dict) -> np.ndarray:
        """Signs (3,) that turn the node's coordinates into RAS; a file that states no system is LPS, as in Slicer."""
        system, units = node.get("coordinateSystem", "LPS"), node.get("coordinateUnits", "mm")
        if system not in ("LPS", "RAS"):
            raise self.fail(f"{where}.coordinateSystem", system, '"LPS" or "RAS"')
        if units != "mm":
            raise self.fail(f"{where}.coordinateUnits", units, '"mm"')
        return np.array([-1.0, -1.0, 1.0] if system == "LPS" else [1.0, 1.0, 1.0])

    def vector(self, key: str, value: object) -> np.ndarray:
        """Three numbers."""
        if not isinstance(value, list) or len(value) != 3:
            raise self.fail(key, value, "three numbers [x, y, z] in mm")
        return np.array([self.number(f"{key}[{n}]", v) for n, v in enumerate(value)])

    def number(self, key: str, value: object) -> float:
        """One finite number."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            raise self.fail(key, value, "a number")
        return float(value)

    def label(self, key: str, value: object) -> int:
        """The label that a number or a name stands for."""
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        label = self.label_of_name(value) if isinstance(value, str) else None
        if label is None:
            raise self.fail(key, value, "a label's number or the name of a known class")
        return label

    def label_of_name(self, name: str) -> int | None:
        """The label of a class; None when there is no class of this name."""
        name = name.strip()
        if name.lower() == "background":
            return 0
        if name.isdecimal():
            return int(name)
        if not name or self.resolve_label is None:
            return None
        try:
            return self.resolve_label(name)
        except (LookupError, ValueError):
            return None

    def label_of_texts(self, key: str, texts: list[object]) -> tuple[int, bool]:
        """Label and "not" of the first text that names a class; Slicer appends a number to the texts it makes up."""
        for text in (text for text in texts if isinstance(text, str)):
            forbid = re.match(r"\s*not\s+", text, flags=re.IGNORECASE)
            rest = text[forbid.end() :] if forbid else text
            for name in (rest, re.sub(r"[-_ ]\d+$", "", rest)):
                label = self.label_of_name(name)
                if label is not None:
                    return label, forbid is not None
        raise self.fail(key, texts[0], "the name of a known class, there or as the name of the markup")

    def build(self, where: str, kind: type, *values: object) -> Any:
        """A `Point` or `Box`, whose own complaints get the place in the file."""
        try:
            return kind(*(tuple(v.tolist()) if isinstance(v, np.ndarray) else v for v in values))
        except InputError as error:
            raise InputError(f"{self.path}: {where}: {error}") from error
