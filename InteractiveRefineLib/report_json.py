"""The account of one refinement as JSON: everything but the voxels."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from .result import RefinementResult
from .settings import RefineSettings


def report_fields(result: RefinementResult, settings: RefineSettings, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What happened, as fields for `report_text`.

    Args:
        result: its label maps are left out; their shape and the box around the changes are in (K, J, I) order.
        settings: as the user chose them; null where the update rule's default was used.
        inputs: names of the files and classes that the user gave.
    """
    fields = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
    report = {name: value for name, value in fields.items() if not isinstance(value, np.ndarray)}
    box = result.changed_box
    report["changed_box"] = None if box is None else [[int(side.start), int(side.stop)] for side in box]
    report["changes"] = [dataclasses.asdict(change) for change in result.changes]
    report["shape_kji"] = list(result.labels.shape)
    report["stroke_voxels"] = int(np.count_nonzero(result.strokes))
    report["grown_voxels"] = int(np.count_nonzero(result.grown))
    report["changed_voxels"] = int(np.count_nonzero(result.labels != result.previous))
    report["settings"] = dataclasses.asdict(settings)
    report["inputs"] = dict(inputs)
    return report


def report_text(report: Mapping[str, Any]) -> str:
    """JSON text of a report; ValueError for NaN or infinity, which JSON does not know."""
    return json.dumps(report, indent=2, default=_plain, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot go into a report")
