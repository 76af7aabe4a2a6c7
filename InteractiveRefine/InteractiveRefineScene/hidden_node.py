"""Segmentation nodes of our own: seen in slice views only, kept out of lists, removed without a trace."""

from __future__ import annotations

import slicer
import vtk

from .names import PREFIX

#: Attribute of the item of a node that is not saved.
_UNSAVED = PREFIX + "Unsaved"


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
    ensureItem(node)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(saved)
    display.SetVisibility3D(False)
    follow(node, volumeNode)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    return node


def ensureItem(node) -> None:
    """Give a segmentation node its item in the subject hierarchy, which hidden nodes get from nobody else.

    Without it, Slicer writes an error to its log at every change of the node's segments or display. No tree shows it,
    as the node is hidden from editors.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    if hierarchy is None or hierarchy.GetItemByDataNode(node):
        return
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    if not node.GetSaveWithScene():
        hierarchy.SetItemAttribute(item, _UNSAVED, "1")


def removeLeftItems(scene) -> None:
    """Remove what a loaded scene kept of nodes of ours that are not saved: Slicer saves their items nevertheless."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if hierarchy is None:
        return
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    left = [items.GetId(n) for n in range(items.GetNumberOfIds())]
    for item in left:
        if hierarchy.HasItemAttribute(item, _UNSAVED) and hierarchy.GetItemDataNode(item) is None:
            hierarchy.RemoveItem(item, False, True)


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
    scene.RemoveNode(node)
    for other in belonging:
        if other is not None and other.GetScene() is scene:
            scene.RemoveNode(other)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    # Slicer's own windows took the item away with the node; asked only now, as it minds an item that is gone.
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    if item:
        hierarchy.RemoveItem(item, False, True)
