"""What the blended logits turn over, found cell by cell: exactly what looking at everything finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from InteractiveRefineLib.errors import Cancelled

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.decoding import turnover  # noqa: E402
from InteractiveRefineLib.decoding.blend import HOLD_ACCEPTED, BlendedLogits, network_labels, slabs  # noqa: E402
from InteractiveRefineLib.decoding.turnover import turned_over  # noqa: E402
from InteractiveRefineLib.progress import never_cancel  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

N_KNOWN = 3
#: Logits that differ by less are equal but for rounding: either label is right.
ROUNDING = 1e-4


def whole(shape):
    return tuple(slice(0, n) for n in shape)


def a_part(rng, shape):
    """A box that holds the middle."""
    return tuple(slice(int(rng.integers(0, (n + 1) // 2)), int(rng.integers(n // 2 + 1, n + 1))) for n in shape)


def a_weight(rng, shape):
    """Random weights, some zero; often in a part only, sometimes everywhere or nowhere."""
    weight = rng.random(shape).astype(np.float32)
    weight[rng.random(shape) < rng.choice([0.0, 0.3, 0.8, 1.0], p=[0.3, 0.3, 0.3, 0.1])] = 0
    if rng.random() < 0.6:
        around = np.zeros(shape, dtype=bool)
        around[a_part(rng, shape)] = True
        around = np.roll(around, rng.integers(0, shape), axis=(0, 1, 2))
        weight[~around] = 0
    return torch.from_numpy(weight)


def a_case(shape, grid_shape, seed):
    """Logits, labels that the user and earlier rounds changed here and there, who decided them, and allowed pairs."""
    rng = np.random.default_rng(seed)
    n_classes = N_KNOWN + int(rng.integers(0, 3))
    grid = NetworkGrid(shape, a_part(rng, shape) if rng.random() < 0.5 else whole(shape), grid_shape)
    initial = torch.from_numpy(rng.normal(0, rng.choice([1.0, 4.0]), (N_KNOWN, *grid_shape)).astype(np.float32))
    change = torch.from_numpy(rng.normal(0, rng.choice([2.0, 6.0, 25.0]), initial.shape).astype(np.float32))
    own = network_labels(grid, initial, whole(shape))
    logits = BlendedLogits(grid, initial, initial + change, a_weight(rng, grid_shape), own, n_classes)
    edited = rng.random(shape) < rng.choice([0.0, 0.2, 0.6])
    labels = np.where(edited, rng.integers(0, n_classes, shape), own).astype(np.uint16)
    manual = rng.random(shape) < rng.choice([0.0, 0.3])
    pairs = {(a, b) for a in range(n_classes) for b in range(n_classes) if a != b and rng.random() < 0.4}
    return logits, labels, manual, pairs


def by_looking_at_everything(logits, labels, manual):
    """Label of the largest logit of every voxel of the image, and by how much it leads the present label's.

    Outside the crop the network says nothing.
    """
    proposed, lead = labels.astype(np.int64), np.zeros(labels.shape)
    voxels = (
        np.argwhere(~logits.grid.outside_crop(whole(labels.shape))) if cropped(logits) else np.argwhere(labels >= 0)
    )
    at = tuple(voxels.T)
    blended = logits.at(voxels, labels[at], manual[at])
    proposed[at] = blended.argmax(dim=0).numpy()
    now = blended.gather(0, torch.from_numpy(labels[at].astype(np.int64))[None])[0]
    lead[at] = (blended.max(dim=0).values - now).numpy()
    return proposed, lead


def cropped(logits):
    return logits.grid.outside_crop(whole(logits.grid.image_shape)) is not None


def assert_they_agree(logits, labels, manual, pairs):
    proposed, lead = by_looking_at_everything(logits, labels, manual)
    expected = np.zeros(labels.shape, dtype=bool)
    for a, b in pairs:
        expected |= (labels == a) & (proposed == b)
    voxels, new = turned_over(logits, labels, manual, pairs, never_cancel)
    found = np.zeros(labels.shape, dtype=bool)
    found[tuple(voxels.T)] = True
    assert len(voxels) == len(new) == np.count_nonzero(found)
    assert np.array_equal(new, proposed[tuple(voxels.T)])
    assert not (found & ~expected).any()
    assert not (expected & ~found & (lead > ROUNDING)).any()
    assert np.array_equal(voxels, np.argwhere(found))  # in array order
    return found


SIZES = st.integers(1, 9)


@settings(deadline=None, max_examples=400)
@given(shape=st.tuples(SIZES, SIZES, SIZES), grid_shape=st.tuples(SIZES, SIZES, SIZES), seed=st.integers(0, 10**6))
def test_it_finds_exactly_what_looking_at_everything_finds(shape, grid_shape, seed):
    assert_they_agree(*a_case(shape, grid_shape, seed))


@settings(deadline=None, max_examples=100)
@given(shape=st.tuples(*[st.integers(6, 14)] * 3), seed=st.integers(0, 10**6))
def test_also_where_the_image_is_finer_than_the_grid_and_only_a_few_cells_are_believed(shape, seed):
    rng = np.random.default_rng(seed)
    grid_shape = tuple(max(1, int(n // rng.uniform(1.2, 4))) for n in shape)
    assert_they_agree(*a_case(shape, grid_shape, seed))


def test_cases_like_these_turn_over_something_and_leave_something():
    counts = [len(turned_over(*a_case((6, 7, 8), (3, 4, 9), seed), never_cancel)[1]) for seed in range(40)]
    assert sum(n > 0 for n in counts) > 20
    assert sum(n == 0 for n in counts) > 3


def along_a_line(initial, tuned, labels=None, weight=None, n_classes=2, n=None):
    """Background and class 1 on a line of nodes; their leads of class 1, initial and tuned."""
    field = torch.zeros(2, 2, 1, 1, len(initial))
    field[0, 1, 0, 0], field[1, 1, 0, 0] = torch.tensor(initial), torch.tensor(tuned)
    shape = (1, 1, n or len(initial))
    grid = NetworkGrid(shape, whole(shape), (1, 1, len(initial)))
    weight = torch.ones(1, 1, len(initial)) if weight is None else torch.tensor(weight).view(1, 1, -1)
    own = network_labels(grid, field[0], whole(shape))
    labels = own if labels is None else np.array(labels, np.uint16).reshape(shape)
    return BlendedLogits(grid, *field, weight, own, n_classes), labels


def on_the_line(logits, labels, pairs, manual=()):
    mask = np.zeros(labels.shape, dtype=bool)
    mask[..., list(manual)] = True
    voxels, new = turned_over(logits, labels, mask, pairs, never_cancel)
    assert not voxels[:, :2].any()
    return dict(zip(voxels[:, 2].tolist(), new.tolist()))


def test_a_voxel_turns_over_where_the_blend_leads_and_the_pair_is_allowed():
    logits, labels = along_a_line([-1.0, -1, -1, 1], [3.0, -2, 3, -3], weight=[1.0, 1, 0.2, 1])
    assert on_the_line(logits, labels, {(0, 1), (1, 0)}) == {0: 1, 3: 0}
    assert on_the_line(logits, labels, {(0, 1)}) == {0: 1}
    assert on_the_line(logits, labels, {(1, 0)}) == {3: 0}
    assert on_the_line(logits, labels, set()) == {}


def test_between_two_nodes_a_voxel_turns_over_where_the_interpolated_lead_does():
    # Nodes at voxels 0.5, 2.5, 4.5, 6.5: the lead falls from 3 to -1 between the first two, through 0 at voxel 2.
    logits, labels = along_a_line([-1.0, -1, -1, -1], [3.0, -1, -1, -1], n=8)
    assert on_the_line(logits, labels, {(0, 1)}) == {0: 1, 1: 1}


def test_an_accepted_label_gives_way_to_a_lead_larger_than_its_hold_and_a_manual_one_stays():
    # The network says background throughout, an earlier round said 1; initial lead of background: 1.
    tuned = [-0.9 - HOLD_ACCEPTED, -1.1 - HOLD_ACCEPTED, -9.0, -9.0]
    logits, labels = along_a_line([-1.0] * 4, tuned, labels=[1, 1, 1, 1])
    assert on_the_line(logits, labels, {(1, 0)}, manual=[3]) == {1: 0, 2: 0}


def test_a_new_class_gives_way_as_any_accepted_label_but_wins_nothing():
    logits, labels = along_a_line([-1.0] * 4, [1.0, 1.9, 9, -9], labels=[2, 2, 2, 0], n_classes=3)
    assert on_the_line(logits, labels, {(2, 1), (0, 2), (1, 2)}) == {2: 1}  # 9 against 0, held by 2
    assert on_the_line(logits, labels, {(0, 2), (1, 2)}) == {}


def test_the_winner_of_all_classes_counts_not_just_a_challenger_that_is_allowed():
    field = torch.zeros(2, 3, 1, 1, 1)
    field[0, 0], field[1, 1], field[1, 2] = 1.0, 5.0, 7.0  # tuned: 1 overtakes background, but 2 leads
    grid = NetworkGrid((1, 1, 1), whole((1, 1, 1)), (1, 1, 1))
    labels = np.zeros((1, 1, 1), np.uint16)
    logits = BlendedLogits(grid, *field, torch.ones(1, 1, 1), labels, 3)
    assert on_the_line(logits, labels, {(0, 1)}) == {}
    assert on_the_line(logits, labels, {(0, 1), (0, 2)}) == {0: 2}


@pytest.mark.parametrize("chunk", [1, 7])
@pytest.mark.parametrize("seed", [0, 1, 4])
def test_the_pieces_in_which_it_works_do_not_matter(chunk, seed, monkeypatch):
    monkeypatch.setattr(turnover, "CHUNK", chunk)
    monkeypatch.setattr(turnover, "slabs", lambda box: slabs(box, 10))
    assert assert_they_agree(*a_case((7, 6, 8), (4, 7, 3), seed)).any()


def test_nothing_believed_turns_nothing_over():
    logits, labels = along_a_line([-1.0] * 4, [9.0] * 4, weight=[0.0] * 4)
    voxels, new = turned_over(logits, labels, labels > 5, {(0, 1)}, never_cancel)
    assert voxels.shape == (0, 3) and new.shape == (0,)


def test_what_it_is_given_is_left_as_it_was():
    logits, labels, manual, pairs = a_case((6, 7, 8), (4, 4, 9), 3)
    fields = [logits.initial, logits.field, logits.weight]
    before = [f.clone() for f in fields], labels.copy(), manual.copy(), set(pairs)
    assert len(turned_over(logits, labels, manual, pairs, never_cancel)[1])
    assert all(torch.equal(a, b) for a, b in zip(before[0], fields))
    assert np.array_equal(labels, before[1]) and np.array_equal(manual, before[2]) and pairs == before[3]


def test_it_can_be_cancelled_at_any_piece(monkeypatch):
    monkeypatch.setattr(turnover, "CHUNK", 5)
    case, asked = a_case((6, 7, 8), (3, 4, 9), 0), []
    turned_over(*case, lambda: bool(asked.append(1)))
    total = len(asked)
    assert total > 3
    for n in range(total):
        asked.clear()
        with pytest.raises(Cancelled):
            turned_over(*case, lambda n=n: bool(asked.append(1)) or len(asked) > n)
        assert len(asked) == n + 1
