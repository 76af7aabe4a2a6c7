"""Strokes from files, for the command line: what could not be kept is told on stderr."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import stroke_files
from ..geometry import Geometry
from ..segmentation import Segment
from .common import warn


def read_strokes(
    path: str, geometry: Geometry, classes: Sequence[Segment] | None = None
) -> tuple[np.ndarray, list[Segment]]:
    """(K, J, I) uint16 strokes and the classes, as `stroke_files.read_strokes`, whose warnings are shown."""
    labels, classes, warnings = stroke_files.read_strokes(path, geometry, classes)
    warn(warnings)
    return labels, classes
