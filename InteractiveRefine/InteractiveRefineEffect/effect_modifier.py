"""Lets SegmentWriter write through the effect, as every effect of the Segment Editor does."""

import slicer


class EffectModifier:
    """The modifier protocol of `SegmentWriter` over a `qSlicerSegmentEditorScriptedEffect`.

    Args:
        scriptedEffect: of the effect in whose name segments are changed; its editor's masks, overwrite mode and
            undo history apply.
    """

    def __init__(self, scriptedEffect):
        self._effect = scriptedEffect

    @property
    def editorNode(self):
        """The vtkMRMLSegmentEditorNode of the effect's editor."""
        return self._effect.parameterSetNode()

    def saveStateForUndo(self):
        """Save one state in the editor's history."""
        self._effect.saveStateForUndo()

    def modify(self, segmentId, modifierLabelmap, mode, extent):
        """See `Modifier.modify`.

        The extent is left out: its C array cannot be passed from Python, and without it the modifier's own extent is
        used, outside of which there is nothing to write.
        """
        name = mode.value  # an int instead of the enum object would not do
        self._effect.modifySegmentByLabelmap(
            self.editorNode.GetSegmentationNode(),
            segmentId,
            modifierLabelmap,
            getattr(slicer.qSlicerSegmentEditorAbstractEffect, name),
        )
