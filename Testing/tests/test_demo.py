"""The demo as a user runs it: what it writes, what it prints, and that the numbers it prints are good ones."""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from InteractiveRefineLib.image_io import read_volume
from InteractiveRefineLib.segmentation_io import read_segmentation
from Testing import demo

ROOT = Path(__file__).resolve().parents[2]
FILES = ("phantom.nrrd", "initial.seg.nrrd", "strokes.nrrd", "refined.seg.nrrd", "preview.png")
LIVER, TUMOR, SPLEEN = 1, 2, 5


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The demo, run once: its folder, its outcome and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "new" / "demo output"
    outcomes, reports = [], []
    with pytest.MonkeyPatch.context() as patch:
        play = demo.play
        patch.setattr(demo, "play", lambda *args: outcomes.append(play(*args)) or outcomes[-1])
        patch.setattr("builtins.print", lambda text, **where: reports.append(text) if not where else None)
        code = demo.main(["--output", str(folder)])
    assert code == 0
    return folder, outcomes[0], "\n".join(reports)


@pytest.mark.slow
def test_the_files_are_there_and_fit_each_other(played):
    folder, outcome, _ = played
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)
    image = read_volume(folder / "phantom.nrrd")
    initial, strokes, refined = (read_segmentation(folder / name) for name in FILES[1:4])
    for other in (initial, strokes, refined):
        assert other.geometry.matches(image.geometry)
    assert [s.name for s in refined.segments] == list(demo._LABELS)
    drawn = strokes.labels != 0
    wanted = np.where(strokes.labels == 255, 0, strokes.labels)
    assert drawn.any() and np.array_equal(refined.labels[drawn], wanted[drawn])
    assert np.array_equal(refined.labels, outcome.result.labels)
    with Image.open(folder / "preview.png") as picture:
        assert picture.width > 800


@pytest.mark.slow
def test_every_stroke_is_obeyed_in_every_round(played):
    _, outcome, _ = played
    assert len(outcome.states) == 1 + demo.ROUNDS
    assert all(state.strokes >= 2 for state in outcome.states[1:])
    assert [state.violated for state in outcome.states] == [0] * 4


@pytest.mark.slow
def test_both_organs_gain_and_are_never_worse_than_at_the_start(played):
    _, outcome, _ = played
    assert len(outcome.corrected) == 2
    for label in outcome.corrected:
        course = [state.dice[label] for state in outcome.states]
        assert min(course) >= course[0]
        assert course[-1] > course[0] + 0.05


@pytest.mark.slow
def test_what_nobody_complained_about_is_left_alone(played):
    _, outcome, _ = played
    means = outcome.mean_of_others()
    assert min(means) >= means[0] - 0.01


@pytest.mark.slow
def test_the_printed_command_works(played):
    folder, outcome, report = played
    command = shlex.split(report.split("command line")[1].split(":\n", 1)[1].replace("\\\n", " "))
    assert "refine" in command
    run = subprocess.run(command, cwd=Path.cwd(), capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    by_hand = read_segmentation(folder / "by-hand.seg.nrrd").labels
    strokes = outcome.result.strokes
    assert np.array_equal(by_hand[strokes != 0] % 255, strokes[strokes != 0] % 255)
    assert (folder / "by-hand.png").is_file()
    for name in ("by-hand.seg.nrrd", "by-hand.png"):
        (folder / name).unlink()


def test_the_table_shows_every_class_and_round():
    dice = {label: 0.5 + label / 100 for label in demo._LABELS.values()}
    better = {**dice, LIVER: 0.9}
    outcome = demo.Outcome([LIVER, SPLEEN], [demo.State(dice), demo.State(better, 3, 0, 7, 1.25)])
    rows = {line[:34].strip(): line[34:].split() for line in demo.table(outcome).splitlines()}
    assert rows["liver"] == ["0.510", "0.900"]
    assert rows["mean of these"] == ["0.538", "0.538"]
    assert set(demo._LABELS) <= set(rows)
    assert rows["Strokes drawn"] == ["3"] and rows["Stroke voxels not obeyed"] == ["0"]
    assert rows["Voxels damaged beyond 30 mm"] == ["7"]


def test_the_worst_two_are_organs():
    dice = dict.fromkeys(demo._LABELS.values(), 0.9) | {TUMOR: 0.1, SPLEEN: 0.5, LIVER: 0.6}
    assert demo.worst_organs(dice) == [LIVER, SPLEEN]


def test_strokes_are_about_the_two_organs_only():
    truth, labels = np.zeros((2, 3, 12, 12), dtype=np.uint16)
    truth[1, 1:4, 1:11] = LIVER  # missed
    labels[1, 5:7, 1:11] = SPLEEN  # false
    labels[1, 8:11, 1:11] = TUMOR  # false too, and larger, but nobody complained
    strokes = demo.draw_strokes(truth, labels, [LIVER, SPLEEN])
    assert set(np.unique(strokes[1, 1:4])) == {0, LIVER}
    assert set(np.unique(strokes[1, 5:7])) == {0, 255}
    assert not strokes[1, 8:].any()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert demo.main(["--output", str(tmp_path / "file" / "below")]) == 2
    assert capsys.readouterr().err.startswith("demo: error: ")


@pytest.mark.slow
def test_it_runs_as_the_makefile_runs_it():
    run = subprocess.run([sys.executable, "-m", "Testing.demo", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0 and "--output" in run.stdout
