"""The methods of the evidence that spread strokes over intensities, on images whose answer is known."""

import dataclasses

import numpy as np
import pytest

from InteractiveRefineLib.volume import Volume
from Testing.evidence import jobs, run
from Testing.evidence.case import Case, Spot
from Testing.evidence.method import Drawn, Method
from Testing.evidence.methods import METHODS, geos, grow_cut, growing, walker, watershed
from Testing.evidence.methods.intensities import SOFT_TISSUE_HU, one_channel, scaled
from Testing.evidence.methods.seeds import FAR, LEASH, LEASH_OF_NEW, frame_of, seeds_of, segment_in_box

SEGMENTS = {
    "GeoS": geos.geos,
    "random walker": walker.random_walker,
    "watershed": watershed.watershed,
    "Grow from seeds": grow_cut.grow_cut,
}
NAMES = (*SEGMENTS, "painting + growing")
SPACING = (1.0, 1.0, 1.0)

pytestmark = pytest.mark.usefixtures("one_thread")


def case_of(image, start, names=("a", "b"), spacing=SPACING):
    matrix = np.diag([*spacing[::-1], 1.0])
    spot = Spot("made up", "own errors", "case", "tune")
    start = np.asarray(start, dtype=np.uint16)
    return Case(spot, Volume(np.asarray(image, dtype=np.float32), matrix), names, start, start, (1,), None)


def strokes_of(shape, where):
    strokes = np.full(shape, -1, dtype=np.int16)
    for kji, label in where:
        strokes[kji] = label
    return strokes


def drawn_of(shape, where):
    return Drawn.nothing(shape).and_then(strokes_of(shape, where))


def needs_libraries_of(name):
    missing = METHODS[name].missing
    if missing:
        pytest.skip(missing)


def three_slabs(shape=(5, 6, 24)):
    """A dark, a middle and a bright slab, and the labels 0, 1 and 2 of them."""
    truth = np.zeros(shape, dtype=np.int16)
    truth[..., shape[2] // 3 :] = 1
    truth[..., 2 * shape[2] // 3 :] = 2
    return np.array([0.0, 0.5, 1.0], dtype=np.float32)[truth], truth


@pytest.mark.parametrize("name", SEGMENTS)
def test_one_seed_in_each_of_three_slabs_finds_exactly_the_slabs(name):
    needs_libraries_of(name)
    image, truth = three_slabs()
    # The middle slab's seed is not in its middle: a method that looked at distances only would be wrong.
    seeds = strokes_of(image.shape, [((2, 3, 0), 0), ((2, 3, 13), 1), ((2, 3, 22), 2)])
    np.testing.assert_array_equal(SEGMENTS[name](image[None], seeds, SPACING), truth)


@pytest.mark.parametrize("name", SEGMENTS)
def test_labels_need_not_be_consecutive_nor_touch_what_is_unknown(name):
    needs_libraries_of(name)
    image, truth = three_slabs()
    truth = np.array([3, 5, 8], dtype=np.int16)[truth]
    seeds = truth.copy()
    seeds[:, :, 14:18] = -1
    np.testing.assert_array_equal(SEGMENTS[name](image[None], seeds, SPACING)[:, :, 14:18], truth[:, :, 14:18])


@pytest.mark.parametrize("name", SEGMENTS)
def test_a_single_slice_in_colors_works_too(name):
    needs_libraries_of(name)
    image, truth = three_slabs((1, 8, 24))
    colors = np.stack([image, 1 - image, image**2])
    seeds = strokes_of(image.shape, [((0, 3, 0), 0), ((0, 3, 13), 1), ((0, 3, 22), 2)])
    np.testing.assert_array_equal(SEGMENTS[name](colors, seeds, SPACING), truth)


def test_geodesic_distances_count_millimeters():
    needs_libraries_of("GeoS")
    image = np.full((11, 11, 1), 0.5, dtype=np.float32)
    seeds = strokes_of(image.shape, [((0, 10, 0), 1), ((10, 0, 0), 2)])
    far_and_near = ((4, 0, 0), (6, 10, 0))
    thick, even = (geos.geos(image[None], seeds, spacing) for spacing in ((5.0, 1.0, 1.0), (1.0, 1.0, 1.0)))
    assert [int(thick[kji]) for kji in far_and_near] == [1, 2]
    assert [int(even[kji]) for kji in far_and_near] == [2, 1]


def test_the_filter_of_geos_removes_a_speck_and_keeps_what_is_thick():
    needs_libraries_of("GeoS")
    seeds = strokes_of((1, 30, 30), [((0, slice(None), slice(None)), 0), ((0, 25, 25), 1)])
    seeds[0, 5:18, 5:18] = 2
    found = geos.geos(np.full((1, *seeds.shape), 0.5, dtype=np.float32), seeds, SPACING)
    assert not (found == 1).any()
    assert (found[0, 8:15, 5:18] == 2).all() and (found[seeds != 2] == 0).all()


def test_the_walker_weighs_a_step_of_intensity_less_across_thick_slices():
    needs_libraries_of("random walker")
    # From the middle, 1 is one gentle step of intensity away along K, 2 is one half as high along J.
    image = np.zeros((3, 3, 1), dtype=np.float32)
    image[0], image[1, 0] = 0.04, 0.02
    seeds = strokes_of(
        image.shape, [((0, slice(None), 0), 1), ((1, 0, 0), 2), ((1, 2, 0), 2), ((2, slice(None), 0), 1)]
    )
    image[2], image[1, 2] = 0.04, 0.02
    assert walker.random_walker(image[None], seeds, (1.0, 1.0, 1.0))[1, 1, 0] == 2
    assert walker.random_walker(image[None], seeds, (10.0, 1.0, 1.0))[1, 1, 0] == 1
    assert walker.random_walker(image[None], seeds, (1000.0, 100.0, 100.0))[1, 1, 0] == 1


def test_growing_fills_the_bright_cube_it_was_drawn_in_and_stops_at_its_faces():
    image = np.random.default_rng(0).normal(0, 1, (30, 30, 30))
    image[10:14, 10:14, 10:14] += 100
    truth = np.zeros(image.shape)
    truth[10:14, 10:14, 10:14] = 1
    case = case_of(image, np.zeros(image.shape), spacing=(4, 4, 4))
    session = METHODS["painting + growing"].begin(case)
    drawn = drawn_of(image.shape, [((11, slice(10, 14), 11), 1), ((12, 12, slice(10, 14)), 1)])
    found = session.refine(drawn, case.start.copy())
    assert (found[truth == 0] == 0).all()
    assert (found[truth == 1] == 1).mean() > 0.9


def test_growing_keeps_what_was_painted_in_earlier_rounds_and_never_crosses_it():
    image = np.zeros((1, 1, 40))
    image[..., ::2] = 0.01  # noise, for the threshold
    case = case_of(image, np.ones(image.shape))
    drawn = drawn_of(image.shape, [((0, 0, 12), 2)]).and_then(strokes_of(image.shape, [((0, 0, 11), 0)]))
    labels = np.full(image.shape, 1, dtype=np.uint16)
    labels[0, 0, 30:] = 2
    found = growing.Growing(case).refine(drawn, labels.copy())
    assert found[0, 0, 11] == 0 and found[0, 0, 10] == 0
    np.testing.assert_array_equal(found[0, 0, 13:], labels[0, 0, 13:])


def test_growing_reaches_farther_for_a_class_that_the_start_lacks():
    image = np.zeros((1, 1, 201))
    image[..., ::2] = 0.01
    reached = []
    for start in (np.ones(image.shape), np.zeros(image.shape)):
        session = growing.Growing(case_of(image, start))
        found = session.refine(drawn_of(image.shape, [((0, 0, 100), 1)]), np.full(image.shape, 2, dtype=np.uint16))
        reached.append(int((found == 1).sum()) // 2)
    assert reached == [int(201 * growing.REACH), int(201 * growing.REACH_OF_NEW)]


def test_seeds_are_the_start_without_its_border_and_without_what_a_stroke_contradicts():
    start = np.zeros((1, 1, 100))
    start[..., 50:] = 1
    case = case_of(start, start)
    drawn = drawn_of(start.shape, [((0, 0, 20), 1), ((0, 0, 80), 1)])  # the second only agrees
    seeds = seeds_of(case, drawn)[0, 0]
    leash = int(LEASH * np.sqrt(100**2 + 2))
    expected = np.full(100, -1)
    expected[:48], expected[52:] = 0, 1
    expected[20 - leash : 20 + leash + 1] = -1
    expected[20] = 1
    np.testing.assert_array_equal(seeds, expected)


def test_a_stroke_of_a_class_that_the_start_lacks_contradicts_it_in_a_wider_circle():
    start = np.ones((1, 1, 100))
    leash = int(LEASH_OF_NEW * np.sqrt(100**2 + 2))
    seeds = seeds_of(case_of(start, start), drawn_of(start.shape, [((0, 0, 50), 2)]))[0, 0]
    np.testing.assert_array_equal(np.flatnonzero(seeds == -1), [i for i in range(50 - leash, 51 + leash) if i != 50])


def test_where_nothing_was_there_the_frame_and_what_is_far_from_structures_is_background():
    shape = (1, 5, 30)
    seeds = seeds_of(
        case_of(np.zeros(shape), np.zeros(shape)), drawn_of(shape, [((0, 0, 2), 1), ((0, 2, 2), 2), ((0, 2, 26), 0)])
    )
    far = int(FAR * np.sqrt(1 + 25 + 900))
    expected = np.full(shape, -1)
    expected[0, [0, -1]], expected[0, :, [0, -1]] = 0, 0
    expected[0, 2, 3 + far :] = 0
    expected[0, 0, 2], expected[0, 2, 2] = 1, 2
    np.testing.assert_array_equal(seeds[0, [0, 2, 4]], expected[0, [0, 2, 4]])
    assert frame_of((3, 3, 3)).sum() == 26


def test_seeds_stay_and_everything_known_costs_nothing():
    image, truth = three_slabs()
    asked = []

    def segment(image, seeds, spacing):
        asked.append(seeds.shape)
        return np.full(seeds.shape, 2)

    seeds = truth.copy()
    np.testing.assert_array_equal(segment_in_box(image[None], seeds, SPACING, segment), truth)
    assert not asked
    seeds[2, 3, 8] = -1
    found = segment_in_box(image[None], seeds, SPACING, segment)
    assert asked == [(3, 3, 3)]
    assert found[2, 3, 8] == 2
    found[2, 3, 8] = truth[2, 3, 8]
    np.testing.assert_array_equal(found, truth)
    # Nobody has to be asked where there is only one answer.
    seeds = np.array([1, -1, -1, 1]).reshape(1, 1, 4)
    np.testing.assert_array_equal(segment_in_box(np.zeros((1, 1, 1, 4)), seeds, SPACING, segment), np.ones((1, 1, 4)))
    assert len(asked) == 1


def test_a_ct_gets_the_soft_tissue_window_and_other_scans_their_percentiles():
    ct = np.array([-1000.0, *SOFT_TISSUE_HU, 40.0, 3000.0]).reshape(1, 1, 5)
    np.testing.assert_allclose(scaled(case_of(ct, np.zeros(ct.shape))).ravel(), [0, 0, 1, 0.5, 1])
    mr = np.linspace(0, 1000, 1001).reshape(1, 1, -1)
    values = scaled(case_of(mr, np.zeros(mr.shape))).ravel()
    np.testing.assert_allclose(values[[0, 5, 500, 995, 1000]], [0, 0, 0.5, 1, 1], atol=1e-6)


def test_the_gradient_is_per_millimeter_and_of_all_channels_together():
    ramp = np.broadcast_to(0.6 * np.arange(20, dtype=np.float32)[:, None, None], (20, 3, 1))
    flat = np.zeros_like(ramp)
    rows = np.broadcast_to(0.4 * np.arange(20, dtype=np.float32), (1, 3, 20))
    np.testing.assert_allclose(watershed.gradient_magnitude(np.stack([flat, ramp]), (2, 1, 1))[8:12], 0.3, rtol=5e-3)
    both = watershed.gradient_magnitude(np.stack([rows, rows * 0.75]), (9, 1, 1))
    np.testing.assert_allclose(both[..., 8:12], 0.5, rtol=5e-3)


def test_leashes_are_in_millimeters():
    start = np.zeros((20, 1, 60))
    case = case_of(start, start, spacing=(3, 1, 1))
    seeds = seeds_of(case, drawn_of(start.shape, [((10, 0, 30), 1)]))
    radius = FAR * np.sqrt(60**2 + 60**2 + 1)
    np.testing.assert_array_equal(
        np.flatnonzero(seeds[:, 0, 30] == -1), [k for k in range(1, 19) if 0 < 3 * abs(k - 10) <= radius]
    )
    np.testing.assert_array_equal(
        np.flatnonzero(seeds[10, 0] == -1), [i for i in range(1, 59) if 0 < abs(i - 30) <= radius]
    )
    start = np.ones((20, 1, 60))
    seeds = seeds_of(case_of(start, start, spacing=(3, 1, 1)), drawn_of(start.shape, [((10, 0, 30), 0)]))
    radius = LEASH_OF_NEW * np.sqrt(60**2 + 60**2 + 1)
    assert (seeds[:, 0, 30] == -1).sum() == 2 * int(radius / 3)
    assert (seeds[10, 0] == -1).sum() == 2 * int(radius)


def test_of_two_channels_the_one_that_varies_counts():
    lively = np.linspace(0, 1, 12, dtype=np.float32).reshape(1, 3, 4)
    mixed = one_channel(np.stack([np.full_like(lively, 0.3), lively]))
    np.testing.assert_allclose(mixed, lively, atol=1e-6)
    # Of channels that vary together the mixture is bright where they are.
    mixed = one_channel(np.stack([lively, lively]))
    np.testing.assert_allclose(mixed, np.sqrt(2) * lively, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_answers_in_two_rounds_and_obeys_the_strokes(name):
    needs_libraries_of(name)
    image, truth = three_slabs((6, 12, 24))
    image += np.random.default_rng(0).normal(0, 0.02, image.shape)
    case = case_of(image, np.where(truth == 2, 1, truth))
    session = METHODS[name].begin(case)
    drawn = drawn_of(image.shape, [((3, slice(3, 9), 20), 2)])
    labels = session.refine(drawn, case.start.copy())
    drawn = drawn.and_then(strokes_of(image.shape, [((3, 6, slice(1, 6)), 0)]))
    labels = session.refine(drawn, labels.astype(np.uint16))
    told = drawn.all >= 0
    np.testing.assert_array_equal(labels[told], drawn.all[told])
    assert labels.shape == image.shape
    assert set(np.unique(labels)) <= {0, 1, 2}


def test_a_method_whose_library_is_absent_says_which():
    method = Method("far away", begin=None, needs=("numpy", "no_such_library", "neither_this"))
    assert method.missing == "far away needs no_such_library, neither_this, not installed here."
    assert dataclasses.replace(method, needs=("numpy",)).missing is None


def test_the_command_says_what_is_missing_and_goes_on(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setitem(METHODS, "far away", Method("far away", begin=None, needs=("no_such_library",)))
    monkeypatch.setattr(run, "spots", lambda networks: [Spot("made up", "own errors", "case", "tune")])

    class Pool:
        def __init__(self, *args, **kwargs):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def submit(self, call, spot, methods, *rest):
            asked.append(methods)

    monkeypatch.setattr(jobs, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(jobs, "as_completed", lambda asked: [])
    assert run.main(["run", "--methods", "far away", "painting", "--output", str(tmp_path)]) == 0
    assert "SKIPPED far away needs no_such_library, not installed here." in capsys.readouterr().out
    assert asked == [["painting"]]
