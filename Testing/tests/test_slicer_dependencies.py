"""Torch inside Slicer: tested in a child process, explained in plain words, installed only when the user agrees."""

import inspect
import subprocess
import sys
import types

import pytest

from InteractiveRefineLib.torch_probe import STATES, TorchReport

#: Signatures of installTorch in the PyTorch extension's history (fepegar/SlicerPyTorch, PyTorchUtils.py).
RELEASES = {
    "2021-07": lambda: None,
    "2021-11": lambda askConfirmation=False: askConfirmation,
    "2022-12": lambda askConfirmation=False, forceComputationBackend=None: (askConfirmation, forceComputationBackend),
    "2023-07": lambda askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None,
    torchvisionVersionRequirement=None: (askConfirmation, forceComputationBackend, torchVersionRequirement,
                                         torchvisionVersionRequirement),
    "later": lambda **options: options,
}  # fmt: skip


@pytest.fixture
def dependencies(slicer_scene):
    from InteractiveRefineScene import dependencies

    return dependencies


@pytest.fixture
def extension(monkeypatch):
    """The PyTorch extension with an installTorch of the given signature; what came in is returned by it."""

    def make(install):
        seen = []

        class PyTorchUtilsLogic:
            installTorch = staticmethod(install)

        module = types.ModuleType("PyTorchUtils")
        module.PyTorchUtilsLogic = PyTorchUtilsLogic
        monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
        return seen

    return make


@pytest.fixture
def answers(monkeypatch, dependencies):
    """Set what the probe finds, one report after the other, and what the user answers; collects what is shown."""
    import slicer

    shown = []

    def set_answers(*reports, agrees=True):
        queue = list(reports)
        monkeypatch.setattr(dependencies, "probeTorch", lambda: queue.pop(0))

        def ask(text, **options):
            shown.append(("question", text))
            return agrees

        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", ask, raising=False)

        def displays(kind):
            def display(text, windowTitle=None, parent=None, standardButtons=None, **more):
                assert "mainWindowNeeded" not in more  # Slicer's own function gives it, and nobody may give it twice
                shown.append((kind, text))

            return display

        for kind in ("warning", "error"):
            monkeypatch.setattr(slicer.util, f"{kind}Display", displays(kind), raising=False)
        return shown

    return set_answers


def test_importing_it_loads_starts_and_installs_nothing(dependencies):
    code = (
        "import sys, types\n"
        "import slicer; slicer.i18n = sys.modules['slicer.i18n'] = types.ModuleType('slicer.i18n')\n"
        "slicer.i18n.tr = str\n"
        "import subprocess; subprocess.Popen = None\n"
        "import InteractiveRefineScene.dependencies\n"
        "sys.exit('torch' in sys.modules or 'PyTorchUtils' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, timeout=120)
    assert run.returncode == 0


def test_torch_is_tried_in_a_child_process_and_never_in_slicers_own(dependencies):
    report = dependencies.probeTorch()
    assert report.usable
    assert report.version.startswith("2.")


@pytest.mark.parametrize(
    "code, words",
    [
        ("import os; os.kill(os.getpid(), 11)", "code -11"),
        ("import sys; sys.exit('no DLL')", "no DLL"),
        ("import time; time.sleep(60)", "no answer within 1 s"),
    ],
)
def test_a_child_that_crashes_or_hangs_means_a_broken_torch(dependencies, monkeypatch, tmp_path, code, words):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(code)
    environment = dependencies.workerEnvironment()
    environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
    monkeypatch.setattr(dependencies, "workerEnvironment", lambda: environment)
    report = dependencies.probeTorch(timeout=1 if "sleep" in code else 60)
    assert report.state == "broken"
    assert words in report.detail


def test_an_interpreter_that_does_not_exist_means_a_broken_torch(dependencies):
    report = dependencies.probeTorch(python="no-such-python")
    assert report.state == "broken"
    assert "no-such-python" in report.detail


def test_every_state_is_explained_with_what_to_do(dependencies):
    explained = {
        state: dependencies.explain(TorchReport(state, "2.9", "12.6", "Some GPU", "sm_120", ("sm_80",), "words"))
        for state in STATES
    }
    assert len(set(explained.values())) == len(STATES)
    assert "drawing strokes and growing them works without" in explained["missing"]
    assert "(words)" in explained["broken"] and "Uninstall PyTorch" in explained["broken"]
    assert "Some GPU (sm_120) is not supported" in explained["gpu-too-new"] and "CPU" in explained["gpu-too-new"]
    assert explained["gpu"] == "PyTorch 2.9 works on the GPU Some GPU."
    assert not any("{" in text for text in explained.values())


@pytest.mark.parametrize(
    "release, passed",
    [
        ("2021-07", None),
        ("2021-11", False),
        ("2022-12", (False, "cpu")),
        ("2023-07", (False, "cpu", ">=2.4", None)),
        ("later", {"askConfirmation": False, "forceComputationBackend": "cpu", "torchVersionRequirement": ">=2.4"}),
    ],
)
def test_every_release_of_the_pytorch_extension_gets_the_arguments_it_knows(
    dependencies, extension, answers, release, passed
):
    returned = []

    def recording(*arguments, **options):
        returned.append(RELEASES[release](*arguments, **options))

    recording.__signature__ = inspect.signature(RELEASES[release])
    extension(recording)
    answers(TorchReport("cpu", "2.9"))
    assert dependencies.installTorch(askConfirmation=False, backend="cpu").usable
    assert returned == [passed]


def test_without_the_extension_the_user_is_told_where_to_get_it(dependencies, monkeypatch):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(dependencies.DependencyError, match="Extensions Manager.*install 'PyTorch'"):
        dependencies.installTorch()


def test_a_failed_installation_says_why(dependencies, extension):
    def fail():
        raise RuntimeError("no route to host")

    extension(fail)
    with pytest.raises(dependencies.DependencyError, match="no route to host"):
        dependencies.installTorch()


def test_a_torch_that_works_is_not_talked_about(dependencies, answers):
    shown = answers(TorchReport("cpu", "2.9"))
    assert dependencies.offerTorch() is True
    assert shown == []


def test_a_missing_torch_is_installed_when_the_user_agrees(dependencies, extension, answers):
    installed = []
    extension(lambda askConfirmation=True: installed.append(askConfirmation))
    shown = answers(TorchReport("missing"), TorchReport("cpu", "2.9"))
    assert dependencies.offerTorch() is True
    assert installed == [False], "asked twice"
    assert [kind for kind, _ in shown] == ["question"]


def test_nothing_is_installed_when_the_user_declines(dependencies, extension, answers):
    extension(lambda: pytest.fail("installed without consent"))
    shown = answers(TorchReport("missing"), agrees=False)
    assert dependencies.offerTorch() is False
    assert [kind for kind, _ in shown] == ["question"]


def test_a_failure_is_shown_and_does_not_escape_into_the_button(dependencies, answers, monkeypatch):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    shown = answers(TorchReport("missing"))
    assert dependencies.offerTorch() is False
    assert [kind for kind, _ in shown] == ["question", "error"]


def test_a_broken_torch_is_explained_and_not_installed_over(dependencies, extension, answers):
    extension(lambda: pytest.fail("installed over a broken one"))
    shown = answers(TorchReport("broken", detail="words"))
    assert dependencies.offerTorch() is False
    assert shown == [("warning", dependencies.explain(TorchReport("broken", detail="words")))]


def test_the_child_finds_the_library_wherever_it_lies(dependencies, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    environment = dependencies.workerEnvironment()
    run = subprocess.run(
        [dependencies.pythonExecutable(), "-c", "import InteractiveRefineLib as l; print(l.__version__)"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert str(tmp_path) in environment["PYTHONPATH"]


def test_pythonslicer_is_taken_from_the_path_that_slicers_launcher_sets(dependencies, tmp_path, monkeypatch):
    program = tmp_path / "PythonSlicer"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dependencies.pythonExecutable() == str(program)


def test_another_computers_program_does_not_get_slicers_variables(dependencies, monkeypatch):
    import slicer

    monkeypatch.setattr(slicer.util, "startupEnvironment", lambda: {"HOME": "home"}, raising=False)
    assert dependencies.workerEnvironment(ownPython=False) == {"HOME": "home"}
