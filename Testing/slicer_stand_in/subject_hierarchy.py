"""Subject-hierarchy items for data nodes, which Qt classes make in the application, and what these demand of a node.

Verified: Slicer/Slicer Modules/Loadable/SubjectHierarchy/Widgets/qSlicerSubjectHierarchyPluginLogic.cxx,
Modules/Loadable/Segmentations/qSlicerSegmentationsModule.cxx and qSlicerSubjectHierarchySegmentationsPlugin.cxx.
"""

import slicer
import vtk

from .problems import problems


class SubjectHierarchyKeeper:
    """Gives each displayable, editor-visible node of a scene an item, and takes any node's item away with the node.

    A segmentation node, hidden or not, without an item is a problem as soon as its segments or its display change.
    """

    LEVELS = ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTransformNode", "vtkMRMLModelNode")

    def __init__(self, scene):
        self._scene = scene
        self._tags = [
            scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._added),
            scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._removed),
            scene.AddObserver(slicer.vtkMRMLScene.EndImportEvent, self._imported),
        ]

    def stop(self):
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _added(self, caller, event, node):
        if node.IsA("vtkMRMLSegmentationNode"):
            segmentation = slicer.vtkSegmentation
            for change in (segmentation.SegmentAdded, segmentation.SegmentRemoved, segmentation.SegmentModified):
                node.AddObserver(change, self._segments_changed)
            node.AddObserver(slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent, self._segments_changed)
        if not self._scene.IsImporting():
            self._give_item(node)

    def _imported(self, caller, event):
        """Scenes that were saved without a subject hierarchy get one."""
        for n in range(self._scene.GetNumberOfNodes()):
            self._give_item(self._scene.GetNthNode(n))

    def _give_item(self, node):
        if not any(node.IsA(name) for name in self.LEVELS) or node.GetHideFromEditors():
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

    def _segments_changed(self, node, event):
        scene = node.GetScene()
        if not self._tags or scene is None or scene.IsImporting() or scene.IsClosing():
            return
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if tree is not None and not tree.GetItemByDataNode(node):
            problems.message(f"Failed to access subject hierarchy item for segmentation node {node.GetName()}")
