"""Networks saved by torch.export compute and are tuned as the networks that they were made of."""

import warnings

import pytest

from InteractiveRefineLib.errors import BackboneError

torch = pytest.importorskip("torch")
pytest.importorskip("torch.export.pt2_archive", reason="exported programs need PyTorch 2.8")

from InteractiveRefineLib.backbone import load_backbone  # noqa: E402
from InteractiveRefineLib.backbone.grid import NetworkGrid  # noqa: E402
from InteractiveRefineLib.partial.layers import last_layers  # noqa: E402
from InteractiveRefineLib.partial.prepare import prepare  # noqa: E402
from InteractiveRefineLib.partial.tape import Tape  # noqa: E402
from Testing.tests.network_examples import (  # noqa: E402
    UNet2d,
    UNet3d,
    a_backbone,
    moved,
    noise,
    randomized,
    running,
    with_weights,
    write_folder,
)

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL = {"exported": "model.pt2"}
ANY = torch.export.Dim.AUTO


def exported(folder, network, *shape, dynamic=False, **changes):
    """A backbone folder with `network` as model.pt2, exported for inputs of `shape`."""
    write_folder(folder, model=MODEL, **changes)
    spatial = {axis: ANY for axis in range(2, len(shape))} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (torch.zeros(shape),), dynamic_shapes=(spatial,) if dynamic else None)
        torch.export.save(program, folder / "model.pt2")
    return folder


@pytest.fixture(scope="module")
def unet():
    return randomized(UNet3d())


@pytest.fixture(scope="module")
def any_size(unet, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dynamic")
    return load_backbone(exported(folder, unet, 1, 1, 16, 16, 16, dynamic=True, divisible_by=2))


@pytest.fixture(scope="module")
def one_size(unet, tmp_path_factory):
    return load_backbone(exported(tmp_path_factory.mktemp("static"), unet, 1, 1, 8, 12, 16, patch_size=[16, 12, 8]))


def test_it_computes_what_the_network_computed_at_every_size_it_was_exported_for(any_size, unet):
    network = any_size.network
    for shape in ((1, 1, 16, 16, 16), (1, 1, 8, 24, 10)):
        x = noise(*shape)
        torch.testing.assert_close(network(x), unet(x), atol=1e-6, rtol=0)


def test_its_weights_are_found_counted_and_want_no_gradient(any_size, unet):
    assert any_size.n_parameters == sum(p.numel() for p in unet.parameters())
    assert not any(p.requires_grad for p in any_size.parameters())


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("size", ["any_size", "one_size"])
def test_its_last_layers_are_tuned_with_the_very_values_and_gradients_of_the_network(size, layers, unet, request):
    backbone = request.getfixturevalue(size)
    x = noise(1, 1, 8, 12, 16)
    run, run_original = running(backbone.network, x), running(unet, x)
    tuned = [p for layer in last_layers(run, backbone.parameters(), layers) for p in layer.parameters]
    original = [p for layer in last_layers(run_original, list(unet.parameters()), layers) for p in layer.parameters]
    assert len(tuned) == len(original) and all(torch.equal(a, b) for a, b in zip(tuned, original))

    values = [v.requires_grad_(True) for v in moved(tuned)]
    output = Tape.record(run, tuned, last_layers(run, backbone.parameters(), 1)[0].weight).replay(values)
    gradients = torch.autograd.grad((output**2).mean(), values)
    expected, expected_gradients = with_weights(run_original, original, [v.detach() for v in values])
    torch.testing.assert_close(output.detach(), expected, atol=1e-5, rtol=1e-5)
    for found, wanted in zip(gradients, expected_gradients):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_a_network_of_one_size_runs_in_windows_over_a_larger_image(one_size, unet):
    shape = (12, 12, 20)
    grid = NetworkGrid(shape, tuple(slice(0, n) for n in shape), shape)
    image = noise(1, *shape)
    found = prepare(one_size, grid, image, layers=2)
    expected = prepare(a_backbone(unet, patch_size=(16, 12, 8)), grid, image, layers=2)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-6, rtol=0)
    assert found.notes == []


def test_a_two_dimensional_network_works_too(tmp_path):
    network = randomized(UNet2d())
    folder = exported(
        tmp_path, network, 1, 1, 12, 16, dimensions=2, patch_size=[16, 12], classes=[{"name": "a"}, {"name": "b"}]
    )
    x = noise(1, 1, 12, 16)
    torch.testing.assert_close(load_backbone(folder).network(x), network(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({}, r"set 'patch_size' in backbone\.json to \[16, 12, 8\] \(I, J, K\), or .* 'patch_size' is not given"),
        ({"patch_size": [8, 12, 16]}, r"set 'patch_size' .* to \[16, 12, 8\] .* 'patch_size' is \[8, 12, 16\]\."),
        ({"spatial_shape": [16, 12, 9]}, r"'spatial_shape' .* to \[16, 12, 8\] .* 'spatial_shape' is \[16, 12, 9\]"),
        ({"patch_size": [8, 12, 16], "tensor_axes": "IJK"}, None),
        ({"spatial_shape": [16, 12, 8]}, None),
    ],
)
def test_a_size_that_differs_from_the_exported_one_is_told_with_what_to_write(tmp_path, one_size, size, message):
    folder = write_folder(tmp_path, model=MODEL, **size)
    (folder / "model.pt2").write_bytes((one_size.folder / "model.pt2").read_bytes())
    if message is None:
        load_backbone(folder)
        return
    with pytest.raises(BackboneError, match=message) as caught:
        load_backbone(folder)
    assert str(folder / "model.pt2") in str(caught.value)


def test_another_size_at_run_time_is_named_with_both_shapes(one_size):
    with pytest.raises(BackboneError, match=r"inputs of shape \(1, 1, 8, 12, 16\), not \(1, 1, 8, 8, 8\)\. Set pat"):
        one_size.network(torch.zeros(1, 1, 8, 8, 8))


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((1, 2, 4, 4, 4), {}, r"shape \(1, 2, 4, 4, 4\), but one image of 1 channel\(s\) is \(1, 1, \.\.\.\)"),
        ((2, 1, 4, 4, 4), {}, r"but one image of 1 channel\(s\)"),
        ((1, 1, 4, 4), {}, r"a 3-D network takes \(1, channels, depth, height, width\)\. Check 'dimensions'"),
        ((1, 1, 4, 4, 4), {"dimensions": 2}, r"a 2-D network takes \(1, channels, height, width\)"),
    ],
)
def test_an_export_for_another_kind_of_image_is_refused(tmp_path, shape, changes, message):
    kind = torch.nn.Conv3d if len(shape) == 5 else torch.nn.Conv2d
    with pytest.raises(BackboneError, match=message):
        load_backbone(exported(tmp_path, kind(shape[1], 3, 1), *shape, **changes))


def test_a_network_that_was_exported_while_training_is_refused(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 3, 1), torch.nn.Dropout(0.5)).train()
    with pytest.raises(BackboneError, match=r"exported while training \(torch\.ops\.aten\.dropout.*network\.eval\(\)"):
        load_backbone(exported(tmp_path, network, 1, 1, 4, 4, 4))


class TwoInputs(torch.nn.Module):
    def forward(self, x, y):
        return x + y


def test_a_network_with_two_inputs_is_refused(tmp_path):
    write_folder(tmp_path, model=MODEL)
    program = torch.export.export(TwoInputs(), (torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 1, 4, 4, 4)))
    torch.export.save(program, tmp_path / "model.pt2")
    with pytest.raises(BackboneError, match=r"network takes 2 inputs; one tensor \(1, channels, \.\.\.\) is needed"):
        load_backbone(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BackboneError, match=r"has no model\.pt2, which backbone\.json names as the network"):
        load_backbone(write_folder(tmp_path, model=MODEL))
