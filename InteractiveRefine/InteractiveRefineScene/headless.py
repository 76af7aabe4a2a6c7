"""Segment and refine from the Python console or a script: the controller without any panel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import slicer

from InteractiveRefineLib.errors import InputError, RefineError
from InteractiveRefineLib.settings import RefineSettings

from .controller import RefineController, State
from .locks import isLocked, setLocked
from .segment_writer import LogicModifier
from .stroke_node import readPaintedStrokes
from .translate import _


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        segmentationNode: what was segmented or corrected.
        proposal: the last `round_request.Proposal`: labels before and after, changes by class; None for a first
            segmentation, which is written at once.
        written: `WriteReport` of what was written; None where nothing was (also with `apply=False`).
        warnings: sentences for the user.
    """

    segmentationNode: object
    proposal: object = None
    written: object = None
    warnings: list[str] = field(default_factory=list)


class Run:
    """One call: from its nodes to the written result. Waits for nothing; `Waiter` does.

    Attributes:
        outcome: `Outcome`, filled as it goes.
        done: True once it ended, well or not.
        error: None, or why it failed, as an exception.
        onFinished: called with this object when it is done.

    Args:
        volumeNode: the scan, or a list of scans: the network's channels in their order, all on the first one's grid
            in the end.
        segmentationNode: None makes a new one, named after the volume.
        startTransport: starts the worker, see `WorkerClient`.
        later: calls a function once the present callback is over.
        backbone: folder of the network; "" = the one that is shipped.
        settings: of the round.
        lock: names or IDs of segments that must not change, beside those that are locked already.
        apply: write the result (one undo state); False only computes it (`outcome.proposal`).
        progress: (step, total, message).
        editorNode: whose masks and overwrite mode apply; None for no mask.

    Raises:
        InputError: a segment to be locked does not exist.
    """

    def __init__(
        self,
        volumeNode,
        segmentationNode,
        startTransport,
        later: Callable[[Callable[[], None]], None],
        *,
        backbone: str = "",
        settings: RefineSettings | None = None,
        lock: Iterable[str] = (),
        apply: bool = True,
        progress: Callable[[int, int, str], None] | None = None,
        editorNode=None,
    ) -> None:
        others = None
        if isinstance(volumeNode, (list, tuple)):
            volumeNode, *others = volumeNode or [None]
        self.outcome = Outcome(segmentationNode or _newSegmentation(volumeNode))
        self.done = False
        self.error: Exception | None = None
        self.onFinished: Callable[[Run], None] = lambda run: None
        self._later, self._apply = later, apply
        self._unlockAgain: list[str] = []
        self._lock([lock] if isinstance(lock, str) else lock)
        self._editor = _Editor(volumeNode, self.outcome.segmentationNode, editorNode)
        self._controller = controller = RefineController(startTransport, self._editor.modifier)
        controller.backbone, controller.settings = str(backbone), settings or RefineSettings()
        controller.otherVolumes = tuple(others) if others else None
        controller.setNodes(volumeNode, self.outcome.segmentationNode)
        controller.onState = lambda state: self._later(self._look)
        controller.onResult = self._keep
        controller.onError = self._fail
        controller.onMessage = self.outcome.warnings.append
        if progress is not None:
            controller.onProgress = lambda step, total, message, loss: progress(step, total, message)

    @property
    def client(self):
        """The `WorkerClient`."""
        return self._controller.client

    def segment(self) -> None:
        """Let the network segment the image."""
        self._begin(self._controller.predictInitial)

    def refine(self, strokesNode=None) -> None:
        """Correct the segmentation from strokes.

        Args:
            strokesNode: a segmentation node painted by hand, with segments named like those to be corrected,
                "background", or "not <segment>"; None, or the node that the effect drew: the strokes that the scene
                keeps.
        """

        def ask():
            own = self._controller.strokes
            if strokesNode is not None and (own is None or strokesNode is not own.node):
                nodes = self.outcome.segmentationNode, self._controller.volumeNode
                strokes, warnings = readPaintedStrokes(strokesNode, *nodes)
                self.outcome.warnings += warnings
                self._controller.ensureStrokes().addStrokes(strokes)
            self._controller.refine()

        self._begin(ask)

    def cancel(self) -> None:
        """Stop the worker after its present step; segments and strokes stay as they were."""
        if not self.done:
            self._fail(_("Cancelled. Segments and strokes are as they were."))
            self._controller.cancel()

    def _begin(self, ask: Callable[[], None]) -> None:
        try:
            ask()
        except Exception as error:
            self.error = error
        except BaseException:  # Ctrl+C
            self.close()
            raise
        self._later(self._look)

    def _keep(self, proposal) -> None:
        if proposal is not None:
            self.outcome.proposal = proposal

    def _fail(self, text: str) -> None:
        self.error = self.error or RefineError(text)
        self._later(self._look)

    def _look(self) -> None:
        """Between two callbacks: write what is proposed, or end."""
        if self.done or self._controller.state is State.RUNNING:
            return
        if self.error is None and self._controller.state is State.PREVIEW and self._apply:
            try:
                self.outcome.written = self._controller.apply()
            except Exception as error:
                self.error = error
        self.close()
        self.onFinished(self)

    def close(self) -> None:
        """End the worker and leave nothing of the run in the scene; done by itself once the run ends."""
        if self.done:
            return
        self.done = True
        self._controller.cleanup()
        self._editor.remove()
        for segmentId in self._unlockAgain:
            setLocked(self.outcome.segmentationNode, segmentId, False)

    def _lock(self, names: Iterable[str]) -> None:
        """Lock segments by name or ID for the time of the run."""
        node = self.outcome.segmentationNode
        segmentation = node.GetSegmentation()
        found = []
        for name in names:
            segmentId = name if segmentation.GetSegment(name) else segmentation.GetSegmentIdBySegmentName(name)
            if not segmentId:
                known = ", ".join(segmentation.GetSegment(i).GetName() for i in segmentation.GetSegmentIDs())
                raise InputError(
                    _("There is no segment {name!r} to lock, only: {known}.").format(name=name, known=known)
                )
            found.append(segmentId)
        self._unlockAgain = [segmentId for segmentId in found if not isLocked(node, segmentId)]
        for segmentId in self._unlockAgain:
            setLocked(node, segmentId, True)


class _Editor:
    """Slicer's editing logic, with a node of its own for the time of the run where none is given."""

    def __init__(self, volumeNode, segmentationNode, editorNode) -> None:
        self._own = None
        if editorNode is None:
            editorNode = self._own = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            editorNode.UnRegister(None)
            editorNode.SetHideFromEditors(True)
            slicer.mrmlScene.AddNode(editorNode)
        logic = slicer.vtkSlicerSegmentEditorLogic()
        logic.SetMRMLScene(slicer.mrmlScene)
        logic.SetSegmentEditorNode(editorNode)
        editorNode.SetAndObserveSegmentationNode(segmentationNode)
        editorNode.SetAndObserveSourceVolumeNode(volumeNode)
        self._logic = logic
        self.modifier = LogicModifier(logic)

    def remove(self) -> None:
        """Leave nothing in the scene."""
        self._logic.SetSegmentEditorNode(None)
        self._logic.SetMRMLScene(None)
        if self._own is not None:
            slicer.mrmlScene.RemoveNode(self._own)
            self._own = None


def _newSegmentation(volumeNode):
    """An empty segmentation on the volume's grid."""
    if volumeNode is None:
        raise InputError(_("No volume is selected. Select a source volume."))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volumeNode.GetName()} segmentation")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    return node
