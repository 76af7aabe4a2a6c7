"""The report: the same results give the same bytes, nothing is mixed up, and its pictures are small pictures."""

import csv
import io

import pytest

pytest.importorskip("matplotlib")

from evidence_examples import curve, played

from Testing.evidence import pages, plots, report, summary
from Testing.evidence.experiments import EXPERIMENTS, LENGTHS, Experiment
from Testing.evidence.method import Method

METHODS = {name: Method(name, lambda case: None, cites=f"{name}'s paper") for name in ("painting", "BRS", "ours")}
METHODS["ours with 10 steps"] = Method("ours with 10 steps", lambda case: None)
LIBRARIES = {"numpy": "1.2", "torch": "-"}


def some_results():
    results = []
    for half in ("report", "tune"):
        for situation in ("own errors", "from scratch"):
            for name in "ab":
                options = {"situation": situation, "name": name, "half": half, "dataset": "hippocampus"}
                results += [
                    played("painting", curve(0.5, 0.51, 0.52), **options),
                    played("ours", curve(0.5, 0.7, 0.8), harm=(0.1, 0, 0, 0, 0.2), **options),
                    played("ours with 10 steps", curve(0.5, 0.6, 0.7), **options),
                ]
    results.append(played("BRS", curve(0.5, 0.6, 0.75), dataset="hippocampus", name="a", harm=(9, 9, 9, 9, 99)))
    results.append(played("ours", curve(0.5, 0.6, 0.61), dataset="hippocampus", name="a", robot="point"))
    return results


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    report.write_report(folder, some_results(), METHODS, None, LIBRARIES, "What we found.")
    return folder


def section(text, heading):
    """What stands below a heading, up to the next one of any level."""
    return text.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]


def test_the_same_results_in_another_order_give_the_same_bytes(written, tmp_path):
    report.write_report(tmp_path, some_results()[::-1], METHODS, None, LIBRARIES, "What we found.")
    files = sorted(p.name for p in written.iterdir())
    assert files == sorted(p.name for p in tmp_path.iterdir())
    assert {"README.md", "results.csv", "dice-hippocampus.png", "harm.png", "time.png", "ablation-steps.png"} <= set(
        files
    )
    for name in files:
        assert (written / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_every_picture_of_the_text_is_there_and_small(written):
    for page in written.glob("*.md"):
        for part in page.read_text(encoding="utf-8").split("](")[1:]:
            target = part.split(")")[0]
            if not target.startswith(("#", "http")):
                assert (written / target.split("#")[0]).is_file(), (page.name, target)
    for picture in written.glob("*.png"):
        assert 2_000 < picture.stat().st_size < 150_000


def test_the_first_page_holds_findings_targets_tables_limits_and_commands(written):
    text = (written / "README.md").read_text(encoding="utf-8")
    order = ["# Evidence", "What we found.", "## Targets", "### hippocampus", "## Methods", "## Limits", "## Reproduce"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "| BRS | BRS's paper | 1 of 4 |" in section(text, "## Methods")
    assert "numpy 1.2, torch -" in text
    assert "python -m Testing.evidence experiment all" in text


def test_the_first_page_knows_nothing_of_the_tuning_half_nor_of_ablations(written):
    table = section((written / "README.md").read_text(encoding="utf-8"), "### hippocampus")
    assert "| ours | **.700** → **.800** | **.700** → **.800** |" in table
    assert "| BRS | .600 → .750 (1 of 2) | - |" in table
    assert "10 steps" not in table
    assert "n = 2" in table


def test_ablations_neither_add_cases_nor_take_rounds_away(tmp_path):
    results = [played(), played("painting")]
    results += [played("ours with 10 steps", curve(0.5, 0.6), name=name) for name in "ab"]
    report.write_report(tmp_path, results, METHODS, None, LIBRARIES, "-")
    assert "| ours | .500 | **.600** | **.700** | - | 1 |" in (tmp_path / "dice.md").read_text(encoding="utf-8")


def test_the_tuning_half_has_a_page_that_says_so(written):
    text = (written / "tuning.md").read_text(encoding="utf-8")
    assert "They are no evidence" in text
    assert "| ours | **.700** → **.800** |" in text
    assert "BRS" not in text  # was not played on that half


def test_ablations_stand_on_their_page_with_their_robots(written):
    text = (written / "ablations.md").read_text(encoding="utf-8")
    steps = section(text, "## Optimizer steps M")
    assert "own errors (start .500, n = 2)" in steps
    assert "| M = 10 | .600 → .700, no drop |" in steps
    assert "| M = 80 | - |" in steps
    inputs = section(text, "## Strokes, points or boxes")
    assert "n = 1" in inputs
    assert "| point | .600 → .610, no drop |" in inputs
    assert "Not played yet." in section(text, "## Layers l that are tuned")


def test_every_number_can_be_found_in_the_csv(written):
    rows = list(csv.DictReader(io.StringIO((written / "results.csv").read_text(encoding="utf-8"))))
    assert len(rows) == len(some_results())
    (row,) = [r for r in rows if r["method"] == "BRS"]
    assert row["dice"] == "0.5 0.6 0.75"
    assert row["strokes"] == "0 2 2"
    assert row["worst_harm_ml"] == "9/9/9/9/99"
    assert {r["half"] for r in rows} == {"report", "tune"}


def test_pictures_of_an_earlier_report_go_and_those_of_cases_come(tmp_path):
    output, overlays = tmp_path / "report", tmp_path / "overlays"
    output.mkdir()
    overlays.mkdir()
    (output / "dice-something-old.png").write_bytes(b"old")
    (output / "kept.txt").write_text("mine")
    (overlays / "nuclei.png").write_bytes(b"picture")
    report.write_report(output, [played(), played("BRS")], METHODS, overlays, LIBRARIES, "-")
    assert not (output / "dice-something-old.png").exists()
    assert (output / "kept.txt").read_text() == "mine"
    assert (output / "case-nuclei.png").read_bytes() == b"picture"
    assert "![case-nuclei.png](case-nuclei.png)" in (output / "README.md").read_text(encoding="utf-8")


def test_a_report_without_a_single_result_of_the_report_half_still_says_what_is_missing(tmp_path):
    report.write_report(tmp_path, [played(half="tune")], METHODS, None, LIBRARIES, "-")
    assert "0 of 0 that could be judged are met" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_methods_describe_themselves_in_their_modules_words():
    pytest.importorskip("torch")
    from Testing.evidence.methods import METHODS as real

    text = pages.methods_page({"painting": real["painting"], "ours": real["ours"]})
    assert "What painting alone achieves" in section(text, "## painting")
    assert "Interactive Refine itself" in section(text, "## ours")
    assert "A user who knows the truth" in section(text, "## The robot user")


def test_the_full_ct_has_a_row_for_every_situation_ours_first():
    def story(method, situation, last):
        result = played(method, curve(0.94, last), dataset=summary.FULL_CT, situation=situation, others_ml=3.0)
        for one in result["rounds"]:
            one.update(harm_ml=[], far_lost_ml=0.0, far_false_ml=5.0, locked_voxels=0)
        return result

    results = [story("BRS", "own errors", 0.9), story("ours", "missing label", 0.96), story("ours", "own errors", 0.97)]
    assert pages.full_ct_table(results).splitlines()[2:] == [
        "| own errors, class 1 | ours | .9400 | .9700 | 0 / 5.0 | 3.0 | 0 | 0 |",
        "| missing label, class 1 | ours | .9400 | .9600 | 0 / 5.0 | 3.0 | 0 | 0 |",
        "| own errors, class 1 | BRS | .9400 | .9000 | 0 / 5.0 | 3.0 | 0 | 0 |",
    ]
    assert pages.full_ct_table([played()]) == "Not played yet.\n"


def test_the_papers_claims_are_tested_on_the_situations_that_are_about_them():
    two = {"dataset": "abdomen MR", "names": {"1": "liver", "2": "spleen"}}
    results = [
        played(dice=((0.5, 0.7), (0.6, 0.6), (0.8, 0.8)), **two),
        played(dice=curve(0.1, 0.9)),
        played("BRS", curve(0.1, 0.9), situation="degraded"),
        played(dice=curve(0, 0.7, 0.8), situation="missing label"),
        played(dice=curve(0, 0.5, 0.9), situation="missing label", name="b"),
    ]
    assert pages.claims_table(results).splitlines()[2:] == [
        "| several labels corrected at once | abdomen MR | .600 | .600 | .800 | .100 | 1 |",
        "| a label that the network lacks is put in | nuclei | .000 | .600 | .850 | .000 | 2 |",
    ]


def test_labels_at_the_ends_of_lines_never_overlap():
    figure, (axes,) = plots._panels(1, 5.0, 3.0)
    axes.set_ylim(0, 1)
    plots._labels_at_the_end(axes, [(0.5 + 0.001 * i, f"method {i}", "black") for i in range(14)])
    places = sorted(text.get_position()[1] for text in axes.texts)
    gaps = [b - a for a, b in zip(places, places[1:])]
    assert min(gaps) > 0.06
    assert places[0] > -0.06 and places[-1] < 1.04
    assert [t.get_text() for t in sorted(axes.texts, key=lambda t: -t.get_position()[1])][0] == "method 13"


def spots(n, half="report", dataset="nuclei", situation="own errors"):
    from Testing.evidence.case import Spot

    return [Spot(dataset, situation, str(i), half) for i in range(n)]


def test_an_experiment_takes_so_many_cases_of_each_group_and_half():
    experiment = Experiment("x", "?", lambda spot: spot.situation == "own errors", cases=2)
    everything = spots(3) + spots(3, "tune") + spots(3, situation="from scratch")
    assert experiment.choose(everything, "report") == spots(2)
    elsewhere = spots(3, dataset="hippocampus")
    assert experiment.choose(everything + elsewhere, "report") == spots(2) + elsewhere[:2]
    assert experiment.choose(everything, None) == spots(2) + spots(2, "tune")
    assert experiment.choose(everything, "tune", at_most=1) == spots(1, "tune")
    assert experiment.choose(everything, "tune", at_most=5) == spots(2, "tune")


def test_experiments_of_all_methods_leave_the_ablations_out():
    known = ["painting", "ours", "ours with 10 steps"]
    assert EXPERIMENTS["figure-3"].plays(known) == [({}, ["painting", "ours"])]


def test_an_ablation_plays_each_robot_once_with_all_its_methods():
    plays = Experiment("x", "?", variants=LENGTHS).plays(["ours", "ours growing all strokes"])
    assert plays == [({"length": n}, ["ours", "ours growing all strokes"]) for n in (5, 10, 15, 25)]
    assert Experiment("x", "?", variants=LENGTHS).plays(["ours"])[0] == ({"length": 5}, ["ours"])
