"""Cases computed in a process of their own: the same files, and a crash or a cancel ends one case only."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from batch_examples import a_row, bytes_of  # noqa: E402
from cli_examples import Thresholds  # noqa: E402

from InteractiveRefineLib.batch import Computing, apart  # noqa: E402
from InteractiveRefineLib.errors import InputError  # noqa: E402

pytest_plugins = ["batch_examples"]

ROOT = Path(__file__).resolve().parents[2]

FACTORY = """
import os, time
import torch

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Conv3d(1, 3, 1)

    def forward(self, x):
        {action}
        return self.head(x)

build = Network
"""


def write_factory(folder, like, action):
    """A backbone whose network does something else before it answers."""
    import json

    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    config = json.loads((like / "backbone.json").read_text())
    config["model"] = {"factory": "network.py:build", "weights": "weights.safetensors"}
    (folder / "backbone.json").write_text(json.dumps(config))
    (folder / "network.py").write_text(FACTORY.format(action=action))
    save_file(torch.nn.Module.state_dict(_with_head(torch.nn.Conv3d(1, 3, 1))), folder / "weights.safetensors")


def _with_head(head):
    import torch

    module = torch.nn.Module()
    module.head = head
    return module


def test_the_network_of_these_tests_is_small():
    assert sum(p.numel() for p in Thresholds().parameters()) < 100


@pytest.mark.slow
def test_a_crash_ends_one_case_and_all_others_are_as_without_a_process_of_their_own(batch_of, inputs):
    pytest.importorskip("safetensors")
    write_factory(inputs / "crash", inputs / "backbone", "os.write(2, b'about to crash'); os.kill(os.getpid(), 9)")
    rows = [a_row("1"), a_row("2", backbone="crash"), a_row("3", strokes="wrong.nrrd"), a_row("4", image="other.nrrd")]
    steps = []
    result = batch_of(
        *rows,
        computing=Computing(apart=True, threads=1),
        progress=lambda *step: steps.append(step),
    )
    assert [o.status for o in result.outcomes] == ["finished", "failed", "failed", "finished"]
    assert "killed by signal 9, probably because memory ran out" in result.outcomes[1].reason
    assert "about to crash" in (inputs.parent / "out/_batch/failed/2.txt").read_text()
    assert "Label 9" in result.outcomes[2].reason
    assert any("network" in message.lower() for _, _, message in steps), "nothing was heard of the running case"
    batch_of(rows[0], rows[3], output=inputs.parent / "here")
    here, there = bytes_of(inputs.parent / "here"), bytes_of(inputs.parent / "out")
    assert {k: v for k, v in there.items() if "/" in k} == {k: v for k, v in here.items() if "/" in k}


@pytest.mark.slow
def test_cancelling_ends_the_process_at_once(batch_of, inputs):
    pytest.importorskip("safetensors")
    write_factory(inputs / "slow", inputs / "backbone", "time.sleep(600)")
    out = inputs.parent / "out"
    children = []
    real = apart._Child.__init__

    def remembered(self, *arguments):
        real(self, *arguments)
        children.append(self)

    apart._Child.__init__ = remembered
    start = time.monotonic()
    try:
        result = batch_of(
            a_row("1", backbone="slow"),
            a_row("2"),
            computing=Computing(apart=True),
            should_cancel=lambda: bool(list(out.glob("_batch/run-*/1-*"))) or time.monotonic() - start > 90,
        )
    finally:
        apart._Child.__init__ = real
    assert result.left == ("1", "2") and time.monotonic() - start < 90
    assert children[0]._process.poll() is not None
    assert sorted(p.name for p in (out / "_batch").iterdir()) == ["journal.jsonl", "lock"]


def test_an_interpreter_that_cannot_be_started_is_one_clear_error(batch_of, monkeypatch):
    monkeypatch.setattr(apart, "_interpreter", lambda: "/no/such/python")
    with pytest.raises(InputError, match="/no/such/python cannot be started"):
        batch_of(a_row(), computing=Computing(apart=True))


def test_inside_an_application_its_own_interpreter_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3.11")
    assert apart._interpreter() == "/usr/bin/python3.11"
    python = tmp_path / "PythonSlicer"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))
    monkeypatch.setenv("PATH", "")
    assert apart._interpreter() == str(python)


@pytest.mark.slow
def test_a_folder_is_refined_from_a_process_that_never_loads_torch(inputs):
    """As 3D Slicer's own process must not."""
    for part in ("image.nrrd", "strokes.nrrd"):
        (inputs / "scans" / "p1").mkdir(parents=True, exist_ok=True)
        shutil.copy(inputs / part, inputs / "scans" / "p1")
    code = (
        "import sys\n"
        "from InteractiveRefineLib.batch import refine_folder\n"
        "print(refine_folder(sys.argv[1], backbone=sys.argv[2]))\n"
        "assert 'torch' not in sys.modules\n"
        "try: refine_folder(sys.argv[1], sys.argv[1] + '-2', backbone=sys.argv[1])\n"
        "except ValueError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(inputs / "scans"), str(inputs / "backbone")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("1 of 1 cases finished;")
    assert "row 2, column backbone: " in run.stdout and "has no backbone.json" in run.stdout
