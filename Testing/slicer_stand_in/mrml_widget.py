"""qMRMLWidget: the base of Slicer's widgets, a widget that knows the scene."""

from PyQt5 import QtCore, QtWidgets


class qMRMLWidget(QtWidgets.QWidget):
    """Verified: Slicer/Slicer Libs/MRML/Widgets/qMRMLWidget.h (setMRMLScene slot, mrmlScene invokable, the signal)."""

    SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    mrmlSceneChanged = QtCore.pyqtSignal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        if scene is self._scene:
            return
        self._scene = scene
        QtCore.QObject.__getattribute__(self, "mrmlSceneChanged").emit(scene)
