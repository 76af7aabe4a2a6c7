"""Networks and their runs, kept from case to case: one network, and its run on one image, at a time."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..segmentation import Segmentation
from ..settings import RefineSettings
from ..volume import Volume
from .fingerprint import BackboneHashes

if TYPE_CHECKING:
    from ..backbone import Backbone
    from ..session import RefineSession


class NetworkKeeper:
    """Keeps the network that was loaded last, and the last session on it.

    Attributes:
        hashes: of backbone folders.
        loads, runs: how many networks were loaded, and how many images were given to one.
    """

    def __init__(self) -> None:
        self.hashes = BackboneHashes()
        self.loads = self.runs = 0
        self._backbone: tuple[str, Backbone] | None = None
        self._session: tuple[str, RefineSession, list[str]] | None = None

    def backbone(self, folder: Path) -> Backbone:
        """The network in `folder`, loaded unless it is the last one; BackboneError when it cannot be used."""
        key = f"{folder} {self.hashes.of(folder)}"
        if self._backbone is None or self._backbone[0] != key:
            from ..backbone import load_backbone

            self.forget()
            self._backbone = (key, load_backbone(folder))
            self.loads += 1
        return self._backbone[1]

    def session(
        self,
        backbone: Backbone,
        image_key: str,
        read_image: Callable[[], tuple[Volume, list[str]]],
        settings: RefineSettings,
        read_current: Callable[[], Segmentation | None],
        new_classes: Sequence[str],
    ) -> tuple[RefineSession, list[str]]:
        """A new session, and what was said when its image was read.

        Image and network's run are those of the last session where it is the same image.

        Args:
            backbone: as `backbone` returned it last.
            image_key: equal for equal images.
            read_image, read_current: called when they are needed.
        """
        from ..session import RefineSession

        current = read_current()
        if self._session is not None and self._session[0] == image_key:
            _, last, notes = self._session
            session = last.anew(settings, current, new_classes)
        else:
            self.forget_image()  # before the next one takes memory
            image, notes = read_image()
            session = RefineSession(image, backbone, settings, current, new_classes)
            self.runs += 1
        self._session = (image_key, session, notes)
        return session, notes

    def forget_image(self) -> None:
        """Let go of the last image and the network's run on it."""
        if self._session is not None:
            self._session = None
            _free_memory()

    def forget(self) -> None:
        """Let go of everything, as after running out of memory."""
        if self._session is not None or self._backbone is not None:
            self._session = self._backbone = None
            _free_memory()


def _free_memory() -> None:
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
