"""Decoding: near the fresh strokes by the walker, farther by the blend, far away not at all."""

import numpy as np
import pytest

from InteractiveRefineLib.errors import Cancelled

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.decoding import decode  # noqa: E402
from InteractiveRefineLib.decoding.blend import BlendedLogits, Distances, network_labels  # noqa: E402
from InteractiveRefineLib.decoding.decode import Decoder, DecodingInput, unprotected_labels  # noqa: E402
from InteractiveRefineLib.decoding.edges import EdgeFeatures, FeatureEdges, IntensityWindow  # noqa: E402
from InteractiveRefineLib.decoding.weight import tuned_weight  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (9, 30, 60)
WHOLE = tuple(slice(0, n) for n in SHAPE)
SPACING = (1.0, 1.0, 1.0)
LENGTHS = Distances(3.0, 2.5, 5.0)
STROKE = np.array([[4, 15, i] for i in (13, 14, 15)])
#: What the distance, interpolated on a lattice of 3 mm, may be off.
LATTICE = 1.5


def an_image():
    image = np.zeros((1, *SHAPE), np.float32)
    image[0, 2:7, 11:20, 10:20] = 100
    return image


def a_decoder(
    seeds=STROKE, seed_labels=(1, 1, 1), fresh=None, pairs=((0, 1), (0, 2)), tuned=1.0, trust=None, stretch=1.0,
    n_classes=3, labels=None, initial=None, after=None, locked=(), image=None, features=None,
):  # fmt: skip
    """An image with a bright block; the network calls everything background, the tuned one everything class 1."""
    image = an_image() if image is None else image
    grid = NetworkGrid(SHAPE, WHOLE, SHAPE)
    if initial is None:
        initial = torch.zeros(2, *SHAPE)
        initial[0] = 1.0
    if after is None:
        after = initial.clone()
        after[1] = 1.0 + tuned
    own = network_labels(grid, initial, WHOLE)
    fresh = np.ones(len(seeds), bool) if fresh is None else np.array(fresh)
    stretch = np.full(len(seeds), stretch)
    task = DecodingInput(
        labels=own if labels is None else labels,
        manual=np.zeros(SHAPE, bool),
        seeds=seeds,
        seed_labels=np.array(seed_labels, np.int64),
        fresh=fresh,
        stretch=stretch,
        pairs=set(pairs),
        spacing=SPACING,
        lengths=LENGTHS,
        locked=frozenset(locked),
    )
    weight = tuned_weight(grid, seeds[fresh], stretch[fresh], SPACING, LENGTHS, trust)
    edges = EdgeFeatures(image, IntensityWindow((0.0,), (100.0,), (30.0,)), features)
    return Decoder(task, BlendedLogits(grid, initial, after, weight, own, n_classes), edges, torch.device("cpu"))


def decoded(decoder):
    decoder.blend()
    decoder.walk()
    return decoder.labels


def walked(decoder):
    decoder.walk()
    return decoder.labels


def distance_to(voxels):
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)[..., None, :]
    return np.linalg.norm(index - voxels, axis=-1).min(axis=-1)


def test_the_blend_alone_believes_the_tuned_network_as_far_as_its_weight_lasts():
    decoder = a_decoder(tuned=1.0)
    decoder.blend()
    # background leads by 1 and loses 2 w: it turns over where w > 1/2, that is d < 1.18 sigma
    far = distance_to(STROKE)
    turn = LENGTHS.blend_sigma * np.sqrt(2 * np.log(2))
    assert decoder.labels.dtype == np.uint16
    assert (decoder.labels[far < turn - 0.5] == 1).all()
    assert not decoder.labels[far > turn + 0.5].any()


def test_the_present_labels_are_not_written_to():
    labels = np.zeros(SHAPE, np.uint16)
    decoder = a_decoder(labels=labels)
    assert np.array_equal(decoder.labels, labels)
    assert decoded(decoder).any()
    assert not labels.any()


def test_the_walker_stops_at_the_edge_of_the_block():
    out = decoded(a_decoder(seeds=np.array([[4, 12, 14], [4, 9, 14]]), seed_labels=(1, 0)))
    near, block = distance_to(np.array([[4, 12, 14]])) <= 2, an_image()[0] > 0
    assert (out[near & block] == 1).all()
    assert not out[near & ~block].any()


def test_the_walker_stops_where_the_features_differ_too():
    features = np.zeros((1, *SHAPE), np.float32)
    features[:, :, :, 14:] = 1.0
    edges = FeatureEdges(torch.from_numpy(features), torch.ones(1), NetworkGrid(SHAPE, WHOLE, SHAPE))
    seeds, plain = np.array([[4, 15, 15], [4, 15, 9]]), np.zeros((1, *SHAPE), np.float32)
    with_features = walked(a_decoder(seeds, (1, 0), tuned=0.5, image=plain, features=edges))
    without = walked(a_decoder(seeds, (1, 0), tuned=0.5, image=plain))
    assert with_features[4, 15, 12:16].tolist() == [0, 0, 1, 1]
    assert without[4, 15, 12:16].tolist() == [0, 1, 1, 1]


def test_seeds_get_their_label_and_far_voxels_keep_theirs():
    seeds = np.concatenate([STROKE, [[4, 15, 50]]])
    out = decoded(a_decoder(seeds=seeds, seed_labels=(1, 1, 1, 2)))
    assert (out[tuple(STROKE.T)] == 1).all()
    assert out[4, 15, 50] == 2  # a class the network does not know
    assert not out[distance_to(seeds) > LENGTHS.blend_limit].any()


def test_an_unknown_class_spreads_no_farther_than_its_seeds_reach():
    seeds = np.argwhere(np.abs(distance_to(STROKE)) < 3)
    out = decoded(a_decoder(seeds=seeds, seed_labels=[2] * len(seeds), tuned=-1.0))
    assert (out[tuple(seeds.T)] == 2).all()
    assert not (out == 2)[distance_to(seeds) > LENGTHS.walker_reach + 0.1].any()


def test_an_unknown_class_takes_only_what_looks_like_its_seeds(monkeypatch):
    lattice = np.meshgrid([3, 4, 5], range(12, 20, 2), range(11, 20, 2), indexing="ij")
    seeds = np.stack(lattice, axis=-1).reshape(-1, 3)
    image = an_image()
    image[0, 4, 13, 12:19] = image[0, 4, 15, 12:19:2] = 75  # between the seeds, and a little darker
    block = image[0] == 100
    found = walked(a_decoder(seeds, [2] * len(seeds), tuned=-1.0, image=image)) == 2
    assert found[block].sum() > 4 * len(seeds)
    assert not found[4, 13, 12:19].any()
    image[0, 4, 20, 14] = 75  # what seeds of other classes look like does not matter
    with_other = walked(
        a_decoder(np.concatenate([seeds, [[4, 20, 14]]]), [2] * len(seeds) + [0], tuned=-1.0, image=image)
    )
    assert not (with_other == 2)[4, 13, 12:19].any()
    monkeypatch.setattr(decode, "resemblance", lambda intensities, seeds: torch.ones_like(intensities[0]))
    blind = walked(a_decoder(seeds, [2] * len(seeds), tuned=-1.0, image=image)) == 2
    assert blind[4, 13, 12:19].any()


def test_a_known_class_need_not_look_like_its_seeds(monkeypatch):
    expected = walked(a_decoder())
    monkeypatch.setattr(decode, "resemblance", lambda intensities, seeds: torch.zeros_like(intensities[0]))
    assert np.array_equal(walked(a_decoder()), expected)


class TestOnlyNearFreshSeeds:
    OLD = np.array([[4, 15, 40], [4, 15, 41]])
    SEEDS = np.concatenate([STROKE, OLD])
    FRESH = [True] * 3 + [False] * 2

    def test_the_walker_changes_nothing_farther_than_it_reaches(self):
        out = walked(a_decoder(tuned=20.0, image=np.zeros((1, *SHAPE), np.float32)))
        assert out.any()
        assert not out[distance_to(STROKE) > LENGTHS.walker_reach + LATTICE].any()

    @pytest.mark.parametrize("by", [decoded, walked])
    def test_labels_change(self, by):
        out = by(a_decoder(self.SEEDS, [1] * 5, self.FRESH))
        assert np.array_equal(out, by(a_decoder()))
        assert out.any() and not out[:, :, 30:].any()
        assert by(a_decoder(self.SEEDS, [1] * 5))[:, :, 30:].any()  # with all of them fresh

    def test_nothing_fresh_nothing_walks(self):
        assert not walked(a_decoder(fresh=[False] * 3)).any()

    def test_old_seeds_beside_fresh_ones_still_hold(self):
        seeds = np.concatenate([STROKE, [[4, 15, 18]]])
        plain = np.zeros((1, *SHAPE), np.float32)
        alone = walked(a_decoder(image=plain))
        held = walked(a_decoder(seeds, (1, 1, 1, 0), [True] * 3 + [False], image=plain))
        assert alone[4, 15, 13:19].tolist() == [1] * 6
        assert held[4, 15, 13:19].tolist() == [1] * 3 + [held[4, 15, 16], 0, 0]
        assert np.count_nonzero(held) < np.count_nonzero(alone)

    def test_old_seeds_too_far_to_reach_a_box_are_not_asked(self):
        assert np.array_equal(decoded(a_decoder(self.SEEDS, (1, 1, 1, 0, 0), self.FRESH)), decoded(a_decoder()))


class TestOnlyAllowedPairs:
    def two_classes(self):
        """Background and, from row 15 on, class 2; the tuned network would call everything class 1."""
        labels = np.zeros(SHAPE, np.uint16)
        labels[:, 15:] = 2
        initial = torch.zeros(3, *SHAPE)
        initial[0, :, :15] = initial[2, :, 15:] = 1.0
        after = initial.clone()
        after[1] = 3.0
        return {"labels": labels, "initial": initial, "after": after, "image": np.zeros((1, *SHAPE), np.float32)}

    @pytest.mark.parametrize("pairs", [{(0, 1)}, {(2, 1)}, {(0, 1), (2, 1)}, {(1, 0)}, {(0, 2), (2, 1)}])
    @pytest.mark.parametrize("by", [decoded, walked])
    def test_change(self, by, pairs):
        case = self.two_classes()
        out = by(a_decoder(pairs=pairs, **case))
        changed = out != case["labels"]
        assert set(zip(case["labels"][changed].tolist(), out[changed].tolist())) == pairs - {(1, 0), (0, 2)}

    def test_none_allowed_nothing_changes(self):
        case = self.two_classes()
        assert np.array_equal(decoded(a_decoder(pairs=set(), **case)), case["labels"])

    @pytest.mark.parametrize("locked", [{2}, {1}, {0}, {0, 2}])
    def test_locked_labels_neither_gain_nor_lose(self, locked):
        case = self.two_classes()
        out = decoded(a_decoder(pairs={(0, 1), (2, 1), (0, 2), (2, 0)}, locked=locked, **case))
        for label in locked:
            assert np.array_equal(out == label, case["labels"] == label)
        assert np.array_equal(out, case["labels"]) == (1 in locked or {0, 2} <= locked)

    def test_locked_voxels_are_fixed_in_the_walk(self, monkeypatch):
        labels = np.zeros(SHAPE, np.uint16)
        labels[:, :, 17:19] = 2
        problems = []
        monkeypatch.setattr(decode, "solve_walker", lambda p, **_: problems.append(p) or p.prior)
        walked(a_decoder(labels=labels, locked={2}, image=np.zeros((1, *SHAPE), np.float32)))
        fixed = problems[0].fixed  # in a box of 5 mm around the stroke: columns 8 to 20
        assert fixed.shape == (9, 11, 13)
        assert fixed[:, :, 9:11].all() and not fixed[4, 5, [4, 8, 11]].any()


class TestClassesNoStrokeIsAbout:
    def with_others(self, others):
        """Four classes; around the stroke, classes 2 and 3 hold two columns each, others as likely as told."""
        labels = np.zeros(SHAPE, np.uint16)
        labels[:, :, 16], labels[:, :, 17] = 2, 3
        initial = torch.zeros(4, *SHAPE)
        initial[0] = 1.0
        initial[2:] = others
        initial[2, :, :, 16] = initial[3, :, :, 17] = 6.0
        after = initial.clone()
        after[1] = 4.0
        return {"labels": labels, "initial": initial, "after": after, "n_classes": 4, "pairs": {(0, 1), (2, 1), (3, 1)}}

    def test_stand_for_no_change_where_they_win_together(self):
        case = self.with_others(-6.0)
        case["after"][2:, :, 18:] = 60.0  # here classes 2 and 3 would win: but nobody asked for them
        out = walked(a_decoder(**{**case, "pairs": {(0, 1)}}))
        assert (out[4, 14:17, 13:16] == 1).all()
        assert np.array_equal(out == 2, case["labels"] == 2) and np.array_equal(out == 3, case["labels"] == 3)
        assert not out[4, 19:, 13:16].any()

    def test_make_no_difference_where_they_are_absent(self):
        initial = torch.full((5, *SHAPE), -9.0)
        initial[0], initial[1] = 1.0, 0.0
        after = initial.clone()
        after[1] = 2.0
        many = decoded(a_decoder(initial=initial, after=after, n_classes=5))
        few = decoded(a_decoder(initial=initial[:3], after=after[:3], n_classes=3))
        assert few.any()
        assert np.array_equal(many, few)

    def test_share_their_probability_as_one(self):
        # Three classes of 0.2 each outweigh class 1, though it is likelier than any of them.
        initial = torch.full((5, *SHAPE), -9.0)
        initial[0] = 9.0
        after = torch.tensor([-9.0, 0.4, 0.2, 0.2, 0.2]).view(5, 1, 1, 1).expand(5, *SHAPE)
        together = walked(a_decoder(initial=initial, after=after, n_classes=5, trust=np.ones(SHAPE)))
        assert np.count_nonzero(together) < np.count_nonzero(
            walked(a_decoder(initial=initial[:3], after=after[:3], n_classes=3, trust=np.ones(SHAPE)))
        )


def test_a_trusted_region_is_followed_however_far_it_is():
    trust = np.zeros(SHAPE, np.float32)
    trust[:, :, 45:55] = 1.0
    out = decoded(a_decoder(trust=trust))
    assert (out[:, :, 46:54] == 1).all()
    assert not out[:, :, 28:44].any()


def test_a_stretched_stroke_acts_farther():
    assert np.count_nonzero(decoded(a_decoder(stretch=1.8))) > 1.5 * np.count_nonzero(decoded(a_decoder()))
    plain = np.zeros((1, *SHAPE), np.float32)
    farther, usual = walked(a_decoder(tuned=20.0, image=plain, stretch=1.8)), walked(a_decoder(tuned=20.0, image=plain))
    assert farther[distance_to(STROKE) > LENGTHS.walker_reach + LATTICE].any()
    assert not farther[distance_to(STROKE) > 1.8 * (LENGTHS.walker_reach + LATTICE)].any()
    assert usual.any()


def test_strokes_far_apart_give_what_each_alone_gives():
    other = STROKE + [0, 0, 34]
    both = decoded(a_decoder(seeds=np.concatenate([STROKE, other]), seed_labels=[1] * 6))
    alone, one = (decoded(a_decoder(seeds=s)) for s in (STROKE, other))
    assert np.array_equal(both, np.maximum(alone, one))


def test_it_can_be_cancelled():
    decoder = a_decoder()
    for step in (decoder.blend, decoder.walk):
        with pytest.raises(Cancelled):
            step(lambda: True)


def test_the_same_task_gives_the_same_labels():
    assert np.array_equal(decoded(a_decoder()), decoded(a_decoder()))


def test_without_protection_the_tuned_answer_counts_everywhere_but_where_it_is_locked():
    grid = NetworkGrid(SHAPE, WHOLE, (9, 15, 30))
    tuned = torch.randn(3, *grid.shape, generator=torch.Generator().manual_seed(0))
    labels = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint16)
    answer = network_labels(grid, tuned, WHOLE)
    assert np.array_equal(unprotected_labels(grid, tuned, labels), answer)
    kept = (labels == 3) | (answer == 2) | (labels == 2)
    found = unprotected_labels(grid, tuned, labels, {2, 3})
    assert np.array_equal(found, np.where(kept, labels, answer))
    with pytest.raises(Cancelled):
        unprotected_labels(grid, tuned, labels, should_cancel=lambda: True)
