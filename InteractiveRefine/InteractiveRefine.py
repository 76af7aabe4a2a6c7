"""The Slicer module: for now it tells what this version offers and hands Slicer's volumes to the library."""

import sys
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

# Installed, the library lies beside this file, which Slicer can already import from; in a checkout, one folder up.
_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "InteractiveRefineLib" / "__init__.py").is_file() and str(_CHECKOUT) not in sys.path:
    sys.path.append(str(_CHECKOUT))


class InteractiveRefine(ScriptedLoadableModule):
    """What Slicer shows about this module before it is opened."""

    def __init__(self, parent):
        super().__init__(parent)
        self.parent.title = _("Interactive Refine")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["The InteractiveRefine contributors"]
        self.parent.helpText = _(
            "Corrects the segmentation of any pretrained network from a few strokes: every stroke is obeyed, "
            "and what nobody complained about is left alone."
        )
        self.parent.acknowledgementText = _(
            "After Sambaturu et al., Efficient and Generic Interactive Segmentation Framework to Correct "
            "Mispredictions during Clinical Evaluation of Medical Images, MICCAI 2021."
        )


class InteractiveRefineWidget(ScriptedLoadableModuleWidget):
    """The module's panel: a plain message, until there is something to operate."""

    def setup(self):
        super().setup()
        self.logic = InteractiveRefineLogic()
        message = qt.QLabel(
            _(
                "Interactive Refine {version}\n\n"
                "This version offers the Python library and the command line 'interactive-refine'. "
                "Drawing strokes in Slicer's Segment Editor is not part of it yet."
            ).format(version=self.logic.libraryVersion())
        )
        message.wordWrap = True
        self.layout.addWidget(message)
        self.layout.addStretch(1)


class InteractiveRefineLogic(ScriptedLoadableModuleLogic):
    """The way from Slicer's nodes to the library, without a window."""

    def libraryVersion(self):
        """Version of InteractiveRefineLib, as text."""
        import InteractiveRefineLib

        return InteractiveRefineLib.__version__

    def geometryOf(self, volumeNode):
        """`InteractiveRefineLib.geometry.Geometry` of a volume node, in the node's own RAS (transforms not applied)."""
        from InteractiveRefineLib.geometry import Geometry

        matrix = vtk.vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)
        return Geometry(
            shape=tuple(reversed(volumeNode.GetImageData().GetDimensions())),
            ijk_to_ras=slicer.util.arrayFromVTKMatrix(matrix),
        )


class InteractiveRefineTest(ScriptedLoadableModuleTest):
    """Runs in Slicer: `runTest` by Reload and Test, the `test_` methods by the build's test harness."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_geometry_places_every_voxel_where_slicer_does()

    def test_geometry_places_every_voxel_where_slicer_does(self):
        """An oblique, anisotropic volume: library and Slicer agree on the position of a voxel."""
        import numpy as np

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "oblique")
        slicer.util.updateVolumeFromArray(node, np.zeros((4, 5, 6), dtype=np.int16))
        ijkToRas = vtk.vtkMatrix4x4()
        ijkToRas.DeepCopy([0, -0.8, 0, 11, 0.6, 0, 0.7, -7, 0.5, 0, -2.4, 3, 0, 0, 0, 1])
        node.SetIJKToRASMatrix(ijkToRas)

        geometry = InteractiveRefineLogic().geometryOf(node)

        self.assertEqual(geometry.shape, (4, 5, 6))
        k, j, i = 3, 1, 5
        expected = ijkToRas.MultiplyPoint((i, j, k, 1))[:3]
        np.testing.assert_allclose(geometry.to_ras(np.array([[k, j, i]]))[0], expected, atol=1e-6)
