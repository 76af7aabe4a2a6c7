"""A manifest is understood as spreadsheets save it, and everything that is wrong with it is told at once."""

import json

import pytest

pytest.importorskip("torch")

from batch_examples import a_row, write_manifest  # noqa: E402

from InteractiveRefineLib.batch import ManifestError  # noqa: E402
from InteractiveRefineLib.batch.cells import images_of, settings_of  # noqa: E402
from InteractiveRefineLib.batch.manifest import COLUMNS, Problem, read_table, table_of  # noqa: E402
from InteractiveRefineLib.batch.names import folded, problem_with_name  # noqa: E402
from InteractiveRefineLib.batch.run import prepare  # noqa: E402
from InteractiveRefineLib.errors import InputError  # noqa: E402
from InteractiveRefineLib.settings import RefineSettings  # noqa: E402

pytest_plugins = ["batch_examples"]


def problems_of(manifest, output, **options):
    """(row, column, text) of all problems."""
    with pytest.raises(ManifestError) as caught:
        prepare(manifest, output, **options)
    return [(p.row, p.column, p.text) for p in caught.value.problems]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_table_is_read_as_any_spreadsheet_saves_it(tmp_path, delimiter, encoding, newline):
    lines = [["Case", "Image", "Not Strokes"], ["Müller 1", '"a.nrrd;b.nrrd"', ""], ["", "", ""], ["2", "c.nrrd", "n"]]
    text = newline.join(delimiter.join(line) for line in lines) + newline
    (tmp_path / "m.csv").write_bytes(text.encode(encoding))
    table = read_table(tmp_path / "m.csv")
    assert table.problems == []
    assert [(row.number, row.cells) for row in table.rows] == [
        (2, {"case": "Müller 1", "image": "a.nrrd;b.nrrd"}),
        (4, {"case": "2", "image": "c.nrrd", "not-strokes": "n"}),
    ]
    assert table.folder == tmp_path


def test_excels_own_hint_at_the_delimiter_is_followed(tmp_path):
    (tmp_path / "m.csv").write_text("sep=|\ncase|image\na|b.nrrd\n")
    table = read_table(tmp_path / "m.csv")
    assert (table.problems, [(r.number, r.cells) for r in table.rows]) == ([], [(3, {"case": "a", "image": "b.nrrd"})])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty"),
        (b"\xef\xbb\xbf\n\n", "it is empty"),
        (b"case,image\n,\n", "there is no case"),
        (b"case,image\nM\xfcller,a\n", "is no UTF-8 text. Save it as"),
        (b'case,image\n"a,b.nrrd\n', "a quote may be missing"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is no UTF-8 text"),
        (b"\xff\xfec", "is no UTF-8 text"),
    ],
)
def test_what_is_no_table_is_one_clear_problem(tmp_path, content, problem):
    (tmp_path / "m.csv").write_bytes(content)
    table = read_table(tmp_path / "m.csv")
    assert table.rows == [] and len(table.problems) == 1
    assert problem.lower() in table.problems[0].text.lower() and table.problems[0].row == 0


def test_a_manifest_that_is_not_there_is_a_problem_too(tmp_path):
    assert "No such file" in read_table(tmp_path / "none.csv").problems[0].text


def test_a_misspelled_header_names_the_column_that_was_meant(tmp_path):
    (tmp_path / "m.csv").write_text("case,image,strokse,curent,sdfgh,image\na,b,c,d,e,f\n")
    problems = read_table(tmp_path / "m.csv").problems
    assert [(p.row, p.column) for p in problems] == [(1, "strokse"), (1, "curent"), (1, "sdfgh"), (1, "image")]
    assert "Did you mean strokes?" in problems[0].text and "Did you mean current?" in problems[1].text
    assert all(column in problems[2].text for column in COLUMNS)
    assert "second column" in problems[3].text


def test_missing_columns_and_cells_beyond_the_header_are_told(tmp_path):
    (tmp_path / "m.csv").write_text("strokes,image\na,b\nc,d,e\n")
    problems = read_table(tmp_path / "m.csv").problems
    assert [(p.row, p.column) for p in problems] == [(1, "case"), (3, "")]
    assert 'into quotes: "a.nrrd;b.nrrd"' in problems[1].text


def test_rows_from_python_mean_the_same(tmp_path):
    table = table_of([{"Case": 7, "images": ["a", "b"], "strokes": None, "lock": ("x", "y")}], tmp_path)
    assert table.problems == []
    assert [(r.number, r.cells) for r in table.rows] == [(2, {"case": "7", "image": "a;b", "locks": "x;y"})]
    assert "there is no case" in table_of([], tmp_path).problems[0].text


@pytest.mark.parametrize("name", ["a", "Müller 3", "2024-01-02_x", "肝臓", "a.b", "CONrad", "x" * 200])
def test_names_that_can_be_folders_everywhere_are_taken(name):
    assert problem_with_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a/b",
        "a\\b",
        "..",
        ".",
        ".hidden",
        "a:",
        "a?",
        "a\tb",
        "a\u202eb",
        "con",
        "NUL.txt",
        "com1",
        "a.",
        " a",
        "a ",
    ]
    + ["_batch", "_Batch", "Summary.CSV", "timings.csv", "=cmd()", "+1", "@x", "x" * 201, "é" * 101, "a\x00b"],
)
def test_names_that_cannot_are_refused(name):
    assert problem_with_name(name)


def test_names_that_are_one_folder_on_some_systems_are_recognized():
    assert folded("Müller") == folded("mu\u0308LLER")
    assert folded("a") != folded("b")


def test_images_may_name_their_channels_unless_the_file_is_called_so(tmp_path):
    assert images_of("a.nrrd", tmp_path) == [("", tmp_path / "a.nrrd")]
    assert images_of(" FLAIR = x/a.nrrd ; T1c=b.nrrd;", tmp_path) == [
        ("FLAIR", tmp_path / "x/a.nrrd"),
        ("T1c", tmp_path / "b.nrrd"),
    ]
    (tmp_path / "b=4.nrrd").touch()
    assert images_of("b=4.nrrd;x/y=5.nrrd", tmp_path) == [("", tmp_path / "b=4.nrrd"), ("", tmp_path / "x/y=5.nrrd")]


def test_settings_are_text_or_a_file_and_keep_the_defaults_they_do_not_name(tmp_path):
    defaults = RefineSettings(seed=5, reach="local")
    assert settings_of('{"seed": 3, "steps": null}', tmp_path, defaults) == RefineSettings(seed=3, reach="local")
    (tmp_path / "s.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"threshold": 7}).encode())
    assert settings_of("s.json", tmp_path, defaults) == RefineSettings(seed=5, reach="local", threshold=7)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ('{"sed": 3}', "there is no setting 'sed'. Did you mean 'seed'?"),
        ('{"seed": "3"}', "'seed' must be a whole number, not \"3\""),
        ('{"seed": true}', "'seed' must be a whole number, not true"),
        ('{"seed": null}', "'seed' must be a whole number, not null"),
        ('{"threshold": "x"}', "'threshold' must be a number or null, not \"x\""),
        ('{"reach": "far"}', "reach must be one of automatic, local, whole, not 'far'"),
        ('{"layers": 0}', "layers must be at least 1, not 0"),
        ("[1]", "this is no JSON object"),
        ("{seed: 3}", "this is no JSON ("),
        ("none.json", "none.json cannot be read"),
    ],
)
def test_settings_that_cannot_be_are_explained(tmp_path, cell, message):
    with pytest.raises(InputError) as caught:
        settings_of(cell, tmp_path, RefineSettings())
    assert message in str(caught.value)


def test_every_problem_is_told_at_once_with_row_and_column(inputs):
    rows = [
        a_row("good", locks="spleen"),
        a_row("A/b", image="nowhere/image.nrrd"),
        a_row("GOOD", strokes="strokes"),
        a_row("good", backbone="elsewhere"),
        a_row("again", backbone="elsewhere", locks="splen", new_classes="Liver;cyst"),
        a_row("locks", locks="splen;cyst", new_classes="Liver;cyst"),
        a_row("settings", settings='{"sed": 1}'),
        a_row("nothing-wrong", strokes=None, current="truth.seg.nrrd"),
        a_row("channels", image="image.nrrd;other.nrrd"),
        a_row("named", image="MR=image.nrrd"),
        a_row("half", image="CT=image.nrrd;other.nrrd"),
        a_row("folder", strokes="backbone", prompts="p.json;q.json", truth="t", not_strokes="n"),
        a_row("without", image=None, backbone=None),
        {"image": "image.nrrd", "backbone": "backbone"},
    ]
    found = problems_of(write_manifest(inputs / "m.csv", rows), inputs.parent / "out")
    expected = [
        (3, "case", "cannot be part of a folder's name"),
        (3, "image", "The folder " + str(inputs / "nowhere") + " is missing already."),
        (4, "case", "'GOOD' and 'good' are one folder on some systems: the name is used in row 2"),
        (4, "strokes", f"there is no {inputs / 'strokes'}."),
        (5, "backbone", f"{inputs / 'elsewhere'} is not a folder"),
        (5, "case", "'good' is used already in row 2"),
        (6, "backbone", "cannot be used, see above"),
        (7, "locks", "there is no class named 'splen'. Known: liver, spleen."),
        (7, "new-classes", "there is already a class named 'Liver'"),
        (8, "settings", "Did you mean 'seed'?"),
        (9, "strokes", "nothing says what is wrong with it"),
        (10, "image", "'two organs' needs CT, not 2 files."),
        (11, "image", "'two organs' needs CT, not MR."),
        (12, "image", "'two organs' needs CT, not CT."),
        (12, "image", "Write NAME=file for all of them or for none."),
        (13, "not-strokes", "there is no"),
        (13, "prompts", f"there is no {inputs / 'p.json'}."),
        (13, "prompts", f"there is no {inputs / 'q.json'}."),
        (13, "strokes", "backbone is a folder"),
        (13, "truth", "there is no"),
        (14, "backbone", "there is no backbone. Name its folder"),
        (14, "image", "there is no image"),
        (15, "case", "the name is empty"),
    ]
    assert [p[:2] for p in found] == [e[:2] for e in expected]
    for (row, column, text), (_, _, part) in zip(found, expected):
        assert part in text, (row, column, text)
    assert not (inputs.parent / "out").exists(), "something was written"


def test_a_lock_may_name_a_segment_of_the_current_segmentation(inputs):
    from cli_examples import truth, write_labels

    from InteractiveRefineLib.segmentation import Segment

    write_labels(inputs / "now.seg.nrrd", truth(), segments=[Segment("liver", 1), Segment("clip", 2)])
    (case,) = prepare([a_row(current="now.seg.nrrd", locks="Clip; liver")], inputs.parent / "out", base=inputs)
    assert case.locks == ("Clip", "liver")


def test_a_long_list_of_problems_is_cut_and_counted(inputs):
    with pytest.raises(ManifestError) as caught:
        prepare([a_row(f"c{n}", image="none.nrrd") for n in range(60)], inputs.parent / "out", base=inputs)
    lines = str(caught.value).splitlines()
    assert lines[0] == "The list of cases cannot be used: 60 problems. Nothing was computed."
    assert lines[1].startswith("  row 2, column image: there is no ") and lines[-1] == "  ... and 10 more"
    assert len(lines) == 52


def test_paths_are_relative_to_the_manifest_and_defaults_fill_what_a_row_leaves_out(inputs, monkeypatch):
    monkeypatch.chdir(inputs.parent)
    rows = [a_row("a", backbone=None, settings='{"steps": 2}'), a_row("b", image=str(inputs / "other.nrrd"))]
    manifest = write_manifest(inputs / "m.csv", rows)
    a, b = prepare(manifest, inputs.parent / "out", backbone="inputs/backbone", settings=RefineSettings(seed=4))
    assert a.images == (("", str(inputs / "image.nrrd")),) and a.backbone == b.backbone == str(inputs / "backbone")
    assert a.settings == RefineSettings(seed=4, steps=2) and b.settings == RefineSettings(seed=4)
    assert b.images == (("", str(inputs / "other.nrrd")),)


def test_the_output_may_neither_be_an_input_nor_cover_one(inputs):
    rows = [a_row("a", current="a/refined.seg.nrrd")]
    (inputs / "a").mkdir()
    (inputs / "a" / "refined.seg.nrrd").write_bytes((inputs / "truth.seg.nrrd").read_bytes())
    found = problems_of(rows, inputs, base=inputs, resume=True)
    assert [(r, c) for r, c, _ in found] == [(2, "current")] and "where the results of 'a' are written" in found[0][2]
    found = problems_of([a_row("b")], inputs / "backbone" / "out", base=inputs)
    assert [(r, c) for r, c, _ in found] == [(2, "backbone")]
    found = problems_of([a_row("b")], inputs / "backbone", base=inputs)
    assert (2, "backbone") in [(r, c) for r, c, _ in found]


def test_an_output_that_cannot_be_a_folder_is_a_problem(inputs):
    (inputs / "notes.txt").write_text("x")
    found = problems_of([a_row()], inputs / "notes.txt", base=inputs)
    assert [p[0] for p in found] == [0] and "is a file. Name a folder" in found[0][2]
    found = problems_of([a_row()], inputs / "notes.txt" / "below", base=inputs)
    assert "cannot be written" in found[0][2]


def test_foreign_things_under_a_cases_name_are_never_taken_for_results(inputs):
    out = inputs.parent / "out"
    (out / "a").mkdir(parents=True)
    (out / "a" / "thesis.docx").write_text("x")
    (out / "b").write_text("a file")
    found = problems_of([a_row("a"), a_row("b"), a_row("c")], out, base=inputs, resume=True)
    assert [(r, c) for r, c, _ in found] == [(2, "case"), (3, "case")]
    assert all("is no result of this program" in text for _, _, text in found)
    assert (out / "a" / "thesis.docx").read_text() == "x"


def test_a_problem_reads_like_a_sentence():
    assert str(Problem(3, "image", "there is no x.")) == "row 3, column image: there is no x."
    assert str(Problem(0, "", "it is empty.")) == "the manifest: it is empty."
