"""From the scene to the worker and back: refine, preview, apply, discard, cancel. No Qt, no thread, no waiting."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import slicer

from InteractiveRefineLib.errors import InputError, RefineError
from InteractiveRefineLib.settings import RefineSettings

from .backbone_list import glance
from .node_watch import NodeWatch
from .preview_node import PreviewNode
from .proposal_writer import writeProposal
from .round_memory import RoundMemory
from .round_request import Proposal, Round, firstProposalOf, makeRound, proposalOf
from .scene_key import isStillAsRead, volumeKey
from .scene_state import ClosePurge
from .stroke_node import StrokeNode
from .strokes_link import StrokesLink
from .translate import _
from .volumes import readVolume
from .worker_talk import WorkerTalk


class State(Enum):
    """What the controller is doing."""

    IDLE = "idle"
    RUNNING = "running"  #: the worker was asked something; a preview may still be shown
    PREVIEW = "preview"  #: a result is shown and waits for Apply or Discard


def _nothing(*_arguments) -> None:
    """A callback that nobody set."""


class RefineController:
    """One user's work on one segmentation of one volume; every editor widget has its own.

    A result is never written but by `apply`, and only into the nodes, voxel for voxel as they were, that the worker was
    asked about; anything else throws it away and says so.

    Attributes:
        settings: `RefineSettings` of the next round.
        backbone: folder of the network as the worker sees it; "" = the one that comes with this program.
        proposal: the `Proposal` that is shown, or None.
        preview: the `PreviewNode` that shows it.
        onState: (state) after every change of it.
        onProgress: (step, total, message, loss or None).
        onResult: (proposal) when one is shown, (None) when it is gone.
        onBackbone: (info) when the worker told what is in a network's folder.
        onMessage: (text) something worth knowing.
        onError: (text) something did not work, and what to do.
        onStrokes: () after the strokes changed.
        onSegments: () after segments came, went, or got another name, color, class or lock.

    Args:
        startTransport: starts the worker's process, see `WorkerClient`.
        modifier: of `SegmentWriter`; its editor node's masks apply.
        scene: None for the application's.
    """

    def __init__(self, startTransport, modifier, scene=None) -> None:
        self.settings = RefineSettings()
        self.backbone = ""
        self.proposal: Proposal | None = None
        self.preview = PreviewNode()
        self.onState: Callable[[State], None] = _nothing
        self.onProgress: Callable[[int, int, str, float | None], None] = _nothing
        self.onResult: Callable[[Proposal | None], None] = _nothing
        self.onBackbone: Callable[[object], None] = _nothing
        self.onMessage: Callable[[str], None] = _nothing
        self.onError: Callable[[str], None] = _nothing
        self.onStrokes: Callable[[], None] = _nothing
        self.onSegments: Callable[[], None] = _nothing
        self._talk = WorkerTalk(startTransport)
        self._talk.onAnswer = self._onAnswer
        self._talk.onStopped = self._onStopped
        self._talk.onFailure = self._onFailure
        self._talk.onProgress = lambda *step: self.onProgress(*step)
        self._talk.onBackbone = lambda info: self.onBackbone(info)
        self._modifier = modifier
        self._scene = scene or slicer.mrmlScene
        self._state = State.IDLE
        self._volumeNode = self._segmentationNode = None
        self._link: StrokesLink | None = None
        self._memory = RoundMemory()
        self._told = ()  # the strokes that the worker was told
        self._shown = ()  # those that the preview obeys
        self._glance = None
        self._image = self._imageKey = None
        self._writing = False
        self._watch = NodeWatch(self._onNodesChanged, self._onNodeGone, lambda: self.onSegments())
        self._purge = ClosePurge(self._scene)
        self._purge.add(self)

    @property
    def state(self) -> State:
        """What is going on."""
        return self._state

    @property
    def client(self):
        """The `WorkerClient`."""
        return self._talk.client

    @property
    def volumeNode(self):
        """The volume that is segmented, or None."""
        return self._volumeNode

    @property
    def segmentationNode(self):
        """The segmentation that is corrected, or None."""
        return self._segmentationNode

    @property
    def strokes(self) -> StrokeNode | None:
        """The strokes of the present nodes; None before the first one (see `ensureStrokes`)."""
        return self._link.strokes if self._link is not None else None

    @property
    def undoLink(self):
        """The `UndoLink` of the strokes, which are made if there are none yet (see `ensureStrokes`)."""
        self.ensureStrokes()
        return self._link.undo

    @property
    def info(self):
        """`BackboneInfo` of `backbone`, None until the worker told."""
        return self._talk.info(self.backbone)

    @property
    def classes(self) -> list:
        """Classes of `backbone`: as the worker told, before that as its folder says; empty when nobody knows."""
        if self.info is not None:
            return list(self.info.classes)
        if self._glance is None or self._glance.folder != self.backbone:
            self._glance = glance(self.backbone)
        return list(self._glance.classes)

    @property
    def hasNewStrokes(self) -> bool:
        """True when something was drawn that the worker was never told."""
        if self.strokes is None or not self.strokes.book.has_open_strokes:
            return False
        told = {id(stroke) for stroke in (*self._told, *self._shown)}
        return any(id(stroke) not in told for stroke in self.strokes.book.rounds[-1])

    def setNodes(self, volumeNode, segmentationNode, editorNode=None) -> None:
        """Work on other nodes. What was running or shown for the former ones is thrown away; the same ones: nothing.

        Args:
            editorNode: not needed, as the modifier has it; for symmetry with Slicer's callbacks.
        """
        if volumeNode is not self._volumeNode or segmentationNode is not self._segmentationNode:
            self._abandon(_("Another volume or segmentation was selected, so the result was discarded."))
            self._letGo()
            self._volumeNode, self._segmentationNode = volumeNode, segmentationNode
            self._watch.watch(self._scene, volumeNode, segmentationNode)
        self._findStrokes()

    def ensureStrokes(self) -> StrokeNode:
        """The strokes node, made if there is none yet.

        Raises:
            InputError: no volume or segmentation that could carry strokes.
        """
        if self._link is None:
            if self.whyNotPredict():
                raise InputError(self.whyNotPredict())
            self._takeStrokes(StrokeNode.findOrCreate(self._segmentationNode, self._volumeNode))
        return self._link.strokes

    def whyNotRefine(self) -> str:
        """Why `refine` would be of no use now, as a sentence for the user; "" when it can be tried."""
        why = self.whyNotPredict()
        if why:
            return why
        if self._segmentationNode.GetSegmentation().GetNumberOfSegments() == 0:
            return _("There is no segment. Add one, or let the network segment the image first.")
        if self.strokes is None or self.strokes.book.is_empty:
            return _("There are no strokes yet. Draw some in the slice views, then refine.")
        return ""

    def whyNotPredict(self) -> str:
        """Why `predictInitial` would be of no use now, as a sentence for the user; "" when it can be tried."""
        if self._volumeNode is None or self._volumeNode.GetImageData() is None:
            return _("No volume is selected. Select a source volume.")
        if self._segmentationNode is None:
            return _("No segmentation is selected. Select or create one.")
        return ""

    def refine(self) -> None:
        """Ask the worker for a correction from all strokes. While it is at work: stop it and ask anew.

        While a preview is shown, the round continues from it, and `apply` takes both.
        """
        self._ask(self.whyNotRefine(), withStrokes=True)

    def predictInitial(self) -> None:
        """Ask the worker for the network's own segmentation, without strokes.

        Into empty segments it is written at once, as one undo state, with segments for the network's classes. Where
        something is segmented already, it is shown as a preview first: `apply` replaces the segments that stand for the
        network's classes; locked segments and structures that the network does not know keep every voxel.
        """
        self._ask(self.whyNotPredict(), withStrokes=False)

    def cancel(self) -> None:
        """Stop the worker after its present step; segments, strokes and a preview shown before stay."""
        if self._state is State.RUNNING:
            self._talk.stop()

    def apply(self):
        """Write the preview into the segments: one undo state for all of them, through the editor's masks and locks.

        Returns:
            The `WriteReport`, None when nothing was written; `onError` or `onMessage` said why.
        """
        proposal = self.proposal
        if self._state is not State.PREVIEW or proposal is None:
            return None
        if not self._isStill(proposal):
            self._abandon(_("The segmentation or the volume was changed, so the preview was discarded. Refine again."))
            return None
        self._writing = True
        try:
            report = writeProposal(self._modifier, self._segmentationNode, self._volumeNode, proposal, self._link)
        except RefineError as error:
            self.onError(str(error))
            return None
        finally:
            self._writing = False
        if not proposal.creates:
            self._memory.remember(proposal.after, proposal.segments, proposal.manual)
            self._link.storeMemory(self._memory)
        self._forgetProposal()
        self._setState(State.IDLE)
        if report.warnings:
            self.onMessage("\n".join(report.warnings))
        return report

    def discard(self) -> None:
        """Throw the preview away; nothing of it is left. The strokes stay, and Undo takes them back one by one."""
        if self._state is State.PREVIEW:
            self._forgetProposal()
            self._setState(State.IDLE)

    def restartWorker(self) -> None:
        """End the worker, as after its command was changed; the next question starts another one."""
        self._talk.restart()
        self._back()

    def cleanup(self) -> None:
        """End the worker and leave nothing but the strokes in the scene; the controller cannot be used any more."""
        self._purge.stop()
        self._talk.forget()
        self._forgetProposal()
        self._letGo()
        self._setState(State.IDLE)

    def release(self) -> None:
        """The scene is about to close: nothing of this patient may outlive it, in this process or in the worker's."""
        self._talk.forget()
        self.preview.release()
        if self._link is not None:
            self._link.release(sceneCloses=True)
            self._link = None
        self._forgetProposal()
        self._letGo()
        self._setState(State.IDLE)
        self.onStrokes()

    # What the worker says

    def _ask(self, why: str, withStrokes: bool) -> None:
        if why:
            self.onError(why)
            return
        self._setState(State.RUNNING)
        self._talk.ask(self.backbone, lambda info: self._makeRound(info, withStrokes))

    def _makeRound(self, info, withStrokes: bool) -> Round:
        made = makeRound(
            self._volumeNode,
            self._currentImage(),
            self._segmentationNode,
            backbone=self.backbone,
            classes=list(info.classes),
            book=self.strokes.book if withStrokes and self.strokes is not None else None,
            settings=self.settings,
            shown=self.proposal if withStrokes else None,
            memory=self._memory,
        )
        self._told = tuple(self.strokes.book) if made.request.constraints is not None else ()
        return made

    def _onAnswer(self, made: Round, result) -> None:
        if not self._isStill(made):
            self._abandon(_("The segmentation or the volume was changed meanwhile, so the result was discarded."))
            return
        if made.request.constraints is None:
            proposal = firstProposalOf(made, result)
        else:
            proposal = proposalOf(made, result, self.client.called, self.client.manual)
        self.proposal, self._shown = proposal, self._told
        self._setState(State.PREVIEW)
        if proposal.creates and not proposal.before.any():
            self.apply()
        else:
            self.preview.show(
                self._segmentationNode, self._volumeNode, proposal.before, proposal.after, proposal.segments
            )
            self.onResult(proposal)
        if proposal.warnings:
            self.onMessage("\n".join(proposal.warnings))

    def _onStopped(self) -> None:
        self._told = self._shown
        self._back()
        self.onMessage(_("Cancelled. Segments and strokes are as they were."))

    def _onFailure(self, text: str) -> None:
        self._back()
        self.onError(text)

    # What happens in the scene

    def _onNodesChanged(self) -> None:
        """Voxels or places of the volume or of a segment may have changed."""
        if self._writing:
            return
        held = self._talk.asked or self.proposal
        if held is not None and not self._isStill(held):
            self._abandon(_("The segmentation or the volume was changed, so the result was discarded. Refine again."))
        if self._link is not None and not self._link.fits(self._volumeNode):
            self._dropStrokes()  # the scene keeps them, for the grid that they were drawn on

    def _onNodeGone(self) -> None:
        """The volume or the segmentation left the scene."""
        self._abandon(_("The volume or the segmentation was removed, so the result was discarded."))
        self._letGo()
        self.onStrokes()

    def _onStrokesChanged(self) -> None:
        # A preview obeys strokes; one that was taken back must not act any more.
        if self.proposal is not None and not self._writing and self._shown:
            present = {id(stroke) for stroke in self.strokes.book}
            if not all(id(stroke) in present for stroke in self._shown):
                self._abandon(_("A stroke of the preview was taken back, so the preview was discarded. Refine again."))
        self.onStrokes()

    # Small steps

    def _isStill(self, held) -> bool:
        return isStillAsRead(self._scene, self._volumeNode, self._segmentationNode, self._imageKey, held)

    def _currentImage(self):
        """The volume as library `Volume`; the same object as long as its voxels are the same, so it is sent once."""
        key = volumeKey(self._volumeNode)
        if key != self._imageKey:
            self._image, self._imageKey = readVolume(self._volumeNode), key
        return self._image

    def _findStrokes(self) -> None:
        if self._link is not None or self.whyNotPredict():
            return
        found = StrokeNode.find(self._segmentationNode, self._volumeNode)
        if found is not None:
            self._takeStrokes(found)

    def _takeStrokes(self, strokes: StrokeNode) -> None:
        self._link = StrokesLink(strokes, self._segmentationNode, self._volumeNode, self._onStrokesChanged)
        self._memory.load(self._link.storedMemory())
        self.onStrokes()

    def _dropStrokes(self) -> None:
        if self._link is not None:
            self._link.release(sceneCloses=False)
            self._link = None
            self.onStrokes()

    def _letGo(self) -> None:
        """Of the nodes and of all that is known about them."""
        self._watch.stop()
        self._dropStrokes()
        self._volumeNode = self._segmentationNode = None
        self._image = self._imageKey = None
        self._told = self._shown = ()
        self._memory.clear()

    def _abandon(self, message: str) -> None:
        """Throw away what runs and what is shown; tell why if there was anything."""
        was = self._state
        self._talk.drop()
        self._told = ()
        self._forgetProposal()
        self._setState(State.IDLE)
        if was is not State.IDLE:
            self.onMessage(message)

    def _forgetProposal(self) -> None:
        shown, self.proposal, self._shown = self.proposal, None, ()
        self.preview.remove()
        if shown is not None:
            self.onResult(None)

    def _back(self) -> None:
        """To where the user was before the worker was asked."""
        self._setState(State.PREVIEW if self.proposal is not None else State.IDLE)

    def _setState(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self.onState(state)
