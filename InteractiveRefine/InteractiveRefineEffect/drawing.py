"""The mouse in the slice views, turned into strokes."""

from dataclasses import dataclass

import numpy as np
import vtk
from slicer.i18n import tr as _

from InteractiveRefineLib.errors import InputError
from InteractiveRefineScene.names import BACKGROUND_COLOR

from .drag import BoxDrag, BrushDrag
from .meaning import Meaning, markAsFor
from .overlay import ViewOverlay
from .parameters import BACKGROUND, BOX, BOX_DEPTH_MM, BRUSH_DIAMETER_MM, INPUT_MODE, MARK_AS, NOT_SEGMENT, Parameters
from .views import geometryInWorld, planeOf, rasAt

#: One step of the keys + and - and of Shift and the mouse wheel.
_BRUSH_STEP = 1.2
_SMALLEST_BRUSH_MM, _LARGEST_BRUSH_MM = 0.5, 100.0

_EVENT = vtk.vtkCommand
# The second press of two quick ones arrives as a double click; left to the view, it would maximize it.
_PRESS = (_EVENT.LeftButtonPressEvent, _EVENT.LeftButtonDoubleClickEvent)
# With Shift held, some systems report the wheel as turned sideways.
_WHEEL = {
    _EVENT.MouseWheelForwardEvent: _BRUSH_STEP,
    _EVENT.MouseWheelLeftEvent: _BRUSH_STEP,
    _EVENT.MouseWheelBackwardEvent: 1 / _BRUSH_STEP,
    _EVENT.MouseWheelRightEvent: 1 / _BRUSH_STEP,
}
_KEYS = {"plus": _BRUSH_STEP, "equal": _BRUSH_STEP, "minus": 1 / _BRUSH_STEP, "underscore": 1 / _BRUSH_STEP}


@dataclass
class _Active:
    """The drag in progress, and where it began."""

    drag: object
    meaning: Meaning
    viewWidget: object
    startXY: tuple


class Drawing:
    """Draws strokes in the slice views of one effect.

    Args:
        scriptedEffect: the `qSlicerSegmentEditorScriptedEffect`.
        addStrokes: called with the list of strokes of one finished gesture.
        tell: called with a sentence for the user.
    """

    def __init__(self, scriptedEffect, addStrokes, tell):
        self._effect = scriptedEffect
        self._parameters = Parameters(scriptedEffect)
        self._addStrokes = addStrokes
        self._tell = tell
        self._overlays = {}
        self._active = None
        self._hover = None  # view widget and pixel under the mouse

    @property
    def isDragging(self):
        """True between press and release."""
        return self._active is not None

    def processEvent(self, interactor, eventId, viewWidget):
        """Handle an event of a view; True when nobody else should."""
        if viewWidget.className() != "qMRMLSliceWidget":
            return False
        if eventId in _PRESS:
            return self._press(interactor, viewWidget)
        if eventId == _EVENT.MouseMoveEvent:
            return self._move(interactor, viewWidget)
        if eventId == _EVENT.LeftButtonReleaseEvent and self.isDragging:
            if self._move(interactor, viewWidget):
                self._finish()
            return True
        if eventId == _EVENT.LeaveEvent:
            self._leave(viewWidget)
        elif eventId in _WHEEL and interactor.GetShiftKey() and not interactor.GetControlKey():
            return self._scaleBrush(_WHEEL[eventId], interactor)
        elif eventId == _EVENT.KeyPressEvent:
            return self._key(interactor)
        return False

    def viewChanged(self, viewWidget):
        """The slice was moved or zoomed: brush and trail keep their place and size in mm."""
        if viewWidget.className() != "qMRMLSliceWidget" or viewWidget not in self._overlays:
            return
        if self.isDragging and viewWidget == self._active.viewWidget:
            self._redrawTrail()
        if self._hover is not None and self._hover[0] == viewWidget:
            self._showBrush(viewWidget, self._hover[1], self._shownMeaning())

    def updateBrush(self):
        """The brush's size or meaning, or the selected segment, has changed."""
        if self._hover is not None:
            self._showBrush(*self._hover, self._shownMeaning())

    def cancel(self):
        """Forget the drag in progress; nothing is drawn."""
        if self.isDragging:
            overlay = self._overlays.get(self._active.viewWidget)
            self._active = None
            if overlay is not None:
                overlay.clearTrail()

    def stop(self):
        """Forget everything and leave no actor in any view."""
        self.cancel()
        for overlay in self._overlays.values():
            overlay.remove()
        self._overlays = {}
        self._hover = None

    # Events

    def _press(self, interactor, viewWidget):
        self.cancel()  # of the drag before, the release went elsewhere
        meaning = self._meaning(interactor)
        if meaning is None:
            return False
        if not self._hasSegments():
            self._tell(_("Add a segment first, or let the network segment the volume."))
            return True
        if meaning.needsSegment and not meaning.segmentId:
            self._tell(_("Select a segment to draw strokes for it, or hold Shift to mark background."))
            return True
        xy = interactor.GetEventPosition()
        try:
            self._active = _Active(self._newDrag(viewWidget, xy), meaning, viewWidget, xy)
        except InputError as error:
            self._tell(str(error))
            return True
        self._redrawTrail()
        return True

    def _newDrag(self, viewWidget, xy):
        node = self._effect.parameterSetNode()
        geometry = geometryInWorld(node.GetSourceVolumeNode())
        sliceNode = _sliceNode(viewWidget)
        plane, ras = planeOf(sliceNode), rasAt(sliceNode, xy)
        if self._parameters.text(INPUT_MODE) == BOX:
            return BoxDrag(geometry, plane, ras, max(self._parameters.number(BOX_DEPTH_MM), 0.0))
        return BrushDrag(geometry, plane, ras, self._radius())

    def _move(self, interactor, viewWidget):
        xy = interactor.GetEventPosition()
        self._hover = (viewWidget, xy)
        if self.isDragging and viewWidget != self._active.viewWidget:
            self.cancel()  # the release went elsewhere, to a dialog for example
        if not self.isDragging:
            self._showBrush(viewWidget, xy, self._meaning(interactor) or self._shownMeaning())
            return False
        active = self._active
        sliceNode = _sliceNode(active.viewWidget)
        plane, ras = planeOf(sliceNode), rasAt(sliceNode, xy)
        drag = active.drag
        if isinstance(drag, BoxDrag) or not plane.same_as(drag.plane):
            drag.move(plane, ras, _pixels(xy, active.startXY))
            self._redrawTrail()
        elif np.any(ras != drag.trail[-1]):
            start = drag.trail[-1]
            drag.move(plane, ras, _pixels(xy, active.startXY))
            color = self._color(active.meaning)
            self._overlay(active.viewWidget).showBrushTrail(start, ras, plane, drag.radius_mm, color)
        self._showBrush(active.viewWidget, xy, active.meaning)
        return True

    def _finish(self):
        active = self._active
        self.cancel()
        try:
            marks = active.drag.finish()
            strokes = [] if marks is None else active.meaning.strokes(marks)
            if any(len(stroke.indices) for stroke in strokes):
                self._addStrokes(strokes)
        except InputError as error:
            self._tell(str(error))
            return
        if marks is None:
            self._tell(_("Drag from one corner of the box to the opposite one."))
        elif not len(marks.whole) and not len(marks.marked):
            self._tell(_("This lies outside the volume: nothing was drawn."))
        elif marks.n_outside:
            self._tell(_("Partly outside the volume: {count} voxels were left out.").format(count=marks.n_outside))

    def _leave(self, viewWidget):
        self._hover = None
        if viewWidget in self._overlays:
            self._overlays[viewWidget].hideOutline()

    def _key(self, interactor):
        key = interactor.GetKeySym()
        # Slicer's own editor takes Escape as a shortcut, which leaves the effect; other editors may not have it.
        if key == "Escape" and self.isDragging:
            self.cancel()
            return True
        return key in _KEYS and self._scaleBrush(_KEYS[key], interactor)

    def _scaleBrush(self, factor, interactor):
        diameter = self._parameters.number(BRUSH_DIAMETER_MM) * factor
        diameter = float(np.clip(diameter, _SMALLEST_BRUSH_MM, _LARGEST_BRUSH_MM))
        self._effect.setParameter(BRUSH_DIAMETER_MM, round(diameter, 2))
        self.updateBrush()
        return True

    # What is shown

    def _showBrush(self, viewWidget, xy, meaning):
        overlay = self._overlay(viewWidget)
        for other in self._overlays.values():
            if other is not overlay:
                other.hideOutline()
        if self._parameters.text(INPUT_MODE) == BOX:
            overlay.hideOutline()
            return
        ras = rasAt(overlay.sliceNode, xy)
        crossed = meaning.markAs == NOT_SEGMENT
        overlay.showOutline(ras, self._radius(), self._color(meaning), crossed)

    def _redrawTrail(self):
        drag, color = self._active.drag, self._color(self._active.meaning)
        overlay = self._overlay(self._active.viewWidget)
        if isinstance(drag, BoxDrag):
            overlay.showRectangle(drag.corners(), color)
            return
        overlay.clearTrail()
        if planeOf(overlay.sliceNode).same_as(drag.plane):
            for start, end in zip(drag.trail[:1] + drag.trail, drag.trail):
                overlay.showBrushTrail(start, end, drag.plane, drag.radius_mm, color)

    def _overlay(self, viewWidget):
        if viewWidget not in self._overlays:
            self._overlays[viewWidget] = ViewOverlay(self._effect, viewWidget)
        return self._overlays[viewWidget]

    # What is chosen

    def _meaning(self, interactor):
        """The `Meaning` of a drag with the keys that are held; None for a drag that is Slicer's."""
        keys = [bool(held) for held in (interactor.GetShiftKey(), interactor.GetAltKey(), interactor.GetControlKey())]
        markAs = markAsFor(*keys, self._parameters.text(MARK_AS))
        return None if markAs is None else Meaning(markAs, self._segmentId())

    def _shownMeaning(self):
        if self.isDragging:
            return self._active.meaning
        return Meaning(markAsFor(False, False, False, self._parameters.text(MARK_AS)), self._segmentId())

    def _hasSegments(self):
        segmentationNode = self._effect.parameterSetNode().GetSegmentationNode()
        return segmentationNode is not None and segmentationNode.GetSegmentation().GetNumberOfSegments() > 0

    def _segmentId(self):
        node = self._effect.parameterSetNode()
        return (node.GetSelectedSegmentID() or "") if node else ""

    def _color(self, meaning):
        segmentationNode = self._effect.parameterSetNode().GetSegmentationNode()
        segment = segmentationNode.GetSegmentation().GetSegment(meaning.segmentId) if segmentationNode else None
        return BACKGROUND_COLOR if segment is None or meaning.markAs == BACKGROUND else segment.GetColor()

    def _radius(self):
        return max(self._parameters.number(BRUSH_DIAMETER_MM), 0.0) / 2


def _sliceNode(viewWidget):
    return viewWidget.sliceLogic().GetSliceNode()


def _pixels(xy, other):
    return float(np.hypot(xy[0] - other[0], xy[1] - other[1]))
