"""Which label means what in a request: the network's classes, segments it does not know, then new classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..class_table import ClassTable
from ..geometry import Geometry
from ..segmentation import Segment, Segmentation


@dataclass(frozen=True, eq=False)
class RequestTable:
    """The classes of one request; labels of its constraints are labels of this table.

    Attributes:
        segments: one per label from 1 on.
        labels: (K, J, I) uint16, the current segmentation in these labels; None without one. May share its memory.
        warnings: sentences for the user about the current segmentation.
    """

    segments: list[Segment]
    labels: np.ndarray | None = None
    warnings: list[str] = field(default_factory=list)

    def label_of(self, name: str) -> int:
        """Label of the class named `name`, 0 for "background"; InputError, listing the classes, when there is none."""
        return ClassTable(self.segments).label_of(name)


def request_table(
    classes: Sequence[Segment], current: Segmentation | None, geometry: Geometry, new_classes: Sequence[str] = ()
) -> RequestTable:
    """The table that a request with these entries has; the same for the same entries, whatever was asked before.

    Args:
        classes: of the network (`BackboneInfo.classes`).
        current: its segments are matched by name; those that are no class so far follow last, in their order.
        geometry: of the image.
        new_classes: follow the network's; those that it has are passed over.

    Raises:
        InputError: a name that cannot be used, or too many classes.
    """
    table = ClassTable(classes)
    for name in new_classes:  # first, as in a session: a plain label map has their numbers, too
        if table.find(name) is None:
            table.add(name)
    labels, warnings = (None, []) if current is None else _adopt(table, current, geometry)
    return RequestTable(table.segments, labels, warnings)


def _adopt(table: ClassTable, current: Segmentation, geometry: Geometry) -> tuple[np.ndarray, list[str]]:
    """`ClassTable.adopt` without looking at every voxel where that is not needed: this runs while the user waits."""
    largest = int(current.labels.max(initial=0))
    named = {segment.label for segment in current.segments}
    gaps = not set(range(1, largest + 1)) <= named
    if gaps or not current.geometry.matches(geometry):
        return table.adopt(current, geometry)
    # A row of voxels with each value once is translated; it then says how to translate all the others.
    values = np.arange(largest + 1, dtype=np.uint16).reshape(1, 1, -1)
    row = Geometry(values.shape, np.eye(4))
    lookup, warnings = table.adopt(Segmentation(values, row, current.segments, current.warnings), row)
    lookup = lookup.reshape(-1)
    if np.array_equal(lookup, np.arange(largest + 1)):
        return current.labels.astype(np.uint16, copy=False), warnings
    return lookup[current.labels], warnings
