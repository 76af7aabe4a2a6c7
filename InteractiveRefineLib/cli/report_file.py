"""The report of one refinement in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..atomic import atomic_output
from ..report_json import report_fields, report_text
from ..result import RefinementResult
from ..settings import RefineSettings


def write_report(path: str, result: RefinementResult, settings: RefineSettings, inputs: Mapping[str, Any]) -> None:
    """Write what happened to `path` as JSON, atomically; the fields are those of `report_json.report_fields`."""
    text = report_text(report_fields(result, settings, inputs))
    with atomic_output(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
