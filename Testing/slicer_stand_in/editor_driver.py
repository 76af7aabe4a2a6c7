"""`editor` of the tests: an editor widget on a small scan, and hands that draw, press keys and take pictures."""

import numpy as np
import slicer
from PyQt5 import QtCore, QtGui, QtWidgets

from .segment_editor_widget import qMRMLSegmentEditorWidget


class Editor:
    """A scan, a segmentation with segments 'liver' and 'spleen', an editor node and widget over three slice views.

    volumeNode: 24x20x16 voxels (IJK) of 2 mm, intensities int16; segmentationNode; node (segment editor node);
    widget; strangers: names of events that no effect kept for itself.
    """

    def __init__(self, session):
        self.session = session
        self.volumeNode = self.add_volume(np.zeros((16, 20, 24), dtype=np.int16))
        self.segmentationNode = session.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
        self.segmentationNode.CreateDefaultDisplayNodes()
        self.segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(self.volumeNode)
        for name in ("liver", "spleen"):
            self.segmentationNode.GetSegmentation().AddEmptySegment(name, name)
        self.node = session.scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        self.strangers = []
        self._widget = None
        for name in self.viewNames():
            interactor = self.view(name).sliceView().interactor()
            for event in ("LeftButtonPressEvent", "LeftButtonReleaseEvent", "MouseMoveEvent", "KeyPressEvent"):
                interactor.AddObserver(event, lambda caller, event: self.strangers.append(event), 0.0)
        self.center_views()

    def add_volume(self, array, name="CT", spacing=(2.0, 2.0, 2.0), origin=(0.0, 0.0, 0.0)):
        """A scalar volume from a (K, J, I) array, axes along RAS, spacing in IJK order (mm), shown in the views."""
        node = self.session.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        node.SetSpacing(*spacing)
        node.SetOrigin(*origin)
        slicer.util.updateVolumeFromArray(node, array)
        node.CreateDefaultDisplayNodes()
        return node

    @property
    def widget(self):
        """Made at first use, so that effects can be registered before."""
        if self._widget is None:
            self._widget = qMRMLSegmentEditorWidget()
            self._widget.setMRMLSegmentEditorNode(self.node)
            self._widget.setMRMLScene(self.session.scene)
            self._widget.setSegmentationNode(self.segmentationNode)
            self._widget.setSourceVolumeNode(self.volumeNode)
            self.select("liver")
        return self._widget

    @property
    def logic(self):
        """The vtkSlicerSegmentEditorLogic inside the widget."""
        return self.widget._logic

    def activate(self, name):
        """Make an effect active; its Python object."""
        self.widget.setActiveEffectByName(name)
        active = self.widget.activeEffect()
        assert active is not None and active.name == name, f"effect {name} did not become active"
        return active.self()

    def select(self, segmentId):
        self.widget.setCurrentSegmentID(segmentId)

    def array(self, segmentId):
        """(K, J, I) bool: the segment on the volume's grid; all False for an empty one."""
        found = self.segmentationNode.GetSegmentation().GetSegment(segmentId)
        labelmap = found.GetRepresentation("Binary labelmap")
        if labelmap is None or labelmap.IsEmpty():
            return np.zeros(slicer.util.arrayFromVolume(self.volumeNode).shape, dtype=bool)
        return slicer.util.arrayFromSegmentBinaryLabelmap(self.segmentationNode, segmentId, self.volumeNode) > 0

    # Views

    def viewNames(self):
        return slicer.app.layoutManager().sliceViewNames()

    def view(self, name):
        """The slice widget 'Red' (axial), 'Yellow' (sagittal) or 'Green' (coronal)."""
        return slicer.app.layoutManager().sliceWidget(name)

    def center_views(self, ras=None):
        """All slice views look at a point (mm), by default the scan's center."""
        if ras is None:
            bounds = [0.0] * 6
            self.volumeNode.GetRASBounds(bounds)
            ras = [(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)]
        for name in self.viewNames():
            self.view(name).mrmlSliceNode().JumpSliceByCentering(*ras)

    def tilt(self, name, normal, right):
        """Make a view oblique: plane normal and the direction to the right (unit vectors, RAS), same center."""
        node = self.view(name).mrmlSliceNode()
        matrix = node.GetSliceToRAS()
        center = [matrix.GetElement(row, 3) for row in range(3)]
        node.SetSliceToRASByNTP(*normal, *right, *center, 0)
        node.UpdateMatrices()

    def position(self, name, ras):
        """Pixel (x, y) of a point in a view; the point is projected onto the slice."""
        xyz = self.view(name).sliceView().convertRASToXYZ(ras)
        return round(xyz[0]), round(xyz[1])

    # Hands

    def drag(self, view, points_ras, shift=False, alt=False, control=False):
        """Left button down at the first point (mm), move over all others, up at the last."""
        places = [self.position(view, point) for point in points_ras]
        self.send(view, "MouseMoveEvent", places[0], shift, alt, control)
        self.send(view, "LeftButtonPressEvent", places[0], shift, alt, control)
        for place in places[1:]:
            self.send(view, "MouseMoveEvent", place, shift, alt, control)
        self.send(view, "LeftButtonReleaseEvent", places[-1], shift, alt, control)

    def click(self, view, point_ras, shift=False, alt=False, control=False):
        self.drag(view, [point_ras], shift, alt, control)

    def hover(self, view, point_ras, shift=False, alt=False, control=False):
        self.send(view, "EnterEvent", self.position(view, point_ras), shift, alt, control)
        self.send(view, "MouseMoveEvent", self.position(view, point_ras), shift, alt, control)

    def leave(self, view):
        self.send(view, "LeaveEvent", (0, 0))

    def press_key(self, view, keysym, shift=False, alt=False, control=False):
        """A key while the mouse is in a view, named as in VTK: 'z', 'Escape'. "shortcut", "ambiguous" or "view".

        As in Slicer, a QShortcut takes the key before the view sees it, and two for one key cancel each other.
        """
        text = "Ctrl+" * control + "Shift+" * shift + "Alt+" * alt + keysym
        found = [shortcut for shortcut in self._shortcuts() if shortcut.key == QtGui.QKeySequence(text)]
        if found:
            (found[0].activated if len(found) == 1 else found[0].activatedAmbiguously).emit()
            return "shortcut" if len(found) == 1 else "ambiguous"
        interactor = self.view(view).sliceView().interactor()
        interactor.SetKeyCode(keysym if len(keysym) == 1 else "\0")
        interactor.SetKeySym(keysym)
        place = interactor.GetEventPosition()
        self.send(view, "KeyPressEvent", place, shift, alt, control)
        self.send(view, "KeyReleaseEvent", place, shift, alt, control)
        return "view"

    def _shortcuts(self):
        """Enabled shortcuts of this editor, its effects' panels, and a main window."""
        tops = [self.widget, self.session.main_window]
        found = [shortcut for top in tops if top is not None for shortcut in top.findChildren(QtWidgets.QShortcut)]
        return [shortcut for shortcut in found if shortcut.enabled]

    def wheel(self, view, point_ras, forward=True, shift=False, alt=False, control=False):
        event = "MouseWheelForwardEvent" if forward else "MouseWheelBackwardEvent"
        self.send(view, event, self.position(view, point_ras), shift, alt, control)

    def send(self, view, event, place, shift=False, alt=False, control=False):
        """One event of the real interactor at a pixel (x right, y up)."""
        interactor = self.view(view).sliceView().interactor()
        interactor.SetLastEventPosition(*interactor.GetEventPosition())
        interactor.SetEventPosition(int(place[0]), int(place[1]))
        interactor.SetShiftKey(int(shift))
        interactor.SetAltKey(int(alt))
        interactor.SetControlKey(int(control))
        interactor.InvokeEvent(event)

    def undo(self):
        self.widget.undo()

    def redo(self):
        self.widget.redo()

    def process_events(self, seconds=0.0):
        """Let Qt work for a while: timers, processes, deleted objects."""
        import time

        end = time.monotonic() + seconds
        while True:
            QtCore.QCoreApplication.processEvents(QtCore.QEventLoop.AllEvents, 20)
            if time.monotonic() >= end:
                return
            time.sleep(0.005)

    def wait_until(self, condition, seconds=30.0):
        """Let Qt work until condition() is true; AssertionError after the time."""
        import time

        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"still not so after {seconds} s"
            self.process_events(0.02)

    def grab(self, widget, path, width=380):
        """Write a picture (PNG) of a widget as wide as Slicer's module panel; the path."""
        widget.setAttribute(QtCore.Qt.WA_DontShowOnScreen, True)
        widget.show()
        widget.resize(width, max(widget.heightForWidth(width), widget.sizeHint.height()))
        QtWidgets.QApplication.processEvents()
        assert widget.grab().save(str(path)), path
        return path

    def close(self):
        if self._widget is not None:
            self._widget.close_editor()
            self._widget.deleteLater()
            self._widget = None
