"""The network runs over the whole grid as a plain loop over windows would, and says what does not fit."""

import re

import numpy as np
import pytest

from InteractiveRefineLib.errors import BackboneError, Cancelled

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.partial.parts import ConvolutionPart, TapePart  # noqa: E402
from InteractiveRefineLib.partial.prepare import prepare  # noqa: E402
from Testing.tests.network_examples import (  # noqa: E402
    ResidualNet,
    UNet2d,
    UNet3d,
    a_backbone,
    frozen,
    moved,
    noise,
    randomized,
    running,
    scripted,
    with_weights,
)

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True"),
]

SHAPE = (8, 6, 10)


def grid_of(shape, network=None):
    return NetworkGrid(shape, tuple(slice(0, n) for n in shape), network or shape)


def prepared(network, classes, image, layers=1, **changes):
    with torch.no_grad():
        return prepare(a_backbone(network, classes, **changes), grid_of(image.shape[1:]), image, layers)


def gaussian(patch):
    """The blending weight of every voxel of a window."""
    weights = np.ones(patch)
    for index in np.ndindex(*patch):
        for i, n in zip(index, patch):
            if n > 1:
                weights[index] *= np.exp(-0.5 * ((i - (n - 1) / 2) / (n / 8)) ** 2)
    return np.maximum(weights / weights.max(), 1e-4)


def blended(run, image, patch, starts):
    """Sliding windows in plain Python: the weighted mean of logits."""
    total, weight_sum = 0, np.zeros(image.shape[1:])
    weights = gaussian(patch)
    for start in starts:
        box = tuple(slice(a, a + n) for a, n in zip(start, patch))
        logits = run(image[(slice(None), *box)][None])[0].numpy()
        total = np.zeros((len(logits), *image.shape[1:])) if isinstance(total, int) else total
        total[(slice(None), *box)] += logits * weights
        weight_sum[box] += weights
    return total / weight_sum


def test_a_whole_image_is_simply_run():
    network, image = randomized(ResidualNet()), noise(1, *SHAPE)
    result = prepared(network, 2, image)
    assert torch.equal(result.logits, network(image[None])[0])
    assert result.notes == []


def test_several_windows_are_blended_as_logits():
    network, image = randomized(ResidualNet()), noise(1, *SHAPE)
    result = prepared(network, 2, image, patch_size=(6, 4, 4), overlap=0.5)  # along I, J, K
    starts = [(k, j, i) for k in (0, 2, 4) for j in (0, 2) for i in (0, 2, 4)]
    expected = blended(network, image, (4, 4, 6), starts)
    assert np.allclose(result.logits.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize(("axes", "multiple"), [("KJI", 4), ("IJK", 2)])
def test_the_image_is_padded_with_its_edge_to_what_the_network_divides_by(axes, multiple):
    network, image = randomized(UNet3d()), noise(1, 5, 6, 7)
    result = prepared(network, 3, image, divisible_by=multiple, tensor_axes=axes)
    sides = [-(-n // multiple) * multiple - n for n in (5, 6, 7)]
    padded = np.pad(image.numpy(), [(0, 0), *[(0, n) for n in sides]], mode="edge")
    assert torch.equal(result.logits, network(torch.from_numpy(padded)[None])[0][:, :5, :6, :7])
    assert result.logits.shape == (3, 5, 6, 7)


def test_a_patch_larger_than_the_image_is_filled_with_the_edge():
    network, image = randomized(ResidualNet()), noise(1, 3, 4, 5)
    result = prepared(network, 2, image, patch_size=(8, 8, 8))
    padded = np.pad(image.numpy(), [(0, 0), (0, 5), (0, 4), (0, 3)], mode="edge")
    assert torch.equal(result.logits, network(torch.from_numpy(padded)[None])[0][:, :3, :4, :5])


def test_an_axis_of_one_voxel_is_padded_for_a_3d_network():
    assert prepared(randomized(UNet3d()), 3, noise(1, 1, 6, 8), divisible_by=2).logits.shape == (3, 1, 6, 8)


def test_padding_with_zeros_on_both_sides_puts_the_image_in_the_middle():
    network, image = randomized(ResidualNet()), noise(1, 3, 4, 5)
    backbone = a_backbone(network, 2, padding="zero-centered", patch_size=(8, 8, 8))
    result = prepare(backbone, grid_of((3, 4, 5)), image)
    padded = torch.nn.functional.pad(image, (1, 2, 2, 2, 2, 3))
    assert torch.equal(result.logits, network(padded[None])[0, :, 2:5, 2:6, 1:6])
    voxels = np.array([[0, 0, 0], [2, 3, 4]])
    at_voxels = result.part.at(voxels)(result.part.initial)
    assert torch.allclose(at_voxels, result.logits[:, [0, 2], [0, 3], [0, 4]].T, atol=1e-5)
    assert torch.equal(result.part.everywhere(result.part.initial), result.logits)


def test_features_are_what_the_last_layer_sees():
    network, image = randomized(UNet3d()), noise(1, *SHAPE)
    for layers in (1, 2):
        features = prepared(network, 3, image, layers).features
        assert features.shape == (4, *SHAPE)
        assert torch.equal(network.head(features[None])[0], network(image[None])[0])


def test_features_of_several_windows_are_blended_like_the_logits():
    network, image = randomized(UNet3d()), noise(1, *SHAPE)
    result = prepared(network, 3, image, patch_size=(6, 4, 4), divisible_by=2)
    # The head is a 1 x 1 x 1 convolution: it may as well see the blended features.
    assert torch.allclose(network.head(result.features[None])[0], result.logits, atol=1e-5)


def test_features_of_half_the_size_are_brought_to_the_grid():
    network = randomized(nn.Sequential(nn.Conv3d(1, 3, 2, stride=2), nn.ConvTranspose3d(3, 2, 2, stride=2)))
    assert prepared(network, 2, noise(1, *SHAPE)).features.shape == (3, *SHAPE)


def test_a_slice_of_any_direction_goes_to_a_2d_network():
    network, slice_2d = randomized(UNet2d()), noise(1, 7, 9)
    expected = network(slice_2d[None])[0]
    for axis in (1, 2, 3):
        result = prepared(network, 2, slice_2d.unsqueeze(axis), dimensions=2)
        assert torch.equal(result.logits, expected.unsqueeze(axis))
        assert result.features.shape == (4, *slice_2d.unsqueeze(axis).shape[1:])


class LargeOnly(UNet2d):
    """Takes another path above 64 voxels only, larger than the window on which the layers are looked for."""

    def forward(self, x):
        x = torch.relu(self.deep(torch.relu(self.stem(x))))
        return self.head(self.extra(x) if x.shape[3] > 64 else x)


def test_the_tuned_layers_are_those_of_the_real_size():
    network = randomized(LargeOnly())
    part = prepared(network, 2, noise(1, 1, 4, 66), 2, dimensions=2).part
    assert torch.equal(part.initial[0], network.extra.weight)


class OverwritesItsInput(ResidualNet):
    def forward(self, x):
        return super().forward(x.mul_(0.5))


class NotTooSmall(ResidualNet):
    """Refuses what is smaller than 24 voxels."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(x.shape[-1])
        if x.shape[-1] < 24:
            raise RuntimeError("too small")
        return super().forward(x)


def test_the_layers_are_looked_for_in_small_parts_the_smallest_first():
    network = NotTooSmall()
    prepared(randomized(network), 2, noise(1, 40, 40, 40), divisible_by=2)
    assert network.seen == [16, 32, 40]
    easy = randomized(ResidualNet())
    sides = []
    easy.register_forward_pre_hook(lambda module, inputs: sides.append(inputs[0].shape[-1]))
    prepared(easy, 2, noise(1, 40, 40, 40), divisible_by=2)
    assert sides == [16, 40]


def test_a_network_that_overwrites_its_input_does_not_touch_the_image():
    network, image = randomized(OverwritesItsInput()), noise(1, *SHAPE)
    before = image.clone()
    result = prepared(network, 2, image)
    assert torch.equal(image, before)
    assert torch.equal(result.logits, network(image.clone()[None])[0])


class ReadsANumber(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(1, 2, 3, padding=1)
        self.head = nn.Conv3d(2, 2, 1)

    def forward(self, x):
        x = self.stem(x)
        if float(x.abs().max()) <= 0:  # of a tuned value when two layers are tuned
            raise ValueError("empty")
        return self.head(x)


@pytest.mark.parametrize("make", [lambda n: n, scripted], ids=["eager", "script"])
def test_what_cannot_be_replayed_runs_as_a_whole_with_a_note_and_the_same_result(make):
    network, image = randomized(ReadsANumber()), noise(1, *SHAPE)
    network = make(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    result = prepared(network, 2, image, 2, patch_size=(6, 4, 4))
    assert len(result.notes) == 1, "one note, however many windows there are"
    assert re.match(
        "The network runs as a whole in every step, which is slower: .* reads a number out of a tuned value.$",
        result.notes[0],
    )
    assert result.features.shape == (2, *SHAPE)
    assert torch.allclose(result.part.everywhere(result.part.initial), result.logits, atol=1e-6)

    one_window = prepared(network, 2, image, 2)
    values = [v.requires_grad_(True) for v in moved(one_window.part.initial)]
    voxels = np.stack(np.unravel_index(np.arange(np.prod(SHAPE)), SHAPE), axis=1)
    logits = one_window.part.at(voxels)(values)
    gradients = torch.autograd.grad((logits**2).mean(), values)
    tuned = [network.stem.weight, network.stem.bias, network.head.weight, network.head.bias]
    expected, expected_gradients = with_weights(running(network, image[None]), tuned, [v.detach() for v in values])
    assert torch.allclose(logits.T.view(2, *SHAPE), expected[0], atol=1e-5)
    for found, wanted in zip(gradients, expected_gradients):
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("make", [lambda n: n, scripted, frozen], ids=["eager", "script", "freeze"])
def test_two_preparations_of_several_windows_are_identical(make, layers):
    network, image = make(randomized(UNet3d())), noise(1, *SHAPE)
    one, two = (prepared(network, 3, image, layers, patch_size=(6, 4, 4), divisible_by=2) for _ in range(2))
    assert torch.equal(one.logits, two.logits) and torch.equal(one.features, two.features)
    assert type(one.part) is (ConvolutionPart if layers == 1 else TapePart)
    assert one.notes == []


def test_what_is_not_needed_for_replaying_is_let_go():
    part = prepared(randomized(UNet3d()), 3, noise(1, *SHAPE), 2).part
    assert all(tape.output is None and tape.features is None for tape in part.tapes.kept())


def test_cancel_is_asked_before_every_window_and_progress_told():
    calls, steps = [], []

    def cancel():
        calls.append(1)
        return len(calls) == 3

    backbone = a_backbone(randomized(ResidualNet()), 2, patch_size=(6, 4, 4))
    with pytest.raises(Cancelled):
        prepare(
            backbone, grid_of(SHAPE), noise(1, *SHAPE),
            progress=lambda *step: steps.append(step), should_cancel=cancel,
        )  # fmt: skip
    assert steps == [(0, 18, "Running the network"), (1, 18, "Running the network")]


@pytest.mark.parametrize(
    ("make", "classes", "message"),
    [
        (lambda: nn.Conv3d(1, 5, 1), 3, "'test' has 5 output channels, but backbone.json names 3 classes. List one"),
        (lambda: nn.Conv3d(2, 3, 1), 3, r"rejects an input of shape \(1, 1, 8, 6, 10\): .*expected input.* 2 channels"),
        (lambda: nn.Conv3d(1, 3, 3), 3, r"returns shape \(1, 3, 6, 4, 8\) for an input of shape \(1, 1, 8, 6, 10\)"),
        (lambda: nn.Sequential(nn.Conv3d(1, 3, 1), nn.Flatten()), 3, r"'test' returns shape \(1, 1440\) for an input"),
        (lambda: nn.Identity(), 1, "depends on no convolution or linear layer"),
    ],
    ids=["channels", "rejected", "smaller output", "no image", "no layer"],
)
def test_a_network_that_does_not_fit_is_named_with_the_reason(make, classes, message):
    with pytest.raises(BackboneError, match=message):
        prepared(randomized(make()), classes, noise(1, *SHAPE))


class Refuses(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.conv, self.error = nn.Conv3d(1, 2, 1), error

    def forward(self, x):
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError, AssertionError, IndexError, KeyError])
def test_whatever_the_network_raises_becomes_one_sentence(error):
    with pytest.raises(BackboneError, match=r"^The network rejects an input of shape .*: '?bad'? Check dimensions, "):
        prepared(Refuses(error("bad")), 2, noise(1, *SHAPE))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried")])
def test_running_out_of_memory_is_not_taken_for_a_fault_of_the_network(error):
    with pytest.raises(type(error)):
        prepared(Refuses(error), 2, noise(1, *SHAPE))


def test_a_pooling_network_that_is_not_padded_says_what_to_check():
    with pytest.raises(BackboneError, match=r"Sizes of tensors must match.*Check dimensions, channels, divisible_by"):
        prepared(randomized(UNet3d()), 3, noise(1, 7, 6, 10))


def test_more_layers_than_there_are_is_an_error():
    with pytest.raises(BackboneError, match="9 layers were asked for, but the network has only 5; choose fewer"):
        prepared(randomized(UNet3d()), 3, noise(1, *SHAPE), 9)
