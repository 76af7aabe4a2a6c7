"""Volumes, segmentations and a headless segment editor in a MRML scene, with the exact voxels that tests ask for."""

import sys
from pathlib import Path

import numpy as np
import pytest
from grid_examples import grid_matrix, rotation

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core==5.12.4.0)")
vtk = pytest.importorskip("vtk", reason="vtk is not installed")
if not hasattr(slicer, "vtkSlicerSegmentEditorLogic"):
    pytest.skip("this slicer module has no segment editor logic", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "InteractiveRefine"))

from vtk.util.numpy_support import numpy_to_vtk  # noqa: E402

from InteractiveRefineScene.labelmaps import orientedImage  # noqa: E402
from InteractiveRefineScene.segment_writer import LogicModifier, SegmentWriter  # noqa: E402
from InteractiveRefineScene.segments import readSegmentation  # noqa: E402
from InteractiveRefineScene.volumes import matrixFromArray  # noqa: E402

MODES = slicer.vtkMRMLSegmentationNode
EDITOR = slicer.vtkMRMLSegmentEditorNode
OBLIQUE = grid_matrix(rotation(0.3, -0.2, 0.4))


def add_volume(scene, array, matrix=None, name="CT", vector=False):
    """A volume node of (K, J, I) `array`, or (K, J, I, components) for `vector`."""
    node = slicer.vtkMRMLVectorVolumeNode() if vector else slicer.vtkMRMLScalarVolumeNode()
    node.SetName(name)
    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape[2::-1])
    flat = np.ascontiguousarray(array).reshape(-1, array.shape[3]) if vector else np.ascontiguousarray(array).ravel()
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=1))
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(matrixFromArray(grid_matrix() if matrix is None else matrix))
    scene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    return node


def add_segmentation(scene, volume, masks=None, name="Organs"):
    """A segmentation node on the grid of `volume`; `masks` maps names, which are also the IDs, to (K, J, I) bool."""
    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(name)
    scene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for segment_name, mask in (masks or {}).items():
        add_segment(node, segment_name, mask, ijk_to_ras(volume))
    return node


def add_segment(
    node, name, mask=None, matrix=None, start=(0, 0, 0), color=(1.0, 0.5, 0.0), tags=(), value=1, image=None
):
    """A segment with voxels of its own, or those of `value` in a given, shared image."""
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*color)
    segment.SetLabelValue(value)
    for key, text in dict(tags).items():
        segment.SetTag(key, text)
    if image is None and mask is not None:
        image = orientedImage(mask.astype(np.uint8) * value, matrix, start)
    if image is not None:
        segment.AddRepresentation("Binary labelmap", image)
    assert node.GetSegmentation().AddSegment(segment, name)
    return segment


def add_shared_segments(node, labels, names, matrix):
    """Segments that share one labelmap: value n of `labels` is the n-th name."""
    image = orientedImage(labels, matrix)
    for value, name in enumerate(names, start=1):
        add_segment(node, name, value=value, image=image)
    assert node.GetSegmentation().GetNumberOfLayers() == 1


def add_transform(scene, matrix, parent=None):
    """A linear transform node, maybe below another one."""
    node = slicer.vtkMRMLLinearTransformNode()
    scene.AddNode(node)
    node.SetMatrixTransformToParent(matrixFromArray(matrix))
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def add_nonlinear_transform(scene):
    """A thin plate spline that bends space."""
    spline = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for n, place in enumerate([(0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (50, 50, 50)]):
        source.InsertNextPoint(place)
        target.InsertNextPoint([x + 3 * (n == 4) for x in place])
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    spline.SetBasisToR()
    node = slicer.vtkMRMLTransformNode()
    scene.AddNode(node)
    node.SetAndObserveTransformToParent(spline)
    return node


def ijk_to_ras(volume):
    """(4, 4) array of a volume node."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])


def mask_of(shape, *voxels):
    """(K, J, I) bool with some voxels (k, j, i), each maybe with slices."""
    mask = np.zeros(shape, dtype=bool)
    for voxel in voxels:
        mask[voxel] = True
    return mask


class HeadlessEditor:
    """The real logic of the segment editor with its undo history, and our writer on top."""

    def __init__(self, scene, volume, segmentation):
        self.volume, self.segmentation = volume, segmentation
        self.node = slicer.vtkMRMLSegmentEditorNode()
        scene.AddNode(self.node)
        self.node.SetAndObserveSegmentationNode(segmentation)
        self.node.SetAndObserveSourceVolumeNode(volume)
        self.history = slicer.vtkSegmentationHistory()
        self.history.SetMaximumNumberOfStates(10)  # as qMRMLSegmentEditorWidget
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(scene)
        self.logic.SetSegmentationHistory(self.history)
        self.logic.SetSegmentEditorNode(self.node)
        self.writer = SegmentWriter(LogicModifier(self.logic))

    def read(self):
        """The segments as they are, as a library Segmentation."""
        return readSegmentation(self.segmentation, self.volume)

    def voxels(self, segment_id):
        """The voxels (k, j, i) of one segment, also where another one covers it."""
        found = readSegmentation(self.segmentation, self.volume, [segment_id])
        return [tuple(int(n) for n in voxel) for voxel in np.argwhere(found.labels)]

    def write(self, changes, **options):
        """Write {(k, j, i): segment ID or ""}; returns the report."""
        before = self.read()
        labels = {segment.id: segment.label for segment in before.segments}
        after = before.labels.copy()
        for voxel, segment_id in changes.items():
            after[voxel] = labels.get(segment_id, 0)
        return self.writer.apply(before.labels, after, before.segments, self.volume, **options)

    def paint(self, segment_id, *voxels):
        """What another effect does: a state for undo, and voxels for one segment."""
        self.logic.SaveStateForUndo()
        mask = mask_of(self.read().labels.shape, *voxels)
        image = orientedImage(mask.astype(np.uint8), ijk_to_ras(self.volume))
        add = slicer.vtkSlicerSegmentEditorLogic.ModificationModeAdd
        self.logic.ModifySegmentByLabelmap(self.segmentation, segment_id, image, add, False, False)
