"""What a client told its worker and what it remembers of the answers, so that nothing is sent twice or lost."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..constraints import distinct
from ..errors import InputError
from ..result import RefinementResult
from ..segmentation import Segment
from ..volume import Volume
from . import wire
from .constraint_codec import constraints_to_fields
from .memory import NO_CALLED, Called, Memory, changed, changes
from .messages import (
    image_key,
    image_to_fields,
    predicted_from_fields,
    result_from_fields,
    segments_to_fields,
)
from .request import BackboneInfo, PredictResult, RefineRequest
from .table import RequestTable, request_table
from .wire import Message


class Correspondence:
    """Composes what a worker must be told for a request, and reads its answers.

    Attributes:
        memory: the segmentation after the last answer that was delivered; None before. It outlives the worker.
    """

    def __init__(self) -> None:
        self.memory: Memory | None = None
        self._memory_of: tuple[str, str] | None = None  # image and backbone
        self._before: Memory | None = None  # what the answer in `memory` was based on
        self._key: tuple[Volume, str] | None = None
        self._warnings: list[str] = []
        self._shape = (0, 0, 0)
        self.new_worker()

    def new_worker(self) -> None:
        """Another worker, which holds nothing yet."""
        self._backbone: BackboneInfo | None = None
        self._image: str | None = None
        self._revision = 0
        self._held = Memory([])

    def forget(self) -> None:
        """Forget every image and segmentation."""
        self.memory = self._memory_of = self._key = self._before = None
        self.new_worker()

    @property
    def backbone(self) -> str | None:
        """Folder and class map of the backbone that the worker holds, as `network_key`."""
        return None if self._backbone is None else self._backbone.network

    def loaded(self, info: BackboneInfo) -> None:
        """The worker loaded a backbone; with another one it forgot the segmentation."""
        self._backbone, self._revision, self._held = info, 0, Memory([])

    def failed(self, holds: dict[str, Any]) -> None:
        """The worker told, after an error, what it holds."""
        if holds.get("backbone") != self.backbone:
            self._backbone = None
        if holds.get("image") != self._image:
            self._image = None
        if holds.get("revision") != self._revision or self._backbone is None or self._image is None:
            self._revision, self._held = 0, Memory([])

    def frames_for(self, job: int, request: RefineRequest) -> list[bytes]:
        """Everything the worker, which holds the backbone, must be told to answer the request.

        Raises:
            InputError, WireError: something in the request cannot be used or sent.
        """
        assert self._backbone is not None
        geometry = request.image.geometry
        if request.constraints is not None and not request.constraints.geometry.matches(geometry):
            raise InputError("The strokes belong to another image than the one that is to be refined.")
        table = request_table(self._backbone.classes, request.current, geometry, request.new_classes)
        key = self._key_of(request.image)
        wanted = self._wanted(request, table, key)
        asked = self._question(job, request)  # raises before anything counts as sent
        frames = []
        if key != self._image:
            fields, array = image_to_fields(request.image, key)
            frames.append(wire.encode(wire.IMAGE, {"job": job, **fields}, [array], pack=False))
            self._image, self._revision = key, 0
        base = self._revision if self._held.names == wanted.names[: len(self._held.names)] else 0
        old, arrays = self._held if base else Memory([]), []
        fields = changes(old, wanted, arrays)
        segments = segments_to_fields(wanted.segments)
        frames.append(
            wire.encode(wire.STATE, {"job": job, "revision": job, "base": base, "segments": segments, **fields}, arrays)
        )
        # The worker computes what it holds in the same way, and the user's array may change while ours must not.
        self._held = changed(old, fields, wanted.segments, geometry.shape, arrays)
        self._revision, self._warnings, self._shape = job, table.warnings, geometry.shape
        return [*frames, asked]

    def answer(self, message: Message, deliver: bool) -> RefinementResult | PredictResult:
        """The result in full; `deliver` = False when nobody wants it any more: then it is not remembered either.

        Raises:
            WireError: it cannot be read.
        """
        read = result_from_fields if message.kind == wire.RESULT else predicted_from_fields
        before = self._held
        result, self._held = read(message.fields, self._held, self._shape, message.arrays)
        if deliver:
            self.memory, self._memory_of = self._held, (self._image or "", self.backbone or "")
            self._before = before
            result.warnings[:] = dict.fromkeys([*self._warnings, *result.warnings])
        return result

    def _key_of(self, image: Volume) -> str:
        # Hashing a large scan takes half a second, in which Slicer would not react.
        if self._key is None or self._key[0] is not image:
            self._key = (image, image_key(image))
        return self._key[1]

    def _wanted(self, request: RefineRequest, table: RequestTable, key: str) -> Memory:
        """The segmentation on which the answer is based."""
        remembered = None
        if self.memory is not None and self._memory_of == (key, request.network):
            remembered = self.memory.renumbered(table.segments)
        labels, shape = table.labels, request.image.geometry.shape
        if request.called is not None:
            called = _checked_called(request.called, shape, table.segments)
        else:
            called = NO_CALLED if labels is None or remembered is None else remembered.called
        if labels is None:
            return Memory(table.segments, called=called)
        manual = request.manual
        if manual is not None:
            manual = np.asarray(manual, dtype=bool)
            if manual.shape != shape:
                raise InputError(f"`manual` has shape {manual.shape}, the image {shape} (K, J, I).")
        elif remembered is not None and self._is_back(labels, table):
            manual = self._before.manual
        elif remembered is not None and remembered.manual is not None:
            manual = remembered.manual | (labels != remembered.labels)
        return Memory(table.segments, labels, manual, called)

    def _is_back(self, labels: np.ndarray, table: RequestTable) -> bool:
        """Whether the user threw the last answer away: what it changed was not edited by hand then."""
        if self._before is None or self._before.labels is None:
            return False
        return np.array_equal(labels, self._before.renumbered(table.segments).labels)

    def _question(self, job: int, request: RefineRequest) -> bytes:
        fields: dict[str, Any] = {"job": job, "settings": dataclasses.asdict(request.settings)}
        if request.constraints is None:
            return wire.encode(wire.PREDICT, fields)
        arrays: list[np.ndarray] = []
        fields["constraints"] = constraints_to_fields(request.constraints, arrays)
        return wire.encode(wire.REFINE, fields, arrays)


def _checked_called(called: Called, shape: tuple[int, int, int], segments: list[Segment]) -> Called:
    """Sorted by voxel, as int64; InputError when it is no list of voxels and labels."""
    indices, labels = (np.asarray(values, dtype=np.int64).reshape(-1) for values in called)
    valid = len(indices) == len(labels) and len(distinct(indices)) == len(indices)
    if valid and len(indices):
        valid = indices.min() >= 0 and indices.max() < np.prod(shape)
        valid = valid and labels.min() >= 0 and labels.max() <= len(segments)
    if not valid:
        raise InputError("`called` must be different voxels of the image with one label of a class each.")
    order = np.argsort(indices)
    return indices[order], labels[order]
