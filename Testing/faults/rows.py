"""All rows of the fault matrix, in the order in which they are printed."""

from __future__ import annotations

from types import ModuleType

from . import (
    batch,
    cancel,
    clock_and_cache,
    damaged_bytes,
    disk,
    images,
    memory,
    models,
    power_cut,
    strokes,
    worker_killed,
)
from .registry import Row, rows_of

MODULES: tuple[ModuleType, ...] = (
    worker_killed,
    damaged_bytes,
    memory,
    cancel,
    disk,
    power_cut,
    images,
    strokes,
    models,
    clock_and_cache,
    batch,
)


def all_rows() -> list[Row]:
    """Every row."""
    return [line for module in MODULES for line in rows_of(module)]
