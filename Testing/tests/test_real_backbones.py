"""Every shared real network has a ready folder, which links to the shared files and holds what they say."""

from __future__ import annotations

import pytest

from Testing.real_data import data_folder

pytest.importorskip("torch")

from Testing.real_backbones import NETWORKS, make_backbone_folder  # noqa: E402

pytestmark = [
    pytest.mark.data,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(data_folder() is None, reason="real networks not found; set INTERACTIVE_REFINE_DATA"),
]

#: Parameters and classes, background included, as the networks' sources tell them.
EXPECTED = {
    "abdomen": (883_740, 9),
    "brain": (96_408, 18),
    "brain-tissue": (5_598, 3),
    "hippocampus-full": (789_135, 3),
    "hippocampus-weak": (789_135, 3),
    "hippocampus-miss": (789_135, 3),
}


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_ready_folder_loads_and_copies_nothing(tmp_path, name):
    from InteractiveRefineLib.backbone import load_backbone

    folder = make_backbone_folder(name, tmp_path / name)
    backbone = load_backbone(folder)
    assert (backbone.n_parameters, len(backbone.config.classes) + 1) == EXPECTED[name.removesuffix("-weights")]
    assert sum(path.stat().st_size for path in folder.iterdir() if not path.is_symlink()) < 10_000


@pytest.mark.parametrize("name", ["brain", "brain-tissue", "abdomen"])
def test_weights_in_our_factory_are_the_network_of_the_torchscript_file(tmp_path, name):
    import torch

    from InteractiveRefineLib.backbone import load_backbone

    if name != "abdomen":
        pytest.importorskip("safetensors")
    folders = [make_backbone_folder(n, tmp_path / n) for n in (name, f"{name}-weights")]
    network, rebuilt = (load_backbone(folder).network for folder in folders)
    x = torch.rand((1, 1, 16, 24, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(x), rebuilt(x))


def test_a_network_that_never_learned_a_class_is_written_anew_and_the_shared_one_stays(tmp_path):
    import torch

    from InteractiveRefineLib.backbone import load_backbone

    folder = make_backbone_folder("abdomen", tmp_path)
    weight = dict(load_backbone(folder).network.named_parameters())["conv77U.weight"]
    missing = dict(load_backbone(make_backbone_folder("abdomen", tmp_path, missing="liver")).network.named_parameters())
    rows = [bool(torch.equal(a, b)) for a, b in zip(weight, missing["conv77U.weight"])]
    assert rows == [n != 6 for n in range(9)] and not missing["conv77U.weight"][6].any()
    again = dict(load_backbone(make_backbone_folder("abdomen", tmp_path)).network.named_parameters())
    assert torch.equal(again["conv77U.weight"], weight)
