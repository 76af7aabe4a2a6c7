"""One user's way through the effect, from an empty scene to a saved one, with the mouse and the panel's buttons."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from Testing.robot_drags import drag_into

MODULE_FILE = Path(__file__).resolve().parents[1] / "InteractiveRefine" / "InteractiveRefine.py"
EFFECT = "InteractiveRefine"


@dataclass
class Snapshot:
    """What must not get lost: label map (K, J, I) with names by label, strokes, slice offsets in mm by view."""

    labels: np.ndarray
    names: list[str]
    strokes: list[tuple]
    offsets: dict[str, float] = field(default_factory=dict)


class SlicerStory:
    """Drives the effect of a segment editor as a user does.

    Args:
        editor: `slicer_stand_in.editor_driver.Editor`, before its widget is made.
        volumeNode, segmentationNode: what the user works on; None for a new segmentation.
        backbone: folder of the network, trusted here as if chosen with the panel's button; "" = the shipped one.
    """

    def __init__(self, editor, volumeNode, segmentationNode=None, backbone="") -> None:
        import slicer

        self.editor, self.backbone = editor, str(backbone)
        if segmentationNode is None:
            segmentationNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
            segmentationNode.CreateDefaultDisplayNodes()
            segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
        for node in (editor.volumeNode, editor.segmentationNode):  # the driver's own small scan
            slicer.mrmlScene.RemoveNode(node)
        editor.volumeNode, editor.segmentationNode = volumeNode, segmentationNode
        self.progress: list[tuple] = []
        self.effect = editor.activate(EFFECT)
        if self.backbone:
            import qt

            from InteractiveRefineEffect.backbone_selector import FOLDERS_SETTING
            from InteractiveRefineScene.backbone_list import withFolder

            qt.QSettings().setValue(FOLDERS_SETTING, withFolder("", self.backbone))
            self.set("Backbone", self.backbone)
        shown = self.controller.onProgress
        self.controller.onProgress = lambda *step: (self.progress.append(step), shown(*step))

    @property
    def controller(self):
        return self.effect.controller

    @property
    def ui(self):
        return self.effect.panel.ui

    def set(self, parameter, value) -> None:
        """Set a parameter of the effect, as its widget does."""
        self.effect.scriptedEffect.setParameter(parameter, value)

    def parameter(self, name) -> str:
        effect = self.effect.scriptedEffect
        return effect.parameter(name) if effect.parameterDefined(name) else ""

    def state(self) -> str:
        return self.controller.state.value

    def press(self, button, until, seconds=120.0) -> None:
        """Click a button of the panel and let Slicer work until a state is reached."""
        widget = getattr(self.ui, button)
        assert widget.enabled, f"{button}: {widget.toolTip}"
        widget.click()
        self.editor.wait_until(lambda: self.failed() or self.state() == until, seconds)
        assert not self.failed(), self.failed()
        assert self.state() == until, self.ui.statusLabel.text

    def failed(self) -> list[str]:
        """Exceptions in slots so far: there is no use in waiting on."""
        from Testing.slicer_stand_in.problems import problems

        return problems.slotExceptions

    def add_segment(self, name) -> None:
        """A structure that the network may not know, as with the editor's Add button."""
        self.editor.segmentationNode.GetSegmentation().AddEmptySegment("", name)

    def segment_id(self, name) -> str:
        return self.editor.segmentationNode.GetSegmentation().GetSegmentIdBySegmentName(name)

    def mask(self, name) -> np.ndarray:
        """(K, J, I) bool: the voxels of a segment."""
        taken = self.snapshot()
        return taken.labels == 1 + taken.names.index(name)

    def draw_into(self, name, mask, view, **how):
        """Draw one stroke for a segment into a mask, in a view; returns the `Drag`."""
        from InteractiveRefineScene.volumes import geometryOf

        drag = drag_into(mask, geometryOf(self.editor.volumeNode), view, **how)
        assert drag is not None, f"nothing of {name} is missing"
        self.editor.center_views(drag.ras[len(drag.ras) // 2])
        self.editor.select(self.segment_id(name))
        self.editor.drag(view, drag.ras)
        return drag

    def snapshot(self) -> Snapshot:
        from InteractiveRefineScene.segments import readSegmentation

        found = readSegmentation(self.editor.segmentationNode, self.editor.volumeNode)
        return Snapshot(found.labels, [s.name for s in found.segments], strokes_of(self.controller), self.offsets())

    def offsets(self) -> dict[str, float]:
        return {name: self.editor.view(name).sliceLogic().GetSliceOffset() for name in self.editor.viewNames()}

    def kill_the_worker_at_the_next_step(self) -> None:
        """SIGKILL, as the system does to a process that takes too much memory, in the midst of the computation."""
        shown = self.controller.onProgress

        def kill(*step):
            shown(*step)
            # The worker tells its steps itself: once it does, it computes.
            if step[0] >= 1:
                self.controller.onProgress = shown
                os.kill(int(self.controller.client.transport._process.processId()), signal.SIGKILL)

        self.controller.onProgress = kill


def strokes_of(controller) -> list[tuple]:
    """The strokes as plain values: round, target, kind, voxels."""
    if controller.strokes is None:
        return []
    rounds = controller.strokes.book.rounds
    return [(n, s.target, s.kind.value, tuple(s.indices.tolist())) for n, strokes in enumerate(rounds) for s in strokes]


def volume_node(volume, name="CT"):
    """A scalar volume node of a library `Volume`."""
    import slicer

    from InteractiveRefineScene.volumes import matrixFromArray

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, volume.array)
    node.SetIJKToRASMatrix(matrixFromArray(volume.ijk_to_ras))
    node.CreateDefaultDisplayNodes()
    return node


def load_volume(path):
    """A volume node read by Slicer's own reader."""
    import slicer

    node = slicer.modules.volumes.logic().AddArchetypeVolume(str(path), Path(path).name.split(".")[0])
    assert node is not None, path
    return node


def start_module(session):
    """Register the module and the effect as Slicer does at its start; its module object."""
    module = session.register(MODULE_FILE)
    session.start()
    return module


def module_namespace():
    """The module's Python file, once `start_module` has loaded it."""
    return sys.modules["InteractiveRefine"]
