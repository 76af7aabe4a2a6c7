"""What a controller works with: nodes, strokes, the network, and whom it tells what happens."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import slicer

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.settings import RefineSettings

from .backbone_list import NO_NETWORK, glance
from .preview_node import PreviewNode
from .round_memory import RoundMemory
from .round_request import Proposal
from .scene_image import SceneImage, imageKey, whyNotChannels
from .scene_key import isStillAsRead
from .stroke_node import StrokeNode
from .strokes_link import StrokesLink
from .translate import _
from .worker_talk import WorkerTalk


class State(Enum):
    """What the controller is doing."""

    IDLE = "idle"
    RUNNING = "running"  #: the worker was asked something; a preview may still be shown
    PREVIEW = "preview"  #: a result is shown and waits for Apply or Discard


def _nothing(*_arguments) -> None:
    """A callback that nobody set."""


class ControllerBase:
    """Attributes and small steps of `RefineController`, which says what they mean."""

    def __init__(self, startTransport, scene) -> None:
        self.settings = RefineSettings()
        self.backbone = ""
        self.otherVolumes: tuple | None = None
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
        self._scene = scene or slicer.mrmlScene
        self._state = State.IDLE
        self._volumeNode = self._segmentationNode = None
        self._link: StrokesLink | None = None
        self._memory = RoundMemory()
        self._told = ()  # the strokes that the worker was told
        self._shown = ()  # those that the preview obeys
        self._glance = None
        self._sceneImage = SceneImage()
        self._asked = ((), None)  # channels of the image that the worker was asked about, and its key

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
        return list(self._glanced().classes)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that `backbone` wants, the source volume's first; empty when nobody knows."""
        if self.info is not None:
            return self.info.channels
        return self._glanced().channels

    @property
    def hasNewStrokes(self) -> bool:
        """True when something was drawn that the worker was never told."""
        if self.strokes is None or not self.strokes.book.has_open_strokes:
            return False
        told = {id(stroke) for stroke in (*self._told, *self._shown)}
        return any(id(stroke) not in told for stroke in self.strokes.book.rounds[-1])

    def ensureStrokes(self) -> StrokeNode:
        """The strokes node, made if there is none yet.

        Raises:
            InputError: no volume or segmentation that could carry strokes.
        """
        if self._link is None:
            if self._whyNoNodes():
                raise InputError(self._whyNoNodes())
            self._takeStrokes(StrokeNode.findOrCreate(self._segmentationNode, self._volumeNode))
        return self._link.strokes

    def catchUp(self) -> None:
        """Take over what another editor of the same segmentation drew and applied meanwhile."""
        if self._link is None:
            self._findStrokes()
            return
        self._link.strokes.readAnew()
        self._memory.learn(self._link.storedMemory())

    def whyNotRefine(self) -> str:
        """Why `refine` would be of no use now, as a sentence for the user; "" when it can be tried."""
        why = self._whyNoImage()
        if why:
            return why
        if self._segmentationNode.GetSegmentation().GetNumberOfSegments() == 0:
            return _("There is no segment. Add one, or let the network segment the image first.")
        if self.strokes is None or self.strokes.book.is_empty:
            return _("There are no strokes yet. Draw some in the slice views, then refine.")
        return ""

    def whyNotPredict(self) -> str:
        """Why `predictInitial` would be of no use now, as a sentence for the user; "" when it can be tried."""
        if self.backbone == NO_NETWORK:
            return _("Without a network nothing is found before you draw. Draw strokes, then refine.")
        return self._whyNoImage()

    def _whyNoImage(self) -> str:
        why = self._whyNoNodes()
        if why or self.otherVolumes is not None:
            return why
        return whyNotChannels(self._volumeNode, self.channels)

    def _whyNoNodes(self) -> str:
        if self._volumeNode is None or self._volumeNode.GetImageData() is None:
            return _("No volume is selected. Select a source volume.")
        if self._segmentationNode is None:
            return _("No segmentation is selected. Select or create one.")
        return ""

    def image(self):
        """The library's `Volume` of all channels; the same object as long as it is the same, so it is sent once.

        Raises:
            InputError: a channel has no volume, or one that does not fit.
        """
        return self._sceneImage.read(self._volumeNode, self.channels, self.otherVolumes)

    def _glanced(self):
        if self._glance is None or self._glance.folder != self.backbone:
            self._glance = glance(self.backbone)
        return self._glance

    def _keyOfImage(self, channels):
        if self._volumeNode is None or self._volumeNode.GetImageData() is None:
            return None
        return imageKey(self._volumeNode, channels, self.otherVolumes)

    def _isStill(self, held) -> bool:
        channels, key = self._asked
        same = key is not None and self._keyOfImage(channels) == key
        return isStillAsRead(self._scene, self._volumeNode, self._segmentationNode, same, held)

    def _findStrokes(self) -> None:
        if self._link is not None or self._whyNoNodes():
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

    def _onStrokesChanged(self) -> None:
        """The strokes changed, also by Undo."""
        self.onStrokes()
