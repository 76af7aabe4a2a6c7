"""The last layers of a network are found in the order in which they run, whatever the network is made of."""

import pytest

from InteractiveRefineLib.errors import BackboneError

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from InteractiveRefineLib.partial.layers import first_tensor, last_layers  # noqa: E402
from Testing.tests.network_examples import (  # noqa: E402
    UNet3d,
    a_backbone,
    frozen,
    noise,
    randomized,
    running,
    scripted,
    traced,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def last(network, x, count, parameters=None):
    parameters = list(network.parameters()) if parameters is None else parameters
    return last_layers(running(network, x), parameters, count)


def names(network, layers):
    """The parameters' names, layer by layer."""
    name_of = {id(p): name for name, p in network.named_parameters()}
    return [[name_of[id(p)] for p in layer.parameters] for layer in layers]


UNET_LAYERS = [
    ["stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias"],
    ["down.0.weight", "down.0.bias", "down.1.weight", "down.1.bias", "down.2.weight"],
    ["up.weight", "up.bias"],
    ["decode.0.weight", "decode.0.bias", "decode.1.weight", "decode.1.bias", "decode.2.weight"],
    ["head.weight", "head.bias"],
]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_layers_come_in_execution_order_not_in_the_order_of_registration(count):
    network = randomized(UNet3d())
    assert names(network, last(network, noise(1, 1, 8, 8, 8), count)) == UNET_LAYERS[-count:]


@pytest.mark.parametrize("make", [scripted, lambda network: traced(network, 1, 1, 8, 8, 8)], ids=["script", "trace"])
def test_torchscript_networks_have_the_same_layers(make):
    network = make(randomized(UNet3d()))
    for _ in range(3):  # TorchScript's optimizer changes its mind after the first runs
        found = names(network, last(network, noise(1, 1, 8, 8, 8), 5))
        # Instance normalization reads its weight and bias in another order there.
        assert [layer[0] for layer in found] == [layer[0] for layer in UNET_LAYERS]
        assert [sorted(layer) for layer in found] == [sorted(layer) for layer in UNET_LAYERS]


def test_a_frozen_network_has_the_constants_of_its_graph_as_parameters():
    network = randomized(UNet3d())
    backbone = a_backbone(frozen(network))
    assert not list(backbone.network.parameters())
    layers = last(backbone.network, noise(1, 1, 8, 8, 8), 5, backbone.parameters())
    assert torch.equal(layers[-1].weight, network.head.weight)
    assert torch.equal(layers[-1].others[0], network.head.bias)
    # Freezing folds a batch normalization into the convolution before it, and only that.
    assert [len(layer.parameters) for layer in layers] == [2, 5, 2, 3, 2]


def test_running_statistics_of_a_frozen_network_are_no_parameters():
    parts = [nn.Conv3d(1, 2, 1), nn.ReLU(), nn.BatchNorm3d(2), nn.ReLU(), nn.BatchNorm3d(2)]
    network = randomized(nn.Sequential(*parts))
    parameters = a_backbone(frozen(network)).parameters()
    statistics = [s for norm in (parts[2], parts[4]) for s in (norm.running_mean, norm.running_var)]
    assert not any(torch.equal(p, s) for p in parameters for s in statistics)
    assert len(parameters) == 6


class Heads(nn.Module):
    """Deep supervision: more outputs than one, the additional ones registered and run last."""

    def __init__(self, wrap):
        super().__init__()
        self.stem = nn.Conv3d(1, 2, 1)
        self.head = nn.Conv3d(2, 2, 1)
        self.low = nn.Conv3d(2, 2, 1)
        self.wrap = wrap

    def forward(self, x):
        x = self.stem(x)
        return self.wrap(self.head(x), self.low(x[..., ::2]))


@pytest.mark.parametrize(
    "wrap",
    [lambda a, b: (a, b), lambda a, b: [a, b], lambda a, b: {"out": a, "low": b}, lambda a, b: (None, {"x": [a]}, b)],
)
def test_deep_supervision_heads_drop_out(wrap):
    network = randomized(Heads(wrap))
    assert names(network, last(network, noise(1, 1, 4, 4, 4), 2)) == [
        ["stem.weight", "stem.bias"],
        ["head.weight", "head.bias"],
    ]
    with pytest.raises(BackboneError, match=r"^3 layers were asked for, but the network has only 2; choose fewer\.$"):
        last(network, noise(1, 1, 4, 4, 4), 3)


def test_an_output_without_a_tensor_is_an_error():
    with pytest.raises(BackboneError, match="The network returned dict without a tensor in it"):
        first_tensor({"a": None, "b": [3]})


class Parameter1d(nn.Module):
    """Affine parameters that belong to no module of their own."""

    def __init__(self):
        super().__init__()
        self.before = nn.Parameter(torch.ones(2))
        self.a = nn.Conv3d(1, 2, 1, bias=False)
        self.b = nn.Conv3d(2, 2, 1)
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, x):
        x = self.a(x * self.before[0])
        x = self.b(x) * self.scale.view(1, -1, 1, 1, 1)
        return x


def test_1d_parameters_belong_to_the_layer_before_them():
    network = Parameter1d()
    assert names(network, last(network, noise(1, 1, 2, 2, 2), 2)) == [["a.weight"], ["b.weight", "b.bias", "scale"]]


class Transposed(nn.Module):
    """The head is a matrix product of channels, with the weight reshaped and transposed."""

    def __init__(self, form):
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 1)
        self.head = nn.Parameter(torch.ones(2, 3, 1))
        self.bias = nn.Parameter(torch.zeros(2))
        self.form = form

    def forward(self, x):
        columns = self.stem(x).movedim(1, -1)
        weight = self.head.squeeze(-1)
        if self.form == "linear":
            y = nn.functional.linear(columns, weight, self.bias)
        elif self.form == "addmm":
            y = torch.addmm(self.bias, columns.flatten(0, 2), weight.t()).view(*columns.shape[:3], 2)
        elif self.form == "matmul":
            y = columns @ weight.T + self.bias
        else:
            y = torch.einsum("nhwc,dc->nhwd", columns, weight) + self.bias
        return y.movedim(-1, 1)


@pytest.mark.parametrize("form", ["linear", "addmm", "matmul", "einsum"])
def test_matrix_products_with_a_transposed_weight_are_layers(form):
    network = Transposed(form)
    found = names(network, last(network, noise(1, 1, 4, 4), 2))
    assert found == [["stem.weight", "stem.bias"], ["head", "bias"]]


class IntoABuffer(nn.Module):
    """Writes its outputs into slices of a tensor made before."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(1, 2, 1)
        self.one = nn.Conv3d(2, 1, 1)
        self.two = nn.Conv3d(2, 1, 1)
        self.unused = nn.Conv3d(2, 1, 1)

    def forward(self, x):
        x = torch.relu_(self.stem(x))
        out = torch.zeros(1, 2, *x.shape[2:])
        out[:, :1] = self.one(x)
        view = out[:, 1:]
        view += self.two(x)
        self.unused(x)
        return out


def test_writes_through_views_count():
    network = IntoABuffer()
    assert names(network, last(network, noise(1, 1, 2, 2, 2), 3)) == [
        ["stem.weight", "stem.bias"],
        ["one.weight", "one.bias"],
        ["two.weight", "two.bias"],
    ]


class Shared(nn.Module):
    """One head used twice, the second time at the very end."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv3d(2, 2, 1)
        self.middle = nn.Conv3d(2, 2, 1)

    def forward(self, x):
        return self.head(self.middle(self.head(x)))


def test_a_layer_used_twice_counts_where_it_is_used_last():
    network = Shared()
    assert names(network, last(network, noise(1, 2, 2, 2, 2), 2)) == [
        ["middle.weight", "middle.bias"],
        ["head.weight", "head.bias"],
    ]
    with pytest.raises(BackboneError, match="3 layers were asked for, but the network has only 2"):
        last(network, noise(1, 2, 2, 2, 2), 3)


class SharedWithASideOutput(Shared):
    def forward(self, x):
        x = self.middle(x)
        return self.head(x), self.head(x[..., ::2])


def test_a_side_output_does_not_hide_the_layer_that_it_shares():
    network = SharedWithASideOutput()
    found = names(network, last(network, noise(1, 2, 2, 2, 2), 2))
    assert [layer[0] for layer in found] == ["middle.weight", "head.weight"]


class InInferenceMode(nn.Conv3d):
    def forward(self, x):
        with torch.inference_mode():
            return super().forward(x)


def test_a_network_in_inference_mode_is_refused_with_a_reason():
    with pytest.raises(BackboneError, match=r"computes in torch\.inference_mode, so that it cannot be tuned"):
        last(InInferenceMode(1, 2, 1), noise(1, 1, 2, 2, 2), 1)


def test_a_network_without_layers_is_an_error():
    with pytest.raises(BackboneError, match="output depends on no convolution or linear layer that could be tuned"):
        last(nn.PReLU(), noise(1, 1, 2, 2, 2), 1)
