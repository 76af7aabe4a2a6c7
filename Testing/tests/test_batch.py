"""A batch finishes every case it can, at once or not at all, and never does finished work again."""

import csv
import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from batch_examples import CASE_FILES, a_row, bytes_of, files_of, touch, write_manifest  # noqa: E402
from cli_examples import LIVER, SPLEEN, Thresholds, truth, write_backbone, write_labels  # noqa: E402

from InteractiveRefineLib.batch import ManifestError, refine_folder, run_batch  # noqa: E402
from InteractiveRefineLib.batch import compute as compute_module  # noqa: E402
from InteractiveRefineLib.batch import serial as serial_module  # noqa: E402
from InteractiveRefineLib.batch.case import Case, in_computing_order  # noqa: E402
from InteractiveRefineLib.batch.networks import NetworkKeeper  # noqa: E402
from InteractiveRefineLib.batch.store import BatchFolder  # noqa: E402
from InteractiveRefineLib.cli.main import main  # noqa: E402
from InteractiveRefineLib.errors import Cancelled, InputError  # noqa: E402
from InteractiveRefineLib.segmentation_io import read_segmentation  # noqa: E402

pytest_plugins = ["batch_examples"]


def statuses(result):
    return {o.name: "kept" if o.reused else o.status for o in result.outcomes}


def test_a_case_is_refined_exactly_as_the_command_refine_does_it(batch_of, inputs, monkeypatch):
    row = a_row(current="truth.seg.nrrd", locks="spleen", not_strokes="not.nrrd", settings='{"seed": 3}')
    result = batch_of(row, preview=True)
    assert statuses(result) == {"a": "finished"} and result.left == () and result.notes == ()
    monkeypatch.chdir(inputs)
    words = "--image image.nrrd --backbone backbone --scribbles strokes.nrrd --not-scribbles not.nrrd --lock spleen"
    words += " --current truth.seg.nrrd --seed 3 --output one.seg.nrrd --preview one.png --report one.json"
    assert main(["refine", *words.split()]) == 0
    out = inputs.parent / "out" / "a"
    assert (out / "refined.seg.nrrd").read_bytes() == Path("one.seg.nrrd").read_bytes()
    assert (out / "preview.png").read_bytes() == Path("one.png").read_bytes()
    ours, theirs = (json.loads(Path(p).read_text()) for p in (out / "report.json", "one.json"))
    assert {k: v for k, v in ours.items() if k in theirs and k != "inputs"} == {
        k: v for k, v in theirs.items() if k not in ("inputs", "timings")
    }
    assert ours["violated_strokes"] == 0


def test_two_runs_write_the_same_bytes_except_for_timings(batch_of, inputs):
    rows = [a_row("b", image="other.nrrd", truth="truth.seg.nrrd"), a_row("a"), a_row("c", strokes="wrong.nrrd")]
    for name in ("one", "two"):
        batch_of(*rows, output=inputs.parent / name, preview=True)
    one, two = bytes_of(inputs.parent / "one"), bytes_of(inputs.parent / "two")
    assert one == two
    assert {"a/report.json", "a/log.txt", "a/preview.png", "b/refined.seg.nrrd", "summary.csv", "summary.md"} < set(one)
    assert not (inputs.parent / "one" / "c").exists()


def test_prompts_of_several_files_and_a_new_class_are_obeyed(batch_of, inputs):
    to_ras = np.array([[-2.0, 0, 0], [0, -2.0, 0], [0, 0, 3.0]])
    points = [{"ras": (to_ras @ [14, 12, 8]).tolist(), "label": "liver", "radius_mm": 3}]
    points += [{"ras": (to_ras @ [24, 12, 8]).tolist(), "label": "cyst"}]
    box = {"corners": [(to_ras @ corner).tolist() for corner in ([3, 4, 4], [16, 19, 11])], "label": "liver"}
    (inputs / "p.json").write_text(json.dumps({"points": points}))
    (inputs / "b.json").write_text(json.dumps({"boxes": [box]}))
    batch_of(a_row(strokes=None, prompts="p.json;b.json", new_classes="cyst"))
    out = read_segmentation(inputs.parent / "out" / "a" / "refined.seg.nrrd")
    assert out.labels[8, 12, 14] == LIVER.label and out.labels[8, 12, 24] == out.segment_named("cyst").label


def test_prompts_that_hold_neither_points_nor_boxes_are_the_cases_failure(batch_of, inputs):
    (inputs / "p.json").write_text('{"pionts": []}')
    result = batch_of(a_row(strokes=None, prompts="p.json"))
    assert "has neither points nor boxes" in result.failed[0].reason


def test_a_case_without_any_mark_is_the_networks_own_answer(batch_of, inputs):
    assert batch_of(a_row(strokes=None)).failed == ()
    words = ["--image", inputs / "image.nrrd", "--backbone", inputs / "backbone", "--output", inputs / "p.seg.nrrd"]
    assert main(["predict", *map(str, words)]) == 0
    assert (inputs.parent / "out/a/refined.seg.nrrd").read_bytes() == (inputs / "p.seg.nrrd").read_bytes()


def test_dice_is_told_by_class_before_and_after(batch_of, inputs):
    write_labels(inputs / "plain.nrrd", truth())
    network = a_row("network", truth="truth.seg.nrrd", strokes=None)
    batch_of(a_row("named", truth="truth.seg.nrrd"), a_row("plain", truth="plain.nrrd"), a_row("none"), network)
    rows = list(csv.DictReader((inputs.parent / "out" / "summary.csv").open(encoding="utf-8")))
    out = read_segmentation(inputs.parent / "out" / "named" / "refined.seg.nrrd").labels
    mask = truth() == LIVER.label
    expected = 2 * np.count_nonzero((out == 1) & mask) / (np.count_nonzero(out == 1) + np.count_nonzero(mask))
    assert rows[0]["Dice after, liver"] == rows[1]["Dice after, liver"] == f"{expected:.4f}"
    assert rows[0]["Dice before, liver"] == rows[3]["Dice before, liver"] == rows[3]["Dice after, liver"]
    assert float(rows[0]["Dice before, liver"]) < expected - 1e-4 and rows[0]["Dice after, spleen"] == "1.0000"
    assert rows[2]["Dice after, liver"] == "" and rows[2]["status"] == "finished"
    page = (inputs.parent / "out" / "summary.md").read_text()
    assert f"| liver | 3 | {rows[0]['Dice before, liver']} |" in page
    assert "Stroke voxels: 27, of which not obeyed: 0." in page


def test_a_failed_case_stops_nobody_and_is_listed_with_its_reason(batch_of, inputs):
    (inputs / "damaged.nrrd").write_bytes((inputs / "image.nrrd").read_bytes()[:-2000])
    rows = [a_row("bad", strokes="wrong.nrrd"), a_row("broken", image="damaged.nrrd"), a_row("good")]
    result = batch_of(*rows)
    assert statuses(result) == {"bad": "failed", "broken": "failed", "good": "finished"}
    out = inputs.parent / "out"
    assert files_of(out, "good") == CASE_FILES
    assert sorted(p.name for p in out.iterdir()) == ["_batch", "good", "summary.csv", "summary.md", "timings.csv"]
    reasons = {o.name: o.reason for o in result.failed}
    assert "Label 9 is not a class" in reasons["bad"] and "damaged.nrrd" in reasons["broken"]
    page = (out / "summary.md").read_text()
    assert "| 3 | 1 | 2 | 0 |" in page and f"| bad | {reasons['bad']} |" in page
    assert (out / "_batch" / "failed" / "bad.txt").read_text().startswith(reasons["bad"])
    assert str(result).startswith("1 of 3 cases finished, 2 failed;")


def test_an_unexpected_error_is_kept_with_its_place_in_the_program(batch_of, inputs, monkeypatch):
    real = compute_module.read_strokes

    def read(path, *more):
        if "more" in str(path):
            raise ZeroDivisionError("by\nchance")
        return real(path, *more)

    monkeypatch.setattr(compute_module, "read_strokes", read)
    result = batch_of(a_row("a", strokes="more.nrrd"), a_row("b"))
    assert statuses(result) == {"a": "failed", "b": "finished"}
    assert result.failed[0].reason == "Unexpected ZeroDivisionError: by"
    assert "Traceback" in (inputs.parent / "out/_batch/failed/a.txt").read_text()
    monkeypatch.undo()
    batch_of(a_row("a", strokes="more.nrrd"), a_row("b"), resume=True)
    assert not (inputs.parent / "out/_batch/failed/a.txt").exists(), "it is finished now"


@pytest.mark.parametrize("place", ["refined.seg.nrrd", "report.json", "rename"])
def test_a_full_disk_fails_one_case_and_leaves_nothing_of_it(batch_of, inputs, monkeypatch, place):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def failing(real, meant):
        def call(*arguments, **options):
            if meant(*arguments):
                raise full
            return real(*arguments, **options)

        return call

    if place == "rename":
        monkeypatch.setattr(os, "rename", failing(os.rename, lambda work, final: Path(final).name == "b"))
    else:
        write = "write_segmentation" if place.endswith("nrrd") else "_write_texts"
        meant = (lambda s, path: "/b-" in str(path)) if place.endswith("nrrd") else (lambda case, *_: case.name == "b")
        monkeypatch.setattr(compute_module, write, failing(getattr(compute_module, write), meant))
    prepared = []
    rows = [a_row("a"), a_row("b"), a_row("c")]
    result = batch_of(*rows, on_case=lambda *_: prepared.append(list((inputs.parent / "out").glob("_batch/run-*/*"))))
    assert prepared == [[], [], []], "half a case would go on filling the disk"
    assert statuses(result) == {"a": "finished", "b": "failed", "c": "finished"}
    assert "The disk is full" in result.failed[0].reason and "Free some space" in result.failed[0].reason
    out = inputs.parent / "out"
    assert not (out / "b").exists() and sorted(p.name for p in (out / "_batch").iterdir()) == [
        "failed",
        "journal.jsonl",
        "lock",
    ]


def test_resume_skips_finished_cases_whatever_the_times_of_their_files(batch_of, inputs):
    rows = [a_row("a", truth="truth.seg.nrrd"), a_row("b", strokes="more.nrrd")]
    batch_of(*rows)
    before = bytes_of(inputs.parent / "out", but=())
    for path in inputs.rglob("*"):
        touch(path)
    result = batch_of(*rows, resume=True)
    assert statuses(result) == {"a": "kept", "b": "kept"} and "(2 of them before)" in str(result)
    after = bytes_of(inputs.parent / "out", but=())
    assert {k: v for k, v in after.items() if k != "timings.csv"} == {
        k: v for k, v in before.items() if k != "timings.csv"
    }, "a summary of kept cases says what it said"


def changed_strokes(inputs, row):
    shutil.copy(inputs / "more.nrrd", inputs / "strokes.nrrd")


def changed_network(inputs, row):
    network = Thresholds()
    network.head.bias.data += 0.5
    write_backbone(inputs / "backbone", network)


def changed_image_file(inputs, row):
    shutil.copy(inputs / "other.nrrd", inputs / "image.nrrd")


def changed_current(inputs, row):
    labels = truth()
    labels[0, 0, 0] = 1
    write_labels(inputs / "truth.seg.nrrd", labels, segments=[LIVER, SPLEEN])


@pytest.mark.parametrize(
    "change",
    [
        changed_strokes,
        changed_network,
        changed_image_file,
        changed_current,
        lambda inputs, row: row.update(settings='{"seed": 1}'),
        lambda inputs, row: row.update(locks="spleen"),
        lambda inputs, row: row.update({"new-classes": "cyst"}),
        lambda inputs, row: row.update({"not-strokes": "not.nrrd"}),
    ],
    ids=["strokes", "network", "image", "current", "settings", "locks", "new-classes", "not-strokes"],
)
def test_resume_computes_again_what_was_changed(batch_of, inputs, change):
    row = a_row("a", current="truth.seg.nrrd")
    batch_of(row)
    change(inputs, row)
    assert statuses(batch_of(row, resume=True)) == {"a": "finished"}
    assert statuses(batch_of(row, resume=True)) == {"a": "kept"}
    assert files_of(inputs.parent / "out", "a") == CASE_FILES


def test_resume_computes_again_for_another_version_of_the_program_and_for_a_preview(batch_of, inputs, monkeypatch):
    from InteractiveRefineLib.batch import fingerprint

    batch_of(a_row())
    assert statuses(batch_of(a_row(), resume=True, preview=True)) == {"a": "finished"}
    assert files_of(inputs.parent / "out", "a") == sorted([*CASE_FILES, "preview.png"])
    monkeypatch.setattr(fingerprint, "__version__", "99.0.0")
    assert statuses(batch_of(a_row(), resume=True, preview=True)) == {"a": "finished"}


def test_settings_that_only_spell_out_the_defaults_are_no_change(batch_of):
    batch_of(a_row(locks="spleen;liver"))
    again = batch_of(a_row(settings='{"seed": 0, "alpha": 0.1}', locks="Liver; spleen"), resume=True)
    assert statuses(again) == {"a": "kept"}


@pytest.mark.parametrize("damage", [b"", b"null", b"\xff\xfe", b'{"outputs": {}}'])
def test_a_damaged_report_means_that_the_case_is_computed_again(batch_of, inputs, damage):
    batch_of(a_row())
    report = inputs.parent / "out" / "a" / "report.json"
    good = report.read_bytes()
    report.write_bytes(damage)
    assert statuses(batch_of(a_row(), resume=True)) == {"a": "finished"}
    assert report.read_bytes() == good


def test_a_result_that_is_missing_is_computed_again(batch_of, inputs):
    batch_of(a_row())
    (inputs.parent / "out" / "a" / "refined.seg.nrrd").unlink()
    assert statuses(batch_of(a_row(), resume=True)) == {"a": "finished"}
    assert files_of(inputs.parent / "out", "a") == CASE_FILES


def test_results_that_were_edited_by_hand_are_left_alone_and_said_so(batch_of, inputs):
    batch_of(a_row())
    edited = inputs.parent / "out" / "a" / "refined.seg.nrrd"
    edited.write_bytes(b"by hand")
    result = batch_of(a_row(), resume=True)
    assert statuses(result) == {"a": "kept"} and edited.read_bytes() == b"by hand"
    assert result.notes == (f"{edited} was changed after the batch wrote it; it was left as it is.",)


def test_foreign_files_and_edited_results_survive_when_a_case_is_computed_again(batch_of, inputs):
    batch_of(a_row())
    case = inputs.parent / "out" / "a"
    (case / "notes.txt").write_text("look at the hilum")
    (case / "figures").mkdir()
    (case / "figures" / "one.png").write_bytes(b"png")
    (case / "refined.seg.nrrd").write_bytes(b"by hand")
    (inputs.parent / "out" / "thesis.docx").write_text("mine")
    assert statuses(batch_of(a_row(strokes="more.nrrd"), resume=True)) == {"a": "finished"}
    assert files_of(inputs.parent / "out", "a") == sorted(
        [*CASE_FILES, "notes.txt", "figures", "kept-refined.seg.nrrd"]
    )
    assert (case / "kept-refined.seg.nrrd").read_bytes() == b"by hand"
    assert (case / "figures" / "one.png").read_bytes() == b"png"
    assert (inputs.parent / "out" / "thesis.docx").read_text() == "mine"
    assert statuses(batch_of(a_row(strokes="more.nrrd"), resume=True)) == {"a": "kept"}


def test_without_resume_older_results_are_never_touched(batch_of, inputs):
    batch_of(a_row("a"))
    before = bytes_of(inputs.parent / "out", but=())
    with pytest.raises(ManifestError) as caught:
        batch_of(a_row("a"), a_row("b"))
    assert "holds results of 1 of these cases (a). Go on with --resume" in str(caught.value)
    assert bytes_of(inputs.parent / "out", but=()) == before
    assert statuses(batch_of(a_row("b"))) == {"b": "finished"}, "another case may join them"


@pytest.mark.parametrize("when", ["between cases", "in a case"])
def test_cancelling_drops_the_running_case_and_tells_what_is_left(batch_of, inputs, when):
    done = []
    asked = 0

    def should_cancel():
        nonlocal asked
        asked += 1
        return bool(done) and (when == "between cases" or asked > 3)

    def on_case(outcome, n, total):
        nonlocal asked
        done.append((outcome.name, n, total))
        asked = 0

    rows = [a_row(name) for name in "abc"]
    result = batch_of(*rows, on_case=on_case, should_cancel=should_cancel)
    assert done == [("a", 1, 3)] and result.left == ("b", "c")
    out = inputs.parent / "out"
    assert sorted(p.name for p in out.iterdir()) == ["_batch", "a", "summary.csv", "summary.md", "timings.csv"]
    assert sorted(p.name for p in (out / "_batch").iterdir()) == ["journal.jsonl", "lock"]
    assert "* b\n* c\n" in (out / "summary.md").read_text()
    assert [r["status"] for r in csv.DictReader((out / "summary.csv").open())] == ["finished", "left", "left"]
    assert statuses(batch_of(*rows, resume=True)) == {"a": "kept", "b": "finished", "c": "finished"}
    assert batch_of(*rows, resume=True, should_cancel=lambda: True).left == ("a", "b", "c"), "it went on looking"


def test_what_a_worker_finished_before_it_heard_of_the_cancel_is_finished(batch_of, inputs, monkeypatch):
    real = serial_module.attempt_case

    def unheard(case, *more, **options):
        outcome = real(case, *more, **options)
        if case.name == "b":
            raise Cancelled("the answer did not arrive")
        return outcome

    monkeypatch.setattr(serial_module, "attempt_case", unheard)
    result = batch_of(*[a_row(name) for name in "abc"])
    assert statuses(result) == {"a": "finished", "b": "finished"} and result.left == ("c",)
    assert result.outcomes[1].facts == result.outcomes[0].facts
    journal = [json.loads(line) for line in (inputs.parent / "out/_batch/journal.jsonl").read_text().splitlines()]
    assert [(e["event"], e.get("case")) for e in journal[1:]] == [("finished", "a"), ("finished", "b"), ("end", None)]
    assert journal[-1]["left"] == 1


def test_the_network_is_loaded_once_and_run_once_per_image(batch_of, inputs, monkeypatch):
    shutil.copytree(inputs / "backbone", inputs / "second")
    keepers = []

    class Counted(NetworkKeeper):
        def __init__(self):
            super().__init__()
            keepers.append(self)

    real = serial_module.run_here
    monkeypatch.setattr(serial_module, "run_here", lambda *a, **o: real(*a, networks=Counted, **o))
    rows = [
        a_row("1", image="other.nrrd"),
        a_row("2", backbone="second"),
        a_row("3", settings='{"seed": 2}'),
        a_row("4", image="other.nrrd", strokes="more.nrrd", locks="spleen"),
        a_row("5", backbone="second", strokes="more.nrrd"),
        a_row("6", current="truth.seg.nrrd"),
    ]
    together = batch_of(*rows)
    assert [o.name for o in together.outcomes] == list("123456"), "the summary is in the manifest's order"
    (keeper,) = keepers
    assert (keeper.loads, keeper.runs) == (2, 3)
    for row in rows:
        batch_of(row, output=inputs.parent / "alone")
        case = row["case"]
        for name in ("refined.seg.nrrd", "report.json", "log.txt"):
            alone, joint = (inputs.parent / place / case / name for place in ("alone", "out"))
            assert alone.read_bytes() == joint.read_bytes(), f"{case}/{name} depends on what was computed before"


def test_cases_are_ordered_by_network_and_image():
    def case(row, backbone, image):
        return Case(str(row), row, (("", image),), backbone)

    cases = [case(2, "x", "i"), case(3, "y", "i"), case(4, "x", "j"), case(5, "x", "i"), case(6, "y", "k")]
    assert [c.row for c in in_computing_order(cases)] == [2, 5, 4, 3, 6]
    assert Case.from_fields(json.loads(json.dumps(cases[0].to_fields()))) == cases[0]


def test_two_batches_never_write_to_one_folder_at_once(batch_of, inputs):
    out = inputs.parent / "out"
    running = BatchFolder(out)
    try:
        with pytest.raises(InputError, match="Another batch is writing"):
            batch_of(a_row())
        assert running.store.run.is_dir()
    finally:
        running.close()
    assert statuses(batch_of(a_row())) == {"a": "finished"}


def test_what_a_killed_run_left_behind_is_cleaned_up_and_replaced_results_are_put_back(batch_of, inputs):
    batch_of(a_row("a"), a_row("b"))
    out = inputs.parent / "out"
    run = out / "_batch" / "run-killed"
    (run / "replaced").mkdir(parents=True)
    (run / "c-1234").mkdir()
    (run / "c-1234" / "refined.seg.nrrd").write_bytes(b"half")
    (out / "a" / "notes.txt").write_text("mine")
    os.rename(out / "a", run / "replaced" / "a")  # killed between the two renamings
    shutil.copytree(out / "b", run / "replaced" / "b")
    result = batch_of(a_row("a"), a_row("b"), resume=True)
    assert statuses(result) == {"a": "kept", "b": "kept"}
    assert (out / "a" / "notes.txt").read_text() == "mine" and not run.exists()


def test_the_journal_only_grows(batch_of, inputs):
    batch_of(a_row("a"), a_row("b", strokes="wrong.nrrd"))
    journal = inputs.parent / "out" / "_batch" / "journal.jsonl"
    first = journal.read_text()
    batch_of(a_row("a"), a_row("b"), resume=True)
    assert journal.read_text().startswith(first)
    events = [(e["event"], e.get("case")) for e in map(json.loads, journal.read_text().splitlines())]
    assert events == [
        *[("begin", None), ("finished", "a"), ("failed", "b"), ("end", None)],
        *[("begin", None), ("kept", "a"), ("finished", "b"), ("end", None)],
    ]


def test_a_manifest_in_a_file_and_its_rows_from_python_are_one_batch(inputs, one_thread):
    rows = [a_row("a"), a_row("b", image="other.nrrd")]
    run_batch(write_manifest(inputs / "m.csv", rows, ";"), inputs.parent / "file")
    run_batch(rows, inputs.parent / "rows", base=inputs)
    assert bytes_of(inputs.parent / "file") == bytes_of(inputs.parent / "rows")


def test_a_folder_of_cases_is_refined_without_a_manifest(inputs, one_thread):
    for name, parts in {"p1": ("image", "strokes"), "p2": ("image", "strokes", "truth"), "empty": ()}.items():
        (inputs / "scans" / name).mkdir(parents=True)
        for part in parts:
            ending = ".seg.nrrd" if part == "truth" else ".nrrd"
            shutil.copy(inputs / (part + ending), inputs / "scans" / name)
    result = refine_folder(inputs / "scans", backbone=inputs / "backbone", lock=["spleen"], apart=False)
    assert statuses(result) == {"p1": "finished", "p2": "finished"}
    assert result.output == inputs / "scans-refined"
    assert set(result.outcomes[1].facts["dice"]) == {"liver", "spleen"}
    again = refine_folder(inputs / "scans", backbone=inputs / "backbone", lock=["spleen"], apart=False, resume=True)
    assert statuses(again) == {"p1": "kept", "p2": "kept"}


def test_a_folder_with_a_manifest_is_that_manifest(inputs, one_thread):
    write_manifest(inputs / "manifest.csv", [a_row("x")])
    assert statuses(refine_folder(inputs, apart=False)) == {"x": "finished"}
    with pytest.raises(InputError, match="write them there"):
        refine_folder(inputs, lock=["liver"], apart=False)


def test_a_folder_that_cannot_be_understood_says_what_is_expected(tmp_path):
    with pytest.raises(InputError, match="holds neither manifest.csv nor a folder for each case"):
        refine_folder(tmp_path, apart=False)
    with pytest.raises(InputError, match="is not a folder"):
        refine_folder(tmp_path / "none")
    (tmp_path / "p").mkdir()
    for name in ("image.nrrd", "strokes.nrrd", "strokes.seg.nrrd"):
        (tmp_path / "p" / name).touch()
    with pytest.raises(InputError, match="which are the strokes"):
        refine_folder(tmp_path)
