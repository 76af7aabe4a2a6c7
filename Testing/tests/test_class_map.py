"""A class map gives the network's own label map with its labels replaced, voxel by voxel, or says what is wrong."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone import load_backbone  # noqa: E402
from InteractiveRefineLib.backbone.class_map import apply_class_map  # noqa: E402
from InteractiveRefineLib.backbone.config import BackboneConfig  # noqa: E402
from InteractiveRefineLib.backbone.outputs import ClassLogits  # noqa: E402
from InteractiveRefineLib.class_table import ClassTable  # noqa: E402
from InteractiveRefineLib.cli.class_map import with_class_map  # noqa: E402
from InteractiveRefineLib.errors import BackboneError, InputError  # noqa: E402
from InteractiveRefineLib.segmentation import Segment  # noqa: E402
from InteractiveRefineLib.session import RefineSession  # noqa: E402
from InteractiveRefineLib.settings import RefineSettings  # noqa: E402
from Testing.tests.cli_examples import scan, write_backbone  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
LIVER, VESSEL = Segment("liver", 1, RED, tags={"T": "liver"}), Segment("liver vessel", 2, BLUE, tags={"T": "vessel"})
MILZ, SKIN = Segment("Milz", 3, tags={"T": "spleen"}), Segment("skin", 4)


def a_config(labels=(0, 1, 2, 3, 4), activation="softmax", **more):
    classes = (LIVER, VESSEL, MILZ, SKIN)
    return BackboneConfig("test", 3, ("CT",), classes, labels, activation=activation, **more)


def names(config):
    return [(s.label, s.name) for s in config.classes]


def test_an_empty_map_changes_nothing():
    assert apply_class_map(a_config(), {}) == a_config()


def test_classes_are_merged_renamed_and_ignored_and_all_others_stay():
    mapped = apply_class_map(a_config(), {"liver": ["liver", "liver vessel"], "spleen": "Milz", "ignore": ["skin"]})
    assert names(mapped) == [(1, "liver"), (2, "spleen")]
    assert mapped.channel_labels == (0, 1, 1, 2, 0)
    mapped = apply_class_map(a_config(), {"spleen": "Milz"})
    assert names(mapped) == [(1, "liver"), (2, "liver vessel"), (3, "spleen"), (4, "skin")]
    assert mapped.channel_labels == (0, 1, 2, 3, 4)


def test_numbers_follow_the_networks_order_not_the_maps():
    mapped = apply_class_map(a_config(), {"spleen": "Milz", "inside": ["skin", "liver"]})
    assert names(mapped) == [(1, "inside"), (2, "liver vessel"), (3, "spleen")]
    assert mapped.channel_labels == (0, 1, 2, 3, 1)


def test_all_others_can_be_ignored():
    mapped = apply_class_map(a_config(), {"liver": "liver", "ignore": "others"})
    assert names(mapped) == [(1, "liver")]
    assert mapped.channel_labels == (0, 1, 0, 0, 0)


def test_two_classes_can_change_places():
    mapped = apply_class_map(a_config(), {"Milz": "skin", "skin": "Milz"})
    assert names(mapped)[2:] == [(3, "skin"), (4, "Milz")]


def test_names_are_found_whatever_their_case():
    assert names(apply_class_map(a_config(), {"spleen": " MILZ", "ignore": ["Skin "]}))[2:] == [(3, "spleen")]


def test_one_name_may_stand_without_a_list():
    assert apply_class_map(a_config(), {"ignore": "skin", "add": "cyst"}).added[0].name == "cyst"


def test_color_and_tags_are_those_of_the_class_that_has_the_name():
    liver = apply_class_map(a_config(), {"Liver": ["liver vessel", "liver"]}).classes[0]
    assert (liver.name, liver.color, liver.tags) == ("Liver", RED, {"T": "liver"})
    vessel = apply_class_map(a_config(), {"liver vessel": ["liver", "liver vessel"]}).classes[0]
    assert (vessel.label, vessel.color, vessel.tags) == (1, BLUE, {"T": "vessel"})


def test_a_renamed_class_keeps_its_tags_but_several_together_have_none():
    mapped = apply_class_map(a_config(), {"spleen": "Milz", "liver with vessels": ["liver", "liver vessel"]})
    assert (mapped.classes[0].color, mapped.classes[0].tags) == (RED, {})
    assert mapped.classes[1].tags == {"T": "spleen"}


def test_added_classes_follow_and_have_labels_and_colors():
    mapped = apply_class_map(a_config(), {"ignore": ["skin", "Milz"], "add": ["spleen", " cyst "]})
    assert names(mapped) == [(1, "liver"), (2, "liver vessel")]
    assert [(s.label, s.name) for s in mapped.added] == [(3, "spleen"), (4, "cyst")]
    assert len({s.color for s in mapped.added}) == 2
    assert mapped.channel_labels == (0, 1, 2, 0, 0)


def test_an_ignored_class_can_be_added_to_draw_it_oneself():
    mapped = apply_class_map(a_config(), {"ignore": ["skin"], "add": ["skin"]})
    assert [(s.label, s.name) for s in mapped.added] == [(4, "skin")]


def test_a_second_map_works_on_what_the_first_one_made():
    first = apply_class_map(a_config(), {"spleen": "Milz", "add": ["cyst"]})
    second = apply_class_map(first, {"liver": ["liver", "liver vessel"], "ignore": ["skin"], "add": ["stent"]})
    assert names(second) == [(1, "liver"), (2, "spleen")]
    assert [(s.label, s.name) for s in second.added] == [(3, "cyst"), (4, "stent")]
    assert second.channel_labels == (0, 1, 1, 2, 0)


@pytest.mark.parametrize(
    "class_map, says",
    [
        (
            {"liver": ["liver", "liver vesel"]},
            "\"liver\": the network has no class 'liver vesel'. Did you mean 'liver v",
        ),
        ({"x": "Leber"}, "no class 'Leber'. It knows liver, liver vessel, Milz, skin."),
        ({"ignore": ["skn"]}, "\"ignore\": the network has no class 'skn'. Did you mean 'skin'?"),
        ({"a": "liver", "b": ["skin", "Liver"]}, "\"b\": the network's class 'liver' is named twice"),
        ({"a": "liver", "ignore": ["liver"]}, "\"ignore\": the network's class 'liver' is named twice"),
        ({"a": ["liver", "liver"]}, "named twice"),
        ({"a": "liver", "A ": "skin"}, '"A " twice'),
        ({"skin": "liver"}, '"skin" is also a class of the network, which the map does not name'),
        ({"ignore": "others"}, "leaves no class"),
        ({"ignore": ["liver", "liver vessel", "Milz", "skin"]}, "leaves no class"),
        ({"add": ["Liver"]}, "\"add\": there is a class 'Liver' already"),
        ({"add": ["cyst", "Cyst"]}, "\"add\": there is a class 'Cyst' already"),
        ({"add": ["background"]}, "there is a class 'background' already"),
        ({"background": ["skin"]}, 'list them under "ignore"'),
        ({"Ignore": ["skin"]}, '"Ignore" is no name for a class'),
        ({"liver": []}, '"liver" must be the name of a class of the network, or a list'),
        ({"liver": 3}, "not 3"),
        ({"add": [""]}, '"add" must be a list of names'),
        ({"add": {"cyst": 1}}, '"add" must be a list of names, not {"cyst": 1}'),
        (["liver"], 'class_map must be an object like {"liver"'),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_the_key(class_map, says):
    with pytest.raises(BackboneError) as caught:
        apply_class_map(a_config(), class_map)
    assert says in str(caught.value)


def test_254_classes_are_the_most():
    assert apply_class_map(a_config(), {"add": [f"n{n}" for n in range(250)]}).added[-1].label == 254
    with pytest.raises(BackboneError, match="at most 254 classes"):
        apply_class_map(a_config(), {"add": [f"n{n}" for n in range(251)]})


MAPS = [
    {"a": ["liver", "skin"]},
    {"a": ["liver", "liver vessel"], "b": ["Milz", "skin"]},
    {"ignore": ["liver vessel"]},
    {"a": ["Milz", "liver"], "ignore": ["skin"], "add": ["x"]},
    {"skin": ["Milz", "skin"], "ignore": "others"},
    {"everything": ["liver", "liver vessel", "Milz", "skin"]},
]


def owners_labels(config, logits):
    """What the owner's tool writes for output channels (N, channels), the plain way: (N,) labels of `config`."""
    labels = []
    for voxel in logits:
        if config.activation == "softmax":
            labels.append(config.channel_labels[int(voxel.argmax())])
        elif config.activation == "sigmoid":
            labels.append(config.channel_labels[int(voxel.argmax())] if voxel.max() > 0 else 0)
        else:
            label = 0
            for channel, logit in enumerate(voxel):
                label = config.channel_labels[channel] if logit > 0 else label
            labels.append(label)
    return np.array(labels)


def translated(labels, config, mapped, class_map):
    """The owner's labels with each label replaced by that of the class which the map names for it."""
    target = {}
    for segment in config.classes:
        new = segment.name if class_map.get("ignore") != "others" else ""
        for name, members in class_map.items():
            if name != "add" and segment.name in members:
                new = "" if name == "ignore" else name
        target[segment.label] = next((s.label for s in mapped.classes if s.name == new), 0)
    return np.array([target.get(int(label), 0) for label in labels])


@pytest.mark.parametrize("class_map", MAPS, ids=json.dumps)
@pytest.mark.parametrize(
    "activation, labels",
    [
        ("softmax", (0, 1, 2, 3, 4)),
        ("softmax", (3, 0, 1, 2, 4, 1)),  # background not first, one class of two channels
        ("sigmoid", (1, 2, 3, 4)),
        ("sigmoid", (4, 1, 0, 3, 2)),  # a channel that is ignored already
        ("regions", (1, 2, 3, 4)),
        ("regions", (2, 4, 1, 3)),
    ],
)
def test_the_answer_is_the_owners_with_its_labels_replaced(class_map, activation, labels):
    config = a_config(labels, activation)
    mapped = apply_class_map(config, class_map)
    logits = torch.randn(4000, len(labels), generator=torch.Generator().manual_seed(5))
    own = owners_labels(config, logits)
    assert set(own) == {0, 1, 2, 3, 4}  # the example shows all of them
    expected = translated(own, config, mapped, class_map)
    found = ClassLogits(mapped)(logits)
    assert found.shape == (4000, len(mapped.classes) + 1)
    assert np.array_equal(found.argmax(dim=1).numpy(), expected)


class TestFiles:
    """A map in backbone.json, and one for --class-map."""

    MAP = {"organs": ["liver", "spleen"], "add": ["cyst"]}

    def test_a_map_in_backbone_json_counts(self, tmp_path):
        backbone = load_backbone(write_backbone(tmp_path / "network", class_map=self.MAP))
        assert names(backbone.config) == [(1, "organs")]
        session = RefineSession(scan(), backbone, RefineSettings(device="cpu"))
        own = RefineSession(scan(), load_backbone(write_backbone(tmp_path / "own")), RefineSettings(device="cpu"))
        assert np.array_equal(session.predict(), own.predict() > 0)
        assert session.label_of("cyst") == 2

    def test_an_error_in_it_names_file_and_key(self, tmp_path):
        folder = write_backbone(tmp_path / "network", class_map={"organs": ["livr"]})
        with pytest.raises(BackboneError, match=r"backbone.json: class_map: \"organs\".*'livr'. Did you mean 'liver'"):
            load_backbone(folder)

    def test_a_map_in_a_file_counts(self, tmp_path):
        backbone = load_backbone(write_backbone(tmp_path / "network"))
        assert with_class_map(backbone, None) is backbone
        path = tmp_path / "classes.json"
        path.write_text(json.dumps(self.MAP), encoding="utf-8")
        mapped = with_class_map(backbone, str(path))
        assert names(mapped.config) == [(1, "organs")]
        assert mapped.network is backbone.network

    @pytest.mark.parametrize(
        "text, says",
        [
            (None, "is not a file"),
            ("{", "is not valid JSON"),
            ("[]", "one JSON object"),
            ('{"a": "b"}', "no class 'b'"),
        ],
    )
    def test_what_is_wrong_with_the_file_is_said(self, tmp_path, text, says):
        path = tmp_path / "classes.json"
        if text is not None:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as caught:
            with_class_map(load_backbone(write_backbone(tmp_path / "network")), str(path))
        assert says in str(caught.value) and "classes.json" in str(caught.value)


def test_an_added_class_has_the_same_color_whether_a_class_map_or_the_user_adds_it():
    config = a_config()
    table = ClassTable(config.classes)
    for name in ("cyst", "stent"):
        table.add(name)
    added = apply_class_map(config, {"add": ["cyst", "stent"]}).added
    assert [s.color for s in added] == [s.color for s in table.segments[4:]] and added[0].color != added[1].color
