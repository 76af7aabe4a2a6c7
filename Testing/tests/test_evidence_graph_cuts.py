"""GrabCut, 3-D GrabCut and Slic-Seg on tiny images with known answers, and the max-flow below them."""

import itertools

import numpy as np
import pytest

from InteractiveRefineLib.volume import Volume
from Testing.evidence.case import Case, Spot
from Testing.evidence.method import Drawn
from Testing.evidence.methods import grab_cut, grab_cut_3d, graph_cut, slic_seg
from Testing.evidence.methods.complaints import Complaints
from Testing.evidence.methods.graph_cut import Contrast, connected, least_energy, places_of

pytest.importorskip("maxflow", reason="PyMaxflow is not installed")

UNKNOWN, OTHERS = -1, -2


def energy(labels, unary, contrast, part=None):
    """As `graph_cut` defines it, of labelings (..., K, J, I); pairs with a voxel outside `part` cost nothing."""
    part = np.ones(labels.shape[-3:], dtype=bool) if part is None else part
    total = sum(
        np.where((labels == label) & part, unary[label], 0).sum(axis=(-3, -2, -1)) for label in range(len(unary))
    )
    for axis in range(3):
        one, two = np.moveaxis(labels, axis - 3, 0)[:-1], np.moveaxis(labels, axis - 3, 0)[1:]
        both = np.moveaxis(part, axis, 0)[:-1] & np.moveaxis(part, axis, 0)[1:]
        paid = np.where(both, np.moveaxis(contrast.along(axis), axis, 0), 0)
        paid = paid.reshape(len(paid), *(1,) * (labels.ndim - 3), *paid.shape[1:])
        total = total + np.where(one != two, paid, 0).sum(axis=(0, -2, -1))
    return total


def random_problem(shape, classes, seed, spacing=(3.0, 1.0, 2.0)):
    random = np.random.default_rng(seed)
    contrast = Contrast(random.normal(size=(2, *shape)), spacing, smoothness=1.5)
    return random.normal(size=(classes, *shape)), contrast


def solved(unary, fixed, contrast, start=None):
    start = np.zeros(fixed.shape, dtype=int) if start is None else start
    return least_energy(lambda mask: unary[:, mask], fixed, start, len(unary), contrast)


def with_all(labels, free, values):
    """Labelings (N, K, J, I): `labels`, with every row of `values` (N, n) at the n voxels `free`."""
    labelings = np.repeat(labels[None], len(values), axis=0)
    labelings[(slice(None), *free.T)] = values
    return labelings


def least_of_all(unary, fixed, contrast, part=None):
    """The least energy of all labelings that agree with `fixed`."""
    free = np.argwhere(fixed == UNKNOWN)
    values = np.array(list(itertools.product(range(len(unary)), repeat=len(free))))
    return energy(with_all(fixed, free, values), unary, contrast, part).min()


class TestLeastEnergy:
    @pytest.mark.parametrize("seed", range(6))
    def test_of_two_classes_is_the_least_of_all_labelings(self, seed):
        unary, contrast = random_problem((2, 2, 3), 2, seed)
        fixed = np.full((2, 2, 3), UNKNOWN)
        fixed[0, 0, 0], fixed[1, 1, 2] = 1, 0
        labels = solved(unary, fixed, contrast)
        assert energy(labels, unary, contrast) == pytest.approx(least_of_all(unary, fixed, contrast))

    @pytest.mark.parametrize("seed", range(6))
    def test_of_three_classes_cannot_be_lowered_by_expanding_any_class(self, seed):
        unary, contrast = random_problem((2, 2, 2), 3, seed)
        fixed = np.full((2, 2, 2), UNKNOWN)
        fixed[0, 0, 0], fixed[1, 1, 1] = 2, 1
        start = np.random.default_rng(seed + 100).integers(0, 3, fixed.shape)
        labels = solved(unary, fixed, contrast, start)
        assert labels[0, 0, 0] == 2 and labels[1, 1, 1] == 1
        free = np.argwhere(fixed == UNKNOWN)
        changed = np.array(list(itertools.product([False, True], repeat=len(free))))
        for label in range(3):
            others = with_all(labels, free, np.where(changed, label, labels[tuple(free.T)]))
            assert energy(others, unary, contrast).min() >= energy(labels, unary, contrast) - 1e-9

    def test_leaves_voxels_that_take_no_part_alone_and_they_cost_nothing(self):
        unary, contrast = random_problem((2, 2, 3), 2, 0)
        fixed = np.full((2, 2, 3), UNKNOWN)
        fixed[0, 0], fixed[1, 1, 0] = OTHERS, 1
        labels = solved(unary, fixed, contrast)
        assert (labels[0, 0] == OTHERS).all()
        part = fixed != OTHERS
        assert energy(labels, unary, contrast, part) == pytest.approx(least_of_all(unary, fixed, contrast, part))

    def test_keeps_what_is_fixed_whatever_it_costs(self):
        unary, contrast = random_problem((3, 3, 3), 2, 1)
        fixed = np.full((3, 3, 3), UNKNOWN)
        fixed[1, 1] = [0, 1, 0]
        unary[:, 1, 1] = [[99, 0, 99], [0, 99, 0]]
        assert solved(unary, fixed, contrast)[1, 1].tolist() == [0, 1, 0]

    def test_of_everything_fixed_is_what_was_fixed(self):
        fixed = np.arange(8).reshape(2, 2, 2) % 2
        assert np.array_equal(solved(np.zeros((2, *fixed.shape)), fixed, random_problem((2, 2, 2), 2, 0)[1]), fixed)


class TestLargeImages:
    @pytest.fixture(autouse=True)
    def few_voxels_are_many(self, monkeypatch):
        monkeypatch.setattr(graph_cut, "MANY", 10)

    def ball(self, shape=(13, 14, 15)):
        k, j, i = np.indices(shape)
        return (k - 6) ** 2 + (j - 6) ** 2 + (i - 7) ** 2 <= 20

    @pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (4.0, 1.0, 1.0)])
    def test_cut_coarsely_first_get_the_same_labels(self, spacing):
        ball = self.ball()
        unary = np.stack([ball, ~ball]) * 2.0
        contrast = Contrast(ball[None].astype(float), spacing, smoothness=0.1)
        labels = solved(unary, np.full(ball.shape, UNKNOWN), contrast)
        assert np.array_equal(labels, ball)

    def test_keep_a_stroke_that_lies_between_the_coarse_voxels(self):
        shape = (9, 9, 9)
        fixed = np.full(shape, UNKNOWN)
        fixed[3, 5, 1], fixed[:, :, 8] = 1, OTHERS
        # The image says nothing: what the one stroke says holds everywhere.
        labels = solved(np.zeros((2, *shape)), fixed, Contrast(np.zeros((1, *shape)), (1.0, 1.0, 1.0), 0.1))
        assert np.array_equal(labels, np.where(fixed == OTHERS, OTHERS, 1))

    def test_are_really_cut_coarsely(self):
        asked = []

        def costs(mask):
            asked.append(int(mask.sum()))
            return np.stack([mask[mask] * 0.0, mask[mask] * 1.0])

        shape = (8, 8, 8)
        contrast = Contrast(np.zeros((1, *shape)), (1.0, 1.0, 1.0), 1.0)
        assert not least_energy(costs, np.full(shape, UNKNOWN), np.zeros(shape, int), 2, contrast).any()
        assert asked == [64, 0]


def test_contrast_makes_borders_cheap_and_thick_slices_weak():
    image = np.zeros((1, 2, 2, 4))
    image[..., 2:] = 1
    contrast = Contrast(image, (4.0, 2.0, 1.0), smoothness=8.0)
    mean = 4 / (8 + 8 + 12)
    assert contrast.along(0) == pytest.approx(np.full((1, 2, 4), 2.0))
    assert contrast.along(1) == pytest.approx(np.full((2, 1, 4), 4.0))
    assert contrast.along(2)[0, 0] == pytest.approx([8, 8 * np.exp(-1 / (2 * mean)), 8])
    # Twice as far, half the cost; and the difference is taken between the voxels that are neighbors now.
    assert contrast.along(2, (1, 1, 2))[0, 0] == pytest.approx([4 * np.exp(-1 / (2 * mean))])


def test_connected_drops_parts_that_touch_nothing_of_what_the_class_was():
    places = np.array([[[1, 1, 0, 1, 2, 0, 2]]])
    before = np.array([[[0, 1, 0, 2, 0, 0, 2]]])
    assert connected(places, before).tolist() == [[[1, 1, 0, 0, 0, 0, 2]]]


def test_places_of_labels_that_are_not_classes_are_background():
    assert places_of(np.array([0, 3, 7, 5]), [0, 5, 7]).tolist() == [0, 0, 2, 1]


SHAPE = (6, 12, 18)


def made_case(truth, start, image=None, spacing=(1.0, 1.0, 1.0), noise=0.05):
    """A case whose intensities are the truth's labels with noise."""
    random = np.random.default_rng(0)
    image = truth.astype(float) if image is None else image
    noisy = (image + random.normal(0, noise, image.shape)).astype(np.float32)
    names = tuple(str(label) for label in range(1, int(max(truth.max(), start.max())) + 1))
    volume = Volume(noisy, np.diag([*spacing[::-1], 1.0]), "made up")
    spot = Spot("hippocampus", "from scratch", "made up", "tune")
    scored = tuple(range(1, len(names) + 1))
    return Case(spot, volume, names, truth.astype(np.uint16), start.astype(np.uint16), scored, None)


def strokes(shape, *drawn):
    """Drawn once: (label, index) each."""
    told = np.full(shape, -1, dtype=np.int16)
    for label, where in drawn:
        told[where] = label
    return Drawn.nothing(shape).and_then(told)


def halves():
    truth = np.zeros(SHAPE, dtype=int)
    truth[:, :, 9:] = 1
    return truth


def two_blocks():
    """Two blocks side by side, which do not touch the image's frame: that counts as background from scratch."""
    truth = np.zeros((8, 14, 20), dtype=int)
    truth[2:6, 3:11, 3:9], truth[2:6, 3:11, 9:17] = 1, 2
    return truth


IN_3D = [pytest.param(grab_cut_3d, id="3-D GrabCut"), pytest.param(slic_seg, id="Slic-Seg")]


@pytest.fixture(autouse=True)
def forests_and_mixtures():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    pytest.importorskip("cv2", reason="OpenCV is not installed")


@pytest.mark.parametrize("module", IN_3D)
class TestIn3D:
    def refined(self, module, case, drawn, labels=None):
        return module.METHODS[0].begin(case).refine(drawn, case.start if labels is None else labels)

    def test_a_stroke_in_each_half_gives_the_halves(self, module):
        truth = two_blocks()
        case = made_case(truth, np.zeros(truth.shape))
        drawn = strokes(truth.shape, (1, np.s_[3, 4:10, 5]), (2, np.s_[4, 7, 11:16]))
        assert np.array_equal(self.refined(module, case, drawn), truth)

    def test_four_classes_with_a_gap_between_their_labels_are_told_apart(self, module):
        truth = two_blocks()
        truth[truth == 2] = 5
        truth[2:6, 3:11, 13:] *= 3
        truth[truth == 15] = 3
        case = made_case(truth, np.zeros(truth.shape))
        along = (1, np.s_[3, 4:10, 5]), (5, np.s_[4, 4:10, 11]), (3, np.s_[4, 4:10, 15]), (0, np.s_[4, 1, 3:15])
        across = (1, np.s_[3, 7, 3:9]), (5, np.s_[4, 7, 9:13]), (3, np.s_[3, 7, 13:17])
        drawn = strokes(truth.shape, *along, *across)
        assert np.array_equal(self.refined(module, case, drawn), truth)

    def test_a_stroke_moves_the_border_of_a_wrong_start(self, module):
        truth, start = halves(), np.zeros(SHAPE, dtype=int)
        start[:, :, 11:] = 1
        case = made_case(truth, start)
        drawn = strokes(SHAPE, (1, np.s_[3, 3:9, 9]))
        assert np.array_equal(self.refined(module, case, drawn), truth)

    def test_another_structure_of_the_same_brightness_is_left_alone(self, module):
        truth = two_blocks()
        truth[:, :, 8:11] = 0
        image = np.where(truth > 0, 1.0, 0.0)
        truth[truth == 2] = 0
        case = made_case(truth, np.zeros(truth.shape), image)
        background = (0, np.s_[4, 1, 3:15]), (0, np.s_[3, 3:11, 9])
        drawn = strokes(truth.shape, (1, np.s_[3, 3:11, 3:8]), *background)
        assert np.array_equal(self.refined(module, case, drawn), truth)

    def test_thin_structures_that_have_no_seeds_are_not_lost(self, module):
        truth = np.zeros((8, 16, 24), dtype=int)
        truth[1:7, 2:14, 2:10], truth[3:5, 3:13, 18:20] = 1, 2
        start = truth.copy()
        start[3:5, 6:10, 14] = 2
        drawn = strokes(truth.shape, (0, np.s_[3, 6:10, 14]))
        found = self.refined(module, made_case(truth, start), drawn)
        assert np.array_equal(np.where(found == 2, 2, 0), np.where(truth == 2, 2, 0))

    def test_classes_that_nobody_complained_about_keep_every_voxel(self, module):
        truth, start = halves(), np.zeros(SHAPE, dtype=int)
        start[:, :, 11:] = 1
        start[:2, 1:4, 1:4] = 3  # the image shows nothing there
        case = made_case(truth, start)
        found = self.refined(module, case, strokes(SHAPE, (1, np.s_[3, 3:9, 9])))
        assert np.array_equal(found, np.where(start == 3, 3, truth))

    def test_what_strokes_say_against_the_image_is_obeyed(self, module):
        truth = halves()
        case = made_case(truth, truth)
        drawn = strokes(SHAPE, (1, np.s_[3, 3:9, 4]), (0, np.s_[2, 3:9, 14]))
        found = self.refined(module, case, drawn)
        assert (found[3, 3:9, 4] == 1).all() and (found[2, 3:9, 14] == 0).all()

    def test_the_same_strokes_give_the_same_labels(self, module):
        case = made_case(halves(), np.zeros(SHAPE), noise=0.6)
        drawn = strokes(SHAPE, (0, np.s_[2, 2:10, 3]), (1, np.s_[3, 6, 11:16]))
        first, second = (self.refined(module, case, drawn) for _ in range(2))
        assert np.array_equal(first, second)

    def test_without_a_background_stroke_there_is_background_all_the_same(self, module):
        truth = np.zeros((9, 14, 16), dtype=int)
        truth[3:6, 5:9, 5:12] = 1
        case = made_case(truth, np.zeros(truth.shape))
        assert np.array_equal(self.refined(module, case, strokes(truth.shape, (1, np.s_[4, 6:8, 6:11]))), truth)


class TestIn2D:
    def refined(self, case, drawn, labels=None):
        return grab_cut.METHODS[0].begin(case).refine(drawn, case.start if labels is None else labels)

    def picture(self):
        truth = np.zeros((1, 30, 40), dtype=int)
        truth[0, 8:22, 10:30] = 1
        colors = np.stack([truth * 0.8, 1 - truth * 0.5, truth * 0.3])
        return truth, colors

    def test_a_picture_is_cut_along_its_colors(self):
        truth, colors = self.picture()
        case = made_case(truth, np.zeros_like(truth), colors)
        drawn = strokes(truth.shape, (1, np.s_[0, 14, 13:27]), (0, np.s_[0, 3, 5:30]))
        found = self.refined(case, drawn)
        inner = np.s_[:, 1:-1, 1:-1]
        assert np.array_equal(found[inner], truth[inner])

    def test_three_classes_are_told_apart(self):
        truth, _ = self.picture()
        truth[0, 8:22, 20:30] = 2
        case = made_case(truth, np.zeros_like(truth), np.stack([truth == 1, truth == 2, truth == 0]) * 0.9)
        drawn = strokes(
            truth.shape, (1, np.s_[0, 10:20, 14]), (2, np.s_[0, 10:20, 25]), (0, np.s_[0, 3, 5:30])
        )  # fmt: skip
        inner = np.s_[:, 1:-1, 1:-1]
        assert np.array_equal(self.refined(case, drawn)[inner], truth[inner])

    def test_a_volume_is_cut_in_the_plane_of_the_stroke_and_nowhere_else(self):
        truth, start = halves(), np.zeros(SHAPE, dtype=int)
        start[:, :, 11:] = 1
        case = made_case(truth, start)
        drawn = strokes(SHAPE, (1, np.s_[2:5, 4:6, 9]), (1, np.s_[3, 7, 9:11]))
        found = self.refined(case, drawn)
        expected = start.copy()
        expected[:, :, 9] = 1  # the plane of the first stroke, which lies across the last axis
        expected[3] = truth[3]  # the second one is straight
        assert np.array_equal(found, expected)

    def test_only_slices_of_the_newest_strokes_are_cut_again(self):
        truth, start = halves(), np.zeros(SHAPE, dtype=int)
        start[:, :, 11:] = 1
        case = made_case(truth, start, np.stack([truth, 1.0 - truth, 0.5 * truth]))
        session = grab_cut.METHODS[0].begin(case)
        first = strokes(SHAPE, (1, np.s_[3, 4:8, 9:11]))
        second = first.and_then(strokes(SHAPE, (1, np.s_[1, 4:8, 9:11])).all)
        labels = start.copy()
        labels[3, 0, 0] = 1  # cutting this slice again would take it away
        expected = labels.copy()
        expected[1] = truth[1]
        expected[3, 4:8, 9:11] = 1
        assert np.array_equal(session.refine(second, labels), expected)

    def test_classes_that_nobody_complained_about_keep_every_voxel(self):
        truth, start = halves(), np.zeros(SHAPE, dtype=int)
        start[:, :, 11:] = 1
        start[3, 1:4, 1:4] = 3
        case = made_case(truth, start)
        found = self.refined(case, strokes(SHAPE, (1, np.s_[3, 4:8, 9:11])))
        assert np.array_equal(found[3], np.where(start[3] == 3, 3, truth[3]))


class TestPlanes:
    def test_each_stroke_lies_in_its_own_plane(self):
        told = np.full((8, 8, 8), -1)
        told[2, 1:3, 1:3] = 1  # in K = 2
        told[5, 4:6, 6] = 1  # straight: K = 5, not I = 6
        told[5:8, 0, 0:2] = 2  # in J = 0
        told[0, 0, 7] = 0  # a point
        assert grab_cut.planes_of(told) == [(0, 0), (0, 2), (0, 5), (1, 0)]

    def test_strokes_that_touch_across_planes_are_taken_slice_by_slice(self):
        told = np.full((4, 4, 4), -1)
        told[1, 0:3, 1] = 1
        told[1:3, 1, 0:3] = 1
        assert grab_cut.planes_of(told) == [(0, 1), (0, 2)]


def test_three_channels_of_one_differ_and_of_a_flat_picture_are_not_smoothed_across_it():
    image = np.zeros((1, 1, 9, 9))
    image[0, 0, 4, 4] = 1
    channels = grab_cut.three_channels(image)
    assert channels.shape == (1, 9, 9, 3) and channels.dtype == np.uint8
    assert channels[0, 4, 4, 0] == 255 > channels[0, 4, 4, 1] > channels[0, 4, 4, 2] > 0


def test_likelihood_is_that_of_a_normal_distribution():
    model = np.zeros((1, 65))
    model[0, 0], model[0, 5:8] = 1, [10, 20, 30]
    model[0, 20:29] = np.diag([4.0, 9.0, 16.0]).ravel() - 0.01 * np.eye(3).ravel()
    picture = np.array([[[10, 20, 30], [12, 20, 30]]], dtype=np.uint8)
    assert grab_cut.likelihood(picture, model)[0] == pytest.approx([-np.log(24), -np.log(24) - 0.5])


def test_complaints_gather_what_was_asked_for_and_what_was_drawn_on():
    labels = np.zeros((1, 3, 3), dtype=int)
    labels[0, 0] = [3, 4, 5]
    first = strokes(labels.shape, (2, np.s_[0, 0, 0]))
    second = first.and_then(strokes(labels.shape, (0, np.s_[0, 0, 1])).all)
    complaints = Complaints()
    assert complaints.listen(first, labels) == [0, 2, 3]
    assert complaints.listen(second, labels) == [0, 2, 3, 4]


def test_features_are_ten_of_every_channel_and_flat_along_a_single_slice():
    channels = np.random.default_rng(0).normal(size=(2, 1, 9, 9)).astype(np.float32)
    found = slic_seg.features(channels, (5.0, 1.0, 1.0))
    assert found.shape == (20, 1, 9, 9) and np.isfinite(found).all()
    constant = slic_seg.features(np.ones((1, 4, 5, 6), dtype=np.float32), (1.0, 1.0, 1.0))
    assert constant[:, 2, 2, 2] == pytest.approx([1, 1, 0, 0, 1, 0, 0, 1, 0, 0], abs=1e-3)


def test_the_gradient_is_per_voxel_of_the_finest_axis():
    ramp = np.broadcast_to(np.arange(40.0, dtype=np.float32)[:, None, None], (40, 9, 9))[None]
    assert slic_seg.features(ramp, (2.0, 1.0, 1.0))[3, 20, 4, 4] == pytest.approx(0.5, abs=1e-3)
