"""Small batches on the scan and the network of cli_examples, for tests of the batch."""

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_examples import LIVER, SHAPE, SPLEEN, scan, strokes, truth, write_backbone, write_labels, write_scan

from InteractiveRefineLib.batch import run_batch

#: What every finished case holds without a preview.
CASE_FILES = ["log.txt", "refined.seg.nrrd", "report.json", "timings.json"]


def write_manifest(path, rows, delimiter=","):
    """A CSV of dictionaries; returns its path."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def a_row(name="a", **cells):
    """A good row; `None` leaves a cell out."""
    row = {"case": name, "image": "image.nrrd", "backbone": "backbone", "strokes": "strokes.nrrd", **cells}
    return {key.replace("_", "-"): value for key, value in row.items() if value is not None}


def bytes_of(output, but=("timings.json", "timings.csv")):
    """Contents of all results by name, timings left out, and what the program keeps for itself."""
    files = sorted(p for p in Path(output).rglob("*") if p.is_file() and "_batch" not in p.parts)
    return {p.relative_to(output).as_posix(): p.read_bytes() for p in files if p.name not in but}


def files_of(output, name):
    return sorted(p.name for p in (Path(output) / name).iterdir())


@pytest.fixture(scope="session")
def batch_inputs(tmp_path_factory):
    """Made once: two scans, strokes for them, a truth, another stroke file, and the network."""
    folder = tmp_path_factory.mktemp("batch")
    write_scan(folder / "image.nrrd")
    write_scan(folder / "other.nrrd", scan(seed=1))
    write_labels(folder / "strokes.nrrd", strokes())
    write_labels(folder / "truth.seg.nrrd", truth(), segments=[LIVER, SPLEEN])
    more = strokes()
    more[6, 8:12, 14] = LIVER.label
    write_labels(folder / "more.nrrd", more)
    refused = np.zeros(SHAPE, dtype=np.uint16)
    refused[8, 12, 24:26] = LIVER.label
    write_labels(folder / "not.nrrd", refused)
    write_labels(folder / "wrong.nrrd", (strokes() == 1).astype(np.uint16) * 9)
    write_backbone(folder / "backbone")
    return folder


@pytest.fixture
def inputs(tmp_path, batch_inputs):
    """A copy of `batch_inputs` that may be changed."""
    return Path(shutil.copytree(batch_inputs, tmp_path / "inputs"))


@pytest.fixture
def batch_of(inputs, one_thread):
    """Run a batch of rows in `inputs` into the folder `out` beside it."""

    def run(*rows, output=None, **options):
        return run_batch(list(rows), output or inputs.parent / "out", base=inputs, **options)

    return run


def touch(path, seconds=1000):
    """Give a file another time."""
    os.utime(path, (os.stat(path).st_atime, os.stat(path).st_mtime + seconds))
