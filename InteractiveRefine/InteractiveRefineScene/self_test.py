"""What the module's self-test does, in Slicer (Reload and Test, CTest) and under pytest; needs no other test data."""

from __future__ import annotations

import time

import numpy as np
import slicer
import vtk

# The library is imported by the tests only: this file is loaded when Slicer starts.


def paintStrokes(volumeNode, segmentationNode, count: int = 2):
    """A segmentation node as a user would paint strokes by hand: one segment per structure, named like it.

    Returns:
        The new node, and the strokes (see `exampleStrokes`) that were painted into it.
    """
    from .example_strokes import exampleStrokes
    from .volumes import geometryOf

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "painted strokes")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    strokes = [stroke for stroke, _ras in exampleStrokes(volumeNode, segmentationNode, count)]
    for stroke in strokes:
        name = segmentationNode.GetSegmentation().GetSegment(stroke.target).GetName()
        painted = np.zeros(geometryOf(volumeNode).shape, dtype=np.uint8)
        painted.reshape(-1)[stroke.indices] = 1
        segmentId = node.GetSegmentation().AddEmptySegment("", name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(painted, node, segmentId, volumeNode)
    return node, strokes


def disobeyed(strokes, volumeNode, segmentationNode) -> int:
    """How many voxels of the strokes do not belong to the segment they were drawn for."""
    from .segments import readSegmentation

    current = readSegmentation(segmentationNode, volumeNode)
    labels = {segment.id: segment.label for segment in current.segments}
    return sum(int((current.labels.reshape(-1)[s.indices] != labels[s.target]).sum()) for s in strokes)


def waitUntil(condition, seconds: float = 120.0) -> None:
    """Let the application work until `condition()` is true.

    Raises:
        AssertionError: it did not become true in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"nothing happened for {seconds} s"
        slicer.app.processEvents()
        time.sleep(0.01)


class SelfTest:
    """The tests; `InteractiveRefineTest` makes them a test case and has `newLogic`. Each starts on an empty scene."""

    def test_geometry_places_every_voxel_where_slicer_does(self):
        """An oblique, anisotropic volume: library and Slicer agree on the position of a voxel."""
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "oblique")
        slicer.util.updateVolumeFromArray(node, np.zeros((4, 5, 6), dtype=np.int16))
        ijkToRas = vtk.vtkMatrix4x4()
        ijkToRas.DeepCopy([0, -0.8, 0, 11, 0.6, 0, 0.7, -7, 0.5, 0, -2.4, 3, 0, 0, 0, 1])
        node.SetIJKToRASMatrix(ijkToRas)
        geometry = self.newLogic().geometryOf(node)
        self.assertEqual(geometry.shape, (4, 5, 6))
        k, j, i = 3, 1, 5
        expected = ijkToRas.MultiplyPoint((i, j, k, 1))[:3]
        np.testing.assert_allclose(geometry.to_ras(np.array([[k, j, i]]))[0], expected, atol=1e-6)

    def test_a_script_segments_and_refines_without_a_window(self):
        """Network in the worker, strokes painted by hand for two structures, result written, a lock respected."""
        self._needTorch()
        logic = self.newLogic()
        volume = logic.loadExample()
        segmentation = logic.segment(volume).segmentationNode
        painted, strokes = paintStrokes(volume, segmentation, count=2)
        self.assertEqual(len(strokes), 2)
        self.assertGreater(disobeyed(strokes, volume, segmentation), 0)
        vesselsId = segmentation.GetSegmentation().GetSegmentIdBySegmentName("vessels")
        before = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, vesselsId, volume).copy()
        steps = []
        outcome = logic.refine(
            volume, segmentation, painted, lock=["vessels"], progress=lambda step, total, message: steps.append(step)
        )
        self.assertEqual(disobeyed(strokes, volume, segmentation), 0)
        self.assertGreater(sum(outcome.written.added.values()), 0)
        self.assertGreater(len(steps), 3)
        after = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, vesselsId, volume)
        np.testing.assert_array_equal(after, before)

    def test_the_first_case_takes_three_clicks(self):
        """The module's panel: load, segment, refine; then Apply writes the stroke, and Undo takes it back."""
        from .controller import State

        self._needTorch()
        panel = slicer.modules.interactiverefine.widgetRepresentation().self()
        panel.enter()
        panel.ui.loadExampleButton.click()
        panel.ui.segmentExampleButton.click()
        controller = panel.editor.activeEffect().self().controller
        segmentation = controller.segmentationNode
        waitUntil(lambda: segmentation.GetSegmentation().GetNumberOfSegments() >= 6)
        waitUntil(lambda: controller.state is State.IDLE)
        panel.ui.refineExampleButton.click()
        waitUntil(lambda: controller.state is State.PREVIEW)
        strokes = list(controller.strokes.book)
        wrong = disobeyed(strokes, controller.volumeNode, segmentation)
        self.assertGreater(wrong, 0)
        controller.apply()
        self.assertEqual(disobeyed(strokes, controller.volumeNode, segmentation), 0)
        panel.editor.undo()
        self.assertEqual(disobeyed(strokes, controller.volumeNode, segmentation), wrong)
        panel.exit()

    def _needTorch(self):
        from .dependencies import torchSeemsInstalled

        if not torchSeemsInstalled():
            self.skipTest("PyTorch is not installed; drawing and growing work without, refining does not")
