"""What the command line says, and the exit code that it returns."""

import os
import signal
import sys

import pytest
from cli_examples import errors_of

from InteractiveRefineLib.cli import bar, check_backbone, grow, interrupt, predict, refine
from InteractiveRefineLib.cli.main import build_parser, main
from InteractiveRefineLib.errors import Cancelled

pytest_plugins = ["cli_examples"]


@pytest.mark.parametrize("module", [predict, grow, refine, check_backbone], ids=lambda m: m.NAME)
def test_help_explains_and_ends_with_an_example_that_parses(module, capsys):
    assert main([module.NAME, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example:\n  interactive-refine {module.NAME}" in text
    words = module.EXAMPLE.replace("\\\n", " ").split()
    assert build_parser().parse_args(words[1:]).run is module.run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["refine", "--image", "x"], "the following arguments are required: --output"),
        (["predict", "--image", "x", "--output", "y", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["refine", "--image", "x", "--output", "y", "--layers", "two"], "argument --layers: invalid int value: 'two'"),
    ],
)
def test_wrong_options_are_one_line_and_code_2(words, message, capsys):
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and "--help" in line


def test_cancelling_is_code_3_and_leaves_no_output(refine_in, folder, monkeypatch, capsys):
    asked = iter([False] * 3)
    monkeypatch.setattr(refine, "interrupt_requested", lambda: next(asked, True))
    assert refine_in() == 3
    assert "Cancelled: the previous segmentation is unchanged." in errors_of(capsys)[-1]
    assert not (folder / "out.seg.nrrd").exists()


def test_first_ctrl_c_asks_and_second_stops(monkeypatch, capsys):
    def run(args):
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.interrupt_requested()
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second Ctrl+C did nothing")

    monkeypatch.setattr(check_backbone, "run", run)
    before = signal.getsignal(signal.SIGINT)
    assert main(["check-backbone"]) == 3
    assert signal.getsignal(signal.SIGINT) is before
    assert "Cancelled" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MemoryError(), 4, "Out of memory. Close other programs, or use a smaller image."),
        (RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"), 4, "Out of memory."),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), 4, "Out of memory."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 4, "Out of memory."),
        (Cancelled("Cancelled: as you wished."), 3, "Cancelled: as you wished."),
        (KeyError("k"), 1, "Unexpected KeyError: 'k'. Run it again with --debug to see where."),
    ],
)
def test_every_failure_has_one_line_and_its_own_code(error, code, message, monkeypatch, capsys):
    def run(args):
        raise error

    monkeypatch.setattr(check_backbone, "run", run)
    assert main(["check-backbone"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("interactive-refine: error: " + message)


def test_debug_shows_where_an_error_arose(folder, capsys):
    assert main(["check-backbone", str(folder / "missing"), "--debug"]) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_progress_in_a_log_is_a_line_for_every_stage_and_not_for_every_step(capsys):
    with bar.ProgressReport() as report:
        for step in range(50):
            report(step, 50, f"Tuning, loss {1 / (step + 1):.3f}")
        report(0, 2, "Decoding")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["Tuning, loss 1.000: step 0 of 50", "Decoding: step 0 of 2"]


def test_progress_on_a_terminal_is_one_bar_that_disappears(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with bar.ProgressReport() as report:
        report(7, 30, "Tuning")
    text = capsys.readouterr().err
    assert "Tuning: step 7 of 30" in text
    assert text.endswith("\r")
