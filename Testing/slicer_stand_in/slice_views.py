"""Slice views: real slice nodes, slice logics, renderers and interactors; nothing is drawn unless asked."""

import slicer
import vtk
from PyQt5 import QtCore, QtGui, QtWidgets

from .mrml_widget import qMRMLWidget

#: Width and height of every view in pixels.
SIZE = 400
NAMES = ("Red", "Yellow", "Green")
ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


class qMRMLSliceView(QtWidgets.QWidget):
    """The part of a slice widget that is drawn on; counts the renders that were asked for in `renders_`."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._window = vtk.vtkGenericOpenGLRenderWindow()
        self._window.SetSize(SIZE, SIZE)
        self._renderer = vtk.vtkRenderer()
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._style = vtk.vtkInteractorStyleUser()
        self._interactor.SetInteractorStyle(self._style)
        self._renders = 0
        self._node = None
        self._cursor = QtGui.QCursor()

    def renderWindow(self):
        return self._window

    def interactor(self):
        return self._interactor

    def interactorStyle(self):
        return self._style

    def mrmlSliceNode(self):
        return self._node

    def scheduleRender(self):
        self._renders += 1

    forceRender = scheduleRender

    def setViewCursor(self, cursor):
        self._cursor = QtGui.QCursor(cursor)

    setDefaultViewCursor = setViewCursor

    def unsetViewCursor(self):
        self._cursor = QtGui.QCursor()

    def convertDeviceToXYZ(self, xy):
        return [float(xy[0]), float(xy[1]), 0.0]

    def convertXYZToRAS(self, xyz):
        return list(self._node.GetXYToRAS().MultiplyPoint([*xyz, 1.0])[:3])

    def convertRASToXYZ(self, ras):
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self._node.GetXYToRAS(), inverse)
        return list(inverse.MultiplyPoint([*ras, 1.0])[:3])


class qMRMLSliceWidget(qMRMLWidget):
    """A slice view with its real vtkMRMLSliceLogic."""

    def __init__(self, session, name):
        super().__init__()
        self.setObjectName(f"qMRMLSliceWidget{name}")
        self._name = name
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(session.application_logic)
        self._logic.SetMRMLScene(session.scene)
        node = self._logic.AddSliceNode(name)
        node.SetDimensions(SIZE, SIZE, 1)
        node.SetFieldOfView(100.0, 100.0, 1.0)
        node.SetOrientation(ORIENTATIONS[name])
        self._view = qMRMLSliceView(self)
        self._view._node = node

    def sliceView(self):
        return self._view

    def sliceLogic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    @QtCore.pyqtProperty(str)
    def sliceViewName(self):
        return self._name

    @QtCore.pyqtProperty(str)
    def sliceOrientation(self):
        return self.mrmlSliceNode().GetOrientation()

    def close_views(self):
        """For the end of a test: nothing keeps the scene alive."""
        self._view._renderer.RemoveAllViewProps()
        self._view._node = None
        self._logic.SetMRMLScene(None)
        self._logic.SetMRMLApplicationLogic(None)


class qSlicerLayoutManager(QtCore.QObject):
    """slicer.app.layoutManager() with three slice views and no 3D view."""

    SIGNALS = {"layoutChanged(int)": "layoutChanged"}
    layoutChanged = QtCore.pyqtSignal(int)

    def __init__(self, session):
        super().__init__()
        self._widgets = {name: qMRMLSliceWidget(session, name) for name in NAMES}
        logics = vtk.vtkCollection()
        for widget in self._widgets.values():
            logics.AddItem(widget.sliceLogic())
        session.application_logic.SetSliceLogics(logics)
        self._logics = logics
        self._layout = 3

    @QtCore.pyqtProperty(int)
    def layout(self):
        return self._layout

    def setLayout(self, layout):
        self._layout = int(layout)
        self.layoutChanged.emit(self._layout)

    @QtCore.pyqtProperty(int)
    def threeDViewCount(self):
        return 0

    def sliceViewNames(self):
        return tuple(self._widgets)

    def sliceWidget(self, name):
        return self._widgets.get(name)

    def threeDWidget(self, index):
        return None

    def mrmlSliceLogics(self):
        return self._logics

    def resetSliceViews(self):
        for widget in self._widgets.values():
            widget.sliceLogic().FitSliceToAll()

    def close_views(self, session):
        session.application_logic.SetSliceLogics(None)
        for widget in self._widgets.values():
            widget.close_views()
