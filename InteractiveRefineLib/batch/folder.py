"""A folder of scans as a batch: one subfolder per case, recognized by the names of its files, or a manifest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..settings import RefineSettings
from .cells import settings_from
from .names import BATCH_FOLDER
from .outcome import BatchResult
from .run import Computing, OnCase, run_batch

MANIFEST = "manifest.csv"
_SEGMENTATIONS = (".seg.nrrd", ".nrrd", ".nii.gz", ".nii", ".mha")
_IMAGES = (".nrrd", ".nhdr", ".nii.gz", ".nii", ".mha", ".mhd", ".png", ".tif", ".tiff", ".jpg")
_PROMPTS = (".mrk.json", ".json")
#: Column, how its file is called, and its endings.
_PARTS = (
    ("strokes", "strokes", _SEGMENTATIONS),
    ("not-strokes", "not-strokes", _SEGMENTATIONS),
    ("prompts", "prompts", _PROMPTS),
    ("current", "current", _SEGMENTATIONS),
    ("settings", "settings", (".json",)),
    ("truth", "truth", _SEGMENTATIONS),
)


def refine_folder(
    folder: str | os.PathLike,
    output: str | os.PathLike | None = None,
    *,
    backbone: str | os.PathLike | None = None,
    lock: Sequence[str] = (),
    new_classes: Sequence[str] = (),
    settings: RefineSettings | dict[str, Any] | None = None,
    resume: bool = False,
    preview: bool = False,
    workers: int = 1,
    scheduler: str = "",
    apart: bool = True,
    on_case: OnCase | None = None,
    **options: Any,
) -> BatchResult:
    """Correct the segmentations of a folder of scans; the way from 3D Slicer's Python console.

    Either the folder holds a manifest.csv, or every subfolder is a case with the files `image.*` (or the DICOM folder
    `image`; several channels as `image-FLAIR.nrrd`, `image-T1c.nrrd`), and as far as there are any `strokes.*`,
    `not-strokes.*`, `prompts.*`, `current.*`, `settings.json` and `truth.*`.

    Args:
        folder: of the scans.
        output: of the results; None = `folder` with "-refined" added to its name.
        backbone: folder of the network, of cases that name none.
        lock, new_classes: names of structures, of all cases; a manifest has columns for them.
        settings: of cases that name none.
        apart: compute in another process, as the effect in 3D Slicer does, so that PyTorch never enters this one.
        resume, preview, on_case, options: as in `run_batch`.
        workers, scheduler: as in `Computing`.

    Returns:
        What became of every case; `print` shows it in one line.

    Raises:
        ManifestError, InputError: as `run_batch`.
    """
    folder = Path(folder).expanduser().absolute()
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder that holds one folder for each case.")
    output = folder.with_name(f"{folder.name}-refined") if output is None else Path(output).expanduser()
    if isinstance(settings, dict):
        settings = settings_from(settings, RefineSettings())
    manifest: Path | list[dict[str, object]] = folder / MANIFEST
    if not (folder / MANIFEST).is_file():
        manifest = cases_in(folder, lock, new_classes)
    elif lock or new_classes:
        raise InputError(f"{folder / MANIFEST} has columns for locks and new-classes: write them there.")
    computing = Computing(workers=workers, scheduler=scheduler, apart=apart)
    return run_batch(
        manifest, output, backbone=backbone, settings=settings, resume=resume, preview=preview, base=folder,
        computing=computing, on_case=on_case, **options,
    )  # fmt: skip


def cases_in(folder: Path, lock: Sequence[str] = (), new_classes: Sequence[str] = ()) -> list[dict[str, object]]:
    """The rows of a manifest for the subfolders of `folder` that hold an image.

    Raises:
        InputError: there is none, or a subfolder holds two files for one thing.
    """
    rows: list[dict[str, object]] = []
    for case in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", BATCH_FOLDER))):
        images = _images_in(case)
        if not images:
            continue
        row: dict[str, object] = {"case": case.name, "image": images}
        for column, stem, endings in _PARTS:
            found = [p for p in sorted(case.iterdir()) if _is_called(p, stem, endings)]
            if len(found) > 1 and column != "prompts":
                names = " and ".join(p.name for p in found)
                raise InputError(f"{case} holds {names}: which are the {column}? Keep one of them there.")
            if found:
                row[column] = [str(p) for p in found] if column == "prompts" else str(found[0])
        rows.append({**row, "locks": list(lock), "new-classes": list(new_classes)})
    if not rows:
        raise InputError(
            f"{folder} holds neither {MANIFEST} nor a folder for each case with a file image.nrrd (or .nii.gz, ...) "
            "and strokes.seg.nrrd in it."
        )
    return rows


def _images_in(case: Path) -> list[str]:
    single = [
        p for p in sorted(case.iterdir()) if _is_called(p, "image", _IMAGES) or (p.is_dir() and p.name == "image")
    ]
    channels = []
    for path in sorted(case.glob("image-*")):
        ending = next((e for e in _IMAGES if path.name.lower().endswith(e)), None)
        if ending is not None and path.is_file():
            channels.append(f"{path.name[len('image-') : -len(ending)]}={path}")
    if len(single) + bool(channels) > 1:
        raise InputError(f"{case} holds several images. Keep image.*, or one image-NAME.* for each channel.")
    return channels or [str(p) for p in single]


def _is_called(path: Path, stem: str, endings: tuple[str, ...]) -> bool:
    return path.is_file() and any(path.name.lower() == stem + ending for ending in endings)
