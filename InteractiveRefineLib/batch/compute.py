"""Refine one case and write its files into a folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..channels import combine_channels
from ..constraints import Constraints
from ..errors import InputError
from ..geometry import Geometry
from ..image_io import read_volume
from ..metrics import dice
from ..progress import Progress, ShouldCancel
from ..prompt_files import read_boxes, read_points
from ..report_json import report_fields, report_text
from ..resample import resample_labels
from ..segmentation import BACKGROUND_STROKE, Segment, Segmentation
from ..segmentation_io import read_segmentation, write_segmentation
from ..stroke_files import BACKGROUND_NAME, read_strokes
from .case import Case
from .networks import NetworkKeeper
from .store import LOG, PREVIEW, REPORT, SEGMENTATION, TIMINGS, output_digests

if TYPE_CHECKING:
    from ..result import RefinementResult
    from ..session import RefineSession
    from ..volume import Volume


def compute_case(
    case: Case,
    folder: Path,
    key: str,
    files: dict[str, list[str]],
    networks: NetworkKeeper,
    *,
    run: str,
    preview: bool,
    progress: Progress,
    should_cancel: ShouldCancel,
) -> dict[str, Any]:
    """Refine `case` and write its files into `folder`, which is empty; the same case gives the same bytes.

    Only `timings.json` differs from run to run.

    Args:
        key, files: as `case_key` returned them.
        run: name of the batch's run.

    Returns:
        What the summary shows: `dice` by class, `stroke_voxels`, `changed_voxels`, `violated_strokes`.

    Raises:
        InputError, BackboneError, OutOfMemoryError, Cancelled: as `RefineSession`.
    """
    start = time.perf_counter()
    log: list[str] = [f"Case {case.name}"]
    backbone = networks.backbone(Path(case.backbone))
    log.append(f"Backbone {backbone.config.name}")
    truth = read_segmentation(case.truth) if case.truth else None  # what is damaged should be known before the work
    session, notes = networks.session(
        backbone,
        json.dumps([case.images, files["image"]]),
        lambda: _read_image(case, backbone.config.channels),
        case.settings,
        lambda: read_segmentation(case.current) if case.current else None,
        case.new_classes,
    )
    log += notes
    log.append(f"Image {session.image.geometry.describe()}")
    constraints = _constraints(case, session, log)
    result = session.refine(constraints, progress=progress, should_cancel=should_cancel)
    segmentation = session.segmentation()
    write_segmentation(segmentation, folder / SEGMENTATION)
    if preview:
        from ..preview import write_preview

        write_preview(folder / PREVIEW, session.image, result, session.classes)
    scores = _dice(truth, session, result, log) if truth is not None else {}
    facts = {
        "dice": scores,
        "stroke_voxels": int(np.count_nonzero(result.strokes)),
        "changed_voxels": int(np.count_nonzero(result.labels != result.previous)),
        "violated_strokes": int(result.violated_strokes),
    }
    timings = {"run": run, "seconds": round(time.perf_counter() - start, 3)}
    timings["stages"] = {name: round(seconds, 3) for name, seconds in result.timings.items()}
    (folder / TIMINGS).write_text(json.dumps(timings, indent=2) + "\n", encoding="utf-8")
    _write_texts(case, folder, key, files, result, facts, log, backbone.config.name)
    return facts


def _read_image(case: Case, channels: tuple[str, ...]) -> tuple[Volume, list[str]]:
    """The image, and what was said when its channels were put together."""
    volumes = [read_volume(path) for _, path in case.images]
    if len(volumes) == 1:
        return volumes[0], []
    notes: list[str] = []
    given = [name for name, _ in case.images if name]
    return combine_channels(volumes, channels, given=given, warn=notes.append), notes


def _constraints(case: Case, session: RefineSession, log: list[str]) -> Constraints:
    """What the user said, in the same order as the command `refine` takes it."""

    def label_of(name: str) -> int:
        return BACKGROUND_STROKE if name.strip().lower() == BACKGROUND_NAME else session.label_of(name)

    geometry = session.image.geometry
    constraints = Constraints(geometry, locked=[session.label_of(name) for name in case.locks])
    kinds = [_prompt_kinds(path) for path in case.prompts]
    for path, (_, boxes) in zip(case.prompts, kinds):
        if boxes:
            constraints.add_boxes(read_boxes(path, label_of))
    for path, (points, _) in zip(case.prompts, kinds):
        if points:
            constraints.add_points(read_points(path, label_of))
    for path, forbidden in ((case.not_strokes, True), (case.strokes, False)):
        if path:
            labels, _, warnings = read_strokes(path, geometry, session.classes)
            log += warnings
            constraints.add_strokes(labels, forbidden=forbidden)
    return constraints


def _prompt_kinds(path: str) -> tuple[bool, bool]:
    """Whether a file of prompts has points and boxes; InputError when it has neither."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}). Save points and boxes from 3D Slicer.") from error
    if isinstance(content, dict):
        markups = content.get("markups")
        types = {node.get("type") for node in markups if isinstance(node, dict)} if isinstance(markups, list) else set()
        points = "points" in content or "Fiducial" in types
        boxes = "boxes" in content or "ROI" in types
        if points or boxes:
            return points, boxes
    raise InputError(f'{path} has neither points nor boxes. It needs "points" or "boxes", or markups of 3D Slicer.')


def _dice(
    truth: Segmentation, session: RefineSession, result: RefinementResult, log: list[str]
) -> dict[str, dict[str, float | None]]:
    """Dice before and after by class, for the classes that the truth has; null where neither has a voxel."""
    by_number = all(s.name == f"Segment_{s.label}" for s in truth.segments)
    labels = truth.labels
    geometry: Geometry = session.image.geometry
    if not truth.geometry.matches(geometry):
        labels = resample_labels(labels, truth.geometry, geometry, method="nearest")
        log.append("The truth lies on another grid and was resampled to the image.")
    scores: dict[str, dict[str, float | None]] = {}
    for segment in truth.segments:
        known = _class_of(segment, session.classes, by_number)
        if known is None:
            log.append(f"The truth's {segment.name!r} is no class and was left out.")
            continue
        true = labels == segment.label
        pair = (dice(true, array == known.label) for array in (result.previous, result.labels))
        scores[known.name] = dict(zip(("before", "after"), (None if np.isnan(d) else round(d, 6) for d in pair)))
    return scores


def _class_of(segment: Segment, classes: list[Segment], by_number: bool) -> Segment | None:
    if by_number:
        return next((c for c in classes if c.label == segment.label), None)
    return next((c for c in classes if c.name.strip().lower() == segment.name.strip().lower()), None)


def _write_texts(
    case: Case,
    folder: Path,
    key: str,
    files: dict[str, list[str]],
    result: RefinementResult,
    facts: dict[str, Any],
    log: list[str],
    backbone: str,
) -> None:
    """The log and, last, the report, which makes the case a finished one."""
    log += [f"Warning: {sentence}" for sentence in result.warnings]
    for change in result.changes:
        log.append(f"{change.name}: +{change.added_ml:.3g} ml, -{change.removed_ml:.3g} ml {change.reach}".rstrip())
    for name, pair in facts["dice"].items():
        log.append(f"Dice of {name}: {pair['before']} before, {pair['after']} after")
    (folder / LOG).write_text("\n".join(log) + "\n", encoding="utf-8")
    fields = report_fields(result, case.settings, case.written)
    del fields["timings"]  # everything else is the same in every run
    report = {
        "case": case.name,
        "key": key,
        "backbone": backbone,
        "facts": facts,
        "sha256_of_inputs": files,
        "outputs": output_digests(folder, (SEGMENTATION, PREVIEW, LOG)),
        **fields,
    }
    (folder / REPORT).write_text(report_text(report), encoding="utf-8")
