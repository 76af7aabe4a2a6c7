"""From the scene to the worker and back: refine, preview, apply, discard, cancel. No Qt, no thread, no waiting."""

from __future__ import annotations

from InteractiveRefineLib.errors import RefineError

from .class_choice import acceptProposals, classMapOf
from .controller_base import ControllerBase, State
from .node_watch import NodeWatch
from .proposal_writer import writeProposal
from .round_request import Round, firstProposalOf, makeRound, proposalOf
from .scene_image import channelNodes, setChannelNode
from .scene_state import ClosePurge
from .translate import _

__all__ = ["RefineController", "State"]


class RefineController(ControllerBase):
    """One user's work on one segmentation of one volume; every editor widget has its own.

    A result is never written but by `apply`, and only into the nodes, voxel for voxel as they were, that the worker was
    asked about; anything else throws it away and says so.

    Attributes:
        settings: `RefineSettings` of the next round.
        backbone: folder of the network as the worker sees it; "" = the one that comes with this program.
        otherVolumes: volume nodes of the network's channels after the source volume's, in its order; None for those
            that the scene keeps (see `setChannel`).
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
        super().__init__(startTransport, scene)
        self._talk.onAnswer = self._onAnswer
        self._talk.onStopped = self._onStopped
        self._talk.onFailure = self._onFailure
        self._talk.onProgress = lambda *step: self.onProgress(*step)
        self._talk.onBackbone = lambda info: self.onBackbone(info)
        self._modifier = modifier
        self._writing = False
        self._watch = NodeWatch(self._onNodesChanged, self._onNodeGone, lambda: self.onSegments())
        self._purge = ClosePurge(self._scene)
        self._purge.add(self)

    def setNodes(self, volumeNode, segmentationNode, editorNode=None) -> None:
        """Work on other nodes. What was running or shown for the former ones is thrown away; the same ones: nothing.

        Args:
            editorNode: not needed, as the modifier has it; for symmetry with Slicer's callbacks.
        """
        if volumeNode is not self._volumeNode or segmentationNode is not self._segmentationNode:
            self._abandon(_("Another volume or segmentation was selected, so the result was discarded."))
            self._letGo()
            self._volumeNode, self._segmentationNode = volumeNode, segmentationNode
            self._watchNodes()
        self._findStrokes()

    def setChannel(self, name: str, node) -> None:
        """Take a volume (None = no more) for a further channel of the network; kept with the source volume."""
        if self._volumeNode is None:
            return  # a selector empties itself while the scene closes
        setChannelNode(self._volumeNode, name, node)
        self._watchNodes()
        self._onNodesChanged()

    def refine(self) -> None:
        """Ask the worker for a correction from all strokes. While it is at work: stop it and ask anew.

        While a preview is shown, the round continues from it, and `apply` takes both.
        """
        self.catchUp()
        self._ask(self.whyNotRefine(), withStrokes=True)

    def predictInitial(self) -> None:
        """Ask the worker for the network's own segmentation, without strokes.

        Into empty segments it is written at once, as one undo state, with segments for the network's classes. Where
        something is segmented already, it is shown as a preview first: `apply` replaces the segments that stand for the
        network's classes; locked segments and structures that the network does not know keep every voxel.
        """
        self._ask(self.whyNotPredict(), withStrokes=False)

    def learnBackbone(self) -> None:
        """Ask the worker what is in the network's folder; no code of it runs. `onBackbone` tells, or `onError`."""
        self._talk.learn(self.backbone)

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
        mapOf = lambda info: classMapOf(self._segmentationNode, info.classes)  # noqa: E731
        self._talk.ask(self.backbone, mapOf, lambda info: self._makeRound(info, withStrokes))

    def _makeRound(self, info, withStrokes: bool) -> Round:
        image = self.image()
        self._asked = (self.channels, self._keyOfImage(self.channels))
        made = makeRound(
            self._volumeNode,
            image,
            self._segmentationNode,
            backbone=self.backbone,
            classes=list(info.classes),
            classMap=info.class_map,
            added=info.added,
            book=self.strokes.book if withStrokes and self.strokes is not None else None,
            settings=self.settings,
            shown=self.proposal if withStrokes else None,
            memory=self._memory,
        )
        acceptProposals(self._segmentationNode, self.classes)
        made.warnings[:0] = self._sceneImage.warnings
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

    def _watchNodes(self) -> None:
        others = channelNodes(self._volumeNode) if self._volumeNode is not None else []
        self._watch.watch(self._scene, self._volumeNode, self._segmentationNode, others)

    def _letGo(self) -> None:
        """Of the nodes and of all that is known about them."""
        self._watch.stop()
        self._dropStrokes()
        self._volumeNode = self._segmentationNode = None
        self._sceneImage.forget()
        self._asked = ((), None)
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
