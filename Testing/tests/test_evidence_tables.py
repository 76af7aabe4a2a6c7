"""The numbers of the evidence's tables, worked out by hand on tiny results."""

import math

import pytest
from evidence_examples import curve, header_of, played, rows_of

from Testing.evidence import summary, tables, targets

NAN = math.nan
NUCLEI = ("nuclei", "own errors")


def table_of(results, methods, group=NUCLEI):
    return rows_of(tables.dice_table(results, group, methods))


def test_dice_is_averaged_over_classes_first_and_over_cases_then():
    results = [played(dice=((0.2, 0.4), (0.6, 0.8)), name="a"), played(dice=((0.5, 0.5), (0.9, 0.9)), name="b")]
    assert table_of(results, ["ours"])["ours"] == [".400", "**.800**", ".141", "2"]


def test_the_deviation_is_over_cases_and_there_is_none_of_a_single_case():
    results = [played(dice=curve(0.5, value), name=name) for name, value in (("a", 0.7), ("b", 0.8), ("c", 0.9))]
    assert table_of(results, ["ours"])["ours"] == [".500", "**.800**", ".100", "3"]
    assert table_of(results[:1], ["ours"])["ours"][2] == "-"


def test_a_class_without_dice_does_not_count_and_a_case_without_any_does_not_either():
    results = [played(dice=((NAN, 0.4), (NAN, 0.6))), played(dice=((NAN, NAN), (0.8, NAN)), name="b")]
    assert table_of(results, ["ours"])["ours"] == [".400", "**.700**", ".141", "2"]


def test_what_nobody_can_measure_is_a_dash():
    assert table_of([played(dice=curve(NAN, NAN))], ["ours"])["ours"] == ["-", "-", "-", "1"]


def test_a_method_that_was_not_played_has_a_row_of_dashes():
    rows = table_of([played()], ["ours", "BRS"])
    assert rows["BRS"] == ["-", "-", "-", "-", "0 of 1"]


def test_fewer_cases_are_told_and_never_win():
    results = [played(name="a"), played(name="b"), played("BRS", curve(0.5, 0.9, 0.9), name="a")]
    rows = table_of(results, ["ours", "BRS"])
    assert rows["BRS"] == [".500", ".900", ".900", "-", "1 of 2"]
    assert rows["ours"] == [".500", "**.600**", "**.700**", ".000", "2"]


def test_equally_good_methods_are_both_bold():
    results = [played("BRS", curve(0.5, 0.6004, 0.65)), played("ours", curve(0.5, 0.6001, 0.7))]
    rows = table_of(results, ["BRS", "ours"])
    assert rows["BRS"][1] == rows["ours"][1] == "**.600**"
    assert (rows["BRS"][2], rows["ours"][2]) == (".650", "**.700**")


def test_only_rounds_that_all_results_have_are_shown():
    results = [played(dice=curve(0.5, 0.6, 0.7)), played("BRS", curve(0.5, 0.55))]
    table = tables.dice_table(results, NUCLEI, ["ours", "BRS"])
    assert header_of(table) == ["method", "start", "round 1", "sd at the end", "cases"]
    assert rows_of(table)["ours"] == [".500", "**.600**", "-", "1"]


def test_the_start_is_never_bold():
    assert table_of([played()], ["ours"])["ours"][0] == ".500"


def test_the_overview_shows_the_first_and_the_last_round_of_every_situation():
    results = [
        played(dice=curve(0.5, 0.6, 0.65, 0.7)),
        played("BRS", curve(0.5, 0.7, 0.6, 0.65)),
        played(dice=curve(0.0, 0.3, 0.4), situation="from scratch"),
        played(dice=curve(0.2, 0.5, 0.6), situation="from scratch", name="b"),
        played("BRS", curve(0.0, 0.9, 0.9), situation="from scratch"),
    ]
    table = tables.overview_table(results, "nuclei", ["BRS", "ours", "f-BRS"])
    assert header_of(table)[1:] == ["own errors (start .500, n = 1)", "from scratch (start .100, n = 2)"]
    assert rows_of(table) == {
        "BRS": ["**.700** → .650", ".900 → .900 (1 of 2)"],
        "ours": [".600 → **.700**", "**.400** → **.500**"],
        "f-BRS": ["-", "-"],
    }


def test_all_groups_together_count_the_same_however_many_cases_they_have():
    easy, hard = {"dataset": "nuclei"}, {"dataset": "hippocampus"}
    results = [
        *(played(dice=curve(0.5, 0.8, 0.9), name=name, **easy) for name in "abc"),
        played(dice=curve(0.5, 0.4, 0.5), **hard, harm=(1, 2, 4, 8, 16)),
        *(played("BRS", curve(0.5, 0.7, 0.9), name=name, **easy) for name in "abc"),
        played("BRS", curve(0.5, 0.7, 0.4), **hard),
        played("GrabCut", curve(0.5, 0.4, 0.9), name="a", **easy),
        played("Slic-Seg", curve(0.5, 0.5, 0.95), name="a", **easy),
    ]
    table = tables.together_table(results, summary.groups(results), ["GrabCut", "Slic-Seg", "BRS", "ours", "GeoS"])
    assert rows_of(table) == {
        "Slic-Seg": ["-", "0 of 2", ".000", "0", "0", "1 of 4"],
        "GrabCut": ["-", "0 of 2", ".100", "0", "0", "1 of 4"],
        "BRS": ["**.700** → .650", "1 of 2", ".100", "1", "0", "4"],
        "ours": [".600 → **.700**", "2 of 2", ".100", "0", "7.0", "4"],
        "GeoS": ["-", "0 of 2", "-", "-", "-", "0 of 4"],
    }


def test_reaching_a_dice_costs_the_rounds_until_then():
    result = played(dice=curve(0.5, 0.85, 0.9, 0.97), strokes=3, user_seconds=7.0, machine_seconds=0.25)
    assert summary.cost_to_reach(result, 0.9) == summary.Cost(True, 2, 6, 14.0, 0.5)
    assert summary.cost_to_reach(result, 0.4) == summary.Cost(True, 0, 0, 0, 0)
    assert summary.cost_to_reach(result, 0.98) == summary.Cost(False, 3, 9, 21.0, 0.75)


def test_cases_that_never_reach_it_make_the_costs_lower_bounds():
    results = [
        played(dice=curve(0.5, 0.9, 0.91), name="a"),
        played(dice=curve(0.5, 0.6, 0.5), name="b"),
        played("BRS", curve(0.5, 0.6, 0.9), name="a"),
        played("BRS", curve(0.5, 0.6, 0.9), name="b"),
    ]
    rows = rows_of(tables.effort_table(results, NUCLEI, ["ours", "BRS", "GeoS"], 0.9))
    assert rows["ours"] == ["1 of 2", ">1.5", ">3.0", ">15", ">0.75", ".755", "2"]
    assert rows["BRS"] == ["2 of 2", "2.0", "4.0", "20", "1.0", ".900", "2"]
    assert rows["GeoS"] == ["-", "-", "-", "-", "-", "-", "0 of 2"]


def test_a_dice_that_nobody_reaches_needs_no_table():
    results = [played(dice=curve(0.5, 0.89), name=name) for name in "ab"]
    results.append(played("ours with 2 layers", curve(0.5, 0.99), name="a"))
    assert tables.effort_table(results, NUCLEI, ["ours"], 0.9) == "No method reached .900 in any of the 2 cases.\n"


def test_rounds_without_dice_are_neither_the_best_nor_reached():
    results = [played(dice=curve(NAN, 0.95, 0.91))]
    assert rows_of(tables.effort_table(results, NUCLEI, ["ours"], 0.9))["ours"][0:2] == ["1 of 1", "1.0"]
    assert rows_of(tables.effort_table(results, NUCLEI, ["ours"], 0.9))["ours"][5] == ".950"


def test_classes_stand_apart_and_only_cases_that_have_them_count():
    liver, both = {"1": "liver"}, {"1": "liver", "2": "spleen"}
    results = [
        played(dice=((0.2,), (0.4,)), names=liver),
        played(dice=((0.4, 0.5), (0.6, NAN)), names=both, name="b"),
        played("BRS", ((0.2,), (0.3,)), names=liver),
    ]
    lines = tables.class_table(results, [NUCLEI], ["ours", "BRS"]).splitlines()[2:]
    assert lines == [
        "| nuclei, own errors | liver | ours | .300 | .500 | 2 |",
        "| nuclei, own errors | liver | BRS | .200 | .300 | 1 |",
        "| nuclei, own errors | spleen | ours | .500 | - | 1 |",
        "| nuclei, own errors | spleen | BRS | - | - | 0 |",
    ]


def test_harm_is_that_of_the_worst_round_of_every_case():
    one, other = played(name="a", harm=(1, 0, 0, 0, 2)), played(name="b", dice=curve(0.5, 0.4, 0.45))
    one["rounds"][1]["harm_ml"] = [0, 0, 0, 9, 0]
    one["rounds"][2]["others_ml"] = 4.0
    one["rounds"][2]["disobeyed"] = 5
    one["rounds"][1]["volumes_ml"] = {"7": [10.0, 12.0], "8": [5.0, 4.0]}
    rows = rows_of(tables.harm_table([one, other], NUCLEI, ["ours", "BRS"]))
    assert rows["ours"] == ["0", "0", "0", "4.5", "0", "2.0", "1.5", ".100", "1 of 2", "5", "2"]
    assert rows["BRS"] == ["-"] * 10 + ["0 of 2"]


def test_harm_has_one_column_for_every_distance_and_one_beyond():
    header = header_of(tables.harm_table([played()], NUCLEI, ["ours"]))
    assert header[1:6] == ["0-5 mm", "5-10 mm", "10-20 mm", "20-30 mm", ">30 mm"]


def test_a_class_that_only_gains_has_no_drop():
    assert rows_of(tables.harm_table([played()], NUCLEI, ["ours"]))["ours"][7] == ".000"


def test_variants_are_compared_on_the_cases_that_all_of_them_have():
    results = [
        played(dice=curve(0.5, 0.6, 0.8), name="a"),
        played(dice=curve(0.1, 0.1, 0.1), name="b"),
        played("ours with 2 layers", curve(0.5, 0.4, 0.9), name="a"),
        played(dice=curve(0.5, 0.55, 0.6), name="a", robot="point"),
    ]
    rows = [("one", "ours", "stroke"), ("two", "ours with 2 layers", "stroke")]
    rows += [("points", "ours", "point"), ("boxes", "ours", "box")]
    table = tables.variants_table(results, [NUCLEI], rows)
    assert header_of(table)[1] == "nuclei, own errors (start .500, n = 1)"
    assert rows_of(table) == {
        "one": [".600 → .800, no drop"],
        "two": [".400 → .900, -.100"],
        "points": [".550 → .600, no drop"],
        "boxes": ["-"],
    }


def test_only_the_report_half_and_the_usual_robot_count():
    results = [played(), played(half="tune"), played(robot="point"), played(dataset=summary.FULL_CT)]
    assert summary.usual(results) == results[:1]
    assert summary.usual(results, "tune") == results[1:2]


def test_groups_stand_in_the_order_of_the_report():
    results = [
        played(dataset=d, situation=s)
        for d, s in (
            ("nuclei", "own errors"),
            ("zebra", "x"),
            ("hippocampus", "from scratch"),
            ("hippocampus", "degraded"),
        )
    ]
    assert summary.groups(results) == [
        ("hippocampus", "degraded"),
        ("hippocampus", "from scratch"),
        ("nuclei", "own errors"),
        ("zebra", "x"),
    ]


def test_the_best_baseline_is_none_of_ours_and_has_all_cases():
    results = [
        *(played(name=name) for name in "ab"),
        *(played("ours without tuning", curve(0.5, 0.6, 0.99), name=name) for name in "ab"),
        *(played("BRS", curve(0.5, 0.8, 0.6), name=name) for name in "ab"),
        *(played("GeoS", curve(0.5, 0.1, 0.65), name=name) for name in "ab"),
        played("f-BRS", curve(0.5, 0.9, 0.9), name="a"),
    ]
    assert summary.best_baseline(results) == "GeoS"
    assert summary.best_baseline(results, 1) == "BRS"
    assert summary.best_baseline(results[:4]) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.8284, ".828"),
        (1.0, "1.000"),
        (0.9996, "1.000"),
        (0.0, ".000"),
        (-0.0001, ".000"),
        (-0.25, "-.250"),
        (NAN, "-"),
    ],
)
def test_how_dice_is_written(value, text):
    assert tables.dice_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.004, "<0.01"), (0.0512, "0.051"), (3.14, "3.1"), (12.6, "13"), (1234.5, "1,234"), (NAN, "-")],
)
def test_how_amounts_are_written(value, text):
    assert tables.amount_text(value) == text


def line(results, beginning):
    (found,) = [t for t in targets.check(results) if t.what.startswith(beginning)]
    return found


def test_ours_must_be_at_least_as_good_as_every_baseline_in_every_round():
    results = [played(dice=curve(0.5, 0.6, 0.7)), played("BRS", curve(0.5, 0.6, 0.69))]
    assert line(results, "nuclei") == targets.Target(
        "nuclei, own errors: at every round at least the best baseline's mean Dice",
        "closest: round 1, .600 against .600 (BRS, n = 1); of 1 baseline",
        True,
    )
    results.append(played("GeoS", curve(0.5, 0.601, 0.1)))
    found = line(results, "nuclei")
    assert not found.met
    assert found.measured == (
        "closest: round 1, .600 against .601 (GeoS, n = 1); of 2 baselines; behind in round 1"
    )  # fmt: skip


def test_a_baseline_is_compared_on_the_cases_that_it_was_played_on():
    results = [
        played(dice=curve(0.5, 0.6), name="a"),
        played(dice=curve(0.5, 0.9), name="b"),
        played("BRS", curve(0.5, 0.7), name="a"),
    ]
    found = line(results, "nuclei")
    assert not found.met
    assert ".600 against .700 (BRS, n = 1)" in found.measured


def test_our_own_ablations_are_no_baselines():
    results = [played(), played("ours without tuning", curve(0.5, 0.9, 0.9))]
    assert line(results, "nuclei").met is None


def test_a_class_may_lose_two_hundredths_and_no_more():
    allowed = played(dice=curve(0.9, 0.88, 0.95))
    assert line([allowed], "no class ever more than 0.02 below where it was at the start").met
    too_much = played(dice=curve(0.9, 0.87999, 0.95), name="b")
    found = line([allowed, too_much], "no class ever more than 0.02 below where it was at the start")
    assert not found.met
    assert found.measured == (
        "1 of 2 classes of 2 cases; worst: class 1 of b (nuclei, own errors), round 1, .900 → .880"
    )  # fmt: skip


def test_a_drop_since_the_last_round_is_told_apart_from_one_since_the_start():
    results = [played(dice=curve(0.5, 0.9, 0.8))]
    assert line(results, "no class ever more than 0.02 below where it was at the start").met
    found = line(results, "no class ever more than 0.02 below where it was one round before")
    assert not found.met
    assert "round 2, .900 → .800" in found.measured


def test_every_violation_is_listed_the_worst_first_and_baselines_are_not():
    results = [
        played(dice=((0.5, 0.8), (0.45, 0.7), (0.4, 0.75)), name="a"),
        played(dice=curve(0.9, 0.5), name="b", dataset="hippocampus"),
        played("BRS", curve(0.9, 0.1)),
    ]
    lines = targets.violations_table(results).splitlines()[2:]
    assert lines == [
        "| hippocampus, own errors | b | class 1 | 1 | .900 | .500 |",
        "| nuclei, own errors | a | class 1 | 2 | .500 | .400 |",
        "| nuclei, own errors | a | class 2 | 1 | .800 | .700 |",
    ]
    assert targets.violations_table([played()]) == "None.\n"


def test_disobeyed_strokes_of_ours_are_counted():
    results = [played(), played("painting", disobeyed=9)]
    assert line(results, "every stroke").met
    results[0]["rounds"][2]["disobeyed"] = 1
    found = line(results, "every stroke")
    assert (found.met, found.measured) == (False, "1 stroke voxels left wrong in 1 cases")


def test_targets_after_five_rounds_use_the_fifth():
    results = [played(dice=curve(0, 0.95, 0.95, 0.95, 0.95, 0.89), situation="missing label", dataset="hippocampus")]
    found = line(results, "hippocampus, missing label: at least .900")
    assert (found.met, found.measured) == (False, ".890 (n = 1)")
    results[0]["rounds"][5]["dice"]["1"] = 0.9
    assert line(results, "hippocampus, missing label: at least .900").met


def test_targets_of_one_class_look_at_this_class_alone():
    liver = played(
        dice=curve(0, 0, 0, 0, 0, 0.86), situation="from scratch", dataset="abdomen CT", names={"1": "liver"}
    )
    found = line([liver], "abdomen CT, from scratch, liver")
    assert (found.met, found.measured) == (True, ".860 (n = 1)")
    assert line([liver], "abdomen CT, from scratch, right kidney").met is None


def test_the_tuning_half_meets_no_target():
    tune = played(dice=curve(0, 1, 1, 1, 1, 1), situation="missing label", half="tune")
    assert all(t.met is None for t in targets.check([tune]))


def test_the_full_ct_needs_its_liver_and_leaves_other_organs_alone():
    story = played(dice=curve(0.94, 0.95, 0.96, 0.97, 0.97, 0.9749), dataset=summary.FULL_CT, robot="3 strokes")
    story["others_at_start_ml"] = 1000.0
    story["rounds"][3]["others_ml"] = 20.0
    liver, others = line([story], "the real CT at full size: liver"), line([story], "the real CT at full size: at most")
    assert (liver.met, liver.measured) == (False, "0.9749")
    assert (others.met, others.measured) == (True, "20.0 of 1000 ml, 2.00%")
    story["rounds"][3]["others_ml"], story["rounds"][5]["dice"]["1"] = 20.1, 0.975
    assert line([story], "the real CT at full size: liver").met
    assert not line([story], "the real CT at full size: at most").met


class TestThreeWaysToDraw:
    def drawn(self, method="ours", ends=(0.7, 0.8, 0.9), **more):
        robots = ("stroke", "stroke-seed1", "stroke-seed2")
        return [played(method, curve(0.5, end), robot=robot, **more) for robot, end in zip(robots, ends)]

    def test_every_drawing_is_a_case(self):
        found = summary.all_drawings(self.drawn())
        assert [r["name"] for r in found] == ["a, drawing 1", "a, drawing 2", "a, drawing 3"]
        assert {r["robot"] for r in found} == {"stroke"}
        assert table_of(found, ["ours"])["ours"] == [".500", "**.800**", ".100", "3"]

    def test_what_was_not_drawn_in_all_ways_does_not_count(self):
        results = [*self.drawn(), *self.drawn("BRS")[:2], *self.drawn(half="tune"), played(robot="point")]
        assert {(r["method"], r["half"]) for r in summary.all_drawings(results)} == {("ours", "report")}
        assert len(summary.all_drawings(results)) == 3

    def test_the_usual_tables_know_the_usual_robot_only(self):
        assert [r["robot"] for r in summary.usual(self.drawn())] == ["stroke"]

    def test_targets_are_judged_over_all_of_them(self):
        one = {"situation": "missing label", "dataset": "hippocampus"}
        results = [r for ends in [(0.95, 0.95, 0.5)] for r in self.drawn(ends=ends, **one)]
        results = [{**r, "rounds": [*r["rounds"], *[r["rounds"][-1]] * 4]} for r in results]
        asked = "hippocampus, missing label: at least .900 after 5 rounds"
        (usual,) = [t for t in targets.check(results) if t.what == asked]
        (over_all,) = [t for t in targets.check(summary.all_drawings(results)) if t.what == asked]
        assert (usual.met, over_all.met, over_all.measured) == (True, False, ".800 (n = 3)")
