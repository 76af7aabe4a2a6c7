"""Classes keep their labels, whatever segmentations come along."""

import numpy as np
import pytest

from InteractiveRefineLib.class_table import ClassTable
from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.segmentation import Segment, Segmentation

GRID = Geometry((2, 3, 4), np.diag([2.0, 2.0, 3.0, 1.0]))
KNOWN = (Segment("liver", 1, (1, 0, 0)), Segment("Left kidney", 2, (0, 1, 0)))


def a_segmentation(values, *segments, **more):
    labels = np.zeros(GRID.shape, np.uint16)
    labels.ravel()[: len(values)] = values
    return Segmentation(labels, GRID, list(segments), **more)


def test_known_classes_come_first_and_new_ones_follow():
    table = ClassTable(KNOWN)
    assert (len(table), table.n_known) == (3, 3)
    assert table.add(" cyst ") == 3
    assert (len(table), table.n_known) == (4, 3)
    assert [s.name for s in table.segments] == ["liver", "Left kidney", "cyst"]
    assert [table.name_of(label) for label in range(4)] == ["background", "liver", "Left kidney", "cyst"]


def test_names_are_found_whatever_their_case_and_space():
    table = ClassTable(KNOWN)
    assert table.find(" LEFT kidney") == table.label_of("left kidney ") == 2
    assert table.find("Background") == 0
    assert table.find("kidney") is None
    with pytest.raises(InputError, match="no class named 'kidney'. Known: liver, Left kidney"):
        table.label_of("kidney")


@pytest.mark.parametrize("name, message", [("", "needs a name"), ("LIVER ", "already a class"), ("background", "alr")])
def test_names_that_cannot_be_added(name, message):
    table = ClassTable(KNOWN)
    with pytest.raises(InputError, match=message):
        table.add(name)
    assert len(table) == 3


def test_label_255_is_never_given_away():
    table = ClassTable(KNOWN)
    for n in range(3, 255):
        assert table.add(f"class {n}") == n
    with pytest.raises(InputError, match="At most 254 classes"):
        table.add("one more")


def test_the_table_does_not_change_the_backbones_list():
    known = list(KNOWN)
    ClassTable(known).add("cyst")
    assert len(known) == 2


def test_segments_are_matched_by_name_not_by_number():
    table = ClassTable(KNOWN)
    labels, warnings = table.adopt(
        a_segmentation([1, 2, 9, 0], Segment("left KIDNEY", 1), Segment("cyst", 9), Segment("liver", 2)), GRID
    )
    assert labels.ravel()[:5].tolist() == [2, 1, 3, 0, 0]
    assert labels.dtype == np.uint16
    assert warnings == ["The network does not know 'cyst'; it is kept and can be corrected too."]
    assert table.n_known == 3


def test_a_segment_that_may_be_a_known_class_is_kept_apart_with_a_hint():
    table = ClassTable(KNOWN)
    labels, warnings = table.adopt(
        a_segmentation([1, 2, 3], Segment("Liver_1", 1), Segment("kidney L", 2), Segment("stent", 3)), GRID
    )
    assert labels.ravel()[:3].tolist() == [3, 4, 5]  # never guessed
    kept = "The network does not know {!r}; it is kept and can be corrected too."
    assert warnings == [
        kept.format("Liver_1") + " If it is the network's 'liver', give it that name.",
        kept.format("kidney L") + " If it is the network's 'Left kidney', give it that name.",
        kept.format("stent"),
    ]


def test_classes_that_a_class_map_adds_follow_the_known_ones():
    table = ClassTable(KNOWN, [Segment("cyst", 7, (0, 0, 1))])
    assert (len(table), table.n_known) == (4, 3)
    assert table.segments[2] == Segment("cyst", 3, (0, 0, 1))
    labels, warnings = table.adopt(a_segmentation([9], Segment("Cyst", 9)), GRID)
    assert (labels.ravel()[0], warnings) == (3, [])


def test_names_colors_ids_and_tags_of_the_users_segments_stay():
    table = ClassTable(KNOWN)
    mine = Segment("LIVER", 7, (0.1, 0.2, 0.3), "id-1", {"T": "x"}, {"H": "y"})
    table.adopt(a_segmentation([7], mine), GRID)
    kept = table.segments[0]
    assert (kept.name, kept.label, kept.color, kept.id, kept.tags, kept.header) == (
        "LIVER", 1, mine.color, "id-1", mine.tags, mine.header,
    )  # fmt: skip
    assert table.segments[1] == KNOWN[1]


def test_values_without_a_segment_become_classes_and_keep_them_the_next_time():
    table = ClassTable(KNOWN)
    for _ in range(2):
        labels, _ = table.adopt(a_segmentation([5, 1, 8], Segment("liver", 1)), GRID)
        assert labels.ravel()[:3].tolist() == [3, 1, 4]
    assert [s.name for s in table.segments[2:]] == ["Segment_5", "Segment_8"]


def test_a_segment_named_background_is_background():
    labels, _ = ClassTable(KNOWN).adopt(a_segmentation([4, 1], Segment("Background", 4), Segment("liver", 1)), GRID)
    assert labels.ravel()[:2].tolist() == [0, 1]


def test_warnings_of_the_reader_are_passed_on_and_another_grid_is_told():
    coarse = Geometry((2, 3, 2), np.diag([4.0, 2.0, 3.0, 1.0]))
    current = Segmentation(np.ones(coarse.shape, np.uint8), coarse, [KNOWN[0]], ["flattened"])
    labels, warnings = ClassTable(KNOWN).adopt(current, GRID)
    assert labels.shape == GRID.shape
    assert warnings[0] == "flattened"
    assert "another grid" in warnings[1]


def test_the_given_segmentation_is_not_written_to():
    current = a_segmentation([7], Segment("liver", 7))
    labels, _ = ClassTable(KNOWN).adopt(current, GRID)
    labels[:] = 0
    assert current.labels.ravel()[0] == 7


def test_a_plain_label_map_is_matched_by_number():
    table = ClassTable([Segment("spleen", 1), Segment("liver", 2)])
    geometry = Geometry((1, 1, 3), np.eye(4))
    plain = Segmentation(
        np.array([[[0, 1, 2]]], np.uint8), geometry, [Segment("Segment_1", 1), Segment("Segment_2", 2)]
    )
    labels, warnings = table.adopt(plain, geometry)
    assert labels.tolist() == [[[0, 1, 2]]]
    assert [s.name for s in table.segments] == ["spleen", "liver"]
    assert warnings == []


def test_a_plain_label_map_with_an_added_class_is_matched_by_number_as_this_program_wrote_it():
    table = ClassTable(KNOWN)
    table.add("kidney stone")
    plain = a_segmentation([1, 2, 3], *(Segment(f"Segment_{n}", n) for n in (1, 2, 3)))
    labels, warnings = table.adopt(plain, GRID)
    assert labels.ravel()[:3].tolist() == [1, 2, 3]
    assert ([s.name for s in table.segments], warnings) == (["liver", "Left kidney", "kidney stone"], [])


def test_in_a_plain_label_map_numbers_of_no_class_do_not_take_the_others_theirs():
    table = ClassTable(KNOWN)
    plain = a_segmentation([1, 2, 7], *(Segment(f"Segment_{n}", n) for n in (1, 2, 7)))
    for _ in range(2):
        labels, _ = table.adopt(plain, GRID)
        assert labels.ravel()[:3].tolist() == [1, 2, 3]
    assert [s.name for s in table.segments] == ["liver", "Left kidney", "Segment_7"]


def test_segments_of_one_name_stay_apart_and_are_told():
    table = ClassTable(KNOWN)
    twice = [Segment("lesion", 4, id="a"), Segment("Lesion ", 5, id="b"), Segment("lesion", 6, id="c")]
    for _ in range(2):
        labels, warnings = table.adopt(a_segmentation([4, 5, 6], *twice), GRID)
        assert labels.ravel()[:3].tolist() == [3, 4, 5]
        assert [w for w in warnings if "Several" in w] == [
            "Several segments are named 'Lesion '; one of them is 'Lesion (2)' from here on.",
            "Several segments are named 'lesion'; one of them is 'lesion (3)' from here on.",
        ]
    assert [(s.name, s.id) for s in table.segments[2:]] == [("lesion", "a"), ("Lesion (2)", "b"), ("lesion (3)", "c")]


def test_a_segmentation_with_too_many_classes_leaves_the_table_as_it_was():
    table = ClassTable(KNOWN)
    many = [Segment(f"part {n}", n) for n in range(1, 300)]
    with pytest.raises(InputError, match="At most 254 classes"):
        table.adopt(a_segmentation([1], *many), GRID)
    assert table.segments == list(KNOWN)
