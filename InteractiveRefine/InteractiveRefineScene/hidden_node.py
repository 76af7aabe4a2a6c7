"""Segmentation nodes of our own: seen in slice views only, kept out of lists, removed without a trace."""

from __future__ import annotations

import slicer


def makeHiddenSegmentation(scene, name: str, volumeNode, saved: bool):
    """A vtkMRMLSegmentationNode on the grid and under the transform of a volume.

    Args:
        name: of the node.
        saved: whether it is saved with the scene.
    """
    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(scene.GenerateUniqueName(name))
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(saved)
    scene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(saved)
    display.SetVisibility3D(False)
    follow(node, volumeNode)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    return node


def follow(node, volumeNode) -> None:
    """Put a node of ours under the same transform as the volume."""
    if node.GetTransformNodeID() != volumeNode.GetTransformNodeID():
        node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())


def removeNode(node) -> None:
    """Remove a segmentation node with its display and storage nodes and its subject hierarchy item."""
    scene = node.GetScene()
    if scene is None:
        return
    belonging = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    belonging += [node.GetNthStorageNode(n) for n in range(node.GetNumberOfStorageNodes())]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    scene.RemoveNode(node)
    for other in belonging:
        if other is not None and other.GetScene() is scene:
            scene.RemoveNode(other)
    if item:
        hierarchy.RemoveItem(item, False, True)
