"""What lies safely inside one side of all outlines keeps its side; and every node knows its nearest structure."""

import numpy as np
import pytest

pytest.importorskip("torch")

from InteractiveRefineLib.outlines.sides import BAND, CORE, cores, nearest_structure  # noqa: E402

EVEN = (1.0, 1.0, 1.0)


def line(*values):
    """A grid of one row of nodes."""
    return np.array(values)[None, None]


def held(rows, given=None, spacing=EVEN, leash_mm=0.0):
    """Nodes of one row that are held."""
    given = np.full(rows.shape, -1) if given is None else given
    return np.flatnonzero(cores(rows, given, spacing, leash_mm)[0, 0]).tolist()


class TestCores:
    WIDE = line(*[0] * 10, *[1] * 20, *[0] * 10)

    def test_begin_beyond_the_band_on_both_sides(self):
        assert BAND == 3
        assert held(self.WIDE) == [*range(7), *range(13, 27), *range(33, 40)]

    def test_leave_a_part_of_a_narrow_structure_inside(self):
        narrow = line(*[0] * 10, *[1] * 5, *[0] * 10)  # depths 1 2 3 2 1: three tenths of them are those of 3
        assert CORE == 0.3
        assert held(narrow) == [*range(7), 11, 12, 13, *range(18, 25)]
        assert held(line(*[0] * 10, 1, *[0] * 10)) == [*range(7), 10, *range(14, 21)]

    def test_leave_nothing_of_a_narrow_gap_outside(self):
        assert held(line(*[1] * 10, *[0] * 5, *[1] * 10)) == [*range(7), *range(18, 25)]

    def test_do_not_take_the_grids_face_for_an_outline(self):
        assert held(line(*[1] * 8, *[0] * 8)) == [*range(5), *range(11, 16)]
        assert held(line(*[1] * 8)) == list(range(8))

    def test_are_counted_in_the_smallest_steps_between_nodes(self):
        rows = np.repeat(self.WIDE, 2, axis=0)
        found = cores(rows, rows * 0 - 1, (9.0, 1.0, 2.0), 0.0)  # there is one node only along the axis of 1 mm
        assert np.flatnonzero(found[0, 0]).tolist() == np.flatnonzero(found[1, 0]).tolist() == held(self.WIDE)

    def test_are_in_doubt_around_strokes_of_another_side(self):
        given = np.full(self.WIDE.shape, -1)
        given[0, 0, 20] = 0
        assert held(self.WIDE, given, leash_mm=2.5) == [*range(7), *range(13, 18), *range(23, 27), *range(33, 40)]
        expected = [*range(7), *range(13, 19), *range(22, 27), *range(33, 40)]
        assert held(self.WIDE, given, (1.0, 1.0, 2.0), leash_mm=2.5) == expected

    def test_are_not_in_doubt_around_strokes_of_their_own(self):
        given = np.full(self.WIDE.shape, -1)
        given[0, 0, 20], given[0, 0, 2] = 1, 0
        assert held(self.WIDE, given, leash_mm=2.5) == held(self.WIDE)


class TestTheNearestStructure:
    def test_is_that_which_the_node_belongs_to_or_lies_closest_to(self):
        assert nearest_structure(line(0, 0, 1, 0, 0, 0, 0, 2, 2), EVEN)[0, 0].tolist() == [1, 1, 1, 1, 1, 2, 2, 2, 2]

    def test_goes_by_millimeters(self):
        rows = np.zeros((3, 1, 4), np.int64)
        rows[0, 0, 0], rows[2, 0, 3] = 1, 2
        assert nearest_structure(rows, (5.0, 1.0, 1.0))[0, 0].tolist() == [1, 1, 1, 1]
        assert nearest_structure(rows, EVEN)[0, 0].tolist() == [1, 1, 1, 2]
