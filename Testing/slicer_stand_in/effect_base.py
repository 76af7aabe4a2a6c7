"""The Python base class of scripted effects, `SegmentEditorEffects.AbstractScriptedSegmentEditorEffect`."""

import sys
import types


class AbstractScriptedSegmentEditorEffect:
    """Same protocol as Slicer's class of this name; coordinates as lists, through the scripted effect."""

    def __init__(self, scriptedEffect):
        self.scriptedEffect = scriptedEffect

    def register(self):
        import slicer

        slicer.qSlicerSegmentEditorEffectFactory.instance().registerEffect(self.scriptedEffect)

    def cleanup(self):
        pass

    def rasToXy(self, ras, viewWidget):
        import qt

        point = self.scriptedEffect.rasToXy(qt.QVector3D(*ras), viewWidget)
        return [point.x(), point.y()]

    def xyzToRas(self, xyz, viewWidget):
        import qt

        return _listed(self.scriptedEffect.xyzToRas(qt.QVector3D(*xyz), viewWidget))

    def xyToRas(self, xy, viewWidget):
        import qt

        return _listed(self.scriptedEffect.xyToRas(qt.QPoint(*xy), viewWidget))

    def xyzToIjk(self, xyz, viewWidget, image, parentTransformNode=None):
        import qt

        vector = self.scriptedEffect.xyzToIjk(qt.QVector3D(*xyz), viewWidget, image, parentTransformNode)
        return [int(value) for value in _listed(vector)]

    def xyToIjk(self, xy, viewWidget, image, parentTransformNode=None):
        import qt

        vector = self.scriptedEffect.xyToIjk(qt.QPoint(*xy), viewWidget, image, parentTransformNode)
        return [int(value) for value in _listed(vector)]


def _listed(vector):
    return [vector.x(), vector.y(), vector.z()]


def install():
    """Make `from SegmentEditorEffects import *` work."""
    package = types.ModuleType("SegmentEditorEffects")
    package.AbstractScriptedSegmentEditorEffect = AbstractScriptedSegmentEditorEffect
    package.editorEffectNames = []
    sys.modules["SegmentEditorEffects"] = package
    return package
