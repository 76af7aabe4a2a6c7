"""The guided first case of the module: three buttons from nothing to a corrected segmentation."""

import slicer
from slicer.i18n import tr as _

from InteractiveRefineScene.names import EFFECT_NAME

from .parameters import BACKBONE


class FirstCase:
    """Connects the three buttons; each does its step in the module's editor, with the effect's own panel.

    Args:
        ui: widgets of Resources/UI/InteractiveRefine.ui.
        editor: the module's qMRMLSegmentEditorWidget.
        logic: `InteractiveRefineLogic`.
    """

    def __init__(self, ui, editor, logic):
        self._ui, self._editor, self._logic = ui, editor, logic
        self._connections = (
            (ui.loadExampleButton, self.onLoad),
            (ui.segmentExampleButton, self.onSegment),
            (ui.refineExampleButton, self.onRefine),
        )
        for button, slot in self._connections:
            button.connect("clicked()", slot)
        self.update()

    def cleanup(self):
        """Disconnect; the buttons may outlive this object."""
        for button, slot in self._connections:
            button.disconnect("clicked()", slot)
        self._connections = ()

    def forget(self):
        """The scene closes."""
        self._tell(_("Press the three buttons one after the other."))
        self._enable(False, False)

    def update(self):
        """Enable the steps that can be done now."""
        segmentation = self._segmentation()
        loaded = self._volume() is not None and segmentation is not None
        self._enable(loaded, loaded and segmentation.GetSegmentation().GetNumberOfSegments() > 0)

    def onLoad(self):
        """Step 1: the sample scan, an empty segmentation and the effect."""
        with slicer.util.tryWithErrorDisplay(_("The example could not be loaded."), waitCursor=True):
            volume = self._logic.loadExample()
            segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", _("Example segmentation"))
            segmentation.CreateDefaultDisplayNodes()
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
            parameters = self._logic.getParameterNode()
            parameters.volume, parameters.segmentation = volume, segmentation
            self._editor.setSegmentationNode(segmentation)
            self._editor.setSourceVolumeNode(volume)
            self._editor.setActiveEffectByName(EFFECT_NAME)
            self._tell(_("This scan is made up. Now let the network segment it: press 2."))
        self.update()

    def onSegment(self):
        """Step 2: the shipped network's answer, written into new segments."""
        started = False
        with slicer.util.tryWithErrorDisplay(_("The example could not be segmented."), waitCursor=False):
            effect = self._effect()
            effect.scriptedEffect.setParameter(BACKBONE, "")
            started = effect.panel.onPredict()
            self._tell(
                _("The network works in another process; its progress is shown below. Then look at the liver, the "
                  "spleen and the kidneys: parts are missing. Press 3.")
                if started
                else _("The network did not start; the reason is shown below. When that is settled, press 2 again.")
            )  # fmt: skip
        if started:
            self._enable(True, True)
        else:
            self.update()  # there is nothing to refine yet, unless something was segmented before

    def onRefine(self):
        """Step 3: the slices go to the largest error, a stroke is drawn there, and Refine is pressed."""
        with slicer.util.tryWithErrorDisplay(_("The example could not be refined."), waitCursor=False):
            from InteractiveRefineScene.example_strokes import exampleStrokes

            effect = self._effect()
            ((stroke, ras),) = exampleStrokes(self._volume(), self._segmentation())
            for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
                node.JumpSliceByCentering(*ras)
            self._editor.setCurrentSegmentID(stroke.target)
            effect.addStrokes([stroke])
            started = effect.panel.onRefine()
            name = self._segmentation().GetSegmentation().GetSegment(stroke.target).GetName()
            self._tell(
                (_("A stroke was drawn for you where the {name} was missed most, and Refine was pressed. Look at the "
                   "preview, then press Apply. From now on draw with the left mouse button yourself, for as many "
                   "segments as you like, in any slice view, and press Refine.")
                 if started
                 else _("A stroke was drawn for you where the {name} was missed most, but Refine did not start; the "
                        "reason is shown below. When that is settled, press Refine there.")).format(name=name)
            )  # fmt: skip

    def _effect(self):
        """Our effect of this editor, made active."""
        self._editor.setActiveEffectByName(EFFECT_NAME)
        return self._editor.activeEffect().self()

    def _volume(self):
        return self._logic.getParameterNode().volume

    def _segmentation(self):
        return self._logic.getParameterNode().segmentation

    def _enable(self, segment, refine):
        self._ui.segmentExampleButton.enabled = segment
        self._ui.refineExampleButton.enabled = refine

    def _tell(self, text):
        self._ui.firstCaseLabel.text = text
