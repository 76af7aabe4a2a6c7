"""Workers as real processes and what is asked of them, for tests of client and server."""

import sys
from pathlib import Path

import numpy as np
import pytest

from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.worker.client import RefineRequest, WorkerClient
from InteractiveRefineLib.worker.subprocess_transport import close_worker, run_until_idle, subprocess_starter
from Testing.tests.cli_examples import LIVER, scan, write_backbone
from Testing.tests.session_examples import IN_SPLEEN, MISSED, hesitant

ROOT = Path(__file__).resolve().parents[2]
CPU = RefineSettings(device="cpu")
IMAGE = scan()

#: A factory's file that prints where only frames may be, from Python, and past Python.
CHATTY = """
import os, sys
import torch
print("hello from the factory")
os.write(1, b"a C library says hello\\n")
os.system("echo and so does a child")
assert sys.stdin.read() == ""

def network():
    print("building")
    return torch.jit.load(os.path.join(os.path.dirname(__file__), "model.ts"))
"""
#: A network that takes its time for every window.
SLOW = """
import os, sys, time
import torch

class Slow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.jit.load(os.path.join(os.path.dirname(__file__), "model.ts"))
        self.head = torch.nn.Conv3d(3, 3, 1)
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(3).reshape(3, 3, 1, 1, 1))
            self.head.bias.zero_()

    def forward(self, x):
        time.sleep(SECONDS)
        return self.head(self.inner(x))

def network():
    return Slow()
"""


class Listener:
    """What a client was told, in order."""

    def __init__(self, client):
        self.client, self.results, self.errors, self.backbones, self.progress = client, [], [], [], []
        client.on_result, client.on_error = self.results.append, self.errors.append
        client.on_backbone = self.backbones.append
        client.on_progress = lambda *step: self.progress.append(step)

    @property
    def error_codes(self):
        return [error.code for error in self.errors]

    def ask(self, request, **options):
        """Submit, and wait; returns the result, or the error."""
        before = len(self.results) + len(self.errors)
        self.client.submit(request)
        run_until_idle(self.client, **options)
        assert len(self.results) + len(self.errors) == before + 1, "exactly one answer"
        return self.newest

    @property
    def newest(self):
        return self.errors[-1] if self.errors and not self.results else (self.results or self.errors)[-1]


@pytest.fixture(scope="session")
def backbones(tmp_path_factory):
    """Folders with the small network of session_examples: plain, chatty, slow and very slow."""
    folder = tmp_path_factory.mktemp("worker")
    model = {"factory": "network.py:network"}
    write_backbone(folder / "plain", hesitant())
    slow, very_slow = (SLOW.replace("SECONDS", seconds) for seconds in ("0.4", "2"))
    for name, code in (("chatty", CHATTY), ("slow", slow), ("very slow", very_slow)):
        write_backbone(folder / name, hesitant(), model=model)
        (folder / name / "network.py").write_text(code, encoding="utf-8")
    return {name: str(folder / name) for name in ("plain", "chatty", "slow", "very slow")}


@pytest.fixture
def start_worker(monkeypatch):
    """Make a client of a real worker, with its listener; in the end no process may remain."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    clients = []

    def start(setting="", **options):
        client = WorkerClient(subprocess_starter(setting, sys.executable), **options)
        clients.append(client)
        return client, Listener(client)

    yield start
    for client in clients:
        transport = client.transport
        close_worker(client)
        if transport is not None:
            assert not transport.running
            assert not any(thread.is_alive() for thread in transport._threads)


def request(backbone, constraints=None, **changes):
    """A request about the scan of cli_examples."""
    return RefineRequest(
        **{"image": IMAGE, "backbone": backbone, "constraints": constraints, "settings": CPU, **changes}
    )


def first_strokes():
    constraints = Constraints(IMAGE.geometry)
    constraints.add_stroke_indices(MISSED, LIVER.label)
    constraints.add_stroke_indices(IN_SPLEEN, 2, forbidden=True)
    return constraints


def same_account(found, expected):
    """Everything of two results but their timings."""
    for name in ("labels", "previous", "strokes", "grown"):
        a, b = getattr(found, name), getattr(expected, name)
        assert a.dtype == b.dtype and a.tobytes() == b.tobytes() and a.shape == b.shape, name
        assert a.flags.writeable or name in ("labels", "previous")  # a session shares these two
    for name in ("changed_box", "changes", "violated_strokes", "loss_curve", "warnings", "seed", "versions"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.timings.keys() == expected.timings.keys()
    return True


def edited(segmentation, kji, label):
    """The segmentation with some voxels changed by hand."""
    segmentation.labels[tuple(np.asarray(kji).T)] = label
    return segmentation
