"""A folder is recognized for what it is, is described without running anything, and what it is not is said."""

import json
import sys
import types
from pathlib import Path

import pytest

from InteractiveRefineLib.errors import BackboneError

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone import describe_backbone, load_backbone, recognize  # noqa: E402
from InteractiveRefineLib.backbone.load import Backbone  # noqa: E402
from InteractiveRefineLib.backbone.recognize import KINDS, Kind  # noqa: E402
from Testing.tests.network_examples import a_config, write_folder  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def net(tmp_path):
    """An ordinary folder."""
    return write_folder(tmp_path / "net", torch.nn.Conv3d(1, 3, 1), name="mine", license="MIT")


def pointing(folder, to="../net", **changes):
    """A folder with a backbone.json that points to another one; a change to `...` takes the key out."""
    folder.mkdir(exist_ok=True)
    raw = {"format": 1, "folder": to, **changes}
    raw = {key: value for key, value in raw.items() if value is not ...}
    (folder / "backbone.json").write_text(json.dumps(raw), encoding="utf-8")
    return folder


def complaint(action, folder):
    with pytest.raises(BackboneError) as caught:
        action(folder)
    return str(caught.value)


class Toolkit(types.ModuleType):
    """Another tool's kind of folder: it holds toolkit.txt, and remembers what it was asked."""

    KIND = "Toolkit's folder"

    def __init__(self):
        super().__init__("toolkit")
        self.asked = []

    def recognizes(self, folder):
        return (folder / "toolkit.txt").is_file()

    def describe(self, folder, options):
        self.asked.append(("describe", folder.resolve(), options))
        return a_config(name="of the toolkit", license="")

    def load(self, folder, options):
        self.asked.append(("load", folder.resolve(), options))
        network = torch.nn.Conv3d(1, 3, 1).train()
        return Backbone(a_config(name="of the toolkit"), network, folder, details=("Folds 0",))


@pytest.fixture
def toolkit(monkeypatch):
    """A kind of folder that is registered besides the real ones."""
    module = Toolkit()
    monkeypatch.setattr(Kind, "exists", True)
    real = Kind.import_module
    monkeypatch.setattr(Kind, "import_module", lambda kind: module if kind.key == "toolkit" else real(kind))
    monkeypatch.setattr(recognize, "KINDS", (KINDS[0], Kind("toolkit", "toolkit", "toolkit.txt: a toolkit's network")))
    return module


@pytest.fixture
def foreign(tmp_path):
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "toolkit.txt").write_text("")
    return folder


def test_a_folder_with_backbone_json_is_loaded_as_described(net):
    backbone = load_backbone(net)
    assert backbone.config == describe_backbone(net)
    assert (backbone.config.name, backbone.folder, backbone.kind) == ("mine", net, "folder with backbone.json")


def test_a_path_may_be_text(net):
    assert load_backbone(str(net)).folder == net


def test_another_tools_folder_is_recognized_by_its_files(foreign, toolkit):
    backbone = load_backbone(foreign)
    assert (backbone.kind, backbone.details) == ("Toolkit's folder", ("Folds 0",))
    assert describe_backbone(foreign).name == "of the toolkit"
    assert toolkit.asked == [("load", foreign.resolve(), {}), ("describe", foreign.resolve(), {})]


def test_every_network_is_brought_to_use_not_to_training(foreign, toolkit):
    network = load_backbone(foreign).network
    assert not network.training and not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("kind", ["toolkit", ...])
def test_a_pointing_description_hands_its_options_to_the_kind(tmp_path, foreign, toolkit, kind):
    mine = pointing(tmp_path / "mine", "../foreign", kind=kind, folds=[0, 2], checkpoint="best", description="x")
    load_backbone(mine)
    describe_backbone(mine)
    options = {"folds": [0, 2], "checkpoint": "best"}
    assert toolkit.asked == [("load", foreign.resolve(), options), ("describe", foreign.resolve(), options)]


def test_a_description_beside_another_tools_files_needs_no_folder(foreign, toolkit):
    pointing(foreign, ..., kind="toolkit", folds=[1])
    load_backbone(foreign)
    pointing(foreign, ".", folds=[1])
    load_backbone(foreign)
    assert toolkit.asked == [("load", foreign.resolve(), {"folds": [1]})] * 2


def test_name_license_and_classes_of_a_pointing_description_count(tmp_path, net):
    mine = pointing(tmp_path / "mine", name="ours", license="CC0", class_map={"Leber": "liver"})
    for config in (describe_backbone(mine), load_backbone(mine).config):
        assert (config.name, config.license) == ("ours", "CC0")
        assert [s.name for s in config.classes] == ["Leber", "spleen"]
    assert load_backbone(mine).folder == mine


def test_without_a_word_the_network_keeps_its_own_name_and_license(tmp_path, net):
    config = describe_backbone(pointing(tmp_path / "mine"))
    assert (config.name, config.license, [s.name for s in config.classes]) == ("mine", "MIT", ["liver", "spleen"])


def test_an_absolute_folder_and_a_license_file_beside_the_network_are_found(tmp_path, foreign, toolkit):
    (foreign / "LICENSE").write_text("Apache License")
    mine = pointing(tmp_path / "mine", str(foreign))
    assert describe_backbone(mine).license == "Apache License (LICENSE)"


def test_classes_are_mapped_in_an_ordinary_description_too(tmp_path):
    folder = write_folder(tmp_path, torch.nn.Conv3d(1, 3, 1), class_map={"organ": ["liver", "spleen"]})
    for config in (describe_backbone(folder), load_backbone(folder).config):
        assert [s.name for s in config.classes] == ["organ"]
        assert config.channel_labels == (0, 1, 1)


def test_a_map_of_the_pointing_description_replaces_that_of_the_network(tmp_path):
    write_folder(tmp_path / "net", torch.nn.Conv3d(1, 3, 1), class_map={"Leber": "liver"})
    mine = pointing(tmp_path / "mine", class_map={"Milz": "spleen"})
    assert [s.name for s in describe_backbone(mine).classes] == ["liver", "Milz"]
    assert [s.name for s in describe_backbone(pointing(tmp_path / "mine")).classes] == ["Leber", "spleen"]


def test_a_wrong_map_is_complained_about_with_the_file(tmp_path, net):
    mine = pointing(tmp_path / "mine", class_map={"Leber": "lever"})
    text = complaint(load_backbone, mine)
    assert text.startswith(str(mine / "backbone.json")) and "lever" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "'format' must be 1, not 2."),
        ({"format": True}, "'format' must be 1, not true."),
        ({"format": ...}, "'format' must be 1, not null."),
        ({"folder": 3}, "'folder' must be a text, not 3."),
        ({"folder": ""}, "'folder' must be a text, not \"\"."),
        ({"folder": "../absent"}, "'folder' names '../absent', but "),
        ({"kind": "nn-unet"}, "'kind' must be one of 'backbone', 'nnunet', 'monai', 'strokes', not 'nn-unet'."),
        ({"kind": ["nnunet"]}, "'kind' must be a text, not [\"nnunet\"]."),
        ({"name": 1}, "'name' must be a text, not 1."),
        ({"class_map": [1]}, "'class_map' must be an object, not [1]."),
        ({"folder": "."}, "'folder' must lead to a folder with a network, not to "),
        ({"folder": "../mine"}, "'folder' must lead to a folder with a network, not to "),
        ({"kind": "backbone", "folder": ...}, "'folder' must lead to a folder with a network, not to "),
    ],
    ids=str,
)
@pytest.mark.parametrize("action", [load_backbone, describe_backbone])
def test_a_wrong_key_of_a_pointing_description_is_named_with_the_file(tmp_path, net, action, changes, message):
    mine = pointing(tmp_path / "mine", **{{"folder": "to"}.get(key, key): value for key, value in changes.items()})
    if changes.get("folder") in (".", "../mine"):
        message = "has no backbone.json and is no other folder of a network"  # its own does not count
        assert message in complaint(action, mine)
        return
    assert complaint(action, mine).startswith(f"{mine / 'backbone.json'}: {message}")


def test_a_chain_of_descriptions_is_refused(tmp_path, net):
    pointing(tmp_path / "middle")
    text = complaint(load_backbone, pointing(tmp_path / "mine", "../middle"))
    assert "'folder' must lead to a folder with a network, not to " in text and "middle" in text


def test_an_ordinary_description_takes_no_options_from_elsewhere(tmp_path, net):
    text = complaint(load_backbone, pointing(tmp_path / "mine", folds=[0]))
    assert "takes no option 'folds'; change that file instead" in text


def test_a_wrong_map_in_an_ordinary_description_is_named(tmp_path):
    text = complaint(describe_backbone, write_folder(tmp_path, class_map="liver"))
    assert text == f"{tmp_path / 'backbone.json'}: 'class_map' must be an object, not \"liver\"."


@pytest.mark.parametrize("action", [load_backbone, describe_backbone])
def test_what_fits_no_kind_is_told_with_what_it_holds_and_what_each_kind_needs(tmp_path, action):
    folder = tmp_path / "downloads"
    (folder / "images").mkdir(parents=True)
    (folder / "plans.txt").write_text("")
    first, *others = complaint(action, folder).splitlines()
    held = "has no backbone.json and is no other folder of a network; it holds images/, plans.txt."
    assert first == f"{folder} {held}"
    text = "\n".join(others)
    for needed in ("model.ts", ".pt2", "factory", "plans.json", "fold_0", "configs/metadata.json", "my-backbone/"):
        assert needed in text


def test_an_empty_and_a_crowded_folder_are_told_shortly(tmp_path):
    assert "it holds nothing." in complaint(load_backbone, tmp_path)
    for n in range(20):
        (tmp_path / f"file{n:02}").write_text("")
    assert "file10, file11 and 8 more." in complaint(load_backbone, tmp_path)


def test_the_folder_that_was_meant_is_proposed(tmp_path, net, foreign, toolkit):
    (net / "fold_0").mkdir()
    assert f"Did you mean {net}?" in complaint(load_backbone, net / "fold_0")
    outer = tmp_path / "outer"
    (outer / "deep").mkdir(parents=True)
    foreign.rename(outer / "deep" / "foreign")
    assert f"Did you mean {outer / 'deep' / 'foreign'}?" in complaint(load_backbone, outer)


def test_a_file_in_place_of_the_folder_is_told(net):
    text = complaint(load_backbone, net / "model.ts")
    assert text.startswith(f"{net / 'model.ts'} is a file: name the folder that it lies in.")


def test_a_kind_that_this_version_lacks_is_skipped_and_told_when_it_is_asked_for(tmp_path, net, monkeypatch):
    monkeypatch.setattr(recognize, "KINDS", (KINDS[0], Kind("future", "no_such_module", "future.txt")))
    assert "is no other folder of a network" in complaint(load_backbone, tmp_path)
    text = complaint(load_backbone, pointing(tmp_path / "mine", kind="future"))
    assert "this version cannot read the kind 'future'. Install a newer one." in text


def test_every_kind_offers_what_is_asked_of_it(tmp_path):
    for kind in (kind for kind in KINDS if kind.exists):
        module = kind.import_module()
        assert module.KIND and callable(module.load) and callable(module.describe)
        assert module.recognizes(tmp_path) is False


def test_the_worker_describes_a_folder_of_any_kind(tmp_path, foreign, toolkit):
    from InteractiveRefineLib.worker.desk import Desk

    info = Desk(None).describe(str(foreign))
    assert (info.name, [s.name for s in info.classes]) == ("of the toolkit", ["liver", "spleen"])
    assert [call[0] for call in toolkit.asked] == ["describe"]


def test_recognizing_an_ordinary_folder_needs_no_other_tool(net):
    import subprocess

    code = (
        "import sys\n"
        "for name in ('monai', 'nnunetv2', 'dynamic_network_architectures', 'safetensors'): sys.modules[name] = None\n"
        "from InteractiveRefineLib.backbone import load_backbone\n"
        f"print(load_backbone({str(net)!r}).config.name)\n"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "mine", run.stderr
