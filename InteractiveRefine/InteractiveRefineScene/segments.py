"""Read segments onto a volume's grid, whatever layers, extents and transforms they have."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import slicer
import vtk

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry, box_of
from InteractiveRefineLib.segmentation import Segment, Segmentation

from .labelmaps import Box, Layer, layerOf
from .names import BINARY_LABELMAP, CLASS_TAG
from .regrid import boxGeometry, regrid
from .translate import _
from .volumes import geometryOf, localToLocal, matrixFromArray

_TERMINOLOGY_TAG = "TerminologyEntry"


def readSegmentation(segmentationNode, volumeNode, segmentIds=None) -> Segmentation:
    """All segments as one label map on the volume's grid, in the volume's local frame.

    Hidden segments count like visible ones. Where segments overlap, the later one in the segmentation's order wins.
    A segmentation of closed surfaces is converted in a copy; the node is not changed.

    Args:
        segmentIds: which segments to read, None for all; their order is the segmentation's own.

    Returns:
        InteractiveRefineLib.segmentation.Segmentation: labels (K, J, I) uint16, 0 = background, Segment.label = 1, 2,
        ... in the segmentation's order, Segment.id = segment ID, with tags, and `warnings` (overlaps, voxels outside
        the volume, resampling, conversion).

    Raises:
        InputError: no image, a nonlinear transform between both, an unknown segment ID.
    """
    geometry = geometryOf(volumeNode)
    toVolume = localToLocal(segmentationNode, volumeNode)
    wanted = _checkedIds(segmentationNode, segmentIds)
    segmentation, warnings = _withLabelmaps(segmentationNode, volumeNode, toVolume)
    segments = [_segmentOf(segmentation, segmentId, label) for label, segmentId in enumerate(wanted, start=1)]
    labels = np.zeros(geometry.shape, dtype=np.uint16)
    placed: list[tuple[Box, np.ndarray]] = []
    resampled = False
    for layer, values in _layers(segmentation, segments):
        used = box_of(layer.array)
        if used is None:
            continue
        inner = boxGeometry(layer.geometry, used)
        source = Geometry(inner.shape, toVolume @ inner.ijk_to_ras)
        ours = _relabeled(layer.array[used], values)
        there = regrid(ours, source, geometry)
        if there.cropped:
            warnings += _outside(ours, source, geometry, segments)
        if there.box is None:
            continue
        resampled |= not there.exact
        np.maximum(labels[there.box], there.values, out=labels[there.box])
        placed.append((there.box, there.values))
    if resampled:
        warnings.append(
            _('"{name}" lies on another grid than the volume and was resampled to it, nearest voxel.').format(
                name=segmentationNode.GetName()
            )
        )
    warnings += _overlaps(placed, segments, geometry)
    return Segmentation(labels, geometry, segments, warnings)


def makeEditable(segmentationNode, volumeNode) -> bool:
    """Store the segmentation as binary labelmaps (surfaces are converted), with the volume's grid if it has none.

    Returns:
        True when closed surfaces were converted, which Undo does not bring back.

    Raises:
        InputError: no image, a nonlinear transform between both, or surfaces that cannot be converted.
    """
    localToLocal(segmentationNode, volumeNode)
    geometryOf(volumeNode)
    segmentation = segmentationNode.GetSegmentation()
    if not segmentation.GetConversionParameter(referenceGeometryName()):
        segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    if segmentation.GetSourceRepresentationName() == BINARY_LABELMAP:
        return False
    if segmentation.GetNumberOfSegments() and not segmentation.CreateRepresentation(BINARY_LABELMAP):
        raise InputError(_cannotConvert(segmentationNode))
    segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
    return True


def segmentIdsOf(segmentationNode) -> list[str]:
    """IDs of all segments, in order."""
    segmentation = segmentationNode.GetSegmentation()
    return [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]


def tagOf(segment, name: str) -> str | None:
    """Value of a tag of a vtkSegment, None when it has none."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else None


def referenceGeometryName() -> str:
    """Slicer's conversion parameter that holds the grid a segmentation is edited on."""
    return slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()


def _checkedIds(segmentationNode, segmentIds) -> list[str]:
    if segmentationNode is None:
        raise InputError(_("No segmentation is selected. Select or create one."))
    present = segmentIdsOf(segmentationNode)
    if segmentIds is None:
        return present
    unknown = [segmentId for segmentId in segmentIds if segmentId not in present]
    if unknown:
        raise InputError(
            _('"{name}" has no segment with the ID "{id}". It may have been removed: select another.').format(
                name=segmentationNode.GetName(), id=unknown[0]
            )
        )
    return [segmentId for segmentId in present if segmentId in set(segmentIds)]


def _withLabelmaps(segmentationNode, volumeNode, toVolume: np.ndarray):
    """The node's vtkSegmentation, or a copy with binary labelmaps on the volume's grid; and warnings."""
    segmentation = segmentationNode.GetSegmentation()
    if not segmentation.GetNumberOfSegments() or segmentation.ContainsRepresentation(BINARY_LABELMAP):
        return segmentation, []
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(segmentation)
    grid = np.linalg.inv(toVolume) @ geometryOf(volumeNode).ijk_to_ras
    text = slicer.vtkSegmentationConverter.SerializeImageGeometry(matrixFromArray(grid), volumeNode.GetImageData())
    copy.SetConversionParameter(referenceGeometryName(), text)
    if not copy.CreateRepresentation(BINARY_LABELMAP):
        raise InputError(_cannotConvert(segmentationNode))
    return copy, [_('The surfaces of "{name}" were converted to voxels.').format(name=segmentationNode.GetName())]


def _cannotConvert(segmentationNode) -> str:
    return _('"{name}" cannot be converted to a binary labelmap. Do so in the Segmentations module.').format(
        name=segmentationNode.GetName()
    )


def _segmentOf(segmentation, segmentId: str, label: int) -> Segment:
    segment = segmentation.GetSegment(segmentId)
    tags = {name: value for name in (_TERMINOLOGY_TAG, CLASS_TAG) if (value := tagOf(segment, name)) is not None}
    return Segment(segment.GetName() or segmentId, label, tuple(segment.GetColor()), segmentId, tags)


def _layers(segmentation, segments: list[Segment]) -> list[tuple[Layer, dict[int, int]]]:
    """Each labelmap object once, as segments may share it, with its values' labels."""
    images, values = {}, {}
    for entry in segments:
        segment = segmentation.GetSegment(entry.id)
        image = segment.GetRepresentation(BINARY_LABELMAP)
        key = image.GetAddressAsString("") if image is not None else None
        images[key] = image
        values.setdefault(key, {})[segment.GetLabelValue()] = entry.label
    found = [(layerOf(image), values[key]) for key, image in images.items()]
    return [(layer, labels) for layer, labels in found if layer is not None]


def _relabeled(array: np.ndarray, values: dict[int, int]) -> np.ndarray:
    """(K, J, I) uint16 labels of a layer; values of no wanted segment, zero and negative ones become 0."""
    table = np.zeros(max(max(values), int(array.max()), 0) + 1, dtype=np.uint16)
    for value, label in values.items():
        if value > 0:
            table[value] = label
    return table[np.maximum(array, 0) if array.dtype.kind == "i" else array]


def _outside(labels: np.ndarray, source: Geometry, target: Geometry, segments: list[Segment]) -> list[str]:
    """A sentence for each segment with voxels outside the volume."""
    index = np.argwhere(labels)
    at = target.to_kji(source.to_ras(index))
    lost = ((at < -0.5 - 1e-6) | (at > np.array(target.shape) - 0.5 + 1e-6)).any(axis=1)
    found, counts = np.unique(labels[tuple(index[lost].T)], return_counts=True)
    return [
        _('{ml} ml of "{name}" lie outside the volume and take no part.').format(
            ml=f"{count * source.voxel_volume_ml:.4g}", name=segments[label - 1].name
        )
        for label, count in zip(found.tolist(), counts.tolist())
    ]


def _overlaps(placed: list[tuple[Box, np.ndarray]], segments: list[Segment], geometry: Geometry) -> list[str]:
    """A sentence for each two segments that share voxels; only segments of different layers can."""
    sentences = []
    for (box, values), (otherBox, otherValues) in combinations(placed, 2):
        both = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, otherBox)]
        if any(side.start >= side.stop for side in both):
            continue
        first = values[tuple(slice(b.start - a.start, b.stop - a.start) for a, b in zip(box, both))]
        second = otherValues[tuple(slice(b.start - a.start, b.stop - a.start) for a, b in zip(otherBox, both))]
        shared = (first != 0) & (second != 0)
        pairs = np.sort(np.stack([first[shared], second[shared]], axis=1), axis=1)
        found, counts = np.unique(pairs, axis=0, return_counts=True)
        for (a, b), count in zip(found.tolist(), counts.tolist()):
            sentences.append(
                _('"{first}" and "{second}" overlap in {ml} ml; the later one keeps these voxels.').format(
                    first=segments[a - 1].name,
                    second=segments[b - 1].name,
                    ml=f"{count * geometry.voxel_volume_ml:.4g}",
                )
            )
    return sentences
