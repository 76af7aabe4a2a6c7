"""What the commands do: strokes in, corrected segmentation, report and picture out."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from cli_examples import (
    LIVER,
    LPS,
    SHAPE,
    SPLEEN,
    Thresholds,
    errors_of,
    strokes,
    truth,
    write_backbone,
    write_labels,
    write_scan,
)

from InteractiveRefineLib.cli import common
from InteractiveRefineLib.cli.main import main
from InteractiveRefineLib.phantom import make_phantom
from InteractiveRefineLib.segmentation import Segment
from InteractiveRefineLib.segmentation_io import read_segmentation, write_segmentation

pytest_plugins = ["cli_examples"]

ROOT = Path(__file__).resolve().parents[2]


def test_refine_obeys_every_stroke_and_writes_what_slicer_reads(refine_in, folder, capsys):
    assert refine_in() == 0
    out = read_segmentation(folder / "out.seg.nrrd")
    assert [s.name for s in out.segments] == ["liver", "spleen"]
    drawn = strokes()
    assert (out.labels[drawn == LIVER.label] == LIVER.label).all()
    assert (out.labels[drawn == 255] == 0).all()
    assert (out.labels[truth() == SPLEEN.label] == SPLEEN.label).mean() > 0.98, "nobody complained about the spleen"
    printed = capsys.readouterr().out
    assert "liver: +" in printed and "Wrote out.seg.nrrd" in printed


def test_two_runs_write_the_same_bytes(refine_in, folder):
    assert refine_in("--preview", "a.png", output="a.seg.nrrd") == 0
    assert refine_in("--preview", "b.png", output="b.seg.nrrd") == 0
    assert (folder / "a.seg.nrrd").read_bytes() == (folder / "b.seg.nrrd").read_bytes()
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


def test_the_report_tells_everything_but_the_voxels(refine_in, folder):
    assert refine_in("--report", "report.json", "--seed", "3") == 0
    report = json.loads((folder / "report.json").read_text())
    assert report["violated_strokes"] == 0
    assert report["seed"] == 3 and report["settings"]["seed"] == 3
    assert report["inputs"]["image"] == "image.nrrd" and report["inputs"]["scribbles"] == "strokes.nrrd"
    assert report["shape_kji"] == list(SHAPE)
    assert {"changes", "timings", "versions", "loss_curve", "warnings", "changed_box"} <= report.keys()
    assert not {"labels", "previous", "strokes", "grown"} & report.keys()
    low, high = np.transpose(report["changed_box"])
    assert (low >= 0).all() and (high <= SHAPE).all()


def test_strokes_with_segment_names_mean_those_classes_whatever_their_numbers(refine_in, folder):
    assert refine_in(output="number.seg.nrrd") == 0
    drawn = strokes()
    labels = np.where(drawn == LIVER.label, 7, np.where(drawn == 255, 4, 0)).astype(np.uint16)
    segments = [Segment("Background", 4), Segment("LIVER", 7), Segment("an empty one", 9)]
    write_labels(folder / "named.seg.nrrd", labels, segments=segments)
    assert refine_in(scribbles="named.seg.nrrd", output="name.seg.nrrd") == 0
    assert (folder / "name.seg.nrrd").read_bytes() == (folder / "number.seg.nrrd").read_bytes()


def test_strokes_that_slicer_cropped_lie_where_they_were_drawn(refine_in, folder):
    assert refine_in(output="whole.seg.nrrd") == 0
    offset = np.eye(4)
    offset[:3, 3] = 8, 1, 6
    write_labels(folder / "crop.nrrd", strokes()[6:12, 1:16, 8:20], LPS @ offset)
    assert refine_in(scribbles="crop.nrrd", output="crop.seg.nrrd") == 0
    assert (folder / "crop.seg.nrrd").read_bytes() == (folder / "whole.seg.nrrd").read_bytes()


def test_strokes_beyond_the_image_are_counted(refine_in, folder, capsys):
    offset = np.eye(4)
    offset[:3, 3] = 0, 0, -2
    larger = np.zeros((SHAPE[0] + 2, *SHAPE[1:]), dtype=np.uint16)
    larger[2:] = strokes()
    larger[0, 0, :5] = 1
    write_labels(folder / "larger.nrrd", larger, LPS @ offset)
    assert refine_in(scribbles="larger.nrrd") == 0
    assert any("5 stroke voxels lie outside the image and were ignored" in line for line in errors_of(capsys))


def test_manual_edits_and_foreign_segments_in_current_survive(refine_in, folder):
    labels = truth()
    labels[:, :, 12:17][labels[:, :, 12:17] == LIVER.label] = 0
    labels[1, 1, 1:4] = 3
    segments = [SPLEEN, LIVER, Segment("clip", 3, (1.0, 1.0, 0.0), id="made-by-hand", tags={"note": "kept"})]
    write_labels(folder / "current.seg.nrrd", labels, segments=segments)
    assert refine_in("--current", "current.seg.nrrd") == 0
    out = read_segmentation(folder / "out.seg.nrrd")
    clip = out.segment_named("clip")
    assert clip.id == "made-by-hand" and clip.tags["note"] == "kept"
    assert (out.labels[1, 1, 1:4] == clip.label).all()


def test_a_locked_class_keeps_every_voxel(refine_in, folder):
    write_labels(folder / "current.seg.nrrd", truth(), segments=[LIVER, SPLEEN])
    assert refine_in("--current", "current.seg.nrrd", "--lock", "Spleen") == 0
    out = read_segmentation(folder / "out.seg.nrrd")
    spleen = out.segment_named("spleen").label
    assert np.array_equal(out.labels == spleen, truth() == SPLEEN.label)


def test_locks_and_new_classes_may_be_named_one_by_one_and_none_is_forgotten(refine_in, folder):
    write_labels(folder / "current.seg.nrrd", truth(), segments=[LIVER, SPLEEN])
    strokes = np.zeros(SHAPE, dtype=np.uint16)
    strokes[8, 2, 10:16] = 255
    strokes[8, 0, 10:16] = 4
    write_labels(folder / "few.nrrd", strokes)
    options = ("--lock", "spleen", "--lock", "liver", "--add-class", "cyst", "--add-class", "stone")
    assert refine_in("--current", "current.seg.nrrd", *options, scribbles="few.nrrd") == 0
    out = read_segmentation(folder / "out.seg.nrrd")
    for name, label in (("spleen", SPLEEN.label), ("liver", LIVER.label)):
        assert np.array_equal(out.labels == out.segment_named(name).label, truth() == label)
    assert (out.labels == out.segment_named("stone").label).any()


def test_a_new_class_grows_from_its_strokes(refine_in, folder):
    drawn = np.zeros(SHAPE, dtype=np.uint16)
    drawn[8, 10:16, 24], drawn[8, 2, 10:16] = 3, 255
    write_labels(folder / "new.nrrd", drawn)
    assert refine_in("--add-class", "cyst", "--max-distance-mm", "6", scribbles="new.nrrd") == 0
    out = read_segmentation(folder / "out.seg.nrrd")
    cyst = out.segment_named("cyst")
    assert (out.labels == cyst.label).sum() > 6


def test_points_and_boxes_correct_without_strokes(refine_in, folder):
    to_ras = np.array([[-2.0, 0, 0], [0, -2.0, 0], [0, 0, 3.0]])
    point = (to_ras @ [14, 12, 8]).tolist()
    corners = [(to_ras @ corner).tolist() for corner in ([3, 4, 4], [16, 19, 11])]
    (folder / "p.json").write_text(json.dumps({"points": [{"ras": point, "label": "liver", "radius_mm": 3}]}))
    (folder / "b.json").write_text(json.dumps({"boxes": [{"corners": corners, "label": "liver"}]}))
    assert refine_in("--points", "p.json", "--boxes", "b.json", scribbles=None) == 0
    assert read_segmentation(folder / "out.seg.nrrd").labels[8, 12, 14] == LIVER.label


def test_predict_writes_the_networks_own_answer(folder, capsys):
    words = ["--image", str(folder / "image.nrrd"), "--backbone", str(folder / "backbone")]
    assert main(["predict", *words, "--output", str(folder / "p.seg.nrrd")]) == 0
    out = read_segmentation(folder / "p.seg.nrrd")
    assert (out.labels[truth() == SPLEEN.label] == SPLEEN.label).mean() > 0.98
    assert (out.labels[:, :, 13:16] == 0).all(), "the dark part of the liver is what the network misses"
    assert "spleen: " in capsys.readouterr().out


def test_without_a_backbone_the_shipped_one_is_used(capsys):
    assert main(["check-backbone"]) == 0
    printed = capsys.readouterr().out
    assert "liver" in printed and "PhantomAbdomen" in printed


def test_the_shipped_network_segments_a_phantom_and_its_mistake_is_corrected(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    image, truth_ = make_phantom(seed=7001)
    write_scan("ct.nrrd", image)
    assert main(["predict", "--image", "ct.nrrd", "--output", "before.seg.nrrd"]) == 0
    before = read_segmentation("before.seg.nrrd")
    liver = truth_.segment_named("liver").label
    missed = np.argwhere((truth_.labels == liver) & (before.labels != liver))[:20]
    drawn = np.zeros(truth_.labels.shape, dtype=np.uint16)
    drawn[tuple(missed.T)] = liver
    write_labels("strokes.nrrd", drawn, image.ijk_to_ras)
    words = ["--image", "ct.nrrd", "--current", "before.seg.nrrd", "--scribbles", "strokes.nrrd", "--lock", "spleen"]
    assert main(["refine", *words, "--output", "after.seg.nrrd", "--preview", "after.png"]) == 0
    after = read_segmentation("after.seg.nrrd")
    assert len(missed) and (after.labels[tuple(missed.T)] == liver).all()
    spleen = before.segment_named("spleen").label
    assert np.array_equal(after.labels == spleen, before.labels == spleen)
    assert Path("after.png").stat().st_size > 10_000


def test_check_backbone_runs_the_network_because_only_that_shows_what_it_returns(folder, capsys):
    assert main(["check-backbone", str(folder / "backbone")]) == 0
    assert "on 32 x 32 x 32 voxels (I, J, K)" in capsys.readouterr().out
    write_backbone(folder / "flat", Thresholds(dimensions=2), dimensions=2, divisible_by=24)
    assert main(["check-backbone", str(folder / "flat")]) == 0
    assert "on 48 x 48 x 1 voxels (I, J, K)" in capsys.readouterr().out
    write_backbone(folder / "wrong", Thresholds(n_outputs=2))
    assert main(["check-backbone", str(folder / "wrong")]) == 2
    assert "has 2 output channels, but backbone.json names 3 classes" in capsys.readouterr().err


def test_check_backbone_shows_the_expected_folder(folder, capsys):
    (folder / "backbone" / "model.ts").unlink()
    assert main(["check-backbone", str(folder / "backbone")]) == 2
    text = capsys.readouterr().err
    assert "backbone has no model.ts" in text and "Expected folder:\n  my-backbone/\n    backbone.json" in text


def test_grow_enlarges_strokes_and_its_output_can_be_used_as_strokes(folder, capsys):
    words = ["--image", str(folder / "image.nrrd"), "--scribbles", str(folder / "strokes.nrrd")]
    assert main(["grow", *words, "--threshold", "30", "--output", str(folder / "g.seg.nrrd")]) == 0
    out = read_segmentation(folder / "g.seg.nrrd")
    assert (out.labels == 1).sum() > 100
    assert (out.labels[strokes() == 255] == 255).all()
    assert [s.name for s in out.segments] == ["Segment_1", "background"]
    assert "3 stroke voxels" in capsys.readouterr().out


def test_every_format_that_is_offered_can_be_written(tmp_path, folder):
    for ending in common.OUTPUT_ENDINGS:
        common.check_segmentation_name("x" + ending.upper())
        write_segmentation(read_segmentation(folder / "strokes.nrrd"), tmp_path / ("x" + ending))


def test_the_installed_program_works_as_a_process(folder):
    command = [sys.executable, "-m", "InteractiveRefineLib.cli.main", "predict", "--image", str(folder / "image.nrrd")]
    command += ["--backbone", str(folder / "backbone"), "--output", str(folder / "p.nii.gz")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert (folder / "p.nii.gz").exists()
    assert "Traceback" not in run.stderr
