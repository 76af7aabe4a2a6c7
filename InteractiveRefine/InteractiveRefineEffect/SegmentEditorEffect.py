"""The effect "Interactive Refine" of the Segment Editor: what Slicer calls, passed on to the parts that do it."""

import logging
from pathlib import Path

import qt
import slicer
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
from slicer.i18n import tr as _

from InteractiveRefineScene.names import EFFECT_NAME

from .drawing import Drawing
from .growing_preview import GrowingPreview
from .parameters import setDefaults

_ICON = Path(__file__).resolve().parent.parent / "Resources" / "Icons" / "InteractiveRefineEffect.png"
_MESSAGE_MS = 6000


class SegmentEditorEffect(AbstractScriptedSegmentEditorEffect):
    """Corrects the result of a network from strokes. Every editor widget has a clone with parts of its own."""

    def __init__(self, scriptedEffect):
        scriptedEffect.name = EFFECT_NAME
        scriptedEffect.title = _("Interactive Refine")
        scriptedEffect.perSegment = False
        scriptedEffect.requireSegments = False  # the panel makes the first ones
        scriptedEffect.showEffectCursorInSliceView = True
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self.panel = None
        self.drawing = Drawing(scriptedEffect, self.addStrokes, self.tell)
        self.growingPreview = GrowingPreview(scriptedEffect, lambda: self.controller)

    @property
    def controller(self):
        """The `RefineController` of the panel; None before the panel is built."""
        return getattr(self.panel, "controller", None)

    # What Slicer asks for

    def clone(self):
        """A new effect from this file, for another editor widget."""
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        clonedEffect = effects.qSlicerSegmentEditorScriptedEffect(None)
        clonedEffect.setPythonSource(__file__.replace("\\", "/"))
        return clonedEffect

    def icon(self):
        """The icon of the effect's button."""
        return qt.QIcon(str(_ICON)) if _ICON.is_file() else qt.QIcon()

    def helpText(self):
        """How to use the mouse, as rich text."""
        return "<html>" + _(
            """Correct the segmentation of a network with a few strokes<br>.
<p><ul style="margin: 0">
<li><b>Left-button drag:</b> stroke of the selected segment.
<li><b>Shift + left-button drag:</b> stroke of background.
<li><b>Alt + left-button drag</b> (or the panel's switch)<b>:</b> "this is not the selected segment".
<li><b>Left-click:</b> point.
<li><b>Input "Box":</b> drag a rectangle around the structure.
<li><b>Shift + mouse wheel</b> or <b>+/- keys:</b> adjust brush size.
<li><b>Escape</b> leaves the effect and forgets the stroke being drawn. <b>Ctrl+Z:</b> take back the last stroke.
</ul><p>
Draw for as many segments as you like, in any slice view, then press Refine.
<p>"""
        )

    def createCursor(self, viewWidget):
        """A cross, also where there is no main window."""
        # Slicer's template asks the main window; here the outline of the brush shows what the cursor does not.
        return qt.QCursor(qt.Qt.CrossCursor)

    def setupOptionsFrame(self):
        """Build the panel."""
        from .panel import Panel

        self.panel = Panel(self)

    def setMRMLDefaults(self):
        """Give every parameter its default."""
        setDefaults(self.scriptedEffect)

    def updateGUIFromMRML(self):
        """Show the stored parameters."""
        if self.panel is None:
            return
        self.panel.updateGUIFromMRML()
        self.drawing.updateBrush()
        if self.scriptedEffect.active():
            self.growingPreview.schedule()

    def updateMRMLFromGUI(self):
        """Store what the panel shows."""
        if self.panel is not None:
            self.panel.updateMRMLFromGUI()

    # What happens around the effect

    def activate(self):
        """The user chose the effect."""
        if self.panel is not None:
            self.panel.activate()
        self.growingPreview.schedule()

    def deactivate(self):
        """The user chose another one: nothing of ours stays in the views."""
        self.drawing.stop()
        self.growingPreview.stop()
        if self.panel is not None:
            self.panel.deactivate()

    def processInteractionEvents(self, callerInteractor, eventId, viewWidget):
        """An event of a view; True when nobody else should handle it."""
        return self.drawing.processEvent(callerInteractor, eventId, viewWidget)

    def processViewNodeEvents(self, callerViewNode, eventId, viewWidget):
        """A view was moved or zoomed."""
        self.drawing.viewChanged(viewWidget)

    def sourceVolumeNodeChanged(self):
        """Another volume: strokes of this one do not go on there."""
        self._nodesChanged()

    def referenceGeometryChanged(self):
        """The segmentation lies on another grid."""
        self._nodesChanged()

    def layoutChanged(self):
        """Views came and went: no drag goes on, and no actor stays behind in a view that is gone."""
        self.drawing.stop()

    def interactionNodeModified(self, interactionNode):
        """The mouse has another task, such as placing a markup or adjusting window and level: leave it alone."""
        if interactionNode is None:
            return
        if interactionNode.GetCurrentInteractionMode() != slicer.vtkMRMLInteractionNode.ViewTransform:
            self.drawing.cancel()
            self.scriptedEffect.selectEffect("")

    def cleanup(self):
        """The editor widget goes away: leave no actor, no timer and no connection."""
        self.drawing.stop()
        self.growingPreview.release()
        if self.panel is not None:
            self.panel.cleanup()
            self.panel = None

    # Between the parts

    def tell(self, text):
        """Show a sentence to the user, without a dialog."""
        logging.info(text)
        show = getattr(self.panel, "showMessage", None)
        if show is not None:
            show(text)
        else:
            slicer.util.showStatusMessage(text, _MESSAGE_MS)

    def strokesChanged(self):
        """Strokes were added or taken back, also by Undo and Redo, and by another editor."""
        if self.scriptedEffect.active():
            self.growingPreview.schedule()

    def addStrokes(self, strokes):
        """Add what one gesture drew (a list of `Stroke`); the editor's Undo takes exactly that back."""
        controller = self.controller
        with controller.undoLink.applying():
            self.scriptedEffect.saveStateForUndo()
            controller.strokes.addStrokes(strokes)

    def _nodesChanged(self):
        self.drawing.cancel()
        self.growingPreview.stop()
        if self.panel is not None:
            self.panel.nodesChanged()
        if self.scriptedEffect.active():
            self.growingPreview.schedule()
