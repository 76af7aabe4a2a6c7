"""Several folds answer with their mean, and the last layers of every one of them learn."""

import pytest
import torch

from InteractiveRefineLib.backbone.nnunet import load
from InteractiveRefineLib.backbone.nnunet.ensemble import AveragedFolds
from InteractiveRefineLib.image_state import ImageFrame
from InteractiveRefineLib.partial.prepare import prepare
from InteractiveRefineLib.session import RefineSession
from Testing.tests.nnunet_examples import (
    configuration,
    own_labels,
    plans,
    predictor,
    random_volume,
    without_rounding,
    write_model,
)

pytest.importorskip("dynamic_network_architectures")
pytestmark = pytest.mark.usefixtures("one_thread")

IMAGE = random_volume((20, 18, 22), (1.0, 1.0, 1.0))


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path, folds=("0", "1", "2"))


def prepared(backbone, layers):
    frame = ImageFrame(IMAGE, backbone)
    image, grid = backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))
    with torch.no_grad():
        return prepare(backbone, grid, image, layers)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_output_is_the_mean_of_the_folds_outputs(dimensions, tmp_path):
    said = plans({"2d": configuration(dimensions=2)}) if dimensions == 2 else plans()
    model = write_model(tmp_path, said, folds=("0", "1", "2"))
    x = torch.randn(1, 1, *[16] * dimensions)
    with torch.no_grad():
        outputs = [load(model, {"folds": [fold]}).network(x) for fold in range(3)]
        assert all(output.shape == (1, 3, *x.shape[2:]) for output in outputs)  # without deep supervision
        found = load(model, {"folds": [0, 1, 2]}).network(x)
    assert torch.allclose(found, torch.stack(outputs).mean(dim=0), atol=1e-5)
    assert not torch.allclose(outputs[0], outputs[1], atol=0.1)


def test_the_label_map_is_nnunets(model, monkeypatch):
    pytest.importorskip("nnunetv2", exc_type=ImportError)
    without_rounding(monkeypatch)
    expected = own_labels(predictor(model, (0, 2)), IMAGE)
    found = RefineSession(IMAGE, load(model, {"folds": [0, 2]})).predict()
    assert (found != expected).sum() <= 1e-4 * expected.size
    assert (RefineSession(IMAGE, load(model, {"folds": [0]})).predict() != expected).mean() > 0.01


def test_the_user_is_told(model):
    note = "The answers of 2 folds are averaged, and all of them are tuned."
    assert prepared(load(model, {"folds": [0, 1]}), 1).notes == [note]
    assert prepared(load(model, {"folds": [0]}), 1).notes == []


def test_one_layer_is_the_common_last_one_computed_as_fast_as_for_one_fold(model):
    one, two = (prepared(load(model, {"folds": folds}), 1) for folds in ([0], [0, 1]))
    assert type(one.part) is type(two.part)
    assert [tuple(p.shape) for p in one.part.initial] == [(3, 4, 1, 1, 1), (3,)]
    assert [tuple(p.shape) for p in two.part.initial] == [(3, 8, 1, 1, 1), (3,)]
    assert two.features.shape[0] == 8


@pytest.mark.parametrize("layers", [2, 3])
def test_of_several_layers_those_of_every_fold_are_tuned(layers, model):
    backbone = load(model, {"folds": [0, 1]})
    network = backbone.network
    part = prepared(backbone, layers).part
    own = [[p for p in member.parameters()] for member in network.members]
    tuned = [
        [p for p in parameters if any(p.shape == q.shape and torch.equal(p, q) for q in part.initial)]
        for parameters in own
    ]
    # Each layer of a fold has a weight and a bias, and but for the upsampling one those of its norm.
    expected = {2: 4, 3: 4 + 2}[layers]
    assert [len(found) for found in tuned] == [expected, expected]
    assert len(part.initial) == 2 * expected + 2
    assert any(torch.equal(p, network.head.weight) for p in part.initial)


def test_changed_values_give_what_the_changed_networks_give(model):
    backbone = load(model, {"folds": [0, 1]})
    part = prepared(backbone, 2).part
    generator = torch.Generator().manual_seed(0)
    values, changed = [], set()
    for old in part.initial:
        name, parameter = next((n, p) for n, p in backbone.network.named_parameters() if torch.equal(p, old))
        values.append(old)
        if "norm" in name or name.startswith("head"):  # what precedes a norm changes its statistics, which are held
            values[-1] = old + 0.3 * torch.randn(old.shape, generator=generator)
            parameter.data.copy_(values[-1])
            changed.add(name.split(".")[1])
    assert changed == {"0", "1", "weight", "bias"}  # both folds and the common layer
    found, expected = part.everywhere(values), prepared(backbone, 2).logits
    assert torch.allclose(found, expected, atol=1e-3)
    assert (found - part.everywhere(part.initial)).abs().max() > 0.5


def test_networks_with_another_end_cannot_be_averaged():
    class Other(torch.nn.Module):
        pass

    assert not AveragedFolds.fits([Other()])
