"""The stand-in's segment editor edits real segments through real events, masks and undo."""

import numpy as np
import pytest

EFFECT = '''
import numpy as np
import vtk
import slicer
from vtk.util.numpy_support import vtk_to_numpy
from SegmentEditorEffects import *


class SegmentEditorEffect(AbstractScriptedSegmentEditorEffect):
    """Every left button position paints one voxel; Shift erases it."""

    def __init__(self, scriptedEffect):
        scriptedEffect.name = "Dots"
        scriptedEffect.title = "Dots"
        scriptedEffect.perSegment = False
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self.down = False
        self.calls = []

    def clone(self):
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        copy = effects.qSlicerSegmentEditorScriptedEffect(None)
        copy.setPythonSource(__file__)
        return copy

    def setMRMLDefaults(self):
        self.scriptedEffect.setParameterDefault("Radius", 1.5)

    def setupOptionsFrame(self):
        import qt

        self.box = qt.QCheckBox("erase")
        self.scriptedEffect.addOptionsWidget(self.box)

    def updateGUIFromMRML(self):
        self.calls.append("gui")

    def sourceVolumeNodeChanged(self):
        self.calls.append("source")

    def processInteractionEvents(self, interactor, event, view):
        if event == vtk.vtkCommand.LeftButtonPressEvent:
            self.down = True
            self.scriptedEffect.saveStateForUndo()
        elif event == vtk.vtkCommand.LeftButtonReleaseEvent:
            self.down = False
            return True
        elif event != vtk.vtkCommand.MouseMoveEvent or not self.down:
            return False
        modifier = self.scriptedEffect.defaultModifierLabelmap()
        i, j, k = self.xyToIjk(interactor.GetEventPosition(), view, modifier)
        modifier.SetScalarComponentFromDouble(i, j, k, 0, 1)
        effect = self.scriptedEffect
        mode = effect.ModificationModeRemove if interactor.GetShiftKey() else effect.ModificationModeAdd
        effect.modifySelectedSegmentByLabelmap(modifier, mode)
        return True
'''


@pytest.fixture
def dots(editor, tmp_path):
    """The toy effect, registered and active."""
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    folder = tmp_path / "DotsEffect"
    folder.mkdir()
    path = folder / "SegmentEditorEffect.py"
    path.write_text(EFFECT)
    scripted = effects.qSlicerSegmentEditorScriptedEffect(None)
    assert scripted.setPythonSource(str(path))
    scripted.self().register()
    return editor.activate("Dots")


def voxels(mask):
    return [tuple(int(value) for value in index) for index in np.argwhere(mask)]


def test_a_drag_in_an_axial_view_paints_the_voxels_under_it(editor, dots):
    editor.center_views((20, 20, 14))
    editor.drag("Red", [(20, 20, 14), (22, 20, 14)])
    assert voxels(editor.array("liver")) == [(7, 10, 10), (7, 10, 11)]
    assert not editor.array("spleen").any()


def test_every_view_and_an_oblique_one_reach_the_same_voxel(editor, dots):
    editor.center_views((20, 20, 14))
    editor.tilt("Green", normal=(0.6, 0.8, 0), right=(0.8, -0.6, 0))
    for view in ("Red", "Yellow", "Green"):
        editor.click(view, (20, 20, 14))
        assert voxels(editor.array("liver")) == [(7, 10, 10)], view
        editor.undo()
    # To the right in the tilted view is the direction (0.8, -0.6, 0): two voxels to the right and one and a half down.
    editor.click("Green", (20 + 0.8 * 5, 20 - 0.6 * 5, 14))
    assert voxels(editor.array("liver")) in ([(7, 8, 12)], [(7, 9, 12)])
    assert editor.position("Green", (20, 20, 14))[0] + 20 == editor.position("Green", (24, 17, 14))[0]


@pytest.mark.parametrize("view, letters", [("Red", "LAS"), ("Yellow", "PSL"), ("Green", "LSA")])
def test_the_views_look_along_the_axes_of_the_patient(editor, view, letters):
    directions = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    matrix = editor.view(view).mrmlSliceNode().GetSliceToRAS()
    # To the right on the screen, upwards, and through the slices.
    for column, letter in enumerate(letters):
        assert tuple(matrix.GetElement(row, column) for row in range(3)) == directions[letter]


def test_shift_reaches_the_effect_and_is_gone_afterwards(editor, dots):
    editor.center_views((20, 20, 14))
    editor.drag("Red", [(20, 20, 14), (22, 20, 14)])
    editor.click("Red", (22, 20, 14), shift=True)
    editor.click("Red", (18, 20, 14))
    assert voxels(editor.array("liver")) == [(7, 10, 9), (7, 10, 10)]


def test_undo_and_redo_are_those_of_the_segmentation_history(editor, dots):
    import slicer

    editor.center_views((20, 20, 14))
    undo = slicer.util.findChild(editor.widget, "UndoButton")
    assert not undo.enabled
    editor.click("Red", (20, 20, 14))
    editor.click("Red", (24, 20, 14))
    assert undo.enabled
    editor.undo()
    assert voxels(editor.array("liver")) == [(7, 10, 10)]
    editor.undo()
    assert not editor.array("liver").any()
    editor.redo()
    editor.redo()
    assert voxels(editor.array("liver")) == [(7, 10, 10), (7, 10, 12)]


def test_the_intensity_mask_and_the_overwrite_mode_hold(editor, dots):
    import slicer

    slicer.util.arrayFromVolume(editor.volumeNode)[7, 10, 11] = 100
    slicer.util.arrayFromVolumeModified(editor.volumeNode)
    editor.center_views((20, 20, 14))
    editor.node.SetSourceVolumeIntensityMask(True)
    editor.node.SetSourceVolumeIntensityMaskRange(50, 150)
    editor.drag("Red", [(20, 20, 14), (22, 20, 14), (24, 20, 14)])
    assert voxels(editor.array("liver")) == [(7, 10, 11)]
    editor.select("spleen")
    editor.node.SetOverwriteMode(editor.node.OverwriteNone)
    editor.click("Red", (22, 20, 14))
    assert voxels(editor.array("liver")) == [(7, 10, 11)] == voxels(editor.array("spleen"))
    editor.node.SetOverwriteMode(editor.node.OverwriteAllSegments)
    editor.undo()
    editor.click("Red", (22, 20, 14))
    assert not editor.array("liver").any()


def test_the_source_image_is_resampled_to_the_segmentation(editor, dots):
    import slicer

    coarse = np.arange(8 * 10 * 12, dtype=np.int16).reshape(8, 10, 12)
    volume = editor.add_volume(coarse, "coarse", spacing=(4, 4, 4), origin=(1, 1, 1))
    editor.widget.setSourceVolumeNode(volume)
    image = dots.scriptedEffect.sourceVolumeImageData()
    assert image.GetDimensions() == (24, 20, 16)
    from vtk.util.numpy_support import vtk_to_numpy

    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(16, 20, 24)
    # Voxel (k, j, i) of the scan lies at 2 (i, j, k) mm: a quarter of a coarse voxel from coarse center (i - 0.5) / 2.
    assert abs(float(array[9, 9, 9]) - coarse[4, 4, 4]) <= 132 / 2
    assert array[9, 9, 11] - array[9, 9, 9] == 1
    assert slicer.util.arrayFromVolume(volume).shape == (8, 10, 12)


def test_events_that_an_effect_keeps_reach_nobody_else(editor, dots):
    editor.center_views((20, 20, 14))
    editor.hover("Red", (20, 20, 14))
    assert editor.strangers == ["MouseMoveEvent"]
    editor.drag("Red", [(20, 20, 14), (22, 20, 14)])
    assert editor.strangers == ["MouseMoveEvent", "MouseMoveEvent"]
    editor.press_key("Red", "z", control=True)
    assert editor.strangers[2:] == ["KeyPressEvent"]


def test_a_shortcut_takes_its_key_before_the_view(editor, dots):
    editor.center_views((20, 20, 14))
    editor.click("Red", (20, 20, 14))
    editor.widget.installKeyboardShortcuts()
    assert editor.press_key("Red", "z", control=True) == "shortcut"
    assert not editor.array("liver").any()
    editor.widget.uninstallKeyboardShortcuts()
    assert editor.press_key("Red", "z", control=True) == "view"


def test_two_shortcuts_for_one_key_cancel_each_other(editor, dots):
    import qt

    editor.center_views((20, 20, 14))
    editor.click("Red", (20, 20, 14))
    editor.widget.installKeyboardShortcuts()
    own = qt.QShortcut(qt.QKeySequence("Ctrl+Z"), dots.scriptedEffect.optionsFrame())
    assert editor.press_key("Red", "z", control=True) == "ambiguous"
    own.enabled = False
    assert editor.press_key("Red", "z", control=True) == "shortcut"
    assert not editor.array("liver").any()


def test_parameters_live_in_the_editor_node_under_the_effects_name(editor, dots):
    effect = dots.scriptedEffect
    assert editor.node.GetAttribute("Dots.Radius") == "1.5"
    dots.calls.clear()
    effect.setParameter("Radius", 0.123456789)
    assert editor.node.GetAttribute("Dots.Radius") == "0.123457"
    effect.setParameter("Radius", 0.123456789)
    assert dots.calls == ["gui"]
    assert effect.doubleParameter("Radius") == 0.123457
    effect.setParameter("Shown", True)
    assert (effect.integerParameter("Shown"), effect.parameterDefined("Empty")) == (1, False)


def test_a_parameter_that_does_not_exist_is_a_mistake(editor, dots, slicer_problems):
    assert dots.scriptedEffect.parameter("Diameter") == ""
    assert "Diameter" in slicer_problems.unexpected()[0]
    slicer_problems.allow("Diameter")


def test_an_exception_in_the_effect_is_recorded(editor, dots, slicer_problems):
    dots.down = None
    dots.xyToIjk = lambda *_: 1 / 0
    editor.click("Red", (20, 20, 14))
    assert "ZeroDivisionError" in slicer_problems.unexpected()[0]
    slicer_problems.allow("ZeroDivisionError")


def test_the_effect_hears_of_nodes_and_is_cleaned_up(editor, dots, slicer_app):
    import slicer

    dots.calls.clear()
    editor.widget.setSourceVolumeNode(editor.add_volume(np.zeros((4, 4, 4), np.int16), "other"))
    assert "source" in dots.calls
    cleaned = []
    dots.cleanup = lambda: cleaned.append(True)
    assert slicer.DotsEffect is dots
    editor.close()
    assert cleaned == [True]


def test_an_editor_that_a_module_forgets_still_cleans_up_its_effects(slicer_app, dots):
    import slicer

    widget = slicer.qMRMLSegmentEditorWidget()
    cleaned = []
    widget.effectByName("Dots").self().cleanup = lambda: cleaned.append(True)
    slicer_app.close()
    assert cleaned == [True]


def test_closing_the_scene_leaves_an_editor_that_works(editor, dots):
    import slicer

    editor.center_views((20, 20, 14))
    editor.click("Red", (20, 20, 14))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    editor.hover("Red", (20, 20, 14))


def test_a_scene_saved_and_read_again_has_the_segments(editor, dots, tmp_path):
    import slicer

    editor.center_views((20, 20, 14))
    editor.click("Red", (20, 20, 14))
    assert slicer.util.saveScene(str(tmp_path / "case.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "case.mrb"))
    node = slicer.util.getNode("Segmentation")
    volume = slicer.util.getNode("CT")
    assert voxels(slicer.util.arrayFromSegmentBinaryLabelmap(node, "liver", volume)) == [(7, 10, 10)]
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume
