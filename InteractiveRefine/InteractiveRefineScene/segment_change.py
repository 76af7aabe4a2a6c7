"""What differs between two label maps, on the grid of the segmentation, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry, box_of

from .edit_grid import EditBox, EditGrid
from .names import BINARY_LABELMAP
from .regrid import boxGeometry, regrid
from .segments import segmentIdsOf
from .translate import _
from .volumes import geometryOf, localToLocal


@dataclass(frozen=True)
class WriteReport:
    """What `SegmentWriter.apply` did, in voxels of the segmentation's grid, by segment ID.

    Attributes:
        added, removed: voxels that each segment gained and lost.
        refused: voxels that a mask, the editable intensity range or a lock kept from becoming this segment
            ("" = from becoming background).
        warnings: the same as sentences for the user.
    """

    added: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class SegmentChange:
    """What changes, on the segmentation's grid.

    Attributes:
        box: where; None when all of it lies outside of that grid.
        changed: (K, J, I) bool of the box.
        before, after: (K, J, I) unsigned labels of the box; 0 where nothing changes.
        cropped: part of the change lies outside of the grid.
    """

    box: EditBox | None
    changed: np.ndarray
    before: np.ndarray
    after: np.ndarray
    cropped: bool

    @classmethod
    def of(cls, node, before, after, segments, volumeNode, changedBox) -> SegmentChange | None:
        """The change from `before` to `after` (see `SegmentWriter.apply`); None when nothing differs.

        Raises:
            InputError: a label without segment, or a grid or transform that cannot be used.
        """
        whole = changedBox or tuple(slice(0, n) for n in before.shape)
        inner = box_of(before[whole] != after[whole])
        if inner is None:
            return None
        box = tuple(slice(a.start + b.start, a.start + b.stop) for a, b in zip(whole, inner))
        old, new = before[box].astype(np.uint32), after[box].astype(np.uint32)
        base = max(segment.label for segment in segments) + 1 if segments else 1
        if max(int(old.max()), int(new.max())) >= base:
            raise InputError(_("The result has a label that no segment stands for. Refine again."))
        pairs = np.where(old != new, old * base + new, 0)  # both in one number, as they travel together
        toSegmentation = localToLocal(volumeNode, node)
        geometry = geometryOf(volumeNode)
        source = boxGeometry(Geometry(geometry.shape, toSegmentation @ geometry.ijk_to_ras), box)
        grid = EditGrid.of(node, volumeNode)
        there = regrid(pairs, source, grid.geometry)
        if there.box is None or not there.values.any():
            nothing = np.zeros((0, 0, 0), dtype=np.uint32)
            return cls(None, nothing != 0, nothing, nothing, True)
        pairs = there.values
        return cls(EditBox(node, grid, there.box), pairs != 0, pairs // base, pairs % base, there.cropped)

    def heldByLocks(self, ids: dict[int, str], locked: set[str]) -> np.ndarray:
        """(K, J, I) bool: voxels that are a locked segment's or would become it.

        Also where another segment covers the locked one: writing there could take the voxel from it.
        """
        held = np.zeros(self.box.shape, dtype=bool)
        for label, segmentId in ids.items():
            if segmentId in locked:
                held |= (self.after == label) | (self.before == label)
                held |= self.box.present(segmentId)
        return held


def checkWritable(node, before, after, segments, volumeNode) -> None:
    """Raise InputError, with what to do, when `SegmentWriter.apply` cannot write to a segmentation node."""
    if node is None:
        raise InputError(_("No segmentation is selected. Select or create one."))
    shape = geometryOf(volumeNode).shape
    if before.shape != shape or after.shape != shape:
        raise InputError(
            _("The result has shape {shape} (K, J, I), the volume {volume}. Refine again.").format(
                shape=after.shape, volume=shape
            )
        )
    missing = [segment.name for segment in segments if segment.id not in segmentIdsOf(node)]
    if missing:
        raise InputError(
            _('The segment of "{name}" does not exist any more. Undo its removal, or refine again.').format(
                name=missing[0]
            )
        )
    if node.GetSegmentation().GetNumberOfSegments() and (
        node.GetSegmentation().GetSourceRepresentationName() != BINARY_LABELMAP
    ):
        raise InputError(
            _('"{name}" is stored as surfaces. Make "Binary labelmap" its source in the Segmentations module.').format(
                name=node.GetName()
            )
        )


def reportOf(change: SegmentChange, free: dict[int, str], old: dict, ids: dict[int, str], node) -> WriteReport:
    """Compare with what is there now: the only honest account of what the masks let through."""
    new = {label: change.box.present(segmentId) for label, segmentId in free.items()}
    added = {free[n]: int((new[n] & ~old[n]).sum()) for n in free}
    removed = {free[n]: int((old[n] & ~new[n]).sum()) for n in free}
    refused = {}
    for label, segmentId in ids.items():
        wanted = change.after == label
        refused[segmentId] = int((wanted if label not in new else wanted & ~new[label]).sum())
    others = np.zeros(change.box.shape, dtype=bool)
    for label, segmentId in ids.items():
        others |= new[label] if label in new else change.box.present(segmentId)
    refused[""] = int((change.changed & (change.after == 0) & others).sum())
    refused = {segmentId: count for segmentId, count in refused.items() if count}
    warnings = []
    for segmentId, count in refused.items():
        segment = node.GetSegmentation().GetSegment(segmentId) if segmentId else None
        warnings.append(
            _(
                "{count} voxels did not become {name}: the editable area, intensity range or a lock protects them."
            ).format(count=count, name=f'"{segment.GetName()}"' if segment else _("background"))
        )
    if change.cropped:
        warnings.append(outsideWarning(node))
    return WriteReport(
        {k: n for k, n in added.items() if n}, {k: n for k, n in removed.items() if n}, refused, warnings
    )


def outsideWarning(node) -> str:
    """What the user is told when a result reaches beyond the grid of the segmentation."""
    return _('Part of the result lies outside the geometry of "{name}" and was not written.').format(
        name=node.GetName()
    )
