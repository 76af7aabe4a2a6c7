"""What becomes of each class of the network: proposed, decided, merged, ignored; and what the worker is told of it."""

import numpy as np
import pytest
from scene_examples import OBLIQUE, add_segment, add_segmentation, add_volume

from InteractiveRefineLib.segmentation import Segment
from InteractiveRefineScene.class_choice import (
    IGNORED,
    OWN,
    ClassChoice,
    acceptProposals,
    choicesOf,
    choose,
    classMapOf,
)
from InteractiveRefineScene.class_mapping import classOf, mappingOf

CLASSES = [Segment(name, label) for label, name in enumerate(("liver", "left kidney", "right kidney", "skin"), start=1)]


@pytest.fixture
def node(slicer_scene):
    made = add_segmentation(
        slicer_scene.scene, add_volume(slicer_scene.scene, np.zeros((2, 3, 4), np.int16), OBLIQUE), name="Organs"
    )
    for name in ("liver", "kidneys"):
        add_segment(made, name)
    return made


def targets(node):
    return [choice.target for choice in choicesOf(node, CLASSES)]


def test_what_nobody_decided_is_a_proposal_and_nothing_of_it_is_stored(node):
    assert choicesOf(node, CLASSES) == [
        ClassChoice("liver", "liver", isProposed=True),
        ClassChoice("left kidney", OWN),
        ClassChoice("right kidney", OWN),
        ClassChoice("skin", OWN),
    ]
    assert classOf(node, "liver") is None and classMapOf(node, CLASSES) == {}


def test_going_on_accepts_what_was_proposed_also_for_a_segment_that_is_renamed_later(node):
    acceptProposals(node, CLASSES)
    node.GetSegmentation().GetSegment("liver").SetName("organ 1")
    assert choicesOf(node, CLASSES)[0] == ClassChoice("liver", "liver", isProposed=False)


def test_the_same_segment_chosen_twice_merges_two_classes(node):
    choose(node, CLASSES, "right kidney", "kidneys")
    choose(node, CLASSES, "left kidney", "kidneys")
    assert targets(node) == ["liver", "kidneys", "kidneys", OWN]
    assert classMapOf(node, CLASSES) == {"right kidney": ["right kidney", "left kidney"]}
    assert mappingOf(node, CLASSES)["kidneys"] == "right kidney", "the name of the merged class"


def test_merged_classes_are_taken_apart_one_by_one(node):
    for name in ("liver", "left kidney", "right kidney"):
        choose(node, CLASSES, name, "kidneys")
    assert targets(node) == ["kidneys"] * 3 + [OWN]
    choose(node, CLASSES, "liver", "liver")
    assert targets(node) == ["liver", "kidneys", "kidneys", OWN]
    choose(node, CLASSES, "left kidney", OWN)
    assert targets(node) == ["liver", OWN, "kidneys", OWN] and classMapOf(node, CLASSES) == {}
    choose(node, CLASSES, "right kidney", IGNORED)
    assert targets(node) == ["liver", OWN, IGNORED, OWN] and mappingOf(node, CLASSES) == {"liver": "liver"}


def test_an_ignored_class_stays_ignored_until_it_gets_a_segment(node):
    choose(node, CLASSES, "skin", IGNORED)
    choose(node, CLASSES, "liver", IGNORED)
    assert targets(node) == [IGNORED, OWN, OWN, IGNORED]
    assert classMapOf(node, CLASSES) == {"ignore": ["liver", "skin"]}
    choose(node, CLASSES, "liver", "liver")
    choose(node, CLASSES, "skin", OWN)
    assert targets(node) == ["liver", OWN, OWN, OWN] and classMapOf(node, CLASSES) == {}


def test_what_was_decided_is_not_proposed_away_by_a_segment_that_comes_later(node):
    for name in ("left kidney", "right kidney"):
        choose(node, CLASSES, name, "kidneys")
    choose(node, CLASSES, "skin", IGNORED)
    before = targets(node)
    for name in ("right kidney", "skin"):
        add_segment(node, name)
    assert targets(node) == before == ["liver", "kidneys", "kidneys", IGNORED]
    acceptProposals(node, CLASSES)
    assert targets(node) == before and classOf(node, "skin") is None
    assert classMapOf(node, CLASSES) == {"left kidney": ["left kidney", "right kidney"], "ignore": ["skin"]}
    choose(node, CLASSES, "skin", "skin")
    assert targets(node)[3] == "skin"


def test_the_map_fits_the_library(node):
    from InteractiveRefineLib.backbone.class_map import apply_class_map
    from Testing.tests.network_examples import a_config

    for name in ("left kidney", "right kidney"):
        choose(node, CLASSES, name, "kidneys")
    choose(node, CLASSES, "skin", IGNORED)
    config = a_config(classes=2, channel_labels=(0, 1, 2, 3, 4))
    from dataclasses import replace

    mapped = apply_class_map(replace(config, classes=tuple(CLASSES)), classMapOf(node, CLASSES))
    assert [(s.name, s.label) for s in mapped.classes] == [("liver", 1), ("left kidney", 2)]
    assert mapped.channel_labels == (0, 1, 2, 2, 0)
    assert mappingOf(node, mapped.classes) == {"liver": "liver", "kidneys": "left kidney"}


def test_a_removed_segment_gives_its_classes_back_and_another_network_is_not_confused(node):
    for name in ("left kidney", "right kidney"):
        choose(node, CLASSES, name, "kidneys")
    choose(node, CLASSES, "skin", IGNORED)
    other = [Segment("lung", 1), Segment("Right Kidney", 2)]
    assert [choice.target for choice in choicesOf(node, other)] == [OWN, OWN] and classMapOf(node, other) == {}
    node.GetSegmentation().RemoveSegment("kidneys")
    assert targets(node) == ["liver", OWN, OWN, IGNORED]
    assert classMapOf(node, CLASSES) == {"ignore": ["skin"]}


def test_choices_are_saved_with_the_scene_whatever_the_classes_are_called(slicer_scene, node, tmp_path):
    odd = [Segment(name, label) for label, name in enumerate(("a|b", "c,d: 50%", "Größe\n", "x~y"), start=1)]
    for entry in odd[:3]:
        choose(node, odd, entry.name, "kidneys")
    choose(node, odd, "x~y", IGNORED)
    before = choicesOf(node, odd)
    assert [choice.target for choice in before] == ["kidneys"] * 3 + [IGNORED]
    scene = slicer_scene.scene
    for other in (node, scene.GetFirstNodeByName("CT")):
        other.AddDefaultStorageNode()
    bundle = str(tmp_path / "case.mrb")
    assert scene.WriteToMRB(bundle)
    scene.Clear(0)
    assert scene.ReadFromMRB(bundle)
    assert choicesOf(scene.GetFirstNodeByName("Organs"), odd) == before


def test_choosing_the_same_again_is_no_edit(node):
    import slicer

    choose(node, CLASSES, "left kidney", "kidneys")
    choose(node, CLASSES, "right kidney", "kidneys")
    heard = []
    node.GetSegmentation().AddObserver(slicer.vtkSegmentation.SegmentModified, lambda *_: heard.append(1))
    choose(node, CLASSES, "right kidney", "kidneys")
    acceptProposals(node, CLASSES)
    assert heard == []
