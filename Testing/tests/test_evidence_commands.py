"""What the evidence's commands take into account, and the pictures and stories that they make."""

import argparse
import json

import numpy as np
import pytest

pytest.importorskip("torch")

from evidence_examples import played

from InteractiveRefineLib.volume import Volume
from Testing.evidence import commands, full_ct, jobs, overlays
from Testing.evidence.case import Case, Spot
from Testing.evidence.method import Method
from Testing.evidence.overlays import COLORS
from Testing.evidence.store import Store, source_version
from Testing.real_ct import Round, Story

SPOT = Spot("nuclei", "own errors", "a", "report")


def keep(store, method, robot="stroke"):
    store.keep(SPOT, method, robot, played(method.name))


def methods_are(monkeypatch, *methods):
    monkeypatch.setattr(commands, "METHODS", {method.name: method for method in methods})


def test_only_results_of_methods_as_they_are_now_count(tmp_path, monkeypatch):
    store = Store(tmp_path / "results")
    now, old, gone = (Method(name, lambda case: None) for name in ("ours", "painting", "forgotten"))
    for method in (now, old, gone):
        keep(store, method)
    keep(store, now, "point")
    methods_are(monkeypatch, now, Method("painting", lambda case: None, version="2"))
    assert [(r["method"], r["robot"]) for r in sorted(commands.current(store), key=str)] == [
        ("ours", "point"),
        ("ours", "stroke"),
    ]
    kept = commands.current(Store(tmp_path / "results", keep_old=True))
    assert sorted(r["method"] for r in kept) == ["ours", "ours", "painting"]


def test_without_results_the_report_says_what_to_do(tmp_path, capsys):
    options = argparse.Namespace(results=tmp_path, output=tmp_path / "report", keep_old=False)
    assert commands.write_the_report(options) == 2
    assert "experiment all" in capsys.readouterr().out
    assert not (tmp_path / "report").exists()


def test_a_report_tells_how_many_results_it_leaves_out(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    store = Store(tmp_path / "results")
    ours, painting = (Method(name, lambda case: None) for name in ("ours", "painting"))
    keep(store, ours)
    keep(store, painting)
    methods_are(monkeypatch, ours, Method("painting", lambda case: None, version="2"))
    options = argparse.Namespace(results=tmp_path, output=tmp_path / "report", keep_old=False)
    assert commands.write_the_report(options) == 0
    assert "1 results of older versions are left out" in capsys.readouterr().out
    page = (tmp_path / "report" / "dice.md").read_text(encoding="utf-8")
    assert "| ours | .500 | **.600** | **.700** | - | 1 |" in page
    assert "painting" not in page


def test_every_data_set_names_the_networks_that_its_cases_use():
    from Testing.evidence.guided_nets import GUIDED
    from Testing.real_backbones import NETWORKS
    from Testing.train_small_nets import RECIPES

    named = {name for names in jobs.NETWORKS_OF.values() for name in names}
    assert named <= {*NETWORKS, *RECIPES, *GUIDED, "abdomen-without-liver"}


def a_case():
    """20 x 30 x 40 voxels of 1 mm: a cube in the middle, of which the start lacks the upper half."""
    truth = np.zeros((20, 30, 40), dtype=np.uint16)
    truth[6:14, 10:20, 10:30] = 1
    start = truth.copy()
    start[10:] = 0
    image = Volume((truth * 100).astype(np.float32), np.diag([1, 1, 1, 1.0]), "cube")
    return Case(SPOT, image, ("cube",), truth, start, (1,), None)


def colored(picture, color):
    return int((np.abs(picture.astype(int) - color).sum(axis=-1) < 12).sum())


def test_a_sheet_shows_start_strokes_every_result_and_truth_side_by_side():
    case = a_case()
    strokes = np.full(case.truth.shape, -1, dtype=np.int16)
    strokes[12, 15, 12:20] = 1
    nothing, perfect = np.zeros_like(case.truth), case.truth
    picture = overlays.sheet(case, "start", [("nothing", nothing, strokes), ("perfect", perfect, strokes)])
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    panels = np.array_split(picture[overlays.LINE + overlays.GAP :], 5, axis=1)
    start, drawn, empty, full, truth = (colored(panel[: overlays.PANEL // 2], COLORS[0]) for panel in panels)
    assert empty == 0
    assert full == truth > 0
    assert picture.shape[1] > 5 * overlays.NARROWEST


def test_a_sheet_shows_the_worst_of_the_slices_with_strokes_and_every_caption_has_room():
    case = a_case()
    case.start[4:6, 10:20, 10:30] = 1  # wrong too, but without any stroke, and less of it
    case.truth[10:12, 10:20, 28:30] = 0  # so that slices 12 and 13 have most that is wrong
    strokes = np.full(case.truth.shape, -1, dtype=np.int16)
    strokes[5, 12, 12:20] = 0
    sheet = overlays._slice_of(case, strokes >= 0)
    assert sheet.cut(strokes >= 0, sheet.indices[0]).sum() == 8
    nowhere = overlays._slice_of(case, strokes > 9)
    assert nowhere.cut(case.truth, nowhere.indices[0]).any()
    tall = np.zeros((1, 200, 20), dtype=np.uint16)
    tall[:, 20:180, 5:15] = 1
    image = Volume(tall.astype(np.float32), np.eye(4), "tall")
    narrow = Case(SPOT, image, ("bar",), tall, tall, (1,), None)
    picture = overlays.sheet(narrow, "start", [("ours", tall, np.full(tall.shape, -1))])
    assert picture.shape[1] >= 4 * overlays.NARROWEST


def test_a_picture_of_a_played_case_is_the_same_every_time_and_small(tmp_path):
    class Believer:
        def refine(self, drawn, labels):
            return np.where(drawn.all >= 0, drawn.all, labels)

    method = Method("painting", lambda case: Believer())
    said = [overlays.draw_case(tmp_path / name, a_case(), [method, method], rounds=2) for name in ("a.png", "b.png")]
    assert said[0] == said[1] and len(said[0]) == 2
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size < 150_000


def test_a_story_of_the_full_ct_is_stored_like_every_result():
    story = Story("kidney", "protected", [Round(0.1), Round(0.9, 1.5, 2.5, 3.5, 4, 5, 3, 6.5)])
    spot = Spot(full_ct.FULL_CT, "new organ", "set3", "report")
    result = full_ct.as_json(spot, "ours", story, 1234.5)
    assert json.loads(json.dumps(result)) == result
    assert result["names"] == {"1": "right kidney"} and result["others_at_start_ml"] == 1234.5
    last = result["rounds"][1]
    assert last["dice"] == {"1": 0.9} and last["strokes"] == 3 and last["machine_seconds"] == 6.5
    assert (last["far_lost_ml"], last["far_false_ml"], last["others_ml"]) == (1.5, 2.5, 3.5)
    assert (last["locked_voxels"], last["disobeyed"]) == (4, 5)
    assert set(played()["rounds"][0]) <= set(last)


def test_stories_that_are_stored_are_not_played_again_and_only_ours_plays_all(tmp_path, monkeypatch):
    asked = []

    def run_case(case, update, rounds, work):
        asked.append((case, update))
        return Story(case, update, [Round(0.5), Round(0.6)])

    monkeypatch.setattr(full_ct, "run_case", run_case)
    monkeypatch.setattr(full_ct, "others_at_start_ml", lambda case, networks: 1.0)
    names = ("ours", "cross-entropy tuning", "Algorithm 1 as printed")
    methods = {name: Method(name, lambda case: None) for name in names}
    store = Store(tmp_path)
    assert len(list(full_ct.play_full_ct(store, None, methods))) == 6
    assert asked == [
        *((case, "protected") for case in ("liver", "missing", "shifted", "kidney")),
        ("liver", "cross-entropy"),
        ("liver", "paper"),
    ]
    assert list(full_ct.play_full_ct(store, None, methods)) == [] and len(asked) == 6


class TestVersionOfTheLibrary:
    def test_comments_and_docstrings_do_not_make_results_old(self, tmp_path):
        code = tmp_path / "a.py"
        code.write_text('"""What."""\ndef f(x):\n    """Twice."""\n    return 2 * x  # doubled\n', encoding="utf-8")
        before = source_version(tmp_path)
        code.write_text('def f(x):\n    """Two times."""\n\n    return 2 * x\n', encoding="utf-8")
        assert source_version(tmp_path) == before

    def test_code_and_names_of_files_do(self, tmp_path):
        code = tmp_path / "a.py"
        code.write_text("LIMIT = 2\n", encoding="utf-8")
        before = source_version(tmp_path)
        code.write_text("LIMIT = 3\n", encoding="utf-8")
        changed = source_version(tmp_path)
        code.rename(tmp_path / "b.py")
        assert len({before, changed, source_version(tmp_path)}) == 3

    def test_what_decides_no_result_is_left_out(self, tmp_path):
        (tmp_path / "cli").mkdir()
        (tmp_path / "a.py").write_text("LIMIT = 2\n", encoding="utf-8")
        before = source_version(tmp_path, without=("cli",))
        (tmp_path / "cli" / "b.py").write_text("LIMIT = 3\n", encoding="utf-8")
        assert source_version(tmp_path, without=("cli",)) == before
