"""How strongly outlines hold: as much was kept of the network's structure, and as little as it stands out."""

import numpy as np
import pytest

pytest.importorskip("torch")

from InteractiveRefineLib.outlines import pull as module  # noqa: E402
from InteractiveRefineLib.outlines.pull import (  # noqa: E402
    CHANGED,
    CLEAR,
    FAR,
    FAR_LENGTH,
    FAR_UNTAUGHT,
    KEPT,
    LOOSE,
    PLAIN,
    STIFF,
    pull_of_structure,
    stiffer_far_away,
)

EVEN = (1.0, 1.0, 1.0)
SHAPE = (10, 20, 30)
MIDDLE = np.sqrt(STIFF * LOOSE)


def never():
    raise AssertionError("the image was asked for")


@pytest.fixture
def pull(monkeypatch):
    """The pull by (Dice, contrast); contrast is as said."""

    def found(kept, clear, belief=1.0):
        monkeypatch.setattr(module, "contrast", lambda *_: clear)
        return pull_of_structure(lambda: None, *two_masks(kept), EVEN, belief=belief)

    return found


def two_masks(kept):
    """1000 voxels each, of which so many parts are in both: their Dice is that part."""
    now, before = np.zeros((2, 10, 20, 30), bool)
    both = round(1000 * kept)
    now.reshape(-1)[:1000] = True
    before.reshape(-1)[1000 - both : 2000 - both] = True
    return now, before


class TestPullOfAStructure:
    def test_of_what_the_network_found_the_image_is_not_even_asked(self):
        for kept in (KEPT, KEPT + 0.01, 1.0):
            assert pull_of_structure(never, *two_masks(kept), EVEN) is None

    def test_a_structure_that_is_and_was_nowhere_stays(self):
        nothing = np.zeros(SHAPE, bool)
        assert pull_of_structure(never, nothing, nothing, EVEN) is None

    def test_an_outline_that_cannot_be_seen_stays(self, pull):
        for clear in (0.0, PLAIN - 0.01, PLAIN, None):
            assert pull(0.5, clear) is None

    def test_much_corrected_and_clear_gives_way(self, pull):
        for kept in (0.0, 0.5, CHANGED):
            for clear in (CLEAR, CLEAR + 0.1, 1.0):
                assert pull(kept, clear) == pytest.approx(LOOSE)

    def test_halfway_in_one_of_both_is_halfway_in_orders_of_magnitude(self, pull):
        assert pull((CHANGED + KEPT) / 2, 1.0) == pytest.approx(MIDDLE)
        assert pull(0.5, (PLAIN + CLEAR) / 2) == pytest.approx(MIDDLE)

    def test_the_stiffer_of_both_counts_they_do_not_add_up(self, pull):
        assert pull((CHANGED + KEPT) / 2, (PLAIN + CLEAR) / 2) == pytest.approx(MIDDLE)
        nearly = pull(KEPT - 0.01, 1.0)
        assert pull(KEPT - 0.01, (PLAIN + CLEAR) / 2) == nearly > MIDDLE

    def test_nearly_kept_or_hardly_clear_is_nearly_stiff(self, pull):
        assert 0.3 * STIFF < pull(KEPT - 0.002, 1.0) < STIFF
        assert 0.8 * STIFF < pull(0.5, PLAIN + 0.001) < STIFF

    def test_it_never_gets_stiffer_with_more_contrast_or_more_change(self, pull):
        by_contrast = [pull(0.5, clear) for clear in np.linspace(PLAIN + 0.001, 1, 20)]
        by_change = [pull(kept, 1.0) for kept in np.linspace(KEPT - 0.001, CHANGED - 0.01, 20)]
        for found in (by_contrast, by_change):
            assert found == sorted(found, reverse=True)
            assert STIFF > found[0] > found[3] > found[-1] == pytest.approx(LOOSE)

    def test_of_an_untaught_network_also_what_was_not_corrected_gives_way(self, pull):
        for kept in (0.5, KEPT, 1.0):
            assert pull(kept, 1.0, belief=0.0) == pytest.approx(LOOSE)
            assert pull(kept, PLAIN, belief=0.0) is None
        half_taught = (CHANGED + KEPT) / 2 + 0.5 * (1 - CHANGED)
        assert pull(half_taught, 1.0) is None
        assert pull(half_taught, 1.0, belief=0.5) == pytest.approx(MIDDLE)

    def test_a_class_that_the_network_does_not_know_was_changed_altogether(self, pull, monkeypatch):
        now, nowhere = two_masks(1.0)[0], np.zeros((10, 20, 30), bool)
        monkeypatch.setattr(module, "contrast", lambda *_: 1.0)
        assert pull_of_structure(lambda: None, now, nowhere, EVEN) == pytest.approx(LOOSE)

    def test_it_looks_at_the_structure_as_it_is_now(self, monkeypatch):
        (now, before), asked, image = two_masks(0.5), [], np.zeros((1, *SHAPE))
        monkeypatch.setattr(module, "contrast", lambda *given: asked.append(given))
        assert pull_of_structure(lambda: image, now, before, (3.0, 2.0, 1.0), 7) is None
        [(intensities, inside, spacing, seed)] = asked
        assert intensities is image and inside is now and spacing == (3.0, 2.0, 1.0) and seed == 7

    def test_with_a_real_image_a_clear_block_gives_way_and_one_in_noise_does_not(self):
        block, before = np.zeros((2, 16, 24, 24), bool)
        block[4:12, 6:18, 6:18] = before[4:12, 6:18, :12] = True
        assert pull_of_structure(lambda: block[None].astype(float), block, before, EVEN) == pytest.approx(LOOSE)
        noise = np.random.default_rng(0).normal(0, 1, (1, *block.shape))
        assert pull_of_structure(lambda: noise, block, before, EVEN) is None


class TestStifferFarAway:
    LOW = np.full(SHAPE, LOOSE, np.float32)
    DRAWN = np.zeros(SHAPE, bool)
    DRAWN[4:6, 10, 2] = True

    def stiffer(self, pull=LOW, drawn=DRAWN, spacing=EVEN, extent=20.0, belief=1.0):
        return stiffer_far_away(pull, drawn, spacing, extent, belief)

    def test_at_strokes_it_is_what_it_was(self):
        found = self.stiffer()
        assert found.dtype == np.float32 and found.shape == SHAPE
        assert (found[self.DRAWN] == np.float32(LOOSE)).all()
        assert (found[~self.DRAWN] > np.float32(LOOSE)).all()

    def test_far_from_strokes_it_is_at_least_so_much(self):
        assert self.stiffer()[:, :, 20:] == pytest.approx(FAR)
        assert self.stiffer(np.full(SHAPE, 0.5))[:, :, 20:] == pytest.approx(0.5)

    @pytest.mark.parametrize("belief, far", [(0.0, FAR_UNTAUGHT), (0.5, np.sqrt(FAR * FAR_UNTAUGHT)), (1.0, FAR)])
    def test_it_is_less_where_the_network_could_not_be_taught(self, belief, far):
        found = self.stiffer(belief=belief)
        assert found[:, :, 20:] == pytest.approx(far) and (found[self.DRAWN] == np.float32(LOOSE)).all()
        assert self.stiffer(drawn=np.zeros(SHAPE, bool), belief=belief) == pytest.approx(far)

    def test_at_the_length_it_is_so_far_between_both_in_orders_of_magnitude(self):
        length = 5
        found = self.stiffer(extent=length / FAR_LENGTH)
        near = np.exp(-0.5)
        assert found[4, 10, 2 + length] == pytest.approx(LOOSE**near * FAR ** (1 - near), rel=1e-4)
        assert found[4, 10, 2 + 2 * length] > 0.5 * FAR

    def test_it_rises_with_the_distance_and_never_falls_below_what_is_given(self):
        line = self.stiffer()[4, 10, 2:]
        assert (np.diff(line) >= 0).all() and line[0] < line[3] < line[6]
        given = np.geomspace(1e-4, 1, np.prod(SHAPE)).reshape(SHAPE).astype(np.float32)
        found = self.stiffer(given)
        assert (found >= given * (1 - 1e-6)).all()
        assert found[given >= FAR] == pytest.approx(given[given >= FAR])

    def test_distances_count_in_millimeters(self):
        thick = self.stiffer(spacing=(4.0, 1.0, 1.0))
        assert thick[9, 10, 2] == pytest.approx(thick[5, 10, 18])  # four slices of 4 mm, 16 voxels of 1 mm
        assert thick[6, 10, 2] == pytest.approx(thick[5, 10, 6]) and thick[6, 10, 2] > thick[5, 10, 3]
        assert np.array_equal(self.stiffer(spacing=(2.0, 2.0, 2.0), extent=40.0), self.stiffer())

    def test_without_any_stroke_everything_is_far(self):
        found = self.stiffer(drawn=np.zeros(SHAPE, bool))
        assert found.dtype == np.float32 and (found == np.float32(FAR)).all()
        assert (self.stiffer(np.full(SHAPE, 0.7), np.zeros(SHAPE, bool)) == np.float32(0.7)).all()

    def test_strokes_everywhere_change_nothing(self):
        assert np.array_equal(self.stiffer(drawn=np.ones(SHAPE, bool)), self.LOW)

    def test_no_pull_at_all_stays_finite(self):
        """Nodes that are held anyway have no pull."""
        found = self.stiffer(np.zeros(SHAPE))
        assert np.isfinite(found).all() and (found[self.DRAWN] == 0).all() and found.max() <= np.float32(FAR)

    def test_nothing_is_written_to(self):
        given, drawn = self.LOW.copy(), self.DRAWN.copy()
        self.stiffer(given, drawn)
        assert np.array_equal(given, self.LOW) and np.array_equal(drawn, self.DRAWN)
