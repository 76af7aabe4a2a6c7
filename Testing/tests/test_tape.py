"""Replaying the tape is exactly what the network itself computes with other weights, and so are the gradients."""

import os
from pathlib import Path

import pytest

from InteractiveRefineLib.errors import BackboneError

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from InteractiveRefineLib.partial.layers import last_layers  # noqa: E402
from InteractiveRefineLib.partial.tape import FrozenPrefix, Tape, TapeError  # noqa: E402
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
    traced,
    with_weights,
)

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # TorchScript, which users nevertheless have
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True"),
]

VOLUME = (1, 1, 8, 6, 8)
NETWORKS = {
    "3-D U-Net": (lambda: UNet3d(), VOLUME),
    "residual net with in-place operations": (lambda: ResidualNet(), VOLUME),
    "2-D U-Net, even size": (lambda: UNet2d(), (1, 1, 8, 6)),
    "2-D U-Net, odd size": (lambda: UNet2d(), (1, 1, 7, 9)),
    "2-D U-Net, large": (lambda: UNet2d(kernel=3), (1, 1, 12, 6)),
}
FORMS = {
    "eager": lambda network, shape: network,
    "script": lambda network, shape: scripted(network),
    "trace": lambda network, shape: traced(network, *shape),
    "freeze": lambda network, shape: frozen(network),
}


def prepared(network, x, count):
    """The run, the tuned parameters and the last weight."""
    run = running(network, x)
    layers = last_layers(run, a_backbone(network).parameters(), count)
    return run, [p for layer in layers for p in layer.parameters], layers[-1].weight


def replayed(tape, values):
    """Output and gradients by replay."""
    values = [v.detach().requires_grad_(True) for v in values]
    output = tape.replay(values)
    return output.detach(), torch.autograd.grad((output**2).mean(), values)


def assert_same_gradients(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", NETWORKS)
def test_replay_is_exact_after_the_weights_moved(kind, form):
    make, shape = NETWORKS[kind]
    network = FORMS[form](randomized(make()), shape)
    x = noise(*shape)
    for count in (1, 2, 3, 4):
        if count == 4 and kind in ("2-D U-Net, even size", "2-D U-Net, odd size"):
            continue  # they take the path with three layers
        run, tuned, last_weight = prepared(network, x, count)
        tape = Tape.record(run, tuned, last_weight)
        assert torch.equal(tape.output, run())
        for amount in (0.1, 1.0):
            values = moved(tuned, amount)
            expected, expected_gradients = with_weights(run, tuned, values)
            output, gradients = replayed(tape, values)
            assert (output - expected).abs().max() == 0.0
            assert_same_gradients(gradients, expected_gradients)


@pytest.mark.data
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    ("file", "shape"),
    [("net_hippocampus/full.ts", (1, 1, 16, 24, 16)), ("net_abdomen_ct/allconvunet_tcia_fold1.ts", (1, 1, 16, 16, 16))],
)
def test_replay_is_exact_for_real_networks(file, shape, count):
    data = os.environ.get("INTERACTIVE_REFINE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
    path = Path(data) / file
    if not path.is_file():
        pytest.skip(f"{path} is not there; INTERACTIVE_REFINE_DATA names the folder with the real data")
    network = torch.jit.load(str(path)).eval()
    for p in network.parameters():
        p.requires_grad_(False)
    run, tuned, last_weight = prepared(network, noise(*shape), count)
    tape = Tape.record(run, tuned, last_weight)
    values = moved(tuned, 0.05)
    expected, expected_gradients = with_weights(run, tuned, values)
    output, gradients = replayed(tape, values)
    assert (output - expected).abs().max() == 0.0
    assert_same_gradients(gradients, expected_gradients)


def test_gradients_are_equal_to_the_last_bit_for_a_plain_network():
    network = randomized(ResidualNet())
    run, tuned, last_weight = prepared(network, noise(*VOLUME), 2)
    values = moved(tuned)
    _, expected = with_weights(run, tuned, values)
    _, gradients = replayed(Tape.record(run, tuned, last_weight), values)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected))


def test_the_tape_holds_only_what_depends_on_the_tuned_layer():
    network = randomized(UNet3d())
    run, tuned, last_weight = prepared(network, noise(*VOLUME), 1)
    tape = Tape.record(run, tuned, last_weight)
    assert [call.function.overloadpacket.__name__ for call in tape.calls] == ["convolution"]
    assert tape.features.shape == (1, 4, *VOLUME[2:])
    assert torch.equal(network.head(tape.features), tape.output)


def test_torchscript_dispatches_its_own_convolution():
    run, tuned, last_weight = prepared(traced(randomized(UNet3d()), *VOLUME), noise(*VOLUME), 1)
    tape = Tape.record(run, tuned, last_weight)
    assert tape.calls[0].function in (torch.ops.aten._convolution.default, torch.ops.aten.convolution.default)


def test_features_are_the_input_of_the_last_layer_for_more_layers_too():
    network = randomized(UNet3d())
    run, tuned, last_weight = prepared(network, noise(*VOLUME), 3)
    features = Tape.record(run, tuned, last_weight).features
    assert torch.equal(network.head(features), run())


def test_recording_changes_no_weight_and_no_later_run():
    network = randomized(ResidualNet())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    run, tuned, last_weight = prepared(network, noise(*VOLUME), 2)
    first = run()
    tape = Tape.record(run, tuned, last_weight)
    replayed(tape, moved(tuned))
    assert torch.equal(tape.replay([p.detach() for p in tuned]), first)
    assert torch.equal(run(), first)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


class Base(nn.Module):
    """Two convolutions and something in between that the subclass does."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(1, 2, 3, padding=1)
        self.middle = nn.Conv3d(2, 2, 3, padding=1)
        self.head = nn.Conv3d(2, 2, 1)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(self.step(x, self.middle(x)))


class ReadsANumber(Base):
    def step(self, x, y):
        return y / y.abs().max().item()


class ReadsATruth(Base):
    def step(self, x, y):
        return y if y.mean() > 100 else -y


class UsesChance(Base):
    def step(self, x, y):
        return nn.functional.dropout(y, 0.5, training=True)


class WritesThroughOut(Base):
    def step(self, x, y):
        torch.add(x, y, out=x)
        return x


class WritesIntoItsWeight(Base):
    def step(self, x, y):
        self.head.weight.mul_(0.5)
        return y


class ReadsOtherBits(Base):
    def step(self, x, y):
        bits = x.view(torch.int32)
        x += y
        return bits.view(torch.float32)


class WritesUnseen(Base):
    def step(self, x, y):
        z = y * x
        x.numpy()[:] = 0
        return z


REFUSED = {
    ReadsANumber: "reads a number out of a tuned value",
    ReadsATruth: "reads a number out of a tuned value",
    UsesChance: "the replay differs from the recorded run",
    WritesThroughOut: "writes a tuned value through out=",
    WritesIntoItsWeight: "writes into a tuned parameter",
    ReadsOtherBits: "a tensor of torch.float32 with tuned values is read as torch.int32",
    WritesUnseen: "the replay differs from the recorded run",
}


@pytest.mark.parametrize(("kind", "message"), REFUSED.items(), ids=[kind.__name__ for kind in REFUSED])
def test_what_cannot_be_replayed_is_noticed(kind, message):
    run, tuned, last_weight = prepared(randomized(kind()), noise(*VOLUME), 2)
    with pytest.raises(TapeError, match=message):
        Tape.record(run, tuned, last_weight)


@pytest.mark.parametrize("kind", [kind for kind in REFUSED if kind not in (UsesChance, WritesIntoItsWeight)])
def test_the_same_networks_can_be_replayed_where_their_peculiarity_is_constant(kind):
    run, tuned, last_weight = prepared(randomized(kind()), noise(*VOLUME), 1)
    assert torch.equal(Tape.record(run, tuned, last_weight).output, run())


class WritesIntoAConstant(Base):
    def step(self, x, y):
        x += y  # x is what the tuned convolution before it read
        return x

    def plain(self, x, y):
        return x + y


class WritesIntoASlice(Base):
    def step(self, x, y):
        out = torch.zeros_like(x)
        out[:, :1] = y[:, :1]
        return out

    def plain(self, x, y):
        return torch.cat([y[:, :1], torch.zeros_like(x[:, 1:])], 1)


class ReadsAnAlias(Base):
    def step(self, x, y):
        x = x * 2
        before = x.transpose(2, 4)  # a view from before the write sees it
        x[:, 1] += y[:, 0]
        x.flatten()[3] = 7.0
        return before.transpose(2, 4) + x.view(-1).sum()

    def plain(self, x, y):
        x = torch.stack([2 * x[:, 0], 2 * x[:, 1] + y[:, 0]], 1).flatten()
        x = torch.cat([x[:3], torch.full((1,), 7.0), x[4:]]).view(y.shape)
        return x + x.sum()


class OverwritesItsCache(Base):
    def step(self, x, y):
        z = y * x  # x is a cached operand here ...
        x.zero_()  # ... and overwritten here
        return z + x

    def plain(self, x, y):
        return y * x


class OverwritesThroughData(Base):
    def step(self, x, y):
        z = y * x
        x[:, :1].data.fill_(3.0)
        return z * x

    def plain(self, x, y):
        return y * x * torch.cat([torch.full_like(x[:, :1], 3.0), x[:, 1:]], 1)


class WritesBothWays(Base):
    def step(self, x, y):
        z = x.clone()
        z.add_(y).relu_()
        y.copy_(x)
        x.mul_(z)
        return x + y * z

    def plain(self, x, y):
        z = torch.relu(x + y)
        return x * z + x * z


IN_PLACE = [WritesIntoAConstant, WritesIntoASlice, ReadsAnAlias, OverwritesItsCache]
IN_PLACE += [OverwritesThroughData, WritesBothWays]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", IN_PLACE)
def test_what_is_written_in_place_is_copied_first(kind, count):
    network = randomized(kind())
    run, tuned, last_weight = prepared(network, noise(*VOLUME), count)
    tape = Tape.record(run, tuned, last_weight)
    values = moved(tuned)
    output, gradients = replayed(tape, values)
    for p, v in zip(tuned, values):
        p.data.copy_(v)
    assert torch.equal(output, run())
    for p, v in zip(tuned, values):
        p.data.copy_(v)
        p.requires_grad_(True)
    network.step = network.plain  # autograd refuses most of the writes
    expected = torch.autograd.grad((run() ** 2).mean(), tuned)
    assert_same_gradients(gradients, expected)


@pytest.mark.parametrize("kind", IN_PLACE)
def test_features_are_what_the_last_layer_saw_even_when_they_were_overwritten(kind):
    class Overwrites(kind):
        def forward(self, x):
            y = torch.relu(self.stem(x))
            y = self.step(y, self.middle(y))
            z = self.head(y)
            y.zero_()
            return z

    network = randomized(Overwrites())
    for count in (1, 2):
        run, tuned, last_weight = prepared(network, noise(*VOLUME), count)
        features = Tape.record(run, tuned, last_weight).features
        assert torch.equal(network.head(features), run())


def test_a_value_that_changes_after_recording_is_noticed():
    network = randomized(UNet3d())
    run, tuned, last_weight = prepared(network, noise(*VOLUME), 2)
    tape = Tape.record(run, tuned, last_weight)
    tape.replay(tuned)
    network.decode[1].running_mean.add_(1)
    with pytest.raises(BackboneError, match="changed after it ran on this image"):
        tape.replay(tuned)


@pytest.mark.parametrize(
    "make",
    [
        lambda: randomized(ReadsANumber()),
        lambda: randomized(WritesIntoASlice()),
        lambda: randomized(UNet3d()),
        lambda: scripted(randomized(UNet3d())),
        lambda: frozen(randomized(UNet3d())),
    ],
    ids=["reads a number", "writes into a slice", "U-Net", "script", "freeze"],
)
def test_the_fallback_gives_the_same_logits_and_gradients_and_puts_the_weights_back(make):
    run, tuned, last_weight = prepared(make(), noise(*VOLUME), 2)
    before = [p.detach().clone() for p in tuned]
    values = moved(tuned)
    expected, expected_gradients = with_weights(run, tuned, values)
    fallback = FrozenPrefix(run, tuned, last_weight)
    assert torch.equal(fallback.output, run())
    output, gradients = replayed(fallback, values)
    assert torch.equal(output, expected)
    assert_same_gradients(gradients, expected_gradients)
    assert all(torch.equal(p, b) for p, b in zip(tuned, before))
    assert not any(p.requires_grad for p in tuned)


def test_the_fallbacks_gradients_are_of_the_values_of_their_own_run():
    """An optimizer changes its values in place, and another replay may come before the gradients are asked for."""
    run, tuned, last_weight = prepared(randomized(ReadsANumber()), noise(*VOLUME), 2)
    values = moved(tuned)
    _, expected = with_weights(run, tuned, values)
    held = [v.clone().requires_grad_(True) for v in values]
    fallback = FrozenPrefix(run, tuned, last_weight)
    loss = (fallback.replay(held) ** 2).mean()
    fallback.replay(moved(tuned, seed=9))
    with torch.no_grad():
        for v in held:
            v.mul_(0)
    assert_same_gradients(torch.autograd.grad(loss, held), expected)


def test_the_fallback_keeps_no_graph_when_no_gradient_is_wanted():
    run, tuned, last_weight = prepared(randomized(ReadsANumber()), noise(*VOLUME), 2)
    seen = []

    def watched():
        seen.append(torch.is_grad_enabled())
        return run()

    fallback = FrozenPrefix(watched, tuned, last_weight)
    with torch.no_grad():
        fallback.replay([v.requires_grad_(True) for v in moved(tuned)])
    fallback.replay(moved(tuned))
    assert seen == [False, False, False]


def test_the_fallback_puts_the_weights_back_when_the_network_fails():
    run, tuned, last_weight = prepared(randomized(ReadsANumber()), noise(*VOLUME), 1)
    before = [p.detach().clone() for p in tuned]
    fallback = FrozenPrefix(run, tuned, last_weight)

    def fail():
        raise MemoryError

    fallback._run = fail
    with pytest.raises(MemoryError):
        fallback.replay(moved(tuned))
    assert all(torch.equal(p, b) for p, b in zip(tuned, before))


class SwitchesGradientsOff(ReadsANumber):
    def forward(self, x):
        with torch.no_grad():
            return super().forward(x)


def test_a_network_that_switches_gradients_off_is_refused_with_a_reason():
    fallback = FrozenPrefix(*prepared(randomized(SwitchesGradientsOff()), noise(*VOLUME), 2))
    with pytest.raises(BackboneError, match=r"computes without gradients \(torch\.no_grad or torch\.inference_mode"):
        replayed(fallback, moved(fallback._tuned))
