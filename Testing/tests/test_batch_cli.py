"""The command `batch`: what it says, its exit codes, its progress, and Ctrl+C."""

import os
import signal

import pytest

pytest.importorskip("torch")

from batch_examples import CASE_FILES, a_row, files_of, write_manifest  # noqa: E402
from cli_examples import errors_of  # noqa: E402

from InteractiveRefineLib.batch import run as run_module  # noqa: E402
from InteractiveRefineLib.batch.outcome import FINISHED, Outcome  # noqa: E402
from InteractiveRefineLib.cli import batch  # noqa: E402
from InteractiveRefineLib.cli.main import build_parser, main  # noqa: E402

pytest_plugins = ["batch_examples"]


@pytest.fixture
def batch_in(inputs, monkeypatch, one_thread):
    """Run `batch` on rows in the folder of the inputs; returns the exit code."""
    monkeypatch.chdir(inputs)

    def run(*rows, options=()):
        write_manifest(inputs / "cases.csv", rows)
        return main(["batch", "cases.csv", "--output", "out", *options])

    return run


def test_help_explains_and_ends_with_an_example_that_parses(capsys):
    assert main(["batch", "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example:\n  interactive-refine batch" in text and "Exit code 5" in text
    assert build_parser().parse_args(batch.EXAMPLE.split()[1:]).run is batch.run


def test_all_finished_is_code_0(batch_in, inputs, capsys):
    assert batch_in(a_row("a"), a_row("b"), options=["--preview"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"2 of 2 cases finished; see {inputs / 'out' / 'summary.md'}\n"
    assert "case 2 of 2" in printed.err
    assert files_of(inputs / "out", "a") == sorted([*CASE_FILES, "preview.png"])


def test_some_failed_is_code_5_and_names_them(batch_in, inputs, capsys):
    assert batch_in(a_row("a"), a_row("b", strokes="wrong.nrrd")) == 5
    lines = errors_of(capsys)
    assert lines[0].startswith("interactive-refine: warning: b failed: Label 9 is not a class")
    assert lines[1] == "interactive-refine: error: No result for 1 of 2 cases."
    assert batch_in(a_row("a"), a_row("b"), options=["--resume"]) == 0


def test_a_bad_manifest_is_code_2_and_all_problems_are_shown(batch_in, inputs, capsys):
    assert batch_in(a_row("a", strokes="s"), a_row("a/b"), options=["--check"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "interactive-refine: error: cases.csv cannot be used: 2 problems. Nothing was computed."
    assert lines[1].startswith("  row 2, column strokes: there is no ") and lines[2].startswith("  row 3, column case:")
    assert not (inputs / "out").exists()


def test_check_computes_nothing(batch_in, inputs, capsys):
    assert batch_in(a_row("a"), a_row("b"), options=["--check"]) == 0
    assert capsys.readouterr().out == "cases.csv: 2 cases, no problem found\n"
    assert not (inputs / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "0"], "at least one worker"),
        (["--resources", "GPU"], "--resources takes NAME=NUMBER such as GPU=1, not 'GPU'"),
        (["--settings", '{"sed": 1}'], "Did you mean 'seed'?"),
        (["--scheduler", "tcp://x:1", "--workers", "2"], "give either its address or a number of workers"),
        (["--output", "cases.csv/x"], "cannot be written"),
    ],
)
def test_options_that_cannot_be_are_code_2(batch_in, options, message, capsys):
    assert batch_in(a_row("a"), options=options) == 2
    assert message in capsys.readouterr().err


def test_settings_and_network_of_all_cases_come_from_options(batch_in, inputs):
    options = ["--backbone", "backbone", "--settings", '{"seed": 7}']
    assert batch_in(a_row("a", backbone=None), options=options) == 0
    assert '"seed": 7' in (inputs / "out" / "a" / "report.json").read_text()


def test_ctrl_c_is_code_3_and_says_how_to_go_on(batch_in, inputs, monkeypatch, capsys):
    real = run_module.BatchFolder.record

    def record(self, outcome):
        real(self, outcome)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(run_module.BatchFolder, "record", record)
    assert batch_in(a_row("a"), a_row("b")) == 3
    assert errors_of(capsys)[-1].endswith("Cancelled: 1 case left; go on with --resume.")
    assert "* b" in (inputs / "out" / "summary.md").read_text()
    assert sorted(p.name for p in (inputs / "out" / "_batch").iterdir()) == ["journal.jsonl", "lock"]


def test_a_scheduler_without_encryption_is_warned_of(batch_in, monkeypatch, capsys):
    from InteractiveRefineLib.batch import on_dask

    def nobody(*arguments, **options):
        yield from ()

    monkeypatch.setattr(on_dask, "run_on_dask", nobody)
    for address, warned in (("tcp://head:8786", True), ("tls://head:8786", False), ("tcp://127.0.0.1:8786", False)):
        assert batch_in(a_row("a"), options=["--scheduler", address]) == 5
        assert ("without TLS" in capsys.readouterr().err) is warned


def test_the_time_left_follows_from_the_cases_that_were_computed():
    bar = batch.CaseBar(workers=2)
    assert bar.time_left(10) == ""
    for seconds, reused in ((10.0, False), (0.1, True), (20.0, False)):
        bar.on_case(Outcome("a", FINISHED, reused, seconds=seconds), 1, 100)
    assert bar.time_left(10) == "about 75 s left"
    assert bar.time_left(100) == "about 12 min left"
    assert bar.time_left(10_000) == "about 20.8 h left"
    assert bar.time_left(0) == ""


def test_on_a_terminal_there_is_a_bar_over_the_cases(monkeypatch, capsys):
    monkeypatch.setattr(batch.sys.stderr, "isatty", lambda: True, raising=False)
    with batch.CaseBar(1) as bar:
        bar.on_step(1, 3, "Running the network")
        bar.on_case(Outcome("a", FINISHED, seconds=60.0), 3, 13)
    shown = capsys.readouterr().err
    assert "Running the network" in shown and "case 3 of 13" in shown and "about 10 min left" in shown
