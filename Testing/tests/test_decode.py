"""Decoding: near the strokes by the walker, farther by the blend, far away not at all."""

import numpy as np
import pytest

from InteractiveRefineLib.errors import Cancelled

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.decoding.blend import BlendedLogits, Distances  # noqa: E402
from InteractiveRefineLib.decoding.decode import Decoder, DecodingInput  # noqa: E402
from InteractiveRefineLib.decoding.edges import EdgeFeatures, IntensityWindow  # noqa: E402
from InteractiveRefineLib.decoding.reach import Reach  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (9, 30, 60)
WHOLE = tuple(slice(0, n) for n in SHAPE)
LENGTHS = Distances(3.0, 2.5, 5.0)
STROKE = np.array([[4, 15, i] for i in (13, 14, 15)])


def a_decoder(seeds=STROKE, seed_labels=(1, 1, 1), n_strokes=None, tuned=1.0, reaches=(), n_classes=3, **more):
    """An image with a bright block; the network calls everything background, the tuned one everything class 1."""
    image = np.zeros((1, *SHAPE), np.float32)
    image[0, 2:7, 11:20, 10:20] = 100
    grid = NetworkGrid(SHAPE, WHOLE, SHAPE)
    initial = torch.zeros(2, *SHAPE)
    initial[0] = 1.0
    after = initial.clone()
    after[1] = 1.0 + tuned
    task = DecodingInput(
        labels=more.get("labels", np.zeros(SHAPE, np.uint16)),
        manual=np.zeros(SHAPE, bool),
        n_strokes=len(seeds) if n_strokes is None else n_strokes,
        seeds=seeds,
        seed_labels=np.array(seed_labels, np.int64),
        stretch=np.ones(len(seeds)),
        reaches=list(reaches),
        spacing=(1.0, 1.0, 1.0),
        lengths=LENGTHS,
        locked=more.get("locked", frozenset()),
        n_known=2,
    )
    edges = EdgeFeatures(image, IntensityWindow((0.0,), (100.0,), (30.0,)), None, grid)
    return Decoder(task, BlendedLogits(grid, initial, after, n_classes), edges, grid, torch.device("cpu")), image[0] > 0


def decoded(decoder):
    proposed = decoder.blend()
    decoder.walk(proposed)
    out = np.zeros(SHAPE, proposed.dtype)
    out[decoder.box] = proposed
    return out


def distance_to(voxels):
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)[..., None, :]
    return np.linalg.norm(index - voxels, axis=-1).min(axis=-1)


def test_the_box_holds_everything_within_the_blends_limit():
    decoder, _ = a_decoder()
    inside = np.zeros(SHAPE, bool)
    inside[decoder.box] = True
    assert inside[distance_to(STROKE) < LENGTHS.blend_limit].all()
    assert not inside[:, :, 40:].any()


def test_the_blend_alone_believes_the_tuned_network_as_far_as_its_weight_lasts():
    decoder, _ = a_decoder(tuned=1.0)
    out = np.zeros(SHAPE)
    out[decoder.box] = decoder.blend()
    # background leads by 1 and loses 2 w: it turns over where w > 1/2, that is d < 1.18 sigma
    far = distance_to(STROKE)
    turn = LENGTHS.blend_sigma * np.sqrt(2 * np.log(2))
    assert (out[far < turn - 1.5] == 1).all()
    assert not out[far > turn + 1.5].any()


def test_the_walker_stops_at_the_edge_of_the_block():
    decoder, block = a_decoder(seeds=np.array([[4, 12, 14], [4, 9, 14]]), seed_labels=(1, 0))
    out = decoded(decoder)
    near = distance_to(np.array([[4, 12, 14]])) <= 2
    assert (out[near & block] == 1).all()
    assert not out[near & ~block].any()


def test_seeds_get_their_label_and_far_voxels_keep_theirs():
    decoder, _ = a_decoder(seeds=np.concatenate([STROKE, [[4, 15, 50]]]), seed_labels=(1, 1, 1, 2))
    out = decoded(decoder)
    assert (out[tuple(STROKE.T)] == 1).all()
    assert out[4, 15, 50] == 2  # a class the network does not know
    assert not out[distance_to(np.concatenate([STROKE, [[4, 15, 50]]])) > LENGTHS.blend_limit].any()


def test_an_unknown_class_spreads_no_farther_than_its_seeds_reach():
    seeds = np.argwhere(np.zeros(SHAPE, bool) | (np.abs(distance_to(STROKE)) < 3))
    decoder, _ = a_decoder(seeds=seeds, seed_labels=[2] * len(seeds), n_strokes=3, tuned=-1.0)
    out = decoded(decoder)
    assert (out[tuple(seeds.T)] == 2).all()
    assert not (out == 2)[distance_to(seeds) > LENGTHS.walker_reach + 0.1].any()


def test_locked_voxels_are_left_to_the_blend():
    labels = np.zeros(SHAPE, np.uint16)
    labels[:, 16:18] = 2
    decoder, _ = a_decoder(labels=labels, locked=frozenset({2}))
    proposed = decoder.blend()
    before = proposed.copy()
    decoder.walk(proposed)
    locked = labels[decoder.box] == 2
    assert np.array_equal(proposed[locked], before[locked])


def test_a_trusted_region_is_followed_however_far_it_is():
    trust = np.zeros(SHAPE, np.float32)
    trust[:, :, 45:55] = 1.0
    decoder, _ = a_decoder(reaches=[Reach(1, trust), Reach(2, np.zeros(SHAPE, np.float32))])
    out = decoded(decoder)
    assert (out[:, :, 46:54] == 1).all()
    assert not out[:, :, 28:44].any()


def test_a_stretched_stroke_acts_farther():
    decoder, _ = a_decoder()
    stretched, _ = a_decoder()
    stretched._task.stretch[:] = 1.8
    stretched = Decoder(stretched._task, stretched._logits, stretched._edges, stretched._grid, torch.device("cpu"))
    assert np.count_nonzero(decoded(stretched)) > 1.5 * np.count_nonzero(decoded(decoder))


def test_strokes_far_apart_give_what_each_alone_gives():
    other = STROKE + [0, 0, 34]
    both, _ = a_decoder(seeds=np.concatenate([STROKE, other]), seed_labels=[1] * 6)
    alone, one = (decoded(a_decoder(seeds=s)[0]) for s in (STROKE, other))
    assert np.array_equal(decoded(both), np.maximum(alone, one))


def test_it_can_be_cancelled():
    decoder, _ = a_decoder()
    with pytest.raises(Cancelled):
        decoder.blend(lambda: True)
    with pytest.raises(Cancelled):
        decoder.walk(decoder.blend(), lambda: True)


def test_the_same_task_gives_the_same_labels():
    assert np.array_equal(decoded(a_decoder()[0]), decoded(a_decoder()[0]))
