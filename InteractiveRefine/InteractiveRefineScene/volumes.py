"""Volumes of the scene as the library's arrays, and the transforms around them."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.volume import Volume

from .translate import _


def geometryOf(volumeNode) -> Geometry:
    """The library's Geometry of a volume node, in the node's local frame: parent transforms are left out.

    Raises:
        InputError: the node is None or has no image.
    """
    image = _imageOf(volumeNode)
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return Geometry(image.GetDimensions()[::-1], arrayFromMatrix(matrix))


def readVolume(volumeNode) -> Volume:
    """The library's Volume: (K, J, I) or, for several components, (C, K, J, I); a read-only view of the node's voxels.

    Raises:
        InputError: the node is None or has no image.
    """
    geometry = geometryOf(volumeNode)
    image = _imageOf(volumeNode)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(*geometry.shape, -1)
    array = np.moveaxis(array, -1, 0) if array.shape[-1] > 1 else array[..., 0]
    array.setflags(write=False)
    return Volume(array, geometry.ijk_to_ras, volumeNode.GetName() or "image")


def localToLocal(fromNode, toNode) -> np.ndarray:
    """(4, 4) matrix from the local RAS (mm) of one transformable node to that of another; None stands for the world.

    Raises:
        InputError: a nonlinear transform lies between them; the text says to harden it.
    """
    source = fromNode.GetParentTransformNode() if fromNode else None
    target = toNode.GetParentTransformNode() if toNode else None
    matrix = vtk.vtkMatrix4x4()
    if source is target:
        return np.eye(4)
    between = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, between)
    linear = slicer.vtkMRMLTransformNode.IsGeneralTransformLinear(between)
    if not linear or not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(source, target, matrix):
        names = " / ".join(f'"{node.GetName()}"' for node in (fromNode, toNode) if node)
        raise InputError(
            _("A nonlinear transform lies between {names}. Harden it (Data module, Harden transform) and try again.")
            .format(names=names)
        )  # fmt: skip
    result = arrayFromMatrix(matrix)
    if abs(np.linalg.det(result)) < 1e-12:
        raise InputError(_("The transform of {name} cannot be inverted.").format(name=(fromNode or toNode).GetName()))
    return result


def worldToKji(volumeNode, ras) -> np.ndarray:
    """World RAS positions (N, 3) in mm, as slice views give them, to continuous array indices (N, 3) KJI."""
    return geometryOf(volumeNode).to_kji(_moved(ras, localToLocal(None, volumeNode)))


def kjiToWorld(volumeNode, kji) -> np.ndarray:
    """Array indices (N, 3) KJI of a volume to world RAS positions (N, 3) in mm."""
    return _moved(geometryOf(volumeNode).to_ras(kji), localToLocal(volumeNode, None))


def arrayFromMatrix(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """(4, 4) float64 copy of a vtkMatrix4x4."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def matrixFromArray(array: np.ndarray) -> vtk.vtkMatrix4x4:
    """vtkMatrix4x4 of a (4, 4) array."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, dtype=np.float64).ravel().tolist())
    return matrix


def _imageOf(volumeNode):
    if volumeNode is None:
        raise InputError(_("No volume is selected. Select a source volume."))
    image = volumeNode.GetImageData()
    if image is None or not image.GetPointData().GetScalars() or min(image.GetDimensions()) < 1:
        raise InputError(_('Volume "{name}" has no image. Load one.').format(name=volumeNode.GetName()))
    return image


def _moved(ras, matrix: np.ndarray) -> np.ndarray:
    ras = np.asarray(ras, dtype=np.float64)
    return ras @ matrix[:3, :3].T + matrix[:3, 3]
