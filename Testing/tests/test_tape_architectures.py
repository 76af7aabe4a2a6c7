"""The tape is exact on the architectures that people use: logits to the last bit, gradients as the network's own."""

import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.partial.layers import last_layers  # noqa: E402
from InteractiveRefineLib.partial.tape import Tape  # noqa: E402
from Testing.benchmarks.architectures import ARCHITECTURES  # noqa: E402
from Testing.tests.network_examples import (  # noqa: E402
    a_backbone,
    frozen,
    moved,
    noise,
    running,
    scripted,
    traced,
    with_weights,
)

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore"),  # of the libraries and of TorchScript
]

FORMS = {
    "eager": lambda network, shape: network,
    "trace": lambda network, shape: traced(network, *shape),
    "script": lambda network, shape: scripted(network),
    "freeze": lambda network, shape: frozen(network),
}
CASES = [
    (name, form) for name, a in ARCHITECTURES.items() for form in FORMS if a.scriptable or form in ("eager", "trace")
]


def built(name):
    """The small network in eval mode, no two weights alike (freezing would merge them), and its input's shape."""
    architecture = ARCHITECTURES[name]
    if not architecture.is_installed:
        pytest.skip(f"{architecture.library} is not installed")
    width, shape = architecture.small
    torch.manual_seed(0)
    network = architecture.make(width)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return network.eval().requires_grad_(False), shape


@pytest.mark.parametrize(("name", "form"), CASES)
def test_replay_is_exact_after_the_last_layers_moved(name, form):
    network, shape = built(name)
    network = FORMS[form](network, shape)
    run = running(network, noise(*shape))
    layers = last_layers(run, a_backbone(network).parameters(), 6)
    for count in range(1, 7) if form != "trace" else (1, 3, 6):
        tuned = [p for layer in layers[-count:] for p in layer.parameters]
        tape = Tape.record(run, tuned, layers[-1].weight)
        values = [v.requires_grad_(True) for v in moved(tuned, 0.1)]
        output = tape.replay(values)
        gradients = torch.autograd.grad((output**2).mean(), values)
        expected, expected_gradients = with_weights(run, tuned, [v.detach() for v in values])
        assert (output - expected).abs().max() == 0.0
        assert not torch.equal(output, tape.output)
        for found, wanted in zip(gradients, expected_gradients):
            assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("name", ["SwinUNETR"])
def test_a_residual_that_is_added_in_place_to_a_constant_is_copied_first(name):
    network, shape = built(name)
    run = running(network, noise(*shape))
    layers = last_layers(run, a_backbone(network).parameters(), 2)  # the head and the 1 x 1 x 1 residual
    tape = Tape.record(run, [p for layer in layers for p in layer.parameters], layers[-1].weight)
    called = [call.function.overloadpacket.__name__ for call in tape.calls]
    assert "clone" in called and "add_" in called


@pytest.mark.parametrize(("size", "depth"), [((9, 31), 1), ((16, 24), 2), ((64, 40), 3)])
def test_control_flow_is_followed_at_the_size_of_the_image(size, depth):
    network, _ = built("2-D U-Net with control flow")
    layers = last_layers(running(network, noise(1, 1, *size)), list(network.parameters()), 2 * depth + 1)
    assert layers[0].weight is network.up[depth - 1][0].weight
    assert layers[-1].weight is network.head.weight
