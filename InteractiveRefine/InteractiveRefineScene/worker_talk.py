"""Asks the worker one thing at a time: learns the network's classes first, drops what nobody wants any more."""

from __future__ import annotations

import logging
from collections.abc import Callable

from InteractiveRefineLib.errors import RefineError
from InteractiveRefineLib.worker.client import BackboneInfo, WorkerClient
from InteractiveRefineLib.worker.failure import CANCELLED
from InteractiveRefineLib.worker.request import network_key

from .round_request import Round
from .translate import _

#: Makes the request once the network with its classes as the user wants them is known.
Make = Callable[[BackboneInfo], Round]
#: Says, once the network is known, which of its classes are merged or ignored: `RefineRequest.class_map`.
MapOf = Callable[[BackboneInfo], dict]


class WorkerTalk:
    """What the controller asks, in the order in which it can be asked.

    Attributes:
        client: the `WorkerClient`.
        onAnswer: (round, result) once the worker answered.
        onStopped: () once the user's `stop` took effect.
        onFailure: (text) what went wrong and what to do.
        onProgress: (step, total, message, loss or None).
        onBackbone: (info) what the worker told about a network.
    """

    def __init__(self, startTransport) -> None:
        self.onAnswer: Callable[[Round, object], None] = lambda made, result: None
        self.onStopped: Callable[[], None] = lambda: None
        self.onFailure: Callable[[str], None] = lambda text: None
        self.onProgress: Callable[[int, int, str, float | None], None] = lambda step, total, message, loss: None
        self.onBackbone: Callable[[BackboneInfo], None] = lambda info: None
        self.client = WorkerClient(startTransport)
        self.client.on_progress = self._onProgress
        self.client.on_backbone = self._onBackbone
        self.client.on_result = self._onResult
        self.client.on_error = self._onError
        self._infos: dict[str, BackboneInfo] = {}
        self._asked: Round | None = None  # submitted and still wanted
        self._next: tuple[str, MapOf, Make] | None = None
        self._describing: str | None = None

    @property
    def asked(self) -> Round | None:
        """What the worker is computing."""
        return self._asked

    def info(self, folder: str) -> BackboneInfo | None:
        """What the worker told about a network with all its classes; None before it did."""
        return self._infos.get(folder)

    def learn(self, folder: str) -> None:
        """Ask what is in a folder; no code of it runs. `onBackbone` is told, or `onFailure`."""
        if self._describing != folder:
            self._describe(folder, {})

    def ask(self, folder: str, mapOf: MapOf, make: Make) -> None:
        """Ask this as soon as it can be asked, instead of whatever was asked before.

        Args:
            folder: of the network.
            mapOf: says which of the network's classes are merged or ignored.
            make: makes the request; a `RefineError` from it goes to `onFailure`.
        """
        self._next, self._asked = (folder, mapOf, make), None
        if self.client.busy:
            self.client.cancel()  # its end comes back as an answer that nobody waits for, and then it is our turn
        else:
            self._advance()

    def stop(self) -> None:
        """The user wants no answer any more; `onStopped` tells when that is so."""
        if self._asked is not None:
            self.client.cancel()
        elif self._next is not None:
            self._next = None
            self.onStopped()

    def drop(self) -> None:
        """Whatever is asked is of no interest any more; nobody is told."""
        self._asked = self._next = None
        if self.client.busy:
            self.client.cancel()

    def forget(self) -> None:
        """End the worker and forget everything about images; nobody is told."""
        self._asked = self._next = self._describing = None
        self.client.forget()

    def restart(self) -> None:
        """End the worker; the next question starts another one, which may know other networks."""
        self._asked = self._next = self._describing = None
        self._infos.clear()
        self.client.kill()

    def _advance(self) -> None:
        if self._next is None or self.client.busy:
            return
        folder, mapOf, make = self._next
        info, classMap = self.info(folder), {}
        if info is not None:
            classMap = mapOf(info)
            info = self._infos.get(network_key(folder, classMap))
        if info is None:
            if self._describing != network_key(folder, classMap):
                self.onProgress(0, 0, _("Starting the worker"), None)
                self._describe(folder, classMap)
            return
        self._next = None
        try:
            made = make(info)
        except RefineError as error:
            self.onFailure(str(error))
            return
        self._asked = made
        self.client.submit(made.request)

    def _describe(self, folder: str, classMap: dict) -> None:
        self._describing = network_key(folder, classMap)
        self.client.describe_backbone(folder, classMap)

    def _onProgress(self, step: int, total: int, message: str, loss: float | None) -> None:
        if self._asked is not None:
            self.onProgress(step, total, message, loss)

    def _onBackbone(self, info: BackboneInfo) -> None:
        self._infos[info.network] = info
        self._describing = None
        self.onBackbone(info)
        self._advance()

    def _onResult(self, result) -> None:
        made, self._asked = self._asked, None
        if made is not None:
            self.onAnswer(made, result)
        self._advance()

    def _onError(self, error) -> None:
        made, self._asked = self._asked, None
        described, self._describing = self._describing, None
        if made is None and described is None:
            self._advance()  # the end of something that was dropped
            return
        self._next = None
        if error.code == CANCELLED:
            self.onStopped()
        else:
            logging.error("Interactive Refine: %s", error)
            self.onFailure(str(error))
