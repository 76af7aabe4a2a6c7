"""Near chosen voxels only, the tuned layers give what they give over the whole window."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.partial.extent import NotLocal  # noqa: E402
from InteractiveRefineLib.partial.layers import last_layers  # noqa: E402
from InteractiveRefineLib.partial.local import LocalTape, Tiles, plan_tiles  # noqa: E402
from InteractiveRefineLib.partial.prepare import prepare  # noqa: E402
from InteractiveRefineLib.partial.tape import Tape  # noqa: E402
from Testing.tests.network_examples import (  # noqa: E402
    ResidualNet,
    UNet2d,
    UNet3d,
    a_backbone,
    moved,
    noise,
    randomized,
    running,
    scripted,
)

pytestmark = pytest.mark.usefixtures("one_thread")


class Stack(nn.Module):
    """Convolutions with `between` after all but the last one."""

    def __init__(self, *between, dilation=1, classes=2):
        super().__init__()
        self.stem = nn.Conv3d(1, 4, 3, padding=1)
        self.convolutions = nn.ModuleList([nn.Conv3d(4, 4, 3, padding=dilation, dilation=dilation) for _ in between])
        self.between = nn.ModuleList(between)
        self.head = nn.Conv3d(4, classes, 1)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        for convolution, between in zip(self.convolutions, self.between):
            x = between(convolution(x))
        return self.head(x)


class Upsampling(nn.Module):
    """A skip connection and upsampling, whose recorded operation names the output's size."""

    def __init__(self, mode):
        super().__init__()
        self.stem = nn.Conv3d(1, 4, 3, padding=1)
        self.deep = nn.Conv3d(4, 4, 3, padding=1)
        self.head = nn.Conv3d(4, 2, 3, padding=1)
        self.mode = mode

    def forward(self, x):
        x = torch.relu(self.stem(x))
        y = torch.relu(self.deep(F.max_pool3d(x, 2)))
        return self.head(x + F.interpolate(y, scale_factor=2.0, mode=self.mode))


VOLUME = (1, 1, 12, 16, 14)
NETWORKS = {
    "U-Net": (lambda: UNet3d(), VOLUME, (1, 2, 3)),
    "U-Net, script": (lambda: scripted(randomized(UNet3d())), VOLUME, (2, 3)),
    "instance norm, in-place sums": (lambda: ResidualNet(), VOLUME, (1, 2, 3)),
    "group norm": (lambda: Stack(nn.GroupNorm(2, 4), nn.PReLU(4)), VOLUME, (2, 3)),
    "batch norm without running statistics": (
        lambda: Stack(nn.BatchNorm3d(4, track_running_stats=False)),
        VOLUME,
        (2,),
    ),
    "dilation": (lambda: Stack(nn.ReLU(), dilation=3), VOLUME, (2,)),
    "nearest upsampling": (lambda: Upsampling("nearest"), VOLUME, (1, 2)),
    "trilinear upsampling": (lambda: Upsampling("trilinear"), VOLUME, (1, 2)),
    "2-D": (lambda: UNet2d(kernel=3), (1, 1, 22, 36), (1, 2, 3)),
    "a flat volume": (lambda: Stack(nn.InstanceNorm3d(4, affine=True)), (1, 1, 1, 16, 14), (2,)),
}
CASES = [(kind, count) for kind, (_, _, counts) in NETWORKS.items() for count in counts]


def recorded(network, x, count):
    run = running(network, x)
    layers = last_layers(run, a_backbone(network).parameters(), count)
    tuned = [p for layer in layers for p in layer.parameters]
    return Tape.record(run, tuned, layers[-1].weight), [p.detach() for p in tuned]


def local(kind, count):
    make, shape, _ = NETWORKS[kind]
    network = make()
    if not isinstance(network, torch.jit.ScriptModule):
        network = randomized(network)
    tape, initial = recorded(network, noise(*shape), count)
    return LocalTape(tape, initial), tape, initial


def every_voxel(shape):
    return np.array(list(np.ndindex(*shape)))


def close(a, b):
    a, b = a.detach(), b.detach()
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5 * max(1.0, float(b.abs().max())))


def tiles_of(part, voxels, core):
    """Tiles of a fixed side, whatever they cost."""
    from InteractiveRefineLib.partial import local as module

    core = np.minimum(core, part.shape)
    return module._tiles(voxels, voxels.min(axis=0), core, part.shape, part.halo, part.multiple)


@pytest.mark.parametrize(("kind", "count"), CASES)
def test_tiles_of_any_size_give_the_whole_windows_logits_and_gradients(kind, count):
    part, _, initial = local(kind, count)
    values = [v.requires_grad_(True) for v in moved(initial)]
    voxels = every_voxel(part.shape)[:: 1 if len(part.shape) == 2 else 3]
    edge = ((voxels == 0) | (voxels == part.shape - 1)).any(axis=1)
    voxels = voxels[edge | (np.arange(len(voxels)) % 5 == 0)]
    at = (slice(None), *torch.as_tensor(voxels.T))
    expected = part.replay(values)[0][at].T
    wanted = torch.autograd.grad((expected**2).mean(), values)
    for core in (1, 3, 100):
        found = part.in_tiles(voxels, tiles_of(part, voxels, core))(values)
        assert close(found, expected)
        for a, b in zip(torch.autograd.grad((found**2).mean(), values), wanted):
            assert close(a, b)


@pytest.mark.parametrize(("kind", "count"), CASES)
def test_at_the_recorded_values_nothing_changed(kind, count):
    part, tape, initial = local(kind, count)
    assert close(part.replay(initial), tape.output)


@pytest.mark.parametrize(
    ("kind", "count", "halo"),
    [
        ("U-Net", 1, 0),
        ("U-Net", 2, 1),
        ("instance norm, in-place sums", 1, 1),
        ("instance norm, in-place sums", 3, 3),
        ("dilation", 2, 3),
        ("group norm", 3, 2),
    ],
)
def test_the_halo_is_what_the_kernels_see(kind, count, halo):
    assert local(kind, count)[0].halo.tolist() == [halo] * 3


def test_weights_of_zero_do_not_hide_what_a_voxel_depends_on():
    network = Stack(nn.ReLU())
    randomized(network).convolutions[0].weight.zero_()
    network.convolutions[0].bias.fill_(-1.0)  # and every unit is dead
    tape, initial = recorded(network, noise(*VOLUME), 2)
    assert LocalTape(tape, initial).halo.tolist() == [1, 1, 1]


def test_along_an_axis_that_is_too_short_to_tell_the_whole_of_it_is_taken():
    network = randomized(Stack(nn.ReLU(), dilation=8))
    tape, initial = recorded(network, noise(1, 1, 12, 30, 30), 2)
    part = LocalTape(tape, initial)
    assert part.halo.tolist() == [12, 8, 8]
    values, voxels = moved(initial), np.array([[0, 3, 4], [11, 20, 29], [5, 9, 9]])
    at = (slice(None), *torch.as_tensor(voxels.T))
    assert close(part.in_tiles(voxels, tiles_of(part, voxels, 1))(values), part.replay(values)[0][at].T)


@pytest.mark.parametrize("norm", [nn.InstanceNorm3d(4, affine=True), nn.InstanceNorm3d(4), nn.GroupNorm(2, 4)])
def test_norms_keep_the_statistics_of_the_untuned_network(norm):
    network = randomized(Stack(norm))
    x = noise(*VOLUME)
    tape, initial = recorded(network, x, 2)
    part = LocalTape(tape, initial)
    values = moved(initial)
    features = torch.relu(network.stem(x))
    before = network.convolutions[0](features)
    groups = 2 if isinstance(norm, nn.GroupNorm) else 4
    grouped = before.view(1, groups, -1)
    mean = grouped.mean(dim=2).repeat_interleave(4 // groups).view(1, 4, 1, 1, 1)
    variance = grouped.var(dim=2, unbiased=False).repeat_interleave(4 // groups).view(1, 4, 1, 1, 1)
    weight, bias, *affine, head, head_bias = values
    y = (F.conv3d(features, weight, bias, padding=1) - mean) / torch.sqrt(variance + 1e-5)
    if affine:
        y = y * affine[0].view(1, 4, 1, 1, 1) + affine[1].view(1, 4, 1, 1, 1)
    assert close(part.replay(values), F.conv3d(y, head, head_bias))
    assert not close(tape.replay(values), part.replay(values)), "the network itself refreshes them"


def prepared(network, shape, layers, **changes):
    grid = NetworkGrid(shape, tuple(slice(0, n) for n in shape), shape)
    with torch.no_grad():
        return prepare(a_backbone(randomized(network), 2, **changes), grid, noise(1, *shape), layers)


PARTS = {
    "one window": (lambda: ResidualNet(), (20, 16, 18), {}),
    "several windows": (lambda: ResidualNet(), (20, 16, 18), {"patch_size": (12, 14, 16)}),
    "padded": (lambda: Upsampling("nearest"), (19, 15, 17), {"divisible_by": 2}),
    "2-D": (lambda: UNet2d(kernel=3), (1, 32, 40), {"dimensions": 2}),
    "2-D, coronal, windows": (lambda: UNet2d(), (32, 1, 40), {"dimensions": 2, "patch_size": (20, 24, 1)}),
}


@pytest.mark.parametrize("case", PARTS)
def test_logits_at_strokes_are_those_of_the_final_pass_for_every_values(case, monkeypatch):
    make, shape, changes = PARTS[case]
    network = prepared(make(), shape, 2, **changes)
    assert network.notes == []
    used = []
    monkeypatch.setattr(
        LocalTape, "in_tiles", lambda self, *a, original=LocalTape.in_tiles: used.append(1) or original(self, *a)
    )
    voxels = np.array([[n // 3, n // 2, n // 2] for n in (1, 2)]) % np.array(shape)
    voxels = np.concatenate([voxels, [[0, 0, 0]], [np.array(shape) - 1]])
    values = moved(network.part.initial, 0.2)
    at = network.part.at(voxels.astype(float))
    assert used
    everywhere = network.part.everywhere(values)
    assert close(at(values), everywhere[(slice(None), *torch.as_tensor(voxels.T))].T)


def test_a_wrong_halo_is_noticed_and_the_whole_window_computed():
    network = prepared(ResidualNet(), (20, 16, 18), 2)
    for tape in network.part.tapes.kept():
        tape.halo = np.zeros(3, int)
    voxels = np.array([[3, 4, 5], [10, 11, 12]])
    values = moved(network.part.initial, 0.2)
    for _ in range(2):
        at = network.part.at(voxels.astype(float))
        assert close(at(values), network.part.everywhere(values)[(slice(None), *torch.as_tensor(voxels.T))].T)
    assert network.notes == [
        "Tuning computes whole windows in every step, which is slower: parts of them give other logits."
    ]


class Fixed(Stack):
    def forward(self, x):
        x = self.convolutions[0](torch.relu(self.stem(x)))
        return self.head(x.view(1, 2, 2, *VOLUME[2:]).flip(1).reshape(1, 4, *VOLUME[2:]))


class Shuffles(Stack):
    """Keeps all sizes, but computes each voxel from somewhere else in the window."""

    def forward(self, x):
        return self.head(self.convolutions[0](torch.relu(self.stem(x))).flip(2))


class SeesEverything(Stack):
    def forward(self, x):
        x = self.convolutions[0](torch.relu(self.stem(x)))
        return self.head(x + x.mean(dim=(2, 3, 4), keepdim=True))


class DropsNan(Stack):
    def forward(self, x):
        return self.head(torch.nan_to_num(self.convolutions[0](torch.relu(self.stem(x)))))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Fixed, "the tuned layers fix their sizes"),
        (Shuffles, "parts of a window give other logits|cannot be found"),
        (SeesEverything, "^$"),
        (DropsNan, "what a voxel depends on cannot be found"),
    ],
)
def test_what_cannot_be_computed_in_parts_is_computed_as_a_whole(kind, reason):
    network = randomized(kind(nn.Identity()))
    tape, initial = recorded(network, noise(*VOLUME), 2)
    with pytest.raises(NotLocal, match=reason):
        LocalTape(tape, initial)
    shape = VOLUME[2:]
    result = prepared(kind(nn.Identity()), shape, 2)
    assert len(result.notes) == (0 if reason == "^$" else 1)
    values = moved(result.part.initial)
    at = result.part.at(np.array([[1.0, 2.0, 3.0]]))(values)
    assert close(at[0], result.part.everywhere(values)[:, 1, 2, 3])


SIDES = st.tuples(*[st.integers(1, 40)] * 3)


@given(SIDES, st.tuples(*[st.integers(0, 6)] * 3), st.tuples(*[st.sampled_from([1, 2, 4])] * 3), st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_every_tile_holds_its_voxels_with_their_halo_and_stays_in_the_window(shape, halo, multiple, seed):
    multiple, halo = np.array(multiple), np.array(halo)
    shape = np.array(shape) * multiple
    voxels = np.random.default_rng(seed).integers(0, shape, (1 + seed % 40, 3))
    tiles = plan_tiles(voxels, shape, halo, multiple)
    if tiles is None:
        return
    assert tiles.cost < np.prod(shape)
    start, stop = tiles.starts[tiles.tile], tiles.starts[tiles.tile] + tiles.size
    assert (start <= np.maximum(voxels - halo, 0)).all() and (stop >= np.minimum(voxels + halo + 1, shape)).all()
    assert (tiles.starts >= 0).all() and (tiles.starts + tiles.size <= shape).all()
    assert not (tiles.starts % multiple).any() and not (tiles.size % multiple).any()


def planned(voxels):
    return plan_tiles(np.array(voxels), np.full(3, 64), np.ones(3, int), np.ones(3, int))


def test_compact_strokes_are_a_box_scattered_ones_cubes_and_dense_ones_the_window():
    box = planned(list(itertools.product(range(10, 14), range(20, 24), range(30, 33))))
    assert isinstance(box, Tiles) and box.starts.tolist() == [[9, 19, 29]] and box.size.tolist() == [6, 6, 5]
    cubes = planned([[5, 5, 60], [60, 5, 5], [5, 60, 5], [33, 33, 33]])
    assert len(cubes.starts) == 4 and cubes.size.tolist() == [3, 3, 3]
    assert planned(list(itertools.product(range(64), range(0, 64, 2), range(64)))) is None
    assert planned(np.zeros((0, 3), int)) is None


def test_two_strokes_far_apart_are_two_boxes():
    line = [[10, 10, k] for k in range(8)] + [[50, 50, k] for k in range(40, 48)]
    tiles = planned(line)
    assert len(tiles.starts) == 2 and tiles.size.tolist() == [3, 3, 9 + 1]
