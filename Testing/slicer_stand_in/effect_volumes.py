"""The images of an effect, kept by the real vtkSlicerSegmentEditorLogic, and writing into segments through it."""

import slicer

from .problems import problems

_MODES = ("ModificationModeSet", "ModificationModeAdd", "ModificationModeRemove", "ModificationModeRemoveAll")


class EffectVolumes:
    """Mixin of the scripted effect; needs `_logic`, `perSegment` and `parameterSetNode()`."""

    ModificationModeSet = 0
    ModificationModeAdd = 1
    ModificationModeRemove = 2
    ModificationModeRemoveAll = 3

    def sourceVolumeImageData(self):
        """First component of the source volume, resampled to the segmentation's geometry; None without one."""
        return self._logic.GetAlignedSourceVolume() if self._logic.UpdateAlignedSourceVolume() else None

    def modifierLabelmap(self):
        return self._logic.GetModifierLabelmap()

    def defaultModifierLabelmap(self):
        """The one modifier labelmap, cleared and set to the segmentation's geometry."""
        return self._logic.GetModifierLabelmap() if self._logic.ResetModifierLabelmapToDefault() else None

    def maskLabelmap(self):
        return self._logic.GetMaskLabelmap() if self._logic.UpdateMaskLabelmap() else None

    def selectedSegmentLabelmap(self):
        return self._logic.GetSelectedSegmentLabelmap() if self._logic.UpdateSelectedSegmentLabelmap() else None

    def referenceGeometryImage(self):
        return self._logic.GetReferenceGeometryImage() if self._logic.UpdateReferenceGeometryImage() else None

    def modifySelectedSegmentByLabelmap(self, modifier, mode, *rest):
        node = self.parameterSetNode()
        self.modifySegmentByLabelmap(
            node.GetSegmentationNode(), node.GetSelectedSegmentID() or "", modifier, mode, *rest, _selected=True
        )

    def modifySegmentByLabelmap(self, segmentationNode, segmentID, modifier, mode, *rest, _selected=False):
        """rest: nothing, bypassMasking, or extent (6 ints) and perhaps bypassMasking.

        PythonQt cannot convert a list to the `const int[6]` of this method (only modifySelectedSegmentByLabelmap has
        a QList<int> overload), so that an extent here is a mistake in Slicer's Python.
        """
        if self._logic is None:
            return
        extent, bypass = (0, -1, 0, -1, 0, -1), False
        if rest and not isinstance(rest[0], (bool, int)):
            if not _selected:
                raise ValueError("modifySegmentByLabelmap takes no extent from Python (const int[6] in C++)")
            extent, *rest = rest
            if len(extent) != 6:
                problems.message("modifySelectedSegmentByLabelmap failed: extent must have 6 int values")
                return
        if rest:
            bypass = bool(rest[0])
        real = getattr(slicer.vtkSlicerSegmentEditorLogic, _MODES[int(mode)])
        self._logic.ModifySegmentByLabelmap(
            segmentationNode, segmentID, modifier, real, [int(value) for value in extent], self.perSegment, bypass
        )

    def confirmCurrentSegmentVisible(self):
        """NotConfirmed never happens here: there is nobody to ask."""
        node = self.parameterSetNode()
        segmentation = node.GetSegmentationNode() if node else None
        segment = node.GetSelectedSegmentID() if node else None
        if segmentation is None or not segment:
            return self.ConfirmedWithoutDialog
        display = segmentation.GetDisplayNode()
        if display is None or (display.GetVisibility() and display.GetSegmentVisibility(segment)):
            return self.ConfirmedWithoutDialog
        return self.ConfirmedWithDialog
