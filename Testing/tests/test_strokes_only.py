"""The choice "no network" is offered like any network: in Python, on the command line, in batches and by the worker."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone import describe_backbone, load_backbone  # noqa: E402
from InteractiveRefineLib.backbone.recognize import kind_of  # noqa: E402
from InteractiveRefineLib.batch.run import prepare  # noqa: E402
from InteractiveRefineLib.errors import BackboneError  # noqa: E402
from InteractiveRefineLib.resources import backbone_folder, embedded_backbone  # noqa: E402
from InteractiveRefineLib.torch_probe import TorchReport  # noqa: E402
from InteractiveRefineLib.trust import code_in  # noqa: E402
from InteractiveRefineLib.worker.desk import Desk  # noqa: E402
from Testing.tests.cli_examples import SHAPE, main, write_labels, write_scan  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def a_folder(tmp_path, **more):
    (tmp_path / "backbone.json").write_text(json.dumps({"format": 1, "kind": "strokes", **more}), encoding="utf-8")
    return tmp_path


def complaint(folder):
    with pytest.raises(BackboneError) as caught:
        describe_backbone(folder)
    return str(caught.value)


class TestFolder:
    def test_the_shipped_one_knows_no_class_and_holds_no_program(self):
        folder = backbone_folder("none")
        config = describe_backbone(folder)
        assert config.name == "No network: learn from strokes only"
        assert config.classes == () and config.channels == ("image",)
        assert kind_of(folder) == "no network" and code_in(folder) == []
        assert [path.name for path in folder.iterdir()] == ["backbone.json"]

    def test_a_word_a_path_and_nothing_are_told_apart(self, tmp_path):
        assert backbone_folder(None) == backbone_folder("") == embedded_backbone()
        assert backbone_folder(tmp_path) == tmp_path
        assert backbone_folder("./none").name == "none" and not backbone_folder("./none").exists()

    def test_channels_and_classes_are_the_users(self, tmp_path):
        folder = a_folder(
            tmp_path, name="tumors", channels=[{"name": "FLAIR"}, {"name": "T1c"}], class_map={"add": ["tumor"]}
        )
        backbone = load_backbone(folder)
        assert backbone.config.name == "tumors" and backbone.config.channels == ("FLAIR", "T1c")
        assert [segment.name for segment in backbone.config.added] == ["tumor"]
        assert backbone.network.weight.shape[1] == 2 and not backbone.network.weight.any()

    @pytest.mark.parametrize("channels", [[], "FLAIR", [{"name": ""}], [{"name": "a"}, {"name": "a"}], ["a"]])
    def test_wrong_channels_are_named(self, tmp_path, channels):
        text = complaint(a_folder(tmp_path, channels=channels))
        assert str(tmp_path / "backbone.json") in text and "'channels' must be a list like" in text

    def test_other_options_are_refused(self, tmp_path):
        assert "takes no option 'spacing'" in complaint(a_folder(tmp_path, spacing=[1, 1, 1]))


def test_the_command_line_segments_from_strokes_alone(tmp_path, capsys):
    strokes = np.zeros(SHAPE, dtype=np.uint16)
    strokes[8, 12, 22:28], strokes[8, 2, 10:26] = 1, 255
    write_scan(tmp_path / "scan.nrrd")
    write_labels(tmp_path / "strokes.nrrd", strokes)
    words = [
        "refine", "--image", tmp_path / "scan.nrrd", "--backbone", "none", "--add-class", "spleen", "--scribbles",
        tmp_path / "strokes.nrrd", "--output", tmp_path / "out.nrrd", "--device", "cpu",
    ]  # fmt: skip
    assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    from InteractiveRefineLib.image_io import read_volume

    found = read_volume(tmp_path / "out.nrrd").array
    assert (found[8, 12, 22:28] == 1).all() and 400 < np.count_nonzero(found) < 900  # of 640


def test_the_worker_describes_and_loads_it():
    desk = Desk(TorchReport("cpu", "2.4"))
    told = desk.describe("none")
    assert told.classes == () and told.kind == "no network" and told.warnings == () and told.code == ()
    assert desk.load("none").notes[0].startswith("It segments nothing by itself")


def test_a_batch_takes_the_word_for_all_cases_and_for_one(tmp_path):
    write_scan(tmp_path / "scan.nrrd")
    write_labels(tmp_path / "strokes.nrrd", np.zeros(SHAPE, dtype=np.uint16))
    row = {"image": "scan.nrrd", "strokes": "strokes.nrrd"}
    rows = [{"case": "a", **row}, {"case": "b", "backbone": "none", **row}]
    cases = prepare(rows, tmp_path / "out", base=tmp_path, backbone="none")
    assert {case.backbone for case in cases} == {str(backbone_folder("none"))}
