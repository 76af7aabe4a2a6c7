"""Every kind of file that is written: how to write an old and a new one, and how to tell whether it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from InteractiveRefineLib.cli.report_file import write_report
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.image_io import read_volume, write_volume
from InteractiveRefineLib.preview import write_preview
from InteractiveRefineLib.result import ClassChange, RefinementResult
from InteractiveRefineLib.segmentation import Segment, Segmentation
from InteractiveRefineLib.segmentation_io import read_segmentation, write_segmentation
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.volume import Volume

SHAPE = (16, 32, 32)
_MATRIX = np.diag([-1.0, -1.0, 2.0, 1.0])


def labels_of(seed: int) -> np.ndarray:
    """Noisy labels, so that they do not shrink to nothing when they are compressed."""
    return np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint16)


def _segmentation(seed: int) -> Segmentation:
    return Segmentation(labels_of(seed), Geometry(SHAPE, _MATRIX), [Segment("liver", 1), Segment("spleen", 2)])


def _image(seed: int) -> Volume:
    return Volume(np.random.default_rng(seed).normal(0, 100, SHAPE).astype(np.float32), _MATRIX, "scan")


def _result(seed: int) -> RefinementResult:
    labels, none = labels_of(seed), np.zeros(SHAPE, dtype=np.uint16)
    box, changes = tuple(slice(0, n) for n in SHAPE), [ClassChange("liver", 1, 1.5, 0.0, "local")]
    return RefinementResult(labels, none, box, changes, none.copy(), none.copy(), 0, warnings=["w" * 60] * 200)


def _read_picture(path: Path) -> object:
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture).tobytes()


@dataclass(frozen=True)
class Kind:
    """One kind of output.

    Attributes:
        name: of the file.
        write: (path, seed) writes one; other seeds give another content.
        read: raises when the file is damaged.
    """

    name: str
    write: Callable[[Path, int], None]
    read: Callable[[Path], object]


def _write_preview(path: Path, seed: int) -> None:
    write_preview(path, _image(seed), _result(seed), [Segment("liver", 1), Segment("spleen", 2)], n_slices=1)


def _write_report(path: Path, seed: int) -> None:
    write_report(path, _result(seed), RefineSettings(), {"image": "ct.nrrd"})


KINDS = (
    Kind("out.seg.nrrd", lambda path, seed: write_segmentation(_segmentation(seed), path), read_segmentation),
    Kind("out.nii.gz", lambda path, seed: write_segmentation(_segmentation(seed), path), read_segmentation),
    Kind("scan.nrrd", lambda path, seed: write_volume(_image(seed), path), read_volume),
    Kind("scan.nii", lambda path, seed: write_volume(_image(seed), path), read_volume),
    Kind("out.png", _write_preview, _read_picture),
    Kind("report.json", _write_report, lambda path: json.loads(path.read_text(encoding="utf-8"))),
)
