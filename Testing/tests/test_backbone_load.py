"""Networks are loaded from TorchScript files and factories, and what is wrong with them is said."""

import pytest

from InteractiveRefineLib.errors import BackboneError

torch = pytest.importorskip("torch")

from InteractiveRefineLib.backbone import load_backbone  # noqa: E402
from Testing.tests.network_examples import UNet3d, frozen, noise, randomized, traced, write_folder  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

FACTORY = """
import torch
def build():
    return torch.nn.Conv3d(1, 3, 1)
"""
EXPECTED_FOLDER = r"\nExpected folder:\n  my-backbone/\n    backbone\.json "


def with_factory(folder, code=FACTORY, weights=None):
    model = {"factory": "network.py:build"} | ({"weights": weights} if weights else {})
    write_folder(folder, model=model)
    (folder / "network.py").write_text(code, encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", ["scripted", "traced", "frozen"])
def test_a_torchscript_network_computes_what_it_did_when_it_was_saved(tmp_path, kind):
    network = randomized(UNet3d())
    x = noise(1, 1, 8, 8, 8)
    expected = network(x)
    saved = {"scripted": network, "traced": traced(network, *x.shape), "frozen": frozen(network)}[kind]
    backbone = load_backbone(write_folder(tmp_path / "net", saved))
    assert backbone.folder == tmp_path / "net"
    assert torch.allclose(backbone.network(x), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["scripted", "frozen"])
def test_weights_want_no_gradient_and_are_counted(tmp_path, kind):
    network = randomized(torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.ReLU(), torch.nn.BatchNorm3d(2)))
    backbone = load_backbone(write_folder(tmp_path, frozen(network) if kind == "frozen" else network))
    assert not any(p.requires_grad for p in backbone.parameters())
    assert backbone.n_parameters == 2 * 27 + 2 + 4


def test_the_network_is_in_eval_mode(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 3, 1), torch.nn.Dropout(0.9)).train()
    loaded = load_backbone(write_folder(tmp_path, network)).network
    assert torch.equal(loaded(noise(1, 1, 4, 4, 4)), loaded(noise(1, 1, 4, 4, 4)))


def test_the_description_for_the_user_is_complete(tmp_path):
    folder = write_folder(
        tmp_path,
        torch.nn.Conv3d(1, 3, 1),
        spacing=[1, 1.5, 3],
        patch_size=[32, 16, 8],
        intensity={"rule": "window", "low": -200, "high": 300},
        license="MIT",
    )
    assert load_backbone(folder).describe().splitlines() == [
        f"Backbone    test ({folder})",
        "Kind        folder with backbone.json",
        "Network     3-D, 6 parameters, softmax",
        "Channels    image",
        "Orientation LPS",
        "Grid        1 x 1.5 x 3 mm (I, J, K), crop: none; windows of 32 x 16 x 8 voxels, overlap 50%",
        "Intensity   window -200 to 300",
        "License     MIT",
        "Classes",
        "  0  background",
        "  1  liver",
        "  2  spleen",
    ]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(BackboneError, match="nowhere is not a folder" + r"\." + EXPECTED_FOLDER):
        load_backbone(tmp_path / "nowhere")


def test_a_missing_model_file_is_named_with_the_expected_folder(tmp_path):
    message = r"has no model\.ts, which backbone\.json names as the network\."
    with pytest.raises(BackboneError, match=message + EXPECTED_FOLDER):
        load_backbone(write_folder(tmp_path))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and nothing"])
@pytest.mark.parametrize("name", ["model.ts", "weights.pt", "weights.safetensors"])
def test_garbage_is_refused_with_the_name_of_the_file(tmp_path, content, name):
    folder = write_folder(tmp_path) if name == "model.ts" else with_factory(tmp_path, weights=name)
    (folder / name).write_bytes(content)
    expected = {"model.ts": "is not a TorchScript file", "weights.pt": "holds no plain tensors"}
    with pytest.raises(BackboneError, match=expected.get(name, "is not a valid safetensors file")) as caught:
        load_backbone(folder)
    assert str(folder / name) in str(caught.value)


def test_a_truncated_network_is_refused(tmp_path):
    folder = write_folder(tmp_path, torch.nn.Conv3d(1, 3, 1))
    content = (folder / "model.ts").read_bytes()
    (folder / "model.ts").write_bytes(content[: len(content) // 2])
    with pytest.raises(BackboneError, match=r"model\.ts is not a TorchScript file"):
        load_backbone(folder)


def save_safetensors(state, path):
    pytest.importorskip("safetensors.torch").save_file(state, path)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("weights.pt", torch.save),
        ("checkpoint.pt", lambda state, path: torch.save({"state_dict": state, "epoch": 3}, path)),
        ("weights.safetensors", save_safetensors),
    ],
)
def test_a_factory_gets_its_weights(tmp_path, name, save):
    state = {"weight": noise(3, 1, 1, 1, 1), "bias": torch.tensor([1.0, 2.0, 3.0])}
    save(state, with_factory(tmp_path, weights=name) / name)
    backbone = load_backbone(tmp_path)
    assert all(torch.equal(backbone.network.state_dict()[key], value) for key, value in state.items())
    assert not backbone.network.training


def test_a_factory_may_come_without_weights_and_from_a_module(tmp_path, monkeypatch):
    (tmp_path / "an_installed_module.py").write_text(FACTORY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    folder = write_folder(tmp_path / "net", model={"factory": "an_installed_module:build"})
    assert isinstance(load_backbone(folder).network, torch.nn.Conv3d)


def test_a_factory_gets_its_arguments(tmp_path):
    code = "import torch\ndef build(classes, *, size=1): return torch.nn.Conv3d(1, classes, size)"
    folder = with_factory(tmp_path, code)
    write_folder(tmp_path, model={"factory": "network.py:build", "kwargs": {"classes": 5, "size": [1, 3, 3]}})
    network = load_backbone(folder).network
    assert (network.out_channels, network.kernel_size) == (5, (1, 3, 3))


def test_arguments_that_a_factory_does_not_take_are_told(tmp_path):
    folder = with_factory(tmp_path)
    write_folder(tmp_path, model={"factory": "network.py:build", "kwargs": {"depth": 5}})
    with pytest.raises(BackboneError, match=r"the factory 'network\.py:build' failed: TypeError: .*'depth'"):
        load_backbone(folder)


def test_two_folders_may_use_the_same_file_name(tmp_path):
    one = with_factory(tmp_path / "one", FACTORY)
    two = with_factory(tmp_path / "two", FACTORY.replace("1, 3, 1", "1, 5, 1"))
    assert [load_backbone(folder).network.out_channels for folder in (one, two, one)] == [3, 5, 3]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def build(): raise KeyError('dim')", r"the factory 'network\.py:build' failed: KeyError: 'dim'"),
        ("import a_package_that_is_not_there", "failed: ModuleNotFoundError: No module named 'a_package_that"),
        ("def build(: pass", "failed: SyntaxError: "),
        ("def build(): return 'network'", r"must return a torch\.nn\.Module, not str\."),
        ("def other(): pass", r"the factory's network\.py has no function 'build'\."),
        ("build = 3", r"the factory's network\.py has no function 'build'\."),
    ],
)
def test_a_factory_that_fails_is_named_with_the_reason(tmp_path, code, message):
    with pytest.raises(BackboneError, match=message):
        load_backbone(with_factory(tmp_path, code))


@pytest.mark.parametrize("entry", ["network.py", ":build", "network.py:"])
def test_a_factory_names_a_file_and_a_function(tmp_path, entry):
    folder = write_folder(tmp_path, model={"factory": entry})
    with pytest.raises(BackboneError, match=f"must be 'file.py:function' or 'module:function', not '{entry}'"):
        load_backbone(folder)


def test_missing_files_of_a_factory_are_named(tmp_path):
    folder = write_folder(tmp_path, model={"factory": "network.py:build", "weights": "weights.pt"})
    with pytest.raises(BackboneError, match=r"has no network\.py, which .* the factory's file"):
        load_backbone(folder)
    with_factory(tmp_path, weights="weights.pt")
    with pytest.raises(BackboneError, match=r"has no weights\.pt, which .* names as the weights"):
        load_backbone(folder)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.zeros(3, 1, 1, 1, 1)}, r"does not fit the network of 'network\.py:build': .*Missing key.*"),
        ({"weight": torch.zeros(2, 1, 1, 1, 1), "bias": torch.zeros(3)}, "does not fit .*size mismatch for weight"),
        ([torch.zeros(3)], r"must hold a state dict \(name -> tensor\), not a list"),
        ({"weight": 3}, r"must hold a state dict \(name -> tensor\), not a dict"),
    ],
)
def test_weights_that_do_not_fit_are_named_with_the_reason(tmp_path, state, message):
    torch.save(state, with_factory(tmp_path, weights="weights.pt") / "weights.pt")
    with pytest.raises(BackboneError, match=message) as caught:
        load_backbone(tmp_path)
    assert str(tmp_path / "weights.pt") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_torchscript_file_is_opened_by_python_which_knows_every_folders_name(tmp_path, monkeypatch):
    """Torch itself opens a path in Windows' code page: a folder of somebody called Jürgen would be none."""
    from InteractiveRefineLib.backbone import torchscript

    opened, load = [], torch.jit.load

    def watched(file, **options):
        opened.append(file.name)
        return load(file, **options)

    folder = tmp_path / "Jürgen 肝臓"
    folder.mkdir()
    torch.jit.save(torch.jit.script(torch.nn.Conv3d(1, 2, 1)), tmp_path / "model.ts")
    (tmp_path / "model.ts").rename(folder / "model.ts")
    monkeypatch.setattr(torch.jit, "load", watched)
    assert torchscript.load_torchscript(folder, "model.ts")(torch.zeros(1, 1, 2, 2, 2)).shape[1] == 2
    assert opened == [str(folder / "model.ts")]
