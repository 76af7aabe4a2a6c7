"""A session in a worker: for the command line the same as one in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from ..class_table import ClassTable
from ..constraints import Constraints
from ..progress import Progress, ShouldCancel, never_cancel, no_progress
from ..result import RefinementResult
from ..segmentation import Segment, Segmentation
from ..settings import RefineSettings
from ..volume import Volume
from ..worker import failure
from ..worker.client import BackboneInfo, PredictResult, RefineRequest, WorkerClient
from ..worker.failure import WorkerError
from ..worker.subprocess_transport import close_worker, run_until_idle, subprocess_starter


class RemoteSession:
    """One round of `RefineSession` in a worker; use it in a `with` block, which ends the worker.

    Args:
        command: that starts the worker, as the user typed it.
        image: makes the scan, given the names of the channels that the network needs.
        folder: of the backbone, as the worker sees it; None for the one that comes with the program.
        class_map: see `backbone.class_map`; the classes that it adds are new classes of the session.
        should_cancel: also while the worker starts.

    Attributes:
        image: the scan.
        backbone_name: as the worker knows it.

    Raises:
        WorkerError, InputError: as a session in this process, or the worker cannot be used.
    """

    def __init__(
        self,
        command: str,
        image: Callable[[Sequence[str]], Volume],
        folder: str | None,
        settings: RefineSettings,
        current: Segmentation | None = None,
        new_classes: Sequence[str] = (),
        class_map: dict[str, Any] | None = None,
        should_cancel: ShouldCancel = never_cancel,
    ) -> None:
        self._folder, self._settings, self._current = folder or "", settings, current
        self._class_map = dict(class_map or {})
        added = self._class_map.pop("add", [])
        added = [added] if isinstance(added, str) else added
        self._answer: BackboneInfo | RefinementResult | PredictResult | None = None
        self._error: WorkerError | None = None
        self._labels = None
        self._client = WorkerClient(subprocess_starter(command))
        self._client.on_backbone = self._client.on_result = self._take
        self._client.on_error = self._fail
        try:
            self._client.describe_backbone(self._folder, self._class_map)
            info = self._wait(should_cancel)
            self.backbone_name = info.name
            self.image = image(info.channels)
            self._table = ClassTable(info.classes)
            added = [name for name in dict.fromkeys([*info.added, *added]) if self._table.find(name) is None]
            self._new_classes = (*added, *new_classes)
            for name in self._new_classes:
                self._table.add(name)
            if current is not None:
                self._table.adopt(current, self.image.geometry)
        except BaseException:
            self._client.kill()
            raise

    def __enter__(self) -> RemoteSession:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            close_worker(self._client)
        else:
            self._client.kill()

    @property
    def classes(self) -> list[Segment]:
        """All classes except background, by label."""
        return list(self._table.segments)

    def label_of(self, name: str) -> int:
        """Label of the class named `name`; InputError when there is none."""
        return self._table.label_of(name)

    def refine(
        self, constraints: Constraints, *, progress: Progress = no_progress, should_cancel: ShouldCancel = never_cancel
    ) -> RefinementResult:
        """As `RefineSession.refine`."""
        self._client.on_progress = lambda step, total, message, loss: progress(step, total, message)
        self._client.submit(
            RefineRequest(
                self.image,
                self._folder,
                constraints,
                self._settings,
                self._current,
                new_classes=self._new_classes,
                class_map=self._class_map,
            )
        )
        result = self._wait(should_cancel)
        self._labels = result.labels
        return result

    def segmentation(self) -> Segmentation:
        """The refined segmentation with names, colors, IDs and tags."""
        header = {} if self._current is None else dict(self._current.header)
        return Segmentation(self._labels, self.image.geometry, self.classes, header=header)

    def _take(self, answer: BackboneInfo | RefinementResult | PredictResult) -> None:
        self._answer = answer

    def _fail(self, error: WorkerError) -> None:
        self._error = error

    def _wait(self, should_cancel: ShouldCancel) -> BackboneInfo | RefinementResult | PredictResult:
        run_until_idle(self._client, should_cancel)
        error, self._error = self._error, None
        if error is None:
            return self._answer
        if error.code in (failure.DIED, failure.HUNG, failure.CANNOT_START):
            # The command line shows one line, and the worker's last words are what helps here.
            raise WorkerError(error.code, " ".join(str(error).split()))
        raise error
