"""A small phantom in the scene with a controller on it, for tests of what happens between the scene and the worker."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from InteractiveRefineLib.phantom import make_phantom
from InteractiveRefineLib.stroke_book import Kind, Stroke
from InteractiveRefineLib.worker.subprocess_transport import run_until_idle, subprocess_starter

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / "InteractiveRefine") not in sys.path:
    sys.path.append(str(ROOT / "InteractiveRefine"))

SHAPE, SPACING = (24, 40, 52), (8.0, 6.0, 6.0)
LIVER, TUMOR, SPLEEN = 1, 2, 5


def scan(seed=3):
    """A phantom (K, J, I) 24 x 40 x 52 of another scanner, and its true segmentation."""
    return make_phantom(seed, SHAPE, SPACING, shift="domain")


class Desk:
    """A scan, a segmentation, an editor logic and a controller; what the controller said is kept.

    Attributes:
        volumeNode, segmentationNode, editorLogic, controller.
        states, messages, errors, results, steps: what the callbacks were told, in order.
    """

    def __init__(self, scene, seed=3, starter=None, loaded=False):
        """`loaded`: take the scan and the segmentation that the scene has already."""
        pytest.importorskip("torch")
        import slicer

        from InteractiveRefineScene.controller import RefineController
        from InteractiveRefineScene.segment_writer import LogicModifier

        self.scene = scene
        self.image, self.truth = scan(seed)
        if not loaded:
            self._add_nodes(scene)
        self.volumeNode = scene.GetFirstNodeByName("CT")
        self.segmentationNode = scene.GetFirstNodeByName("Segmentation")
        editorNode = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        editorNode.SetAndObserveSegmentationNode(self.segmentationNode)
        editorNode.SetAndObserveSourceVolumeNode(self.volumeNode)
        self.editorNode = editorNode
        self.editorLogic = slicer.vtkSlicerSegmentEditorLogic()
        self.editorLogic.SetMRMLScene(scene)
        self.editorLogic.SetSegmentEditorNode(editorNode)
        self.states, self.messages, self.errors, self.results, self.steps = [], [], [], [], []
        self.controller = RefineController(starter or subprocess_starter(), LogicModifier(self.editorLogic), scene)
        self.controller.onState = lambda state: self.states.append(state.value)
        self.controller.onMessage = self.messages.append
        self.controller.onError = self.errors.append
        self.controller.onResult = self.results.append
        self.controller.onProgress = lambda step, total, message, loss: self.steps.append((step, total, message, loss))
        self.controller.settings = small_settings()
        self.controller.setNodes(self.volumeNode, self.segmentationNode)

    def _add_nodes(self, scene):
        import slicer

        from InteractiveRefineScene.volumes import matrixFromArray

        volumeNode = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
        slicer.util.updateVolumeFromArray(volumeNode, self.image.array.astype(np.int16))
        volumeNode.SetIJKToRASMatrix(matrixFromArray(self.image.ijk_to_ras))
        segmentationNode = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
        segmentationNode.CreateDefaultDisplayNodes()
        segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)

    @property
    def segmentation(self):
        return self.segmentationNode.GetSegmentation()

    def names(self):
        """Names of all segments, in order."""
        return [self.segmentation.GetSegment(i).GetName() for i in self.segmentation.GetSegmentIDs()]

    def id(self, name):
        """ID of the segment with a name."""
        return self.segmentation.GetSegmentIdBySegmentName(name)

    def labels(self):
        """(K, J, I) position (from 1) of each voxel's segment in `names()`, 0 = none."""
        from InteractiveRefineScene.segments import readSegmentation

        return readSegmentation(self.segmentationNode, self.volumeNode).labels.copy()

    def mask(self, name):
        """(K, J, I) bool, the voxels of a segment."""
        return self.labels() == self.names().index(name) + 1

    def wait(self):
        """Until the worker has nothing more to say."""
        run_until_idle(self.controller.client)

    def segment_or_fail(self):
        """Let the network segment the scene."""
        self.controller.predictInitial()
        self.wait()

    def segment(self):
        """Let the network segment the empty scene."""
        self.segment_or_fail()
        assert self.errors == []

    def wrong(self, name, label):
        """Voxels (N, 3) KJI of the largest slice of what is missing of a structure."""
        missing = (self.truth.labels == label) & ~self.mask(name)
        k = int(np.argmax(missing.sum(axis=(1, 2))))
        return np.argwhere(missing & (np.arange(missing.shape[0])[:, None, None] == k))

    def draw(self, kji, name, kind=Kind.CLASS):
        """A stroke over voxels (N, 3) for a segment; None = background. Returns it."""
        flat = np.ravel_multi_index(np.asarray(kji).T, self.truth.labels.shape)
        stroke = Stroke(flat, "" if name is None else self.id(name), kind)
        self.controller.ensureStrokes().addStrokes(stroke)
        return stroke

    def correct(self, name, label):
        """Draw into what is missing of a structure; the voxels (N, 3) KJI of the stroke."""
        wrong = self.wrong(name, label)[:12]
        self.draw(wrong, name)
        return wrong

    def refine(self):
        """One round, until the worker has answered."""
        self.controller.refine()
        self.wait()

    def run_until(self, condition, seconds=60.0):
        """Let the worker speak until something is so."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "still not so"
            self.controller.client.transport.pump(0.02)

    def paint(self, kji, name):
        """Add voxels (N, 3) to a segment as another effect would."""
        import slicer

        array = slicer.util.arrayFromSegmentBinaryLabelmap(self.segmentationNode, self.id(name), self.volumeNode)
        array[tuple(np.asarray(kji).T)] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, self.segmentationNode, self.id(name), self.volumeNode)

    def node_names(self):
        """Names of all nodes of the scene that the user could see or save."""
        return sorted(
            self.scene.GetNthNode(n).GetName() or "" for n in range(self.scene.GetNumberOfNodes())
        )  # fmt: skip

    def undo(self):
        """The editor's Undo."""
        self.editorLogic.Undo()

    def redo(self):
        self.editorLogic.Redo()


@pytest.fixture
def desk(slicer_scene):
    """A `Desk` on an empty scene."""
    made = Desk(slicer_scene.scene)
    yield made
    made.controller.cleanup()


def small_settings(**changes):
    """Quick, on the CPU; fewer steps would not teach the network, of which the user is told."""
    from InteractiveRefineLib.settings import RefineSettings

    return RefineSettings(**{"device": "cpu", "steps": 30, **changes})
