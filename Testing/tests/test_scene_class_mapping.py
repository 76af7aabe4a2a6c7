"""Which segment stands for which class: by tag, else proposed by name or terminology; never by order or label."""

import numpy as np
import pytest
from scene_examples import OBLIQUE, add_segment, add_segmentation, add_volume, mask_of, slicer

from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.segmentation import Segment, Segmentation
from InteractiveRefineScene.class_mapping import (
    classOf,
    ensureSegments,
    mappingOf,
    segmentOf,
    setClass,
    withClassNames,
)

TAG = "InteractiveRefine.Class"
CATEGORY = "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
LIVER_CODE = f"{CATEGORY}~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
OTHER_CONTEXT = "Total~SCT^85756007^Tissue~SCT^10200004^Leber~^^~x~^^~^^"
KIDNEY = "x~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^{}^{}~x~^^~^^"
RIGHT, LEFT = KIDNEY.format(24028007, "Right"), KIDNEY.format(7771000, "Left")
CLASSES = [
    Segment("liver", 1, (0.75, 0.25, 0.0), tags={"TerminologyEntry": LIVER_CODE}),
    Segment("spleen", 2, (0.0, 0.5, 0.25)),
]


@pytest.fixture
def node(slicer_scene):
    return add_segmentation(slicer_scene.scene, add_volume(slicer_scene.scene, np.zeros((2, 3, 4), np.int16), OBLIQUE))


def test_an_untagged_segment_is_proposed_by_its_name_in_any_case(node):
    for name in ("Spleen ", "heart", "LIVER"):
        add_segment(node, name)
    assert mappingOf(node, CLASSES) == {"Spleen ": "spleen", "LIVER": "liver"}
    assert classOf(node, "LIVER") is None  # a proposal is not stored


def test_a_segment_without_the_name_is_proposed_by_its_terminology(node):
    add_segment(node, "Leber", tags={"TerminologyEntry": OTHER_CONTEXT})
    add_segment(node, "anything")  # Slicer's own "Tissue" says nothing
    assert mappingOf(node, CLASSES) == {"Leber": "liver"}


def test_a_name_that_is_written_differently_is_proposed_last(node):
    for name in ("Liver_1 (auto)", "R kidney", "kidney", "splen"):
        add_segment(node, name)
    classes = [*CLASSES, Segment("kidney_right", 3), Segment("kidney_left", 4)]
    assert mappingOf(node, classes) == {"Liver_1 (auto)": "liver", "R kidney": "kidney_right", "splen": "spleen"}
    assert classOf(node, "R kidney") is None
    add_segment(node, "Spleen")  # the name itself comes before one like it
    assert mappingOf(node, classes)["Spleen"] == "spleen"
    assert "splen" not in mappingOf(node, classes)


def test_where_two_segments_are_written_alike_neither_is_proposed(node):
    for name in ("Liver_1", "Liver_2"):
        add_segment(node, name)
    assert mappingOf(node, CLASSES) == {}


def test_two_sides_of_one_organ_are_different_classes(node):
    add_segment(node, "Niere links", tags={"TerminologyEntry": LEFT})
    add_segment(node, "Niere rechts", tags={"TerminologyEntry": RIGHT})
    classes = [
        Segment("kidney_right", 1, tags={"TerminologyEntry": RIGHT}),
        Segment("kidney_left", 2, tags={"TerminologyEntry": LEFT}),
    ]
    assert mappingOf(node, classes) == {"Niere links": "kidney_left", "Niere rechts": "kidney_right"}


def test_a_name_comes_before_any_terminology(node):
    add_segment(node, "x", tags={"TerminologyEntry": LIVER_CODE})
    add_segment(node, "liver")
    assert mappingOf(node, CLASSES) == {"liver": "liver"}


def test_the_tag_survives_renaming_and_reordering(node):
    add_segment(node, "liver")
    add_segment(node, "spleen")
    setClass(node, "liver", "liver")
    setClass(node, "spleen", "spleen")
    segmentation = node.GetSegmentation()
    segmentation.GetSegment("liver").SetName("spleen")  # confusing, but what the user decided counts
    segmentation.GetSegment("spleen").SetName("Milz")
    segmentation.SetSegmentIndex("spleen", 0)
    assert mappingOf(node, CLASSES) == {"spleen": "spleen", "liver": "liver"}
    assert segmentOf(node, "liver", CLASSES) == "liver"


def test_a_class_belongs_to_one_segment_only(node):
    add_segment(node, "a")
    add_segment(node, "b")
    setClass(node, "a", "liver")
    setClass(node, "b", "Liver")
    assert (classOf(node, "a"), classOf(node, "b")) == ("", "Liver")
    assert mappingOf(node, CLASSES) == {"b": "liver"}


def test_a_segment_can_stand_for_nothing_although_its_name_fits(node):
    add_segment(node, "liver")
    setClass(node, "liver", "")
    assert mappingOf(node, CLASSES) == {}
    assert segmentOf(node, "liver", CLASSES) is None


def test_a_copied_segment_does_not_take_the_class_away(node):
    add_segment(node, "liver")
    setClass(node, "liver", "liver")
    copy = slicer.vtkSegment()
    copy.DeepCopy(node.GetSegmentation().GetSegment("liver"))
    node.GetSegmentation().AddSegment(copy, "copy")
    assert mappingOf(node, CLASSES) == {"liver": "liver"}


def test_when_merged_segments_leave_one_it_keeps_its_class(node):
    add_segment(node, "liver", mask_of((2, 3, 4), (0, 0, 0)), OBLIQUE)
    add_segment(node, "spleen", mask_of((2, 3, 4), (0, 0, 1)), OBLIQUE)
    ensureSegments(node, CLASSES)
    node.GetSegmentation().RemoveSegment("spleen")
    assert mappingOf(node, CLASSES) == {"liver": "liver"}
    assert segmentOf(node, "spleen", CLASSES) is None


def test_a_tag_of_another_network_is_not_a_class_of_this_one(node):
    add_segment(node, "liver", tags={TAG: "organ_5"})
    assert mappingOf(node, CLASSES) == {}


def test_missing_segments_are_added_with_name_color_and_tag(node):
    add_segment(node, "Spleen")
    ids = ensureSegments(node, CLASSES)
    assert list(ids) == ["liver", "spleen"]
    assert ids["spleen"] == "Spleen"
    added = node.GetSegmentation().GetSegment(ids["liver"])
    assert (added.GetName(), added.GetColor()) == ("liver", (0.75, 0.25, 0.0))
    assert [classOf(node, ids[name]) for name in ("liver", "spleen")] == ["liver", "spleen"]
    assert ensureSegments(node, CLASSES) == ids
    assert node.GetSegmentation().GetNumberOfSegments() == 2


def test_an_added_segment_does_not_take_the_id_of_another_one(node):
    add_segment(node, "liver")
    setClass(node, "liver", "")
    assert ensureSegments(node, CLASSES)["liver"] != "liver"
    assert classOf(node, "liver") == ""


def test_setting_a_class_again_is_no_edit(node):
    add_segment(node, "a")
    setClass(node, "a", "liver")
    heard = []
    node.GetSegmentation().AddObserver(slicer.vtkSegmentation.SegmentModified, lambda *_: heard.append(1))
    setClass(node, "a", "liver")
    assert heard == []


def test_names_for_the_library_are_those_of_the_classes_and_all_different():
    segments = [
        Segment("Leber", 1, id="a"),
        Segment("liver", 2, id="b"),  # stands for nothing
        Segment("Background", 3, id="c"),
        Segment("liver", 4, id="d"),
    ]
    before = Segmentation(np.zeros((1, 2, 3), np.uint16), Geometry((1, 2, 3), OBLIQUE), segments)
    after = withClassNames(before, {"a": "liver"})
    assert [(s.id, s.name, s.label) for s in after.segments] == [
        ("a", "liver", 1),
        ("b", "liver (2)", 2),
        ("c", "Background (2)", 3),
        ("d", "liver (3)", 4),
    ]
    assert [s.name for s in before.segments] == ["Leber", "liver", "Background", "liver"]
