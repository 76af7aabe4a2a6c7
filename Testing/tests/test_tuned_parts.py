"""Logits at chosen positions are the interpolated logits of the whole grid, for every kind of last layer."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.partial.parts import ConvolutionPart, TapePart, corners  # noqa: E402
from InteractiveRefineLib.partial.prepare import prepare  # noqa: E402
from Testing.tests.network_examples import ResidualNet, UNet2d, UNet3d, a_backbone, moved, noise, randomized  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:Using padding='same'"),
]

SHAPE = (8, 6, 10)
#: Network, classes, grid shape and what backbone.json says, for each kind of part.
CASES = {
    "kernel 1": (lambda: UNet3d(), 3, SHAPE, {"divisible_by": 2}),
    "kernel 1, padded": (lambda: UNet3d(), 3, (7, 6, 9), {"divisible_by": 2}),
    "kernel 1, several windows": (lambda: UNet3d(), 3, SHAPE, {"patch_size": (6, 4, 4), "divisible_by": 2}),
    "kernel 3": (lambda: ResidualNet(), 2, SHAPE, {}),
    "kernel 3, several windows": (lambda: ResidualNet(), 2, SHAPE, {"patch_size": (6, 4, 4), "overlap": 0.6}),
    "no bias": (lambda: nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.Conv3d(2, 2, 1, bias=False)), 2, SHAPE, {}),
    "2-D": (lambda: UNet2d(), 2, (1, 8, 10), {"dimensions": 2}),
    "2-D, kernel 3, windows": (lambda: UNet2d(kernel=3), 2, (1, 8, 10), {"dimensions": 2, "patch_size": (6, 4, 1)}),
    "2-D, coronal": (lambda: UNet2d(kernel=3), 2, (8, 1, 10), {"dimensions": 2, "patch_size": (6, 4, 1)}),
}
# These heads end in a convolution, but one slice more follows (UNet2d): the tape records two calls.
NOT_A_PLAIN_CONVOLUTION = {"2-D", "2-D, kernel 3, windows", "2-D, coronal"}


class Plain2d(nn.Module):
    """A 2-D network that ends in a plain convolution."""

    def __init__(self, kernel):
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.head = nn.Conv2d(3, 2, kernel, padding=kernel // 2)

    def forward(self, x):
        return self.head(torch.relu(self.stem(x)))


for flat in (0, 1, 2):
    a_shape = tuple(np.insert([8, 10], flat, 1).tolist())
    CASES[f"2-D convolution, flat axis {flat}"] = (lambda: Plain2d(3), 2, a_shape, {"dimensions": 2})
CASES["2-D convolution, windows"] = (lambda: Plain2d(3), 2, (1, 8, 10), {"dimensions": 2, "patch_size": (6, 4, 1)})


def prepared(case, layers=1):
    make, classes, shape, changes = CASES[case]
    backbone = a_backbone(randomized(make()), classes, **changes)
    grid = NetworkGrid(shape, tuple(slice(0, n) for n in shape), shape)
    with torch.no_grad():
        return prepare(backbone, grid, noise(1, *shape), layers)


def as_tapes(case, monkeypatch):
    """The same, without the fast form for convolutions."""
    monkeypatch.setattr("InteractiveRefineLib.partial.recorded._is_same_convolution", lambda *_: False)
    return prepared(case)


def some_positions(shape, count=60):
    """Random ones, voxels, corners and positions on the border."""
    rng = np.random.default_rng(3)
    last = np.array(shape) - 1
    anywhere = rng.uniform(0, 1, (count, 3)) * last
    voxels = np.round(anywhere)
    border = np.where(rng.random((count, 3)) < 0.5, np.round(rng.random((count, 3))) * last, anywhere)
    return np.concatenate([anywhere, voxels, border, [[0, 0, 0], last]])


def interpolated(field, positions):
    """Linear interpolation of a field (C, ...) at positions (N, 3), voxel by voxel: (N, C)."""
    field = field.numpy().astype(np.float64)
    result = np.zeros((len(positions), field.shape[0]))
    for row, position in enumerate(positions):
        low = np.floor(position).astype(int)
        for corner in np.ndindex(2, 2, 2):
            index = low + corner
            weight = np.prod(np.where(corner, position - low, 1 - (position - low)))
            if weight:
                result[row] += weight * field[:, index[0], index[1], index[2]]
    return torch.from_numpy(result).float()


def close(a, b):
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5 * max(1.0, float(b.abs().max())))


@pytest.mark.parametrize("case", CASES)
def test_everywhere_with_the_initial_values_is_the_initial_logits(case):
    network = prepared(case)
    assert close(network.part.everywhere(network.part.initial), network.logits)


def test_everywhere_of_a_3d_convolution_is_equal_to_the_last_bit():
    network = prepared("kernel 3")
    assert torch.equal(network.part.everywhere(network.part.initial), network.logits)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "low, high", [((0, 0, 0), (1, 1, 1)), ((0.2, 0.3, 0.1), (0.6, 1, 0.8)), ((0.5, 0, 0.4), (1, 0.5, 1))]
)
def test_a_region_is_that_part_of_everywhere_to_the_last_bit(case, low, high):
    part, shape = prepared(case).part, CASES[case][2]
    region = tuple(slice(int(a * (n - 1)), max(int(b * n), int(a * (n - 1)) + 1)) for a, b, n in zip(low, high, shape))
    values = [p + 0.1 for p in part.initial]
    found = part.everywhere(values, region)
    assert torch.equal(found, part.everywhere(values)[(slice(None), *region)])


def test_what_a_convolution_sees_is_kept_once_with_its_channels_last():
    network = prepared("kernel 3")
    kept = network.part._features(0)
    assert kept.stride(0) == 1 and kept.untyped_storage().data_ptr() == network.features.untyped_storage().data_ptr()


@pytest.mark.parametrize("case", CASES)
def test_logits_at_positions_are_the_interpolated_logits_of_the_whole_grid(case):
    part = prepared(case).part
    values = moved(part.initial)
    everywhere = part.everywhere(values)
    positions = some_positions(everywhere.shape[1:])
    assert close(part.at(positions)(values), interpolated(everywhere, positions))


@pytest.mark.parametrize("case", CASES)
def test_the_fast_form_for_convolutions_is_taken_where_it_can_be(case):
    assert isinstance(prepared(case).part, TapePart if case in NOT_A_PLAIN_CONVOLUTION else ConvolutionPart)


@pytest.mark.parametrize("case", [case for case in CASES if case not in NOT_A_PLAIN_CONVOLUTION])
def test_both_forms_agree_in_logits_and_gradients(case, monkeypatch):
    fast, slow = prepared(case).part, as_tapes(case, monkeypatch).part
    assert isinstance(slow, TapePart)
    positions = some_positions(CASES[case][2])
    initial = [p.reshape(q.shape) for p, q in zip(fast.initial, slow.initial)]
    assert all(torch.equal(p, q) for p, q in zip(initial, slow.initial))
    values = moved(slow.initial)
    results = []
    for part in (fast, slow):
        leaves = [v.reshape(p.shape).clone().requires_grad_(True) for v, p in zip(values, part.initial)]
        logits = part.at(positions)(leaves)
        gradients = torch.autograd.grad((logits**2).mean(), leaves)
        results.append([logits.detach(), part.everywhere([v.detach() for v in leaves]), *gradients])
    for a, b in zip(*results):
        assert close(a.reshape(b.shape), b)


@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("case", ["kernel 1, several windows", "kernel 3, several windows", "2-D, kernel 3, windows"])
def test_more_layers_in_several_windows_agree_too(case, layers):
    part = prepared(case, layers).part
    values = moved(part.initial, 0.1)
    everywhere = part.everywhere(values)
    positions = some_positions(everywhere.shape[1:], 20)
    assert close(part.at(positions)(values), interpolated(everywhere, positions))


@pytest.mark.parametrize("case", ["kernel 1", "2-D, kernel 3, windows"])
def test_no_position_gives_no_logits(case):
    part = prepared(case).part
    assert part.at(np.zeros((0, 3)))(part.initial).shape == (0, CASES[case][1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv3d(1, 2, 2, stride=1, padding="same"),
        lambda: nn.Sequential(nn.Conv3d(1, 2, 1), nn.Conv3d(2, 2, 1, groups=2)),
        lambda: nn.Conv3d(1, 2, 3, padding=2, dilation=2),
        lambda: nn.ConvTranspose3d(1, 2, 3, padding=1),
        lambda: nn.Sequential(nn.Conv3d(1, 2, 1), nn.Tanh()),
    ],
    ids=["even kernel", "groups", "dilation", "transposed", "something after it"],
)
def test_other_last_layers_are_replayed(make):
    grid = NetworkGrid(SHAPE, tuple(slice(0, n) for n in SHAPE), SHAPE)
    network = prepare(a_backbone(randomized(make()), 2), grid, noise(1, *SHAPE))
    assert isinstance(network.part, TapePart)
    values = moved(network.part.initial)
    positions = some_positions(SHAPE, 20)
    assert close(network.part.at(positions)(values), interpolated(network.part.everywhere(values), positions))


class ConstantBias(nn.Module):
    """A bias that is no parameter must not get lost."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 1, 1, 1, 1))
        self.register_buffer("bias", torch.zeros(2))

    def forward(self, x):
        return nn.functional.conv3d(x, self.weight, self.bias)


def test_a_constant_bias_stays():
    network = ConstantBias()
    network.bias += torch.tensor([3.0, -2.0])
    grid = NetworkGrid(SHAPE, tuple(slice(0, n) for n in SHAPE), SHAPE)
    part = prepare(a_backbone(network.requires_grad_(False), 2), grid, noise(1, *SHAPE)).part
    assert part.at(np.zeros((1, 3)))(part.initial).tolist() == [[3, -2]]


def test_a_position_on_a_voxel_needs_no_other_voxel():
    voxels, rows, weights = corners(np.array([[2.0, 1, 3], [0, 1, 0], [2, 1, 3]]), (3, 2, 4))
    assert voxels.tolist() == [[0, 1, 0], [2, 1, 3]]
    assert rows.tolist() == [[1], [0], [1]] and weights.tolist() == [[1], [1], [1]]


def test_interpolation_is_split_into_the_voxels_that_matter():
    voxels, rows, weights = corners(np.array([[0.25, 1.0, 0.0], [2.0, 1.0, 3.0]]), (3, 2, 4))
    assert voxels.tolist() == [[0, 1, 0], [1, 1, 0], [2, 1, 3]]
    for row, expected in enumerate(([0.75, 0.25, 0], [0, 0, 1])):
        assert np.bincount(rows[row], weights[row], minlength=3).tolist() == expected
