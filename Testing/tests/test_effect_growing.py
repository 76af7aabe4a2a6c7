"""Growing on the little canvas around the strokes gives exactly what the library grows on the whole image."""

import time

import numpy as np
import pytest

from InteractiveRefineLib.errors import Cancelled, InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.resolution import Source
from InteractiveRefineLib.seeds import grow_strokes, which_grow
from InteractiveRefineLib.segmentation import BACKGROUND_STROKE
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.stroke_book import BACKGROUND, Kind, Stroke, StrokeBook
from Testing.tests.effect_parts import effect_part

growing, canvas_part = effect_part("growing"), effect_part("growing_canvas")
Targets, grow = growing.Targets, growing.growFromStrokes
SHAPE = (6, 40, 70)
SPACING = np.diag([0.8, 0.8, 3.0, 1.0])


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch, request):
    """Many boxes on the canvas, although the images are small."""
    if "slow" not in request.keywords:
        monkeypatch.setattr(canvas_part, "_PIECE", 8)


def voxels(*kji, shape=SHAPE):
    return np.ravel_multi_index(np.array(kji).T, shape)


def a_row(k, j, first, last, shape=SHAPE):
    return voxels(*[(k, j, i) for i in range(first, last + 1)], shape=shape)


def book_of(*strokes, shape=SHAPE):
    book = StrokeBook(Geometry(shape, SPACING))
    for stroke in strokes:
        book.add(stroke)
    return book


def noisy_image(seed=0):
    """Two blobs in noise, far apart."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 6, SHAPE)
    image[1:5, 5:20, 3:20] += 80
    image[2:6, 20:38, 45:68] += 60
    return image.astype(np.int16)[None]


def by_the_library(image, book, targets, settings):
    """Resolve and grow on the whole image; target -> flat indices that grew, and T."""
    names = [BACKGROUND, *targets.known, *targets.new]
    constraints, _ = book.to_constraints(names.index)
    resolved = constraints.resolve(np.zeros(SHAPE, np.uint16), len(names))
    seeds = np.stack(np.unravel_index(resolved.indices, SHAPE), axis=1)
    chosen = which_grow(resolved.wanted, 1 + len(targets.known), settings)
    wanted = resolved.wanted.astype(np.int64)
    spacing = tuple(float(s) for s in (3.0, 0.8, 0.8))
    grown, threshold = grow_strokes(image, spacing, seeds, wanted, chosen, np.zeros(SHAPE, bool), settings)
    labels = grown.labels.ravel().copy()
    labels[resolved.indices] = 0
    found = {}
    for label in np.unique(wanted[chosen]).tolist():
        found[names[label]] = np.flatnonzero(labels == (BACKGROUND_STROKE if label == 0 else label))
    return found, threshold


@pytest.mark.parametrize("rule", ["chain", "seed"])
@pytest.mark.parametrize("distance", [2.0, 9.0, 100.0])
@pytest.mark.parametrize("threshold", [None, 15.0])
def test_what_grows_and_the_automatic_threshold_are_those_of_refine(rule, distance, threshold):
    image = noisy_image()
    book = book_of(
        Stroke(a_row(2, 10, 5, 12), "a"),
        Stroke(a_row(3, 30, 50, 60), "b"),
        Stroke(a_row(3, 34, 50, 52), "a"),
        Stroke(a_row(0, 2, 30, 40), BACKGROUND),
    )
    targets = Targets(known=("a",), new=("b",))
    settings = RefineSettings(grow="all", growing_rule=rule, max_distance_mm=distance, threshold=threshold)
    grown = grow(image, book, targets, settings)
    expected, used = by_the_library(image, book, targets, settings)
    assert grown.threshold == pytest.approx(used, rel=1e-12)
    assert grown.voxels.keys() == expected.keys() == {BACKGROUND, "a", "b"}
    for target, indices in expected.items():
        np.testing.assert_array_equal(grown.voxels[target], indices)
    assert sum(len(indices) for indices in expected.values()) > 30


def test_for_long_strokes_the_noise_is_measured_at_the_same_places_as_in_refine():
    image = noisy_image()
    image[0, :3] = image[0, :3] * 4  # louder there, so that the places matter
    every = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    book = book_of(Stroke(every[1:4, 5:35, 10:50].ravel(), "new"), Stroke(every[1, 2:4, 60:65].ravel(), "other"))
    settings = RefineSettings(max_distance_mm=2.0)
    targets = Targets(new=("new", "other"))
    assert grow(image, book, targets, settings).threshold == by_the_library(image, book, targets, settings)[1]


FLAT = np.zeros((1, *SHAPE), dtype=np.int16)
T5 = RefineSettings(threshold=5.0, max_distance_mm=0.9)  # just the next voxel in a row


def test_new_classes_grow_all_of_them_or_none_as_chosen():
    book = book_of(
        Stroke(a_row(0, 5, 5, 5), "known"), Stroke(a_row(0, 5, 20, 20), "new"), Stroke(a_row(0, 5, 40, 40), BACKGROUND)
    )
    targets = Targets(known=("known",), new=("new",))

    def taking_part(choice):
        return set(grow(FLAT, book, targets, RefineSettings(threshold=5.0, max_distance_mm=0.9, grow=choice)).voxels)

    assert taking_part("new") == {"new"}
    assert taking_part("all") == {"known", "new", BACKGROUND}
    assert taking_part("none") == set()


def test_nothing_grows_out_of_the_image_or_from_one_box_of_the_canvas_to_another():
    book = book_of(
        Stroke(voxels((0, 0, 69)), "a"),
        Stroke(a_row(5, 39, 0, 9), "b"),
        Stroke(voxels((2, 20, 35)), "a"),
        Stroke(voxels((5, 5, 5)), "a"),  # at the end of the image; on the canvas, the next box begins there
        Stroke(voxels((5, 39, 60)), "b"),
    )
    targets = Targets(new=("a", "b"))
    settings = RefineSettings(threshold=5.0, max_distance_mm=3.3)
    grown = grow(FLAT, book, targets, settings)
    expected, _ = by_the_library(FLAT, book, targets, settings)
    for target in ("a", "b"):
        np.testing.assert_array_equal(grown.voxels[target], expected[target])


def test_one_voxel_grows_to_its_neighbors_within_the_distance():
    book = book_of(Stroke(voxels((2, 10, 10)), "new"))
    grown = grow(FLAT, book, Targets(new=("new",)), T5)
    expected = voxels((2, 9, 10), (2, 10, 9), (2, 10, 11), (2, 11, 10))
    assert grown.voxels["new"].tolist() == expected.tolist()


def test_a_voxel_that_was_stroked_twice_grows_for_the_later_stroke_only():
    book = book_of(Stroke(voxels((2, 10, 10)), "old"), Stroke(voxels((2, 10, 10)), "new"))
    assert set(grow(FLAT, book, Targets(new=("old", "new")), T5).voxels) == {"new"}


def test_nobody_grows_over_other_strokes_forbidden_or_locked_voxels():
    book = book_of(
        Stroke(voxels((2, 10, 10)), "new"),
        Stroke(voxels((2, 10, 11)), "known"),
        Stroke(voxels((2, 11, 10)), "new", Kind.NOT),
    )
    locked = np.zeros(SHAPE, bool)
    locked[2, 9, 10] = True
    targets = Targets(known=("known", "done"), new=("new",), locked=frozenset({"done"}))
    grown = grow(FLAT, book, targets, T5, lockedMask=locked)
    assert set(grown.voxels) == {"new"}  # what is "not new" need not be background
    assert grown.voxels["new"].tolist() == voxels((2, 10, 9)).tolist()


def test_a_locked_segment_does_not_grow():
    book = book_of(Stroke(voxels((2, 10, 10)), "a"), Stroke(voxels((2, 30, 10)), "b"))
    grown = grow(FLAT, book, Targets(new=("a", "b"), locked=frozenset({"a"})), T5)
    assert set(grown.voxels) == {"b"}


def test_strokes_of_a_removed_segment_take_no_part():
    book = book_of(Stroke(voxels((2, 10, 10)), "gone"), Stroke(voxels((2, 30, 10)), "b"))
    assert set(grow(FLAT, book, Targets(new=("b",)), T5).voxels) == {"b"}
    assert grow(FLAT, book, Targets(), T5).voxels == {}


def test_all_strokes_on_locked_voxels_are_an_error_that_says_so():
    book = book_of(Stroke(voxels((2, 10, 10)), "b"))
    locked = np.ones(SHAPE, bool)
    with pytest.raises(InputError, match="locked"):
        grow(FLAT, book, Targets(new=("a", "b"), locked=frozenset({"a"})), T5, lockedMask=locked)


def test_a_leak_is_reported_at_its_place_in_the_image():
    shape = (3, 41, 120)
    image = np.full(shape, 1000, dtype=np.int16)
    image[:, 15:26, 40:52] = 0  # a room
    image[1, 20, 52:60] = 0  # a corridor
    image[:, :, 60:] = 0  # the open
    book = StrokeBook(Geometry(shape, np.eye(4)))
    book.add(Stroke(a_row(1, 20, 42, 46, shape), "new", source=Source.STROKE))
    settings = RefineSettings(threshold=5.0, max_distance_mm=60.0)
    grown = grow(image[None], book, Targets(new=("new",)), settings)
    assert list(grown.leaks) == ["new"]
    i, j, k = grown.leaks["new"]
    assert 50 <= i <= 62 and abs(j - 20) <= 4
    assert np.unravel_index(grown.voxels["new"], shape)[2].max() < 70


def test_it_stops_when_it_is_told_to():
    with pytest.raises(Cancelled):
        grow(FLAT, book_of(Stroke(voxels((2, 10, 10)), "b")), Targets(new=("b",)), T5, shouldCancel=lambda: True)


def test_the_noise_is_measured_again_only_for_other_strokes_or_another_image():
    memory = growing.NoiseMemory()
    image, spacing = noisy_image(), (3.0, 0.8, 0.8)
    first = memory.near(image, a_row(2, 10, 5, 12), spacing, "one")
    assert memory.near(image * 0, a_row(2, 10, 5, 12), spacing, "one") == first > 0
    assert memory.near(image * 0, a_row(2, 10, 5, 12), spacing, "two") == 0
    assert memory.near(image, a_row(2, 10, 5, 12), spacing, "one") == first
    assert memory.near(image, a_row(4, 30, 50, 60), spacing, "one") != first


def test_the_canvas_holds_the_surroundings_of_far_apart_voxels_in_little_space():
    shape = (300, 512, 512)
    far = np.ravel_multi_index(np.array([[5, 5, 5], [150, 256, 256], [290, 500, 505]]).T, shape)
    canvas = canvas_part.Canvas(far, shape, (1.0, 0.7, 0.7), 10.0)
    assert np.prod(canvas.shape) < 150_000
    there = canvas.flat_voxels(far)
    assert len(there) == 3
    back = canvas.image_indices(np.stack(np.unravel_index(there, canvas.shape), axis=1))
    assert back.tolist() == far.tolist()
    assert not canvas.outside.reshape(-1)[there].any()
    assert canvas.flat_voxels(np.array([512 * 512 * 100])).tolist() == []


def test_a_canvas_shows_the_image_at_the_right_places():
    image = np.arange(np.prod(SHAPE), dtype=np.int32).reshape(1, *SHAPE)
    canvas = canvas_part.Canvas(voxels((1, 3, 3), (4, 35, 66)), SHAPE, (3.0, 0.8, 0.8), 4.0)
    shown = canvas.image(image)[0]
    inside = np.argwhere(~canvas.outside)
    assert len(inside) > 100
    np.testing.assert_array_equal(canvas.image_indices(inside), shown[~canvas.outside])


@pytest.mark.slow
def test_on_a_large_scan_a_preview_is_quick():
    shape = (300, 512, 512)
    rng = np.random.default_rng(0)
    image = rng.integers(-20, 20, shape, dtype=np.int16)
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    image += (100 * (((k - 150) / 100) ** 2 + ((j - 256) / 150) ** 2 + ((i - 256) / 150) ** 2 < 1)).astype(np.int16)
    book = StrokeBook(Geometry(shape, np.diag([0.7, 0.7, 1.0, 1.0])))
    for n, (k, j, i) in enumerate([(150, 250, 230), (160, 120, 200), (60, 420, 300)]):
        rows = [(k, j + dj, i + di) for dj in range(-3, 4) for di in range(60)]
        book.add(Stroke(voxels(*rows, shape=shape), f"new {n}"))
    targets, memory = Targets(new=("new 0", "new 1", "new 2")), growing.NoiseMemory()
    settings = RefineSettings(max_distance_mm=20.0)
    taken = []
    for _ in range(4):
        start = time.perf_counter()
        grown = grow(image[None], book, targets, settings, noise=memory, imageName="one")
        taken.append(time.perf_counter() - start)
    n = sum(len(indices) for indices in grown.voxels.values())
    print(f"\ngrowing preview, 512x512x300, R = 20 mm, {n} voxels: first {taken[0]:.3f} s, then {min(taken[1:]):.3f} s")
    assert n > 100_000
    assert min(taken[1:]) < 2.0  # 0.2 s on an idle core
