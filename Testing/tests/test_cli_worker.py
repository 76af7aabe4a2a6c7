"""`refine --worker`: the same files as without, and errors in one line."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cli_examples import errors_of, truth, write_labels

from InteractiveRefineLib.segmentation import Segment

pytest_plugins = ["cli_examples"]

ROOT = Path(__file__).resolve().parents[2]
WORKER = f"'{sys.executable}' -m InteractiveRefineLib worker"


@pytest.fixture(autouse=True)
def as_here(monkeypatch):
    """The worker finds the library, and computes with as many threads as this process: one."""
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_worker_writes_the_same_bytes(refine_in, folder, capsys):
    segments = [Segment("spleen", 2, id="S", tags={"k": "v"}), Segment("liver", 1), Segment("cyst", 3)]
    labels = truth()
    labels[2, 2, 2] = 3
    write_labels(folder / "current.seg.nrrd", labels, segments=segments)
    more = ("--lock", "spleen", "--add-class", "tumor", "--current", "current.seg.nrrd")
    assert refine_in(*more, "--preview", "a.png", "--report", "a.json", output="a.seg.nrrd") == 0
    here = capsys.readouterr()
    options = ("--preview", "b.png", "--report", "b.json", "--worker", WORKER)
    assert refine_in(*more, *options, output="b.seg.nrrd") == 0
    there = capsys.readouterr()
    assert (folder / "a.seg.nrrd").read_bytes() == (folder / "b.seg.nrrd").read_bytes()
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    a, b = (json.loads((folder / name).read_text()) for name in ("a.json", "b.json"))
    assert a.pop("timings").keys() == b.pop("timings").keys() and a == b
    assert there.out.replace("b.", "a.") == here.out
    warnings = [[line for line in text.splitlines() if "warning:" in line] for text in (here.err, there.err)]
    *_, cyst, untaught = warnings[0]
    assert warnings[0] == warnings[1] and "cyst" in cyst and "Even after tuning" in untaught


def test_errors_of_the_worker_are_errors_of_the_command(refine_in, capsys):
    assert refine_in("--worker", WORKER, backbone="nowhere") == 2
    assert "nowhere is not a folder" in errors_of(capsys)[0]
    assert refine_in("--worker", WORKER, "--lock", "bone") == 2
    assert "no class named 'bone'" in errors_of(capsys)[0]
    assert refine_in("--worker", "sh -c 'echo no route to host >&2; exit 255'") == 1
    (line,) = errors_of(capsys)
    assert "could not be started" in line and line.endswith("no route to host")


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_cancels_and_leaves_neither_files_nor_workers(folder):
    options = ["--image", "image.nrrd", "--scribbles", "strokes.nrrd", "--output", "out.seg.nrrd"]
    command = [sys.executable, "-m", "InteractiveRefineLib", "refine", *options, "--worker", "sh -c 'sleep 60 | cat'"]
    run = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    threading.Timer(60, run.kill).start()
    deadline = time.monotonic() + 30
    while not children(run.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    started = children(run.pid)
    assert started
    run.send_signal(signal.SIGINT)
    errors = run.communicate()[1]
    assert run.returncode == 3 and "Cancelled." in errors
    assert not (folder / "out.seg.nrrd").exists()
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def children(pid):
    """Processes that a process started."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [child for child, parent in (line.split() for line in listed.splitlines()) if int(parent) == pid]
