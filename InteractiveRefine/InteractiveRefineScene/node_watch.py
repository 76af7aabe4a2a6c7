"""Tells when the voxels or the place of a volume or a segmentation change, and when one of them leaves the scene."""

import slicer
import vtk


class NodeWatch:
    """Watches one volume and one segmentation at a time.

    Args:
        onChanged: called without arguments when voxels or places may have changed.
        onGone: called without arguments when one of the nodes was removed from the scene.
        onSegments: called without arguments when segments came, went, or changed their name, color or tags.
    """

    def __init__(self, onChanged, onGone, onSegments):
        self._onChanged, self._onGone, self._onSegments = onChanged, onGone, onSegments
        self._observed = []
        self._nodes = ()

    def watch(self, scene, volumeNode, segmentationNode, otherVolumes=()):
        """Watch these nodes, either of which may be None, and no others.

        Args:
            otherVolumes: of further channels; one that is removed counts as a change.
        """
        self.stop()
        self._nodes = tuple(node for node in (volumeNode, segmentationNode) if node is not None)
        if not self._nodes:
            return

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def onRemoved(_caller, _event, node):
            if any(node is watched for watched in self._nodes):
                self._onGone()
            elif any(node is other for other in otherVolumes):
                self._onChanged()

        self._observe(scene, slicer.vtkMRMLScene.NodeRemovedEvent, onRemoved)
        for node in (*self._nodes, *otherVolumes):
            self._observe(node, slicer.vtkMRMLTransformableNode.TransformModifiedEvent, self._changed)
        for node in (*((volumeNode,) if volumeNode is not None else ()), *otherVolumes):
            self._observe(node, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, self._changed)
            # Spacing, origin and directions are the node's own; only this event tells of them.
            self._observe(node, vtk.vtkCommand.ModifiedEvent, self._changed)
        if segmentationNode is not None:
            segmentation = segmentationNode.GetSegmentation()
            for event in ("SourceRepresentationModified", "SegmentAdded", "SegmentRemoved"):
                self._observe(segmentation, getattr(slicer.vtkSegmentation, event), self._changed)
            for event in ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SegmentsOrderModified"):
                self._observe(segmentation, getattr(slicer.vtkSegmentation, event), self._segmentsChanged)

    def stop(self):
        """Watch nothing any more."""
        for thing, tag in self._observed:
            thing.RemoveObserver(tag)
        self._observed, self._nodes = [], ()

    def _observe(self, thing, event, callback):
        self._observed.append((thing, thing.AddObserver(event, callback)))

    def _changed(self, _caller, _event):
        self._onChanged()

    def _segmentsChanged(self, _caller, _event):
        self._onSegments()
