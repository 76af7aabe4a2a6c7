"""Subject-hierarchy items for data nodes, which a Qt class makes in the application."""

import slicer
import vtk


class SubjectHierarchyKeeper:
    """Gives each displayable or editor-visible node of a scene an item, and takes it away with the node."""

    LEVELS = ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTransformNode", "vtkMRMLModelNode")

    def __init__(self, scene):
        self._scene = scene
        self._tags = [
            scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._added),
            scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._removed),
        ]

    def stop(self):
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _added(self, caller, event, node):
        if self._scene.IsBatchProcessing() or not any(node.IsA(name) for name in self.LEVELS):
            return
        if node.GetHideFromEditors():
            return
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        if tree is not None and not tree.GetItemByDataNode(node):
            tree.CreateItem(tree.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _removed(self, caller, event, node):
        if self._scene.IsClosing():
            return
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        if tree is None or tree is node:
            return
        item = tree.GetItemByDataNode(node)
        if item:
            tree.RemoveItem(item, False, False)
