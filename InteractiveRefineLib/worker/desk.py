"""What a worker works on: one backbone, one image, one segmentation, and the session that refines it."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..constraints import Constraints
from ..errors import Cancelled, InputError
from ..progress import Progress, ShouldCancel
from ..resources import backbone_folder
from ..result import RefinementResult
from ..segmentation import Segment, Segmentation
from ..settings import RefineSettings
from ..torch_probe import TorchReport
from ..trust import code_in
from ..volume import Volume
from .memory import Memory, changed
from .request import BackboneInfo, network_key
from .wire import WireError

if TYPE_CHECKING:
    from ..backbone import Backbone, BackboneConfig
    from ..session import RefineSession

_log = logging.getLogger(__name__)


class Desk:
    """Holds what was sent, and computes with it; an error leaves everything as it was.

    Attributes:
        revision: number of the segmentation that it holds, 0 = none.
        memory: that segmentation.
    """

    def __init__(self, torch: TorchReport) -> None:
        self.revision = 0
        self.memory = Memory([])
        self._torch = torch
        self._backbone: tuple[str, Backbone] | None = None  # with its classes as they were asked for
        self._loaded: tuple[str, Backbone] | None = None  # as its folder says
        self._added: tuple[Segment, ...] = ()  # classes that its folder asks for and it does not know
        self._image: tuple[str, Volume] | None = None
        self._session: RefineSession | None = None
        self._device = ""  # of the session
        self._in_step = False  # the session knows `memory`
        self._network_labels: np.ndarray | None = None

    @property
    def holds(self) -> dict[str, Any]:
        """What it holds, for the client, which may have lost count: backbone, key of the image, revision."""
        return {
            "backbone": None if self._backbone is None else self._backbone[0],
            "image": None if self._image is None else self._image[0],
            "revision": self.revision,
        }

    @property
    def image(self) -> Volume:
        """The image; WireError when none was sent."""
        if self._image is None:
            raise WireError("No image was sent to the worker.")
        return self._image[1]

    def describe(self, folder: str, class_map: dict[str, Any] | None = None) -> BackboneInfo:
        """Read a backbone's description only, no code of it runs; BackboneError when it cannot be used."""
        from ..backbone import describe_backbone
        from ..backbone.recognize import kind_of

        config = _with_classes(describe_backbone(_path(folder)), class_map)
        return _info(folder, config, class_map, kind_of(_path(folder)))

    def load(self, folder: str, class_map: dict[str, Any] | None = None) -> BackboneInfo:
        """Load a backbone unless it is loaded; BackboneError when it cannot be used."""
        key = network_key(folder, class_map or {})
        if self._backbone is None or self._backbone[0] != key:
            from ..backbone import load_backbone

            self._drop_session()
            self._backbone = None
            if self._loaded is None or self._loaded[0] != folder:
                self._loaded = None
                self._loaded = (folder, load_backbone(_path(folder)))
            base = self._loaded[1]
            config = _with_classes(base.config, class_map)
            # The classes that it does not know come with each request: its labels are counted without them.
            self._backbone = (key, replace(base, config=replace(config, added=())))
            self._added = config.added
            self._forget_segmentation()
        backbone = self._backbone[1]
        config = replace(backbone.config, added=self._added)
        return _info(folder, config, class_map, backbone.kind, backbone.details)

    def set_image(self, key: str, image: Volume) -> None:
        """Work on another image from now on."""
        self._drop_session()
        self._image = (key, image)
        self._forget_segmentation()

    def set_state(self, fields: dict[str, Any], segments: list, arrays: list[np.ndarray]) -> None:
        """Take the segmentation as the client has it now; WireError when it is no change of what is held."""
        base, revision = fields.get("base"), fields.get("revision")
        if base not in (0, self.revision) or not isinstance(revision, int):
            raise WireError(f"A change of revision {base} came, but the worker holds revision {self.revision}.")
        old = self.memory if base else Memory([])
        self.memory = changed(old, fields, segments, self.image.geometry.shape, arrays)
        same = self.memory.labels is old.labels and self.memory.manual is old.manual
        if not (base and same and self.memory.called is old.called and segments == old.segments):
            self._in_step = False
        self.revision = revision

    @contextmanager
    def round(self) -> Iterator[Memory]:
        """Yields what is held; when the client does not get to know what came of it, the revision is void."""
        before = self.memory
        try:
            yield before
        except BaseException:
            if self.memory is not before:
                self.revision = 0
            raise

    def predict(self, settings: RefineSettings, progress: Progress, should_cancel: ShouldCancel) -> list[str]:
        """Run the network, and hold its labels unless there are others; returns sentences for the user."""
        with self._computing(settings) as session:
            labels = session.predict(progress=progress, should_cancel=should_cancel)
            self._take_over(session, labels, labels)
            return self._fallback(settings)

    def refine(
        self, constraints: Constraints, settings: RefineSettings, progress: Progress, should_cancel: ShouldCancel
    ) -> RefinementResult:
        """One round; afterward `memory` has its labels. Raises as `RefineSession.refine` does."""
        with self._computing(settings) as session:
            result = session.refine(constraints, progress=progress, should_cancel=should_cancel)
            self._take_over(session, result.previous, result.labels)
            result.warnings.extend(self._fallback(settings))
            return result

    @contextmanager
    def _computing(self, settings: RefineSettings) -> Iterator[RefineSession]:
        """A session that knows `memory`; it is dropped where it may be broken or too large."""
        if settings.device == "auto":
            settings = replace(settings, device=self._torch.device)
        try:
            session = self._session_for(settings)
            yield session
        except (Cancelled, InputError):
            raise
        except BaseException:
            self._drop_session()
            raise

    def _session_for(self, settings: RefineSettings) -> RefineSession:
        if self._backbone is None:
            raise WireError("No backbone was loaded in the worker.")
        session = self._session
        if session is not None:
            names = Memory(session.classes).names
            if settings.device != self._device or names != self.memory.names[: len(names)]:
                session = None
        if session is None or not (self._in_step or self._update(session)):
            self._drop_session()
            session = self._new_session(settings)
        session.settings = settings
        self._session, self._in_step, self._device = session, True, settings.device
        return session

    def _new_session(self, settings: RefineSettings) -> RefineSession:
        """A session with what is held; the network runs again."""
        from ..session import RefineSession

        _log.info("New session on %s", self.image.name)
        session = RefineSession(self.image, self._backbone[1], settings)
        self._add_classes(session)
        if self.memory.labels is not None:
            session.set_current(self._segmentation(self.memory.labels), self.memory.manual)
        session.remember_called(*self.memory.called)
        return session

    def _update(self, session: RefineSession) -> bool:
        """Tell a session that ran before what is held; False when it cannot be told without starting anew."""
        labels, manual = self.memory.labels, self.memory.manual
        if labels is None or manual is None:
            network = self._network_labels
            if network is None:
                return False  # only a new session can tell what differs from the network's answer
            labels = network if labels is None else labels
            manual = labels != network
        self._add_classes(session)
        session.set_current(self._segmentation(labels), manual)
        session.remember_called(*self.memory.called)
        return True

    def _add_classes(self, session: RefineSession) -> None:
        # Beforehand and by name, so that the session does not warn of classes that the client warned of already.
        for segment in self.memory.segments[len(session.classes) :]:
            session.add_class(segment.name)

    def _segmentation(self, labels: np.ndarray) -> Segmentation:
        return Segmentation(labels, self.image.geometry, list(self.memory.segments))

    def _fallback(self, settings: RefineSettings) -> list[str]:
        if settings.device != "auto" or self._torch.device == "auto":
            return []
        gpu, version = self._torch.gpu, self._torch.version
        return [f"The GPU {gpu} cannot be used by PyTorch {version}; the worker computed on the CPU."]

    def _take_over(self, session: RefineSession, before: np.ndarray, labels: np.ndarray) -> None:
        if self.memory.labels is None:
            self._network_labels = before
        self.memory = replace(self.memory, labels=labels, manual=session.manual, called=session.called)

    def _forget_segmentation(self) -> None:
        self.memory, self.revision = Memory([]), 0

    def _drop_session(self) -> None:
        """Let go of the session and of the memory it took."""
        if self._session is not None:
            self._session = None
            gc.collect()
            import torch

            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        self._in_step, self._network_labels = False, None


def _path(folder: str) -> Path:
    return backbone_folder(folder)


def _with_classes(config: BackboneConfig, class_map: dict[str, Any] | None) -> BackboneConfig:
    """Its classes merged and ignored as asked for."""
    if not class_map:
        return config
    from ..backbone.class_map import apply_class_map

    return apply_class_map(config, class_map)


def _info(
    folder: str,
    config: BackboneConfig,
    class_map: dict[str, Any] | None,
    kind: str,
    notes: Sequence[str] = (),
) -> BackboneInfo:
    warnings = () if folder else ("This small network knows phantoms only and must not be used on patients.",)
    return BackboneInfo(
        folder=folder,
        name=config.name,
        classes=tuple(config.classes),
        channels=tuple(config.channels),
        dimensions=config.dimensions,
        spacing=config.spacing,
        license=config.license,
        warnings=warnings,
        kind=kind,
        code=tuple(code_in(_path(folder))) if folder else (),
        notes=tuple(notes),
        class_map=dict(class_map or {}),
        added=tuple(segment.name for segment in config.added),
    )
