"""The book of strokes: gestures, rounds, taking back, states, constraints, and the text it is stored as."""

import json

import numpy as np
import pytest
from grid_examples import grid_matrix, rotation

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.resolution import Source
from InteractiveRefineLib.stroke_book import BACKGROUND, Kind, Stroke, StrokeBook
from InteractiveRefineLib.stroke_book_json import book_from_json, book_to_json

GEOMETRY = Geometry((2, 3, 4), grid_matrix(rotation(0.3, -0.2, 0.4)))
LABELS = {"id_liver": 1, "id_spleen": 2}


def stroke(*voxels, target="id_liver", **options):
    return Stroke(np.array(voxels, dtype=np.int64), target, **options)


def drawn(book):
    """What the book holds: per round, the voxels and target of every stroke."""
    return [[(s.indices.tolist(), s.target) for s in strokes] for strokes in book.rounds]


def resolved(book, locked=(), current=None):
    constraints, warnings = book.to_constraints(LABELS.get, locked)
    found = constraints.resolve(np.zeros(GEOMETRY.shape, int) if current is None else current, 3)
    return dict(zip(found.indices.tolist(), found.wanted.tolist())), found, warnings


def test_a_new_book_is_empty():
    book = StrokeBook(GEOMETRY)
    assert book.is_empty
    assert not book.has_open_strokes
    assert not book.take_back()
    assert drawn(book) == []


def test_voxels_of_a_stroke_are_sorted_unique_and_unchangeable():
    one = stroke(5, 3, 5)
    assert one.indices.tolist() == [3, 5]
    assert one.indices.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        one.indices[0] = 1


def test_strokes_that_mean_nothing_are_refused():
    with pytest.raises(InputError, match='"Not background"'):
        stroke(1, target=BACKGROUND, kind=Kind.NOT)
    with pytest.raises(InputError, match="flat indices of 0 or more, not -1"):
        stroke(-1)
    with pytest.raises(InputError, match="list of flat indices"):
        Stroke(np.zeros((2, 3), dtype=np.int64), "id_liver")
    with pytest.raises(InputError, match="names voxel 24, but the image has 24 voxels"):
        StrokeBook(GEOMETRY).add(stroke(24))


def test_taking_back_forgets_one_gesture_at_a_time_newest_first():
    book = StrokeBook(GEOMETRY)
    book.add(stroke(1))
    book.add([stroke(2), stroke(3, kind=Kind.NOT, source=Source.BOX)])  # a box: one gesture, two strokes
    assert [s.indices.tolist() for s in book.take_back()] == [[2], [3]]
    assert drawn(book) == [[([1], "id_liver")]]
    assert len(book.take_back()) == 1
    assert book.is_empty
    assert book.take_back() == ()


def test_taking_back_stops_at_the_round_that_was_refined():
    book = StrokeBook(GEOMETRY)
    book.add(stroke(1))
    book.close_round()
    assert not book.has_open_strokes
    assert book.take_back() == ()
    assert drawn(book) == [[([1], "id_liver")]]


def test_a_gesture_without_voxels_is_no_gesture():
    book = StrokeBook(GEOMETRY)
    assert book.add(stroke()) == ()
    assert book.add([]) == ()
    assert not book.has_open_strokes
    assert len(book.add(stroke(n_clipped=3))) == 1  # nothing in the image, but worth a warning


def test_closing_an_empty_round_starts_no_new_one():
    book = StrokeBook(GEOMETRY)
    book.close_round()
    book.add(stroke(1))
    book.close_round()
    book.close_round()
    book.add(stroke(2))
    assert drawn(book) == [[([1], "id_liver")], [([2], "id_liver")]]
    assert len(book.state.rounds) == 2


def test_a_state_brings_back_everything_that_was_drawn_by_then():
    book = StrokeBook(GEOMETRY)
    book.add(stroke(1))
    book.remember_called(np.array([1]), ["id_spleen"])
    kept = book.state
    book.close_round()
    book.add(stroke(2))
    book.remember_called(np.array([2]), [BACKGROUND])
    book.state = kept
    assert drawn(book) == [[([1], "id_liver")]]
    assert book.has_open_strokes
    assert book.called(LABELS.get)[0].tolist() == [1]


def test_later_rounds_overrule_earlier_ones_in_the_constraints():
    book = StrokeBook(GEOMETRY)
    book.add([stroke(1, 2, 3), stroke(7, target=BACKGROUND)])
    book.close_round()
    book.add(stroke(2, target="id_spleen"))
    wanted, found, warnings = resolved(book)
    assert wanted == {1: 1, 2: 2, 3: 1, 7: 0}
    assert found.warnings == warnings == []


def test_not_this_class_forbids_instead_of_wanting():
    book = StrokeBook(GEOMETRY)
    book.add(stroke(4, target="id_spleen", kind=Kind.NOT))
    wanted, found, _ = resolved(book)
    assert wanted == {}
    assert (found.forbidden_indices.tolist(), found.forbidden_labels.tolist()) == ([4], [2])


def test_in_one_round_a_stroke_weighs_more_than_a_point_and_a_point_more_than_a_box():
    book = StrokeBook(GEOMETRY)
    book.add(stroke(1, 2, 3, source=Source.STROKE))
    book.add(stroke(2, 3, 4, 5, target="id_spleen", source=Source.POINT))
    book.add(stroke(5, 6, target=BACKGROUND, source=Source.BOX))
    assert resolved(book)[0] == {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 0}


def test_locks_and_clipped_voxels_reach_the_constraints():
    book = StrokeBook(GEOMETRY)
    book.add(stroke(1, 2, n_clipped=4))
    current = np.zeros(GEOMETRY.shape, int)
    current[0, 0, 1] = 2
    wanted, found, _ = resolved(book, locked=[2], current=current)
    assert wanted == {2: 1}
    assert found.n_clipped == 4
    assert found.n_locked_out == 1


def test_strokes_of_a_removed_segment_are_left_out_and_told():
    book = StrokeBook(GEOMETRY)
    book.add([stroke(1), stroke(2, 3, target="id_gone")])
    wanted, _, warnings = resolved(book)
    assert wanted == {1: 1}
    assert warnings == ["2 stroke voxels belong to a segment that does not exist any more (id_gone) and were left out."]


def test_a_target_can_be_forgotten_without_touching_the_others():
    book = StrokeBook(GEOMETRY)
    book.add(stroke(1))
    book.close_round()
    book.add([stroke(2), stroke(3, target="id_spleen")])
    assert book.forget_target("id_liver") == 2
    assert drawn(book) == [[([3], "id_spleen")]]
    assert book.targets() == ["id_spleen"]


def test_what_voxels_were_called_is_told_in_the_numbering_of_the_day():
    book = StrokeBook(GEOMETRY)
    book.remember_called(np.array([9, 4, 6, 5]), ["id_spleen", BACKGROUND, "id_gone", "id_liver"])
    indices, labels = book.called({"id_liver": 7, "id_spleen": 8}.get)
    assert (indices.tolist(), labels.tolist()) == ([4, 5, 9], [0, 7, 8])
    assert (indices.dtype, labels.dtype) == (np.int64, np.int64)


def full_book():
    book = StrokeBook(GEOMETRY)
    book.add([stroke(0, 1, 2, 10), stroke(23, target='odd "id"; <ü>&', kind=Kind.NOT, source=Source.BOX)])
    book.add(stroke(4, target=BACKGROUND, source=Source.POINT, n_clipped=2))
    book.close_round()
    book.add(stroke(*range(24)))
    book.remember_called(np.array([1, 0, 23]), ["id_liver", BACKGROUND, "id_liver"])
    return book


def test_the_text_of_a_book_brings_everything_back():
    before = full_book()
    after = book_from_json(book_to_json(before))
    assert after.geometry.shape == GEOMETRY.shape
    np.testing.assert_array_equal(after.geometry.ijk_to_ras, GEOMETRY.ijk_to_ras)  # to the last bit
    assert [len(gestures) for gestures in after.state.rounds] == [2, 1]
    everything = [(s.indices.tolist(), s.target, s.kind, s.source, s.n_clipped) for s in before]
    assert [(s.indices.tolist(), s.target, s.kind, s.source, s.n_clipped) for s in after] == everything
    assert after.called(LABELS.get)[1].tolist() == before.called(LABELS.get)[1].tolist() == [0, 1, 1]
    assert book_to_json(after) == book_to_json(before)
    assert "\n" not in book_to_json(before)


def test_random_voxels_survive_the_text():
    geometry = Geometry((40, 50, 60), np.eye(4))
    rng = np.random.default_rng(1)
    for n in (0, 1, 2, 5000, 120_000):
        book = StrokeBook(geometry)
        voxels = np.sort(rng.choice(120_000, n, replace=False))
        book.add(Stroke(voxels, "a", n_clipped=1))
        (after,) = book_from_json(book_to_json(book))
        np.testing.assert_array_equal(after.indices, voxels)


def test_a_brush_stroke_of_many_voxels_takes_little_text():
    geometry = Geometry((300, 512, 512), np.eye(4))
    ball = np.argwhere(np.linalg.norm(np.indices((41, 41, 41)) - 20, axis=0) <= 20) + (100, 200, 200)
    book = StrokeBook(geometry)
    book.add(Stroke(np.ravel_multi_index(tuple(ball.T), geometry.shape), "a"))
    assert len(ball) > 33_000
    assert len(book_to_json(book)) < 5_000


def damaged(change):
    content = json.loads(book_to_json(full_book()))
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "null",
        damaged(lambda c: c.update(version=2)),
        damaged(lambda c: c.update(shape=[2, 3])),
        damaged(lambda c: c.update(shape=[1, 2, 3])),  # voxels beyond the image
        damaged(lambda c: c.update(shape=[1 << 30, 1 << 30, 1 << 30])),
        damaged(lambda c: c.update(rounds=[])),
        damaged(lambda c: c["rounds"][0][0][0].update(kind="maybe")),
        damaged(lambda c: c["rounds"][0][0][0].update(source="magic")),
        damaged(lambda c: c["rounds"][0][0][0].update(target=3)),
        damaged(lambda c: c["rounds"][0][0][0].update(voxels="!")),
        damaged(lambda c: c["rounds"][0][0][0].update(voxels="AAAA")),
        damaged(lambda c: c["rounds"][0][0][0].update(voxels=c["rounds"][1][0][0]["voxels"][:-8])),
        damaged(lambda c: c["called"].update(names=[])),
        damaged(lambda c: c["called"].update(voxels=c["rounds"][0][0][0]["voxels"])),
        damaged(lambda c: c.pop("called")),
    ],
)
def test_damaged_text_is_refused_with_what_to_do(text):
    with pytest.raises(InputError, match="stored with the scene are damaged.*draw them anew"):
        book_from_json(text)


def test_runs_that_reach_beyond_the_image_together_are_refused():
    book = StrokeBook(GEOMETRY)
    book.add(stroke(0, 1, 2, 10))
    text = book_to_json(book).replace('"shape":[2,3,4]', '"shape":[1,1,10]')
    with pytest.raises(InputError, match="voxels lie outside the image"):
        book_from_json(text)


def test_a_small_text_cannot_blow_up_the_memory():
    import base64
    import zlib

    bomb = base64.b64encode(zlib.compress(b"\0" * 50_000_000)).decode()
    text = damaged(lambda c: c["rounds"][0][0][0].update(voxels=bomb))
    with pytest.raises(InputError, match="too long"):
        book_from_json(text)
