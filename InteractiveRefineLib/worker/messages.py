"""What the messages hold: the library's objects as JSON fields and arrays, and back.

    client                                              worker
    hello     protocol, library                         hello     protocol, library, python, host, torch
    describe  job, folder, class_map                    backbone  job, info, loaded = false
    load      job, folder, class_map                    backbone  job, info, loaded = true
    image     job, key, name, matrix + array            -
    state     job, revision, base, segments, changes    -
    refine    job, settings, constraints                progress  job, step, total, message, loss
                                                        result    job, account, previous, labels, ...
    predict   job, settings                             predicted job, warnings, memory
    cancel    job                                       error     job, code, text, holds
    ping      -                                         pong      -
    shutdown  -                                         -

A job is a number that the client counts up; image, state and refine of one request share it, and the first of them
that fails is answered by the error for all. `revision` numbers what the worker holds of the segmentation: a state
names the revision it changes (`base`, 0 = from nothing) and the one it makes, the number of its job. After the answer
both sides hold what the answer says, under the same number; `holds` tells the client what is held after an error.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np

from ..errors import InputError
from ..result import ClassChange, RefinementResult
from ..segmentation import Segment
from ..settings import RefineSettings
from ..torch_probe import TorchReport
from ..volume import Volume
from .memory import Memory, box_from, changed, changes, patch, patched
from .request import BackboneInfo, PredictResult, WorkerInfo
from .wire import ARRAY_TYPES, PROTOCOL_VERSION, WireError

_ACCOUNT = ("violated_strokes", "loss_curve", "warnings", "timings", "seed", "versions")


def job_of(fields: dict[str, Any]) -> int:
    """Number of the job that a message is about, 0 for the line itself; WireError for anything else."""
    job = fields.get("job", 0)
    if not isinstance(job, int) or isinstance(job, bool) or job < 0:
        raise WireError(f"A message is about the job {str(job)[:50]!r}, which is no number of one.")
    return job


def progress_from_fields(fields: dict[str, Any]) -> tuple[int, int, str, float | None]:
    """Step, number of steps, what is done, and the loss if there is one; WireError for anything else."""
    step, total, message, loss = (fields.get(name) for name in ("step", "total", "message", "loss"))
    if not (_is_whole(step) and _is_whole(total) and isinstance(message, str) and (loss is None or _is_number(loss))):
        raise WireError("A message about progress cannot be read.")
    return step, total, message, loss


def holds_from_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """What the worker holds after an error; WireError for anything else."""
    holds = fields.get("holds", {})
    if not isinstance(holds, dict):
        raise WireError("An error does not tell what the worker holds.")
    return holds


def segments_to_fields(segments: list[Segment]) -> list[dict[str, Any]]:
    """One JSON object per segment."""
    return [dataclasses.asdict(segment) for segment in segments]


def segments_from_fields(entries: Any) -> list[Segment]:
    """Segments with the labels 1, 2, ...; WireError for anything else."""
    try:
        segments = [
            Segment(
                str(e["name"]), int(e["label"]), tuple(float(c) for c in e["color"]), str(e["id"]),
                dict(e["tags"]), dict(e["header"]),
            )
            for e in entries
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"A list of segments cannot be read: {type(error).__name__}: {error}.") from error
    if [s.label for s in segments] != list(range(1, len(segments) + 1)):
        raise WireError("Segments need the labels 1, 2, ... in this order.")
    if any(len(s.color) != 3 for s in segments):
        raise WireError("A segment's color is three numbers.")
    return segments


def image_key(image: Volume) -> str:
    """A fingerprint of voxels, matrix and name."""
    array = np.ascontiguousarray(image.array)
    digest = hashlib.blake2b(array.reshape(-1).view(np.uint8), digest_size=16)
    digest.update(repr((array.dtype.str, array.shape, image.ijk_to_ras.tolist(), image.name)).encode())
    return digest.hexdigest()


def image_to_fields(image: Volume, key: str) -> tuple[dict[str, Any], np.ndarray]:
    """JSON fields and the array; InputError for voxels that are no numbers the worker takes."""
    if image.array.dtype.newbyteorder("<").str not in ARRAY_TYPES:
        raise InputError(f"{image.name} holds {image.array.dtype}; convert it to float32 or an integer type.")
    return {"key": key, "name": image.name, "matrix": image.ijk_to_ras.tolist()}, image.array


def image_from_fields(fields: dict[str, Any], arrays: list[np.ndarray]) -> Volume:
    """The image; WireError for fields that are none, InputError for a matrix or shape that cannot be."""
    try:
        matrix, name, array = np.array(fields["matrix"], dtype=np.float64), str(fields["name"]), arrays[0]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WireError(f"An image cannot be read: {type(error).__name__}: {error}.") from error
    return Volume(array, matrix, name)


def settings_from_fields(entries: Any) -> RefineSettings:
    """Settings; WireError for names they do not have, InputError for values they cannot have."""
    try:
        return RefineSettings(**entries)
    except TypeError as error:
        raise WireError(f"Settings cannot be read: {error}. Is the library of client and worker the same?") from error


def backbone_to_fields(info: BackboneInfo) -> dict[str, Any]:
    """JSON fields of what was found in a backbone folder."""
    return {**dataclasses.asdict(info), "classes": segments_to_fields(list(info.classes))}


def backbone_from_fields(entries: Any) -> BackboneInfo:
    """What was found in a backbone folder; WireError for anything else."""
    try:
        known = {name: entries[name] for name in (field.name for field in dataclasses.fields(BackboneInfo))}
        spacing = known["spacing"]
        known["classes"] = tuple(segments_from_fields(known["classes"]))
        known["spacing"] = None if spacing is None else tuple(float(s) for s in spacing)
        known["channels"], known["warnings"] = _texts(known["channels"]), _texts(known["warnings"])
        for name in ("code", "notes", "added"):
            known[name] = _texts(known[name])
        _texts([known[name] for name in ("folder", "name", "license", "kind")])
        if not isinstance(known["class_map"], dict):
            raise ValueError("the class map is no object")
        if known["dimensions"] not in (2, 3):
            raise ValueError(f"{known['dimensions']} dimensions")
        return BackboneInfo(**known)
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"A backbone's description cannot be read: {type(error).__name__}: {error}.") from error


def network_from_fields(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Folder and class map of a network that is asked for; WireError for anything else."""
    folder, class_map = fields.get("folder"), fields.get("class_map", {})
    if not isinstance(folder, str) or not isinstance(class_map, dict):
        raise WireError("A network needs a folder, as a text, and a class map, as an object.")
    return folder, class_map


def hello_fields(library: str) -> dict[str, Any]:
    """What both sides say first."""
    return {"protocol": PROTOCOL_VERSION, "library": library}


def require_same_protocol(fields: dict[str, Any]) -> None:
    """Raise WireError, saying what to update, unless the other side speaks this protocol."""
    theirs = fields.get("protocol")
    if theirs != PROTOCOL_VERSION:
        raise WireError(
            f"Client and worker do not speak the same protocol ({theirs} and {PROTOCOL_VERSION}; the library there is "
            f"{fields.get('library')}). Install the same version of Interactive Refine on both computers."
        )


def worker_from_fields(fields: dict[str, Any], library: str) -> WorkerInfo:
    """Who works, out of a worker's hello; warns of another version of the library than `library`."""
    require_same_protocol(fields)
    try:
        entries = dict(fields["torch"])
        torch = TorchReport(**{**entries, "architectures": tuple(entries["architectures"])})
        theirs, python, host = (str(fields[name]) for name in ("library", "python", "host"))
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"A worker's hello cannot be read: {type(error).__name__}: {error}.") from error
    warnings = ()
    if theirs != library:
        warnings = (
            f"The worker on {host} has version {theirs} of Interactive Refine, here it is {library}: results may "
            "differ. Install the same version on both computers.",
        )
    return WorkerInfo(theirs, python, host, torch, warnings)


def result_to_fields(result: RefinementResult, held: Memory, after: Memory, arrays: list[np.ndarray]) -> dict[str, Any]:
    """JSON fields of a round's result as changes against what both sides hold; values are appended to `arrays`.

    Args:
        held: what both sides held before the round.
        after: what the worker holds now; its labels are those of the result.
    """
    account = {name: getattr(result, name) for name in _ACCOUNT}
    account["changes"] = [dataclasses.asdict(change) for change in result.changes]
    return {
        "account": account,
        "previous": patch(held.labels, result.previous, arrays),
        "labels": patch(result.previous, result.labels, arrays),
        "strokes": patch(None, result.strokes, arrays),
        "grown": patch(None, result.grown, arrays),
        "memory": {**changes(held, after, arrays), "labels": None},  # the labels are there already
    }


def result_from_fields(
    fields: dict[str, Any], held: Memory, shape: tuple[int, int, int], arrays: list[np.ndarray]
) -> tuple[RefinementResult, Memory]:
    """The result in full, and what the worker holds now; WireError for fields that do not fit."""
    try:
        previous = patched(held.labels, fields["previous"], shape, np.uint16, arrays)
        labels = patched(previous, fields["labels"], shape, np.uint16, arrays)
        account = _checked_account(fields["account"])
        class_changes = [_class_change(entry) for entry in fields["account"]["changes"]]
        after = dataclasses.replace(changed(held, fields["memory"], held.segments, shape, arrays), labels=labels)
        result = RefinementResult(
            labels=labels.copy(),
            previous=previous.copy(),
            changed_box=box_from(fields["labels"]["box"], shape),
            changes=class_changes,
            strokes=patched(None, fields["strokes"], shape, np.uint16, arrays),
            grown=patched(None, fields["grown"], shape, np.uint16, arrays),
            **{name: account[name] for name in _ACCOUNT},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError(f"A result cannot be read: {type(error).__name__}: {error}.") from error
    return result, after


def predicted_from_fields(
    fields: dict[str, Any], held: Memory, shape: tuple[int, int, int], arrays: list[np.ndarray]
) -> tuple[PredictResult, Memory]:
    """The segmentation without constraints, and what the worker holds now; WireError for fields that do not fit."""
    try:
        after = changed(held, fields["memory"], held.segments, shape, arrays)
        if after.labels is None:
            raise WireError("A prediction came without labels.")
        return PredictResult(after.labels.copy(), list(held.segments), list(_texts(fields["warnings"]))), after
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError(f"A prediction cannot be read: {type(error).__name__}: {error}.") from error


def _checked_account(account: dict[str, Any]) -> dict[str, Any]:
    """The entries of `_ACCOUNT`; ValueError, KeyError or TypeError where one is not what the user interface expects."""
    _texts(account["warnings"])
    _texts([*account["versions"], *account["versions"].values(), *account["timings"]])
    numbers = [*account["loss_curve"], *account["timings"].values()]
    if not (all(map(_is_number, numbers)) and _is_whole(account["violated_strokes"]) and _is_whole(account["seed"])):
        raise ValueError("a count or a measurement is no number")
    return {name: account[name] for name in _ACCOUNT}


def _class_change(entry: dict[str, Any]) -> ClassChange:
    change = ClassChange(**entry)
    _texts([change.name, change.reach])
    if not (_is_whole(change.label) and _is_number(change.added_ml) and _is_number(change.removed_ml)):
        raise ValueError("a volume is no number")
    return change


def _texts(values: Any) -> tuple[str, ...]:
    """`values` when they are a list of texts, else ValueError."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{str(values)[:100]!r} are no texts")
    return tuple(values)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or isinstance(value, float)
