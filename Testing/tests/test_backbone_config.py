"""backbone.json is read as documented, and everything wrong in it is named with file, key and what is expected."""

import json

import pytest

from InteractiveRefineLib.backbone.config import BackboneConfig, CropRule, IntensityRule
from InteractiveRefineLib.backbone.read_config import read_config
from InteractiveRefineLib.errors import BackboneError
from InteractiveRefineLib.segmentation import Segment

torch = pytest.importorskip("torch")

from Testing.tests.network_examples import description, write_folder  # noqa: E402


def read(folder, **changes):
    return read_config(write_folder(folder, **changes))


def complaint(folder, **changes):
    with pytest.raises(BackboneError) as caught:
        read(folder, **changes)
    text = str(caught.value)
    assert text.startswith(str(folder / "backbone.json")), "the message must name the file"
    return text.removeprefix(str(folder / "backbone.json")).lstrip(": ")


def test_three_keys_are_enough_and_the_rest_has_the_documented_defaults(tmp_path):
    config = read(tmp_path / "net", name=...)
    assert config == BackboneConfig(
        name="net",
        dimensions=3,
        channels=("image",),
        classes=(Segment("liver", 1, (1, 0.5, 0)), Segment("spleen", 2, (0.95, 0.84, 0.57))),
        channel_labels=(0, 1, 2),
        axis_codes="LPS",
        tensor_axes="KJI",
        spacing=None,
        spatial_shape=None,
        crop=CropRule("none", -300.0, 0.1),
        intensity=IntensityRule("none", 0.0, 0.0, None, None),
        activation="softmax",
        patch_size=None,
        overlap=0.5,
        divisible_by=1,
        model={"torchscript": "model.ts"},
        license="",
    )


def test_every_key_is_read(tmp_path):
    config = read(
        tmp_path,
        dimensions=3,
        channels=[{"name": "FLAIR"}, {"name": "T1c"}],
        axis_codes="ras",
        tensor_axes="IJK",
        spacing=[1, 1.5, 3],
        spatial_shape=[64, 32, 16],
        crop={"mode": "body", "threshold": -200, "fraction": 0.2},
        intensity={"rule": "window", "low": -100, "high": 200, "mean": 50, "std": 20},
        patch_size=[32, 16, 8],
        overlap=0.25,
        divisible_by=8,
        model={"factory": "network.py:build", "weights": "weights.pt"},
        license="Apache-2.0",
        source="a paper",
        made_by="a script",
        description="what it is",
    )
    assert (config.channels, config.axis_codes, config.tensor_axes) == (("FLAIR", "T1c"), "RAS", "IJK")
    assert (config.spacing, config.spatial_shape, config.patch_size) == ((1, 1.5, 3), (64, 32, 16), (32, 16, 8))
    assert config.crop == CropRule("body", -200.0, 0.2)
    assert config.intensity == IntensityRule("window", -100, 200, 50, 20)
    assert (config.overlap, config.divisible_by, config.license) == (0.25, 8, "Apache-2.0")
    assert config.model == {"factory": "network.py:build", "weights": "weights.pt"}


@pytest.mark.parametrize(
    "model",
    [
        {"exported": "model.pt2"},
        {"factory": "network.py:build", "kwargs": {"depth": 3, "sizes": [1, 2]}},
        {"factory": "network.py:build", "kwargs": {}, "weights": "w.pt"},
    ],
)
def test_every_kind_of_model_is_read(tmp_path, model):
    assert read(tmp_path, model=model).model == model


def test_softmax_networks_have_a_background_channel_and_sigmoid_networks_have_none(tmp_path):
    softmax = read(tmp_path)
    assert (softmax.channel_labels, [s.label for s in softmax.classes]) == ((0, 1, 2), [1, 2])
    sigmoid = read(tmp_path, activation="sigmoid", classes=[{"name": "liver"}, {"name": "spleen"}])
    assert (sigmoid.channel_labels, [(s.name, s.label) for s in sigmoid.classes]) == (
        (1, 2),
        [("liver", 1), ("spleen", 2)],
    )


def test_a_sigmoid_network_may_have_a_single_class(tmp_path):
    assert read(tmp_path, activation="sigmoid", classes=[{"name": "liver"}]).channel_labels == (1,)


def test_tags_of_a_class_are_kept(tmp_path):
    tags = {"TerminologyEntry": "x~y"}
    config = read(tmp_path, classes=[{"name": "background"}, {"name": "liver", "tags": tags}])
    assert config.classes[0].tags == tags


@pytest.mark.parametrize(("axes", "expected"), [("KJI", ("S", "P", "L")), ("IJK", ("L", "P", "S"))])
def test_values_along_i_j_k_are_brought_into_the_order_of_the_tensor_axes(tmp_path, axes, expected):
    config = read(tmp_path, tensor_axes=axes)
    assert tuple(config.codes_by_tensor_axis) == expected
    assert config.by_tensor_axis(("L", "P", "S")) == expected


def test_a_two_dimensional_network_gets_a_third_side_of_one_voxel(tmp_path):
    config = read(tmp_path, dimensions=2, spacing=[0.5, 0.7], patch_size=[32, 16], spatial_shape=[64, 48])
    assert (config.spacing, config.patch_size, config.spatial_shape) == ((0.5, 0.7, 1), (32, 16, 1), (64, 48, 1))


def test_the_byte_order_mark_of_windows_editors_is_no_error(tmp_path):
    (tmp_path / "backbone.json").write_text(json.dumps(description()), encoding="utf-8-sig")
    assert read_config(tmp_path).name == "test"


def test_what_is_no_folder_is_said_with_the_expected_folder(tmp_path):
    with pytest.raises(BackboneError, match=r"absent is not a folder\.\nExpected folder:\n  my-backbone/\n") as caught:
        read_config(tmp_path / "absent")
    assert "backbone.json   classes" in str(caught.value) and "model.ts" in str(caught.value)


def test_a_folder_without_description_is_said_with_the_expected_folder(tmp_path):
    with pytest.raises(BackboneError, match=r"has no backbone\.json\.\nExpected folder:\n  my-backbone/\n"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"format": 1,', r"is not valid JSON: Expecting property name .*line 1 column 14.*Correct the file\."),
        (b"", "is not valid JSON: Expecting value"),
        (b"\xff\xfe\x00", "is not valid JSON: it is no UTF-8 text"),
        (b"[" * 100_000, "is not valid JSON: "),
        (b"[1]", "must hold one JSON object, not a list"),
    ],
)
def test_a_file_that_is_no_json_object_is_named(tmp_path, content, message):
    (tmp_path / "backbone.json").write_bytes(content)
    with pytest.raises(BackboneError, match=message) as caught:
        read_config(tmp_path)
    assert str(tmp_path / "backbone.json") in str(caught.value)


THREE_SIDES = "must be 3 positive whole numbers along I, J, K, or null, not "
MODELS = (
    'must be {"torchscript": "model.ts"} or {"exported": "model.pt2"} or '
    '{"factory": "network.py:build", "weights": "weights.pt"}, not '
)
TWO_CLASSES = [{"name": "background"}, {"name": "liver"}]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("format", ..., "is missing; it must be 1."),
        ("format", 2, "must be 1, not 2."),
        ("format", True, "must be 1, not true."),
        ("name", 5, "must be a text, not 5."),
        ("license", ["MIT"], 'must be a text, not ["MIT"].'),
        ("dimensions", 4, "must be 2 or 3, not 4."),
        ("dimensions", 3.0, "must be 2 or 3, not 3.0."),
        ("channels", "CT", 'must be a list like [{"name": "CT"}], not "CT".'),
        ("channels", [], 'must be a list like [{"name": "CT"}], not [].'),
        ("channels", ["CT"], 'must be a list like [{"name": "CT"}], not ["CT"].'),
        ("channels", [{"name": ""}], 'must be a list like [{"name": "CT"}], not [{"name": ""}].'),
        ("classes", ..., 'is missing; it must be a list like [{"name": "background"}, {"name": "liver"'),
        ("classes", ["liver"], 'must be a list like [{"name": "background"}'),
        ("classes", [{"name": 1}], 'must be a list like [{"name": "background"}'),
        ("classes", [{"name": "liver"}], "must be at least two entries, the first being the background, not "),
        ("tensor_axes", "JKI", "must be one of 'KJI', 'IJK', not \"JKI\"."),
        ("activation", "relu", "must be one of 'softmax', 'sigmoid', 'regions', not \"relu\"."),
        ("activation", None, "must be one of 'softmax', 'sigmoid', 'regions', not null."),
        ("spacing", 1.5, "must be 3 positive numbers along I, J, K, or null, not 1.5."),
        ("spacing", [1, 1], "must be 3 positive numbers along I, J, K, or null, not [1, 1]."),
        ("spacing", [1, 1, 0], "must be 3 positive numbers along I, J, K, or null, not [1, 1, 0]."),
        ("spacing", [1, 1, True], "must be 3 positive numbers along I, J, K, or null, not [1, 1, true]."),
        ("spacing", [1, 1, float("inf")], "must be 3 positive numbers along I, J, K, or null, not [1, 1, Infinity]."),
        ("spatial_shape", [8, 8, 8.5], THREE_SIDES + "[8, 8, 8.5]."),
        ("spatial_shape", [8, 8, float("inf")], THREE_SIDES + "[8, 8, Infinity]."),
        ("patch_size", [8, -8, 8], THREE_SIDES + "[8, -8, 8]."),
        ("patch_size", "8", THREE_SIDES + '"8".'),
        ("crop", "body", 'must be an object like {"mode": "none"} with a mode of none, foreground, body, not "body".'),
        ("crop", {"mode": "head"}, 'with a mode of none, foreground, body, not {"mode": "head"}.'),
        ("intensity", "window", "with a rule of none, window, percentile-zscore, percentile-scale, not"),
        ("intensity", {"rule": "log"}, "with a rule of none, window, percentile-zscore, percentile-scale, not"),
        ("intensity", {"rule": "window", "low": 1}, "must be given 'low' and 'high' with low < high, not "),
        ("intensity", {"rule": "window", "low": 2, "high": 1}, "must be given 'low' and 'high' with low < high, not "),
        ("intensity", {"rule": "window", "low": 0, "high": 1, "mean": 0, "std": 0}, "'mean' and 'std' > 0 together"),
        ("intensity", {"rule": "window", "low": 0, "high": 1, "mean": 0}, "given 'mean' and 'std' > 0 together"),
        ("divisible_by", 0, "must be a whole number of at least 1, not 0."),
        ("divisible_by", 2.0, "must be a whole number of at least 1, not 2.0."),
        ("model", "model.ts", MODELS + '"model.ts".'),
        ("model", {"torchscript": 5}, MODELS + '{"torchscript": 5}.'),
        ("model", {"torchscript": "a", "weights": "b"}, MODELS),
        ("model", {"torchscript": "a", "kwargs": {}}, MODELS),
        ("model", {"exported": ""}, MODELS),
        ("model", {"exported": "a", "torchscript": "b"}, MODELS),
        ("model", {"weights": "b"}, MODELS),
        ("model", {"factory": "a:b", "kwargs": [1]}, "must be given 'kwargs' as an object, the factory's arguments by"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_what_is_expected(tmp_path, key, value, expected):
    text = complaint(tmp_path, **{key: value})
    assert text.startswith(repr(key))
    assert expected in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spacings": [1, 1, 1]}, "unknown key 'spacings'. Known keys: activation, axis_codes, "),
        ({"crop": {"mode": "body", "limit": 1}}, "unknown key 'limit' in 'crop'. Known keys: fraction, mode, thr"),
        ({"intensity": {"rule": "none", "min": 1}}, "unknown key 'min' in 'intensity'. Known keys: high, low, mean, "),
        ({"classes": [*TWO_CLASSES, {"name": "x", "colour": 1}]}, "unknown key 'colour' of class 'x'. Known keys: co"),
        ({"axis_codes": "LPX"}, "'axis_codes': Axis codes name one of R/L, A/P and S/I each, like 'LPS'"),
        ({"axis_codes": None}, "'axis_codes': Axis codes name one of"),
        ({"overlap": 1}, "'overlap' must be a number from 0 to 0.99, not 1."),
        ({"overlap": None}, "'overlap' must be a number from 0 to 0.99, not null."),
        ({"overlap": float("nan")}, "'overlap' must be a number from 0 to 0.99, not NaN."),
        ({"crop": {"mode": "body", "threshold": "air"}}, "'crop.threshold' must be a number, not \"air\"."),
        ({"crop": {"mode": "body", "threshold": None}}, "'crop.threshold' must be a number, not null."),
        ({"crop": {"mode": "body", "fraction": 2}}, "'crop.fraction' must be a number from 0 to 1, not 2."),
        ({"intensity": {"rule": "window", "low": "a", "high": 1}}, "'intensity.low' must be a number, not \"a\"."),
        (
            {"intensity": {"rule": "percentile-scale", "low": 1, "high": 101}},
            "'intensity.high' must be a number from 0 to 100, not 101.",
        ),
        ({"patch_size": [8, 12, 8], "divisible_by": 8}, "'patch_size' must be multiples of 'divisible_by' (8), not"),
        (
            {"dimensions": 2, "spacing": [1, 1, 1]},
            "'spacing' must be 2 positive numbers along I, J, or null, not [1, 1, 1].",
        ),
        ({"classes": [*TWO_CLASSES, {"name": " Liver"}]}, "'classes' names 'liver' twice; every name must be another."),
        ({"classes": [{"name": f"c{n}"} for n in range(256)]}, "'classes' may name at most 254 structures, not 255"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named_too(tmp_path, changes, message):
    assert message in complaint(tmp_path, **changes)


@pytest.mark.parametrize("color", ["red", [1, 0], [1, 0, 2], ["1", "0", "0"], [True, 0, 0], {"r": 1}])
def test_a_color_is_three_numbers_from_0_to_1(tmp_path, color):
    text = complaint(tmp_path, classes=[{"name": "background"}, {"name": "liver", "color": color}])
    assert text == f"'color' of class 'liver' must be three numbers from 0 to 1, not {json.dumps(color)}."


@pytest.mark.parametrize("tags", ["a", ["a"], {"a": 1}])
def test_tags_are_texts(tmp_path, tags):
    text = complaint(tmp_path, classes=[{"name": "background"}, {"name": "liver", "tags": tags}])
    assert text == f"'tags' of class 'liver' must be an object of texts, not {json.dumps(tags)}."


def test_255_is_the_last_number_that_is_no_class(tmp_path):
    assert read(tmp_path, classes=[{"name": f"c{n}"} for n in range(255)]).channel_labels[-1] == 254
