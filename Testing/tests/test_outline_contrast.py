"""How clearly a structure stands out: votes of similar nodes on either side, near the outline and nowhere else."""

import numpy as np
import pytest

pytest.importorskip("torch")

from scipy import ndimage  # noqa: E402

from InteractiveRefineLib.outlines import contrast as module  # noqa: E402
from InteractiveRefineLib.outlines.contrast import contrast, smallest_step  # noqa: E402
from InteractiveRefineLib.scratch.features import equalized  # noqa: E402

SHAPE = (24, 32, 32)
EVEN = (1.0, 1.0, 1.0)
AT = np.indices(SHAPE)
#: A block on whose outside and inside there is room.
BLOCK = np.zeros(SHAPE, dtype=bool)
BLOCK[7:17, 8:24, 8:24] = True


def noise(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).normal(0, 1, shape)


def of(image, inside=BLOCK, spacing=EVEN, **options):
    """Contrast in an image of a single channel."""
    return contrast(np.asarray(image, dtype=np.float32)[None], inside, spacing, **options)


def chessboard(a, b):
    """Two tissues that change from node to node."""
    return np.where(AT.sum(axis=0) % 2, a, b)


def edge_distance(inside):
    """How far every node is from the nearest one of the other side, in nodes."""
    return np.where(inside, ndimage.distance_transform_edt(inside), ndimage.distance_transform_edt(~inside))


class TestWhatIsClear:
    def test_an_even_structure_in_other_even_surroundings_is_as_clear_as_can_be(self):
        assert of(BLOCK) == 1.0
        assert of(~BLOCK) == 1.0  # a darker one

    def test_several_tissues_on_either_side_are_as_good_as_one(self):
        assert of(np.where(BLOCK, chessboard(0.2, 0.8), chessboard(0.0, 0.5))) == 1.0

    def test_several_channels_tell_together_what_none_tells_alone(self):
        first = chessboard(0.0, 1.0)
        second = np.where(BLOCK, first, 1 - first)
        assert contrast(np.stack([first, second]), BLOCK, EVEN) == 1.0
        assert of(first) < 0.1 and of(second) < 0.1

    def test_a_channel_of_noise_takes_little_away(self):
        assert contrast(np.stack([BLOCK.astype(float), 0.1 * noise()]), BLOCK, EVEN) == 1.0

    def test_single_nodes_are_compared_not_means_around_them(self):
        """Two normal distributions one standard deviation apart: the best that a single node can tell is .52."""
        assert 0.4 < of(BLOCK + noise()) < 0.55

    def test_the_farther_intensities_are_apart_the_clearer(self):
        found = [of(step * BLOCK + noise()) for step in (0.5, 1, 2, 4)]
        assert found == sorted(found) and found[0] < 0.4 and found[-1] > 0.98

    def test_after_equalizing_units_do_not_matter(self):
        image = BLOCK + noise()
        expected = of(equalized(image))
        assert of(equalized(5 * image - 300)) == pytest.approx(expected, abs=0.02)
        assert of(equalized(np.exp(image))) == pytest.approx(expected, abs=0.05)


class TestWhatIsNot:
    @pytest.mark.parametrize("seed", range(3))
    def test_noise_alone_shows_no_structure(self, seed):
        assert of(noise(seed)) < 0.08

    def test_a_constant_image_shows_nothing(self):
        assert of(np.zeros(SHAPE)) == 0.0
        assert of(np.full(SHAPE, 0.7)) == 0.0


class TestNothingKnown:
    def test_of_a_structure_that_is_nowhere(self):
        assert of(BLOCK, np.zeros(SHAPE, bool)) is None

    def test_of_a_structure_that_is_everywhere(self):
        assert of(BLOCK, np.ones(SHAPE, bool)) is None

    def test_of_a_structure_without_an_inside(self):
        thin = np.zeros(SHAPE, bool)
        thin[10:14, 8:24, 8:24] = True  # no node farther than two steps from the outline
        assert of(thin, thin) is None
        thin[10:15] = thin[10]
        assert of(thin, thin) == 1.0

    def test_of_surroundings_without_room(self):
        nearly = np.ones(SHAPE, bool)
        nearly[11:15] = False
        assert of(nearly, nearly) is None
        assert of(~nearly, ~nearly) is None

    def test_with_too_few_nodes_on_a_side(self):
        """Deeper than two steps in a bar lies one node per step of its length."""
        for length, known in ((module.FEWEST + 3, False), (module.FEWEST + 4, True)):
            bar = np.zeros((15, 15, 40), bool)
            bar[5:10, 5:10, 5 : 5 + length] = True
            assert (of(bar, bar) == 1.0) if known else (of(bar, bar) is None)


class TestWhereItLooks:
    def test_right_beside_the_outline_nothing_is_compared(self):
        """An outline that is off by two nodes is as clear as the right one."""
        image = np.where(edge_distance(BLOCK) <= module.NEAREST, noise(), BLOCK)
        assert of(image) == 1.0
        image = np.where(edge_distance(BLOCK) <= module.NEAREST + 1, noise(), BLOCK)
        assert of(image) < 0.95

    def test_far_away_nothing_is_compared(self):
        wide = np.zeros((24, 32, 60), bool)
        wide[:, :, :20] = BLOCK[:, :, 4:24]
        image = wide.astype(float)
        image[:, :, 31:] = 1.0  # the block ends at 20: as bright as it, but more than ten steps away
        assert of(image, wide) == 1.0
        image[:, :, 27:] = 1.0
        assert of(image, wide) < 1.0

    def test_distances_count_in_millimeters(self):
        """Across slices of 4 mm, the next slice already is farther than two of the smallest steps."""
        plate = np.zeros(SHAPE, bool)
        plate[10:13, 4:28, 4:28] = True
        assert of(plate, plate) is None
        assert of(plate, plate, (4.0, 1.0, 1.0)) == 1.0
        assert of(plate, plate, (40.0, 10.0, 10.0)) == 1.0

    def test_a_border_of_the_image_is_no_outline(self):
        half = AT[2] < 16
        assert of(half, half) == 1.0
        cut = half.astype(float)
        cut[0] = noise()[0]  # the first slice of the scan takes part: it is deep inside
        assert of(cut, half) < 1.0

    def test_a_single_slice_works_as_well(self):
        assert of(BLOCK[10:11], BLOCK[10:11]) == 1.0
        assert of(BLOCK[10:11], BLOCK[10:11], (50.0, 0.5, 0.5)) == 1.0
        assert of(noise()[10:11], BLOCK[10:11]) < 0.4  # a few hundred nodes

    def test_only_so_many_nodes_are_looked_at(self, monkeypatch):
        asked = []

        class Tree(module.cKDTree):
            def query(self, points, **options):
                asked.append(len(points))
                return super().query(points, **options)

        monkeypatch.setattr(module, "cKDTree", Tree)
        assert of(BLOCK + noise(), seed=3) is not None
        monkeypatch.setattr(module, "MOST", 100)
        assert of(BLOCK) == 1.0
        assert asked[0] > 100 and asked[1] == 100


class TestRepeats:
    def test_the_same_seed_gives_the_same_answer_and_nothing_is_written_to(self):
        image, inside = (BLOCK + noise())[None], BLOCK.copy()
        before = image.copy()
        assert contrast(image, inside, EVEN, 5) == contrast(image, inside, EVEN, 5)
        assert np.array_equal(image, before) and np.array_equal(inside, BLOCK)

    def test_other_seeds_and_orientations_give_nearly_the_same_answer(self):
        image, spacing = BLOCK + noise(), (1.0, 1.0, 1.5)
        expected = of(image, spacing=spacing)
        for seed in (1, 2):
            assert of(image, spacing=spacing, seed=seed) == pytest.approx(expected, abs=0.05)
        assert of(image[::-1, :, ::-1], BLOCK[::-1, :, ::-1], spacing) == pytest.approx(expected, abs=0.05)
        turned = of(image.transpose(2, 0, 1), BLOCK.transpose(2, 0, 1), (1.5, 1.0, 1.0))
        assert turned == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("shape", "spacing", "step"),
    [
        ((4, 4, 4), (3.0, 2.0, 5.0), 2.0),
        ((1, 4, 4), (0.5, 2.0, 3.0), 2.0),  # along K there is no neighbor
        ((4, 1, 1), (6.0, 2.0, 3.0), 6.0),
        ((1, 1, 1), (6.0, 2.0, 3.0), 2.0),
    ],
)
def test_the_smallest_step_is_along_axes_with_neighbors(shape, spacing, step):
    assert smallest_step(shape, spacing) == step
