"""`--class-map` on the command line: the same here and in a worker."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_examples import errors_of, truth

from InteractiveRefineLib.segmentation_io import read_segmentation

pytest_plugins = ["cli_examples"]

ROOT = Path(__file__).resolve().parents[2]
WORKER = f"'{sys.executable}' -m InteractiveRefineLib worker"
MAP = {"organs": ["liver", "spleen"], "add": ["cyst"]}


@pytest.fixture(autouse=True)
def as_here(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def write_map(folder, content=None):
    (folder / "map.json").write_text(json.dumps(MAP if content is None else content), encoding="utf-8")


@pytest.mark.parametrize("worker", [(), ("--worker", WORKER)], ids=["here", "worker"])
def test_merged_and_added_classes_are_those_of_the_result(refine_in, folder, worker):
    write_map(folder)
    assert refine_in("--class-map", "map.json", *worker) == 0
    result = read_segmentation(folder / "out.seg.nrrd")
    assert [(s.name, s.label) for s in result.segments] == [("organs", 1), ("cyst", 2)]
    assert (result.labels[8, 12, 13:16] == 1).all()
    assert np.count_nonzero((result.labels == 1) & (truth() == 2)) == np.count_nonzero(truth() == 2)
    assert not (result.labels == 2).any()


def test_in_a_worker_an_added_class_that_the_segmentation_has_already_is_no_second_one(refine_in, folder):
    write_map(folder)
    assert refine_in("--class-map", "map.json", output="first.seg.nrrd") == 0
    first = read_segmentation(folder / "first.seg.nrrd")
    again = ("--class-map", "map.json", "--current", "first.seg.nrrd")
    for name, worker in (("here.seg.nrrd", ()), ("there.seg.nrrd", ("--worker", WORKER))):
        assert refine_in(*again, *worker, output=name) == 0
        assert [s.name for s in read_segmentation(folder / name).segments] == [s.name for s in first.segments]
    assert (folder / "here.seg.nrrd").read_bytes() == (folder / "there.seg.nrrd").read_bytes()


@pytest.mark.parametrize("worker", [(), ("--worker", WORKER)], ids=["here", "worker"])
def test_a_wrong_name_is_told_with_what_the_network_knows(refine_in, folder, capsys, worker):
    write_map(folder, {"organs": ["lver"]})
    assert refine_in("--class-map", "map.json", *worker) == 2
    (line,) = errors_of(capsys)
    assert "the network has no class 'lver'. Did you mean 'liver'?" in line


def test_a_missing_file_is_told(refine_in, capsys):
    assert refine_in("--class-map", "nowhere.json") == 2
    assert "nowhere.json is not a file" in errors_of(capsys)[0]
