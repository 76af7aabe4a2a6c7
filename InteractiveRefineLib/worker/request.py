"""What is asked of a worker and what it answers, as plain data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..constraints import Constraints
from ..segmentation import Segment, Segmentation
from ..settings import RefineSettings
from ..torch_probe import TorchReport
from ..volume import Volume


@dataclass(frozen=True, eq=False)
class RefineRequest:
    """Everything one answer depends on: the same request gives the same answer from a new worker and from an old one.

    Attributes:
        image: the scan. The same object counts as the same image: make a new Volume when its voxels changed.
        backbone: folder of the network as the WORKER sees it; "" = the network that comes with the library.
        constraints: all rounds so far, with labels as in `request_table`; None to run the network only.
        settings: choices of this round.
        current: the segmentation as the user has it now; None for the network's own.
        manual: (K, J, I) bool, exactly the voxels edited by hand or by another program, as `WorkerClient.manual` told
            them; None: those of the round before, and whatever differs from its result.
        called: what stroked voxels were called when first refined, as `WorkerClient.called` told them: flat indices
            (N,) int64 into (K, J, I), and labels (N,) int64; None: as after the round before.
        new_classes: names of classes the network does not know; those that exist already are passed over.
        class_map: which of the network's classes are merged or ignored, see `backbone.class_map`; {} for none.
    """

    image: Volume
    backbone: str
    constraints: Constraints | None
    settings: RefineSettings = field(default_factory=RefineSettings)
    current: Segmentation | None = None
    manual: np.ndarray | None = None
    called: tuple[np.ndarray, np.ndarray] | None = None
    new_classes: tuple[str, ...] = ()
    class_map: dict[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> str:
        """Which network with which classes is asked for, see `network_key`."""
        return network_key(self.backbone, self.class_map)


def network_key(folder: str, class_map: dict[str, Any]) -> str:
    """One text for a backbone folder with a class map: the folder alone when the map is empty."""
    return folder if not class_map else f"{folder}\n{json.dumps(class_map, sort_keys=True)}"


@dataclass(frozen=True, eq=False)
class PredictResult:
    """The segmentation without any constraint.

    Attributes:
        labels: (K, J, I) uint16, the network's own, or `RefineRequest.current` where that was given.
        segments: one per label, with names and colors.
        warnings: sentences for the user.
    """

    labels: np.ndarray
    segments: list[Segment]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class BackboneInfo:
    """What the worker found in a backbone folder.

    Attributes:
        folder: as it was asked for; "" = the network that comes with the library.
        name: of the network.
        classes: one segment per class except background, by label, with colors; merged and ignored as `class_map` says.
        channels: names of the image channels it needs.
        dimensions: 2 or 3.
        spacing: voxel size in mm along I, J, K that it works on; None for the image's own.
        license: of the network, may be empty.
        warnings: sentences for the user.
        kind: what kind of folder it is, for people, e.g. "nnU-Net v2 trained model".
        code: sentences about what in the folder is a program, see `trust.code_in`; empty where there is none.
        notes: what else there is to know, e.g. which folds were averaged; of a loaded network only.
        class_map: what was asked for.
        added: names of classes that the network does not know and its folder asks for; they come as `new_classes`.
    """

    folder: str
    name: str
    classes: tuple[Segment, ...]
    channels: tuple[str, ...]
    dimensions: int
    spacing: tuple[float, ...] | None = None
    license: str = ""
    warnings: tuple[str, ...] = ()
    kind: str = ""
    code: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    class_map: dict[str, Any] = field(default_factory=dict)
    added: tuple[str, ...] = ()

    @property
    def network(self) -> str:
        """See `network_key`."""
        return network_key(self.folder, self.class_map)


@dataclass(frozen=True)
class WorkerInfo:
    """Who is working.

    Attributes:
        library: version of this library over there.
        python: version of Python over there.
        host: name of the computer.
        torch: whether PyTorch works there, and on which device (see `torch_probe`).
        warnings: sentences for the user.
    """

    library: str
    python: str
    host: str
    torch: TorchReport
    warnings: tuple[str, ...] = ()


class Transport(Protocol):
    """The process at the other end. It hands what it hears to the `feed`, `transport_closed` and, about once a second,
    `tick` of the object that `start_transport` was called with, all in the same thread."""

    @property
    def running(self) -> bool:
        """True while the process lives."""

    def write(self, data: bytes) -> None:
        """Queue bytes for its stdin; must not block."""

    def close_input(self) -> None:
        """Close its stdin once everything is written; the worker then leaves."""

    def kill(self) -> None:
        """End it at once; nothing is handed over afterward."""
