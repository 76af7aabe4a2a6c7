"""Whether torch works: found out in a child process, for every way in which it can be broken."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from InteractiveRefineLib import torch_probe
from InteractiveRefineLib.torch_probe import TorchReport, covers

ROOT = Path(__file__).resolve().parents[2]

#: A torch as the probe sees it; {cuda!r} and the like are filled in.
FAKE_TORCH = """
class _Cuda:
    def is_available(self): return {available!r}
    def get_device_name(self, index): return "Some GPU"
    def get_device_capability(self, index): return {capability!r}
    def get_arch_list(self): return {architectures!r}
class version:
    cuda = {cuda!r}
    hip = None
cuda = _Cuda()
__version__ = {version!r}
def ones(shape, device="cpu", requires_grad=False):
    if device != "cpu" and {gpu_fails!r}:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\\nmore lines")
    return _Tensor()
class _Tensor:
    def sum(self): return self
    def backward(self): pass
    def __float__(self): return {answer!r}
    grad = property(lambda self: self)
class nn:
    class functional:
        conv3d = staticmethod(lambda image, weights: image)
"""
WORKING = {
    "version": "2.9.1+cu126", "cuda": "12.6", "available": True, "capability": (8, 6), "gpu_fails": False,
    "architectures": ["sm_50", "sm_80", "sm_90"], "answer": 216.0,
}  # fmt: skip


def probe_in_child(folder, path=""):
    """Run the probe as Slicer does, with `folder` before everything else on the module path."""
    run = subprocess.run(
        [sys.executable, "-m", "InteractiveRefineLib.torch_probe"],
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PATH": str(path)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return TorchReport.from_json(run.stdout)


@pytest.fixture
def fake(tmp_path):
    """Write a torch that differs from a working one in the named things, and probe it."""

    def probe(nvidia_tool=False, **differences):
        package = tmp_path / "torch"
        package.mkdir()
        (package / "__init__.py").write_text(FAKE_TORCH.format(**{**WORKING, **differences}))
        tools = tmp_path / "bin"
        tools.mkdir()
        if nvidia_tool:
            (tools / "nvidia-smi").write_text("")
            (tools / "nvidia-smi").chmod(0o755)
        return probe_in_child(tmp_path, tools)

    return probe


def test_the_torch_of_these_tests_computes_and_needs_no_special_device(tmp_path):
    report = probe_in_child(tmp_path)
    assert report.usable
    assert report.device == "auto"
    assert report.version.startswith("2.")


def test_a_torch_that_is_not_there_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert torch_probe.probe() == TorchReport("missing")


def test_half_removed_files_are_told_from_missing_ones(tmp_path):
    (tmp_path / "torch").mkdir()  # what uninstalling leaves when files were in use: a folder without __init__.py
    (tmp_path / "torch" / "leftover.dll").touch()
    code = "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; "
    code += "from InteractiveRefineLib.torch_probe import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    report = TorchReport.from_json(run.stdout)
    assert (report.state, report.usable) == ("broken", False)
    assert "__version__" in report.detail


@pytest.mark.parametrize(
    "code, words",
    [
        ("raise ImportError('DLL load failed while importing _C')", "ImportError: DLL load failed while importing _C"),
        ("raise OSError('libcudart.so.12: cannot open')", "OSError: libcudart.so.12: cannot open"),
        ("from torch._C import *", "ModuleNotFoundError: No module named 'torch._C'"),
    ],
)
def test_a_torch_that_cannot_be_loaded_is_broken_and_keeps_its_words(tmp_path, code, words):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(code)
    report = probe_in_child(tmp_path)
    assert (report.state, report.detail, report.usable) == ("broken", words, False)


def test_a_working_gpu_is_reported_with_its_name(fake):
    report = fake()
    assert report == TorchReport(
        "gpu", "2.9.1+cu126", "12.6", "Some GPU", "sm_86", ("sm_50", "sm_80", "sm_90"), ""
    )  # fmt: skip
    assert report.device == "auto"


def test_an_old_torch_is_refused(fake):
    report = fake(version="2.3.1")
    assert (report.state, report.usable) == ("too-old", False)


def test_a_torch_that_computes_nonsense_is_broken(fake):
    assert fake(answer=0.0).state == "broken"


def test_a_gpu_newer_than_torch_is_named_and_the_cpu_is_advised(fake):
    report = fake(gpu_fails=True, capability=(12, 0))
    assert (report.state, report.capability, report.device, report.usable) == ("gpu-too-new", "sm_120", "cpu", True)
    assert report.detail == "RuntimeError: CUDA error: no kernel image is available for execution on the device"


def test_a_gpu_that_fails_though_torch_was_built_for_it_is_another_matter(fake):
    report = fake(gpu_fails=True)
    assert (report.state, report.device) == ("gpu-failed", "cpu")


@pytest.mark.parametrize(
    "cuda, nvidia_tool, state",
    [(None, False, "cpu"), (None, True, "cpu-build"), ("12.6", False, "cpu"), ("12.6", True, "no-driver")],
)
def test_the_cpu_is_used_for_a_reason(fake, cuda, nvidia_tool, state):
    report = fake(cuda=cuda, available=False, nvidia_tool=nvidia_tool)
    assert (report.state, report.usable, report.device) == (state, True, "auto")


@pytest.mark.parametrize(
    "architectures, capability, expected",
    [
        (("sm_80",), (8, 0), True),
        (("sm_80",), (8, 9), True),  # later minor version
        (("sm_86",), (8, 0), False),  # earlier minor version
        (("sm_80",), (9, 0), False),
        (("compute_80",), (12, 0), True),  # PTX is translated for whatever comes later
        (("compute_90",), (8, 0), False),
        (("sm_50", "sm_90a"), (9, 0), True),
        (("sm_120",), (12, 0), True),
        ((), (9, 0), True),
        (("gfx1100",), (11, 0), True),
    ],
)
def test_architectures_cover_a_capability_as_nvidia_defines_it(architectures, capability, expected):
    assert covers(architectures, capability) is expected


def test_a_report_survives_its_way_through_a_pipe_with_chatter_before_it():
    report = TorchReport("gpu-failed", "2.9", "12.6", "GPU", "sm_86", ("sm_80", "sm_90"), "words: ä")
    assert TorchReport.from_json("torch warns about something\n" + report.to_json() + "\n") == report


def test_a_report_of_a_later_version_may_say_more():
    assert TorchReport.from_json(json.dumps({"state": "cpu", "weather": "fine"})) == TorchReport("cpu")


@pytest.mark.parametrize("text", ["", "Segmentation fault", "{}", '"cpu"', '{"state": "splendid"}'])
def test_what_is_no_report_is_refused(text):
    with pytest.raises(ValueError):
        TorchReport.from_json(text)
