"""What is said of a bundle before anything of it runs: from its files alone, without MONAI."""

import json
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone import describe_backbone, load_backbone  # noqa: E402
from InteractiveRefineLib.backbone.monai_bundle import describe, load, recognizes  # noqa: E402
from InteractiveRefineLib.backbone.monai_bundle.description import described  # noqa: E402
from InteractiveRefineLib.backbone.monai_bundle.plain import PlainConfig  # noqa: E402
from InteractiveRefineLib.backbone.outputs import ClassLogits  # noqa: E402
from InteractiveRefineLib.errors import BackboneError  # noqa: E402
from Testing.monai_bundles import activations, discrete, inference, inverted, metadata, small_unet  # noqa: E402
from Testing.tests.network_examples import a_config  # noqa: E402

CLASSES = ("background", "liver", "spleen")


def write(folder, config=None, meta=None, name="inference.json"):
    """A bundle's configuration files, without weights."""
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "models").mkdir(exist_ok=True)
    config = config if config is not None else inference(small_unet())
    (folder / "configs" / name).write_text(config if isinstance(config, str) else json.dumps(config))
    (folder / "configs" / "metadata.json").write_text(json.dumps(meta or metadata(CLASSES)))
    return folder


def steps(*more):
    return [
        {"_target_": "Orientationd", "keys": "@image_key", "axcodes": "LAS"},
        {"_target_": "monai.transforms.Spacingd", "keys": "@image_key", "pixdim": "@far::pixdim"},
        *more,
    ]


def test_everything_that_stands_in_the_files_is_found(tmp_path):
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": "@roi", "overlap": 0.6}
    config = inference(small_unet(), steps(), inferer=inferer, far={"pixdim": [1.5, 1.5, 2]}, roi=[96, 96, -1])
    found = describe(write(tmp_path / "b", config, {**metadata(CLASSES, ("CT",)), "license": "CC0"}), {})
    assert (found.name, found.dimensions, found.channels, found.license) == ("Test bundle", 3, ("CT",), "CC0")
    assert [(s.label, s.name) for s in found.classes] == [(1, "liver"), (2, "spleen")]
    assert found.classes[0].color != found.classes[1].color
    assert (found.channel_labels, found.activation) == ((0, 1, 2), "softmax")
    assert (found.axis_codes, found.tensor_axes, found.spacing) == ("LAS", "IJK", (1.5, 1.5, 2.0))
    assert (found.patch_size, found.overlap) == ((96, 96, 0), 0.6)


def test_what_only_an_expression_knows_is_left_open_and_not_evaluated(tmp_path):
    marker = tmp_path / "ran"
    touch = f"$open({str(marker)!r}, 'w')"
    config = {key: touch for key in inference(small_unet())}
    found = describe(write(tmp_path / "b", config), {})
    assert (found.axis_codes, found.spacing, found.patch_size, found.activation) == ("RAS", None, None, "softmax")
    assert not marker.exists()


SIGMOID = activations(sigmoid=True)


@pytest.mark.parametrize(
    ("names", "post", "activation", "labels", "classes", "threshold"),
    [
        (CLASSES, [activations(softmax=True), discrete(argmax=True)], "softmax", (0, 1, 2), CLASSES[1:], 0.5),
        (CLASSES, [inverted(), discrete(argmax=[True])], "softmax", (0, 1, 2), CLASSES[1:], 0.5),
        (CLASSES, [SIGMOID, discrete(argmax=True)], "softmax", (0, 1, 2), CLASSES[1:], 0.5),
        (("liver", "spleen"), [SIGMOID, discrete(threshold=0.4)], "sigmoid", (1, 2), ("liver", "spleen"), 0.4),
        (CLASSES, [SIGMOID, discrete(threshold=0.5)], "sigmoid", (0, 1, 2), CLASSES[1:], 0.5),
        (("tumor",), [SIGMOID, discrete(threshold=0.5)], "sigmoid", (1,), ("tumor",), 0.5),
        (("tumor",), [discrete(threshold=0.9)], "sigmoid", (1,), ("tumor",), 0.9),
        (CLASSES, [], "softmax", (0, 1, 2), CLASSES[1:], 0.5),
        (("liver", "spleen"), [], "sigmoid", (1, 2), ("liver", "spleen"), 0.5),
        (("background", "rib", "Rib", "rib 2"), [discrete(argmax=True)], "softmax", (0, 1, 2, 3),
         ("rib", "Rib 2", "rib 2 2"), 0.5),
    ],
)  # fmt: skip
def test_how_logits_become_labels(tmp_path, names, post, activation, labels, classes, threshold):
    found = describe(write(tmp_path / "b", inference(small_unet(), post=post), metadata(names)), {})
    assert (found.activation, found.channel_labels, found.threshold) == (activation, labels, threshold)
    assert tuple(s.name for s in found.classes) == classes


def test_channels_without_a_name_get_one(tmp_path):
    meta = metadata(CLASSES)
    meta["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "background", "2": "spleen"}
    assert [s.name for s in describe(write(tmp_path / "b", None, meta), {}).classes] == ["class 1", "spleen"]


def changed(**changes):
    meta = metadata(CLASSES)
    meta["network_data_format"]["outputs"]["pred"].update(changes)
    return meta


@pytest.mark.parametrize(
    ("config", "meta", "options", "message"),
    [
        ("{", None, {}, r"inference\.json is not valid JSON"),
        ("[1]", None, {}, r"inference\.json must hold one object, not a list"),
        (None, {"network_data_format": 3}, {}, r"metadata\.json: 'network_data_format.inputs.image' is missing"),
        (None, changed(num_channels="3"), {}, r"'network_data_format.outputs.pred.num_channels' must be the number"),
        (None, changed(channel_def=["a"]), {}, r"'network_data_format.outputs.pred.channel_def' must be like"),
        (inference(small_unet(spatial_dims=4)), None, {}, "4 dimensions cannot be used; 2 or 3 are needed"),
        (inference(small_unet(), [{"_target_": "Orientationd", "keys": "image", "axcodes": "LLS"}]), None, {},
         r"inference\.json: 'axcodes' of Orientationd: Axis codes name one of"),
        (None, None, {"color": 1}, "unknown option 'color' for a MONAI bundle; known: trust, weights, config, paint"),
        (None, None, {"trust": "yes"}, "option 'trust' must be a bool, not 'yes'"),
        (None, None, {"config": "other.json"}, r"has none of other\.json: is the bundle complete"),
        (None, None, {"paint": ["liver"]}, "the channels of this bundle do not overlap"),
    ],
)  # fmt: skip
def test_a_wrong_file_or_key_is_named(tmp_path, config, meta, options, message):
    with pytest.raises(BackboneError, match=message):
        describe(write(tmp_path / "b", config, meta), options)


def test_missing_weights_are_named_with_the_way_to_get_them(tmp_path):
    with pytest.raises(BackboneError, match=r"models has none of model\.pt, model\.ts\. .*monai\.bundle download"):
        load(write(tmp_path / "b"), {})
    with pytest.raises(BackboneError, match=r"models has none of best\.pt"):
        load(write(tmp_path / "b"), {"weights": "best.pt"})


@pytest.mark.parametrize("name", ["inference.yaml", "inference.yml", "predict.json", "predict.yaml"])
def test_other_names_and_yaml_are_read_too(tmp_path, name):
    if name.endswith("json"):
        text = json.dumps(inference(small_unet(), steps(), far={"pixdim": [1, 2, 3]}))
    else:
        yaml = pytest.importorskip("yaml")
        text = yaml.safe_dump(inference(small_unet(), steps(), far={"pixdim": [1, 2, 3]}))
    folder = write(tmp_path / "b", text, name=name)
    assert recognizes(folder)
    assert describe(folder, {}).spacing == (1.0, 2.0, 3.0)


def test_yaml_that_would_build_objects_is_refused(tmp_path):
    pytest.importorskip("yaml")
    marker = tmp_path / "ran"
    text = f"network_def: !!python/object/apply:os.system ['touch {marker}']"
    with pytest.raises(BackboneError, match=r"inference\.yaml is not valid YAML"):
        describe(write(tmp_path / "b", text, name="inference.yaml"), {})
    assert not marker.exists()


def test_without_pyyaml_or_monai_it_is_said_what_to_install(tmp_path, monkeypatch):
    write(tmp_path / "yaml", "network_def: 1", name="inference.yaml")
    (write(tmp_path / "json") / "models" / "model.pt").touch()
    for name in ("yaml", "monai", "monai.bundle"):
        monkeypatch.setitem(sys.modules, name, None)  # any import of it now fails
    with pytest.raises(BackboneError, match=r"inference\.yaml: reading YAML needs the package 'pyyaml'; install it"):
        describe(tmp_path / "yaml", {})
    with pytest.raises(BackboneError, match=r"needs the package 'monai' 1\.4 or later\. Install it: pip install monai"):
        load(tmp_path / "json", {})
    assert describe(tmp_path / "json", {}).name == "Test bundle"


def test_a_bundle_is_recognized_by_its_folder_and_by_a_backbone_json_that_points_to_it(tmp_path):
    names = ("tumor core", "whole tumor")
    post = [SIGMOID, discrete(threshold=0.5)]
    folder = write(tmp_path / "b", inference(small_unet(), post=post), metadata(names))
    assert describe_backbone(folder).activation == "sigmoid"
    pointer = {"format": 1, "kind": "monai", "folder": "b", "name": "Mine", "paint": ["whole tumor", "tumor core"]}
    (tmp_path / "backbone.json").write_text(json.dumps(pointer))
    found = describe_backbone(tmp_path)
    assert (found.name, found.activation, found.paint) == ("Mine", "regions", (1, 0))
    with pytest.raises(BackboneError, match=r"models has none of model\.pt"):
        load_backbone(tmp_path)
    assert not recognizes(tmp_path)
    (folder / "configs" / "metadata.json").unlink()
    assert not recognizes(folder)


def test_notes_say_what_is_done_and_what_is_not(tmp_path):
    keep = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred"}
    post = [activations(softmax=True), inverted(), discrete(argmax=True), keep]
    notes = described(write(tmp_path / "b", inference(small_unet(), post=post)), {}).notes
    assert notes == (
        "inference.json: LoadImaged > EnsureChannelFirstd",
        "no orientation is asked for: the network sees the voxels in the order of the file",
        "KeepLargestConnectedComponentd: applied to the first answer, not to what strokes change",
    )


def test_references_are_followed_as_far_as_they_are_plain():
    plain = PlainConfig(
        {"a": {"b": [1, 2]}, "c": "@a::b", "d": "@c", "e": "@e", "f": "$1 + 1", "g": "@a#b#1", "h": "@no"}
    )
    assert plain.value("@d") == [1, 2] and plain.value("@g") == 2 and plain.value("text") == "text"
    assert [plain.value(v) for v in ("@e", "@f", "@h", "@a::b::7", "$1", "%a", "@a + 1")] == [None] * 7
    assert plain.numbers("@c") == (1, 2) and plain.numbers(3) == (3,) and plain.numbers(["x"]) is None


def test_a_channel_counts_above_its_threshold():
    to_classes = ClassLogits(a_config(2, activation="sigmoid", threshold=0.8))
    lead = float(np.log(4))
    logits = torch.tensor([[lead + 0.1, -9.0], [lead - 0.1, -9.0], [lead + 1, lead + 2]])
    found = to_classes(logits)
    assert found.argmax(dim=-1).tolist() == [1, 0, 2]
    assert torch.allclose(found, torch.tensor([[0, 0.1, -9 - lead], [0, -0.1, -9 - lead], [0, 1, 2]]).float())


def test_regions_are_painted_in_the_order_asked_for():
    config = a_config(3, activation="sigmoid")
    outputs = torch.tensor([[5.0, 5.0, 5.0], [5.0, 5.0, -5.0], [5.0, -5.0, 5.0], [-1.0, -1.0, -1.0]])
    for paint, expected in (((), [3, 2, 3, 0]), ((1, 2, 0), [1, 1, 1, 0]), ((0, 2, 1), [2, 2, 3, 0])):
        regions = type(config)(**{**vars(config), "activation": "regions", "paint": paint})
        assert ClassLogits(regions)(outputs).argmax(dim=-1).tolist() == expected
