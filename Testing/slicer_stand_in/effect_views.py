"""What an effect does with views: coordinates, actors, cursors, renders."""

import slicer
from PyQt5 import QtCore, QtGui

_logic = slicer.vtkSlicerSegmentEditorLogic


class EffectViews:
    """Mixin of the scripted effect. QPoint and QVector3D in and out; the latter holds 32-bit floats."""

    @staticmethod
    def viewNode(viewWidget):
        return viewWidget.mrmlSliceNode() if viewWidget is not None else None

    @staticmethod
    def renderWindow(viewWidget):
        return viewWidget.sliceView().renderWindow() if viewWidget is not None else None

    @staticmethod
    def renderer(viewWidget):
        window = EffectViews.renderWindow(viewWidget)
        return window.GetRenderers().GetItemAsObject(0) if window is not None else None

    @staticmethod
    def rasToXy(ras, sliceWidget):
        xy = _logic.RasToXy([ras.x(), ras.y(), ras.z()], sliceWidget.mrmlSliceNode())
        return QtCore.QPoint(int(xy[0]), int(xy[1]))

    @staticmethod
    def xyzToRas(xyz, sliceWidget):
        ras = [0.0, 0.0, 0.0]
        _logic.XyzToRas([xyz.x(), xyz.y(), xyz.z()], ras, sliceWidget.mrmlSliceNode())
        return QtGui.QVector3D(*ras)

    @staticmethod
    def xyToRas(xy, sliceWidget):
        return EffectViews.xyzToRas(QtGui.QVector3D(xy.x(), xy.y(), 0), sliceWidget)

    @staticmethod
    def xyzToIjk(xyz, sliceWidget, image, parentTransform=None):
        ijk = [0, 0, 0]
        _logic.XyzToIjk([xyz.x(), xyz.y(), xyz.z()], ijk, sliceWidget.mrmlSliceNode(), image, parentTransform)
        return QtGui.QVector3D(*ijk)

    @staticmethod
    def xyToIjk(xy, sliceWidget, image, parentTransform=None):
        return EffectViews.xyzToIjk(QtGui.QVector3D(xy.x(), xy.y(), 0), sliceWidget, image, parentTransform)

    @staticmethod
    def scheduleRender(viewWidget):
        viewWidget.sliceView().scheduleRender()

    @staticmethod
    def forceRender(viewWidget):
        viewWidget.sliceView().forceRender()

    @staticmethod
    def sliceSpacing(sliceWidget):
        return _logic.GetSliceSpacing(sliceWidget.mrmlSliceNode(), sliceWidget.sliceLogic())

    def segmentationDisplayableInView(self, viewNode):
        return bool(self._logic.IsSegmentationDisplayableInView(viewNode)) if self._logic else False

    def addActor2D(self, viewWidget, actor):
        self.renderer(viewWidget).AddViewProp(actor)
        self.scheduleRender(viewWidget)

    def removeActor2D(self, viewWidget, actor):
        self.renderer(viewWidget).RemoveViewProp(actor)
        self.scheduleRender(viewWidget)

    def cursorOff(self, viewWidget):
        self._saved_cursor = QtGui.QCursor(viewWidget.cursor)
        viewWidget.sliceView().setDefaultViewCursor(QtGui.QCursor(QtCore.Qt.BlankCursor))

    def cursorOn(self, viewWidget):
        viewWidget.sliceView().setDefaultViewCursor(self._saved_cursor or QtGui.QCursor())

    def icon(self):
        icon = self.call("icon", default=QtGui.QIcon)
        return icon if icon is not None else QtGui.QIcon()

    def createCursor(self, viewWidget):
        """The Python class's cursor; Slicer's default paints the icon under an arrow."""
        return self.call("createCursor", viewWidget, default=QtGui.QCursor)
