"""The effect's panel in an editor on a small phantom, with the worker of this Python, for tests of the panel."""

import sys
from pathlib import Path

import numpy as np

from Testing.tests.controller_examples import ROOT, SHAPE, scan

EFFECT = "InteractiveRefine"


class PanelDesk:
    """An editor of the stand-in with the effect active.

    Attributes:
        editor: of the stand-in; its volume is the phantom.
        effect: the effect's Python object; panel, ui, controller: of it.
    """

    def __init__(self, editor, withScan=True):
        import slicer

        self.editor = editor
        self.image, self.truth = scan()
        if withScan:
            self.show_scan()
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        import InteractiveRefineEffect  # noqa: F401

        scripted = effects.qSlicerSegmentEditorScriptedEffect(None)
        source = ROOT / "InteractiveRefine" / "InteractiveRefineEffect" / "SegmentEditorEffect.py"
        assert scripted.setPythonSource(str(source))
        scripted.self().register()
        self.effect = editor.activate(EFFECT)
        self.panel = self.effect.panel
        self.ui = self.panel.ui
        self.controller = self.panel.controller
        self.slicer = slicer

    def show_scan(self):
        import slicer

        from InteractiveRefineScene.volumes import matrixFromArray

        node = self.editor.volumeNode
        slicer.util.updateVolumeFromArray(node, self.image.array.astype(np.int16))
        node.SetIJKToRASMatrix(matrixFromArray(self.image.ijk_to_ras))
        self.editor.segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(node)
        self.editor.center_views((0, 0, 0))

    def stored(self, name):
        """A parameter as the editor node keeps it."""
        return self.editor.node.GetAttribute(f"{EFFECT}.{name}")

    def quick(self):
        """A few steps on the CPU."""
        self.ui.deviceComboBox.setCurrentText("cpu")
        self.ui.stepsSpinBox.setValue(8)

    def wait(self, state="idle"):
        self.editor.wait_until(lambda: self.controller.state.value == state, 60)

    def segment(self):
        """Press "Segment with this network" and wait."""
        self.quick()
        self.ui.predictButton.click()
        self.editor.wait_until(lambda: self.controller.state.value != "running", 60)
        if self.controller.state.value == "preview":
            self.ui.applyButton.click()
        assert self.controller.state.value == "idle", self.ui.statusLabel.text

    def draw(self, name="liver"):
        """A stroke through what is missing of a structure, by the mouse."""
        label = {"liver": 1, "spleen": 5}[name]
        missing = (self.truth.labels == label) & ~self.editor.array(name)
        k = int(np.argmax(missing.sum(axis=(1, 2))))
        inside = np.argwhere(missing[k])
        ends = [(k, *inside[0]), (k, *inside[min(3, len(inside) - 1)])]
        points = self.image.geometry.to_ras(np.array(ends))
        self.editor.center_views(points[0])
        self.editor.select(name)
        self.editor.drag("Red", [tuple(point) for point in points])

    def refine(self):
        """Press Refine and wait for the preview."""
        self.ui.refineButton.click()
        self.wait("preview")

    def grab(self, path, width=400):
        """A picture of the effect's options, as high as they need."""
        frame = self.effect.scriptedEffect.optionsFrame()
        self.editor.wait_until(lambda: not self.effect.growingPreview.isPending)  # it adds a sentence
        for _attempt in range(4):  # labels wrap their texts, and the editor around it lays it out anew
            self.editor.grab(frame, path, width)
            self.editor.process_events(0.05)
        return self.editor.grab(frame, path, width)


def on_path():
    """The folders that the module puts on Slicer's path."""
    for folder in (ROOT, ROOT / "InteractiveRefine"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


assert SHAPE and Path(ROOT).is_dir()
on_path()
