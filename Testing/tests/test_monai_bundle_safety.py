"""A bundle's configuration is a program: what of it runs, and what is refused before anything of it ran."""

import contextlib
import functools
import json
import pickle
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from InteractiveRefineLib.backbone.monai_bundle import describe, load  # noqa: E402
from InteractiveRefineLib.backbone.monai_bundle.check import is_harmless  # noqa: E402
from InteractiveRefineLib.backbone.monai_bundle.expressions import refusal  # noqa: E402
from InteractiveRefineLib.errors import BackboneError  # noqa: E402
from Testing.monai_bundles import inference, make_bundle, metadata, small_unet  # noqa: E402

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore")]

CLASSES = ("background", "liver", "spleen")
TOUCH = "__import__('pathlib').Path('{marker}').touch()"


def step(name, **arguments):
    return {"_target_": name, "keys": "@image_key", **arguments}


def attacks():
    """Changes of a harmless configuration, each of which makes MONAI itself create the file {marker}."""
    call = {"_target_": "os.system", "command": "touch {marker}"}
    yield "a program as network", {"network_def": call}
    yield "a program inside the network", {"network_def": small_unet(act=call)}
    yield "subprocess", {"network_def": {"_target_": "subprocess.run", "args": ["touch", "{marker}"]}}
    yield "a program found through monai", {"inferer": {**call, "_target_": "monai.data.utils.os.system"}}
    yield (
        "a program found through networks",
        {"inferer": {**call, "_target_": "monai.networks.nets.hovernet.os.system"}},
    )
    yield "a program as partial", {"inferer": {"_target_": "monai.utils.misc.subprocess.run", "args": "touch {marker}",
                                               "shell": True}}  # fmt: skip
    yield "an expression as network", {"network_def": "$" + TOUCH}
    yield "an expression in an argument", {"network_def": small_unet(in_channels=f"$1 if {TOUCH} else 1")}
    yield "an expression in a list", {"inferer": {"_target_": "SlidingWindowInferer", "roi_size": ["$" + TOUCH, 8, 8]}}
    yield (
        "an expression behind a reference",
        {"far": "$" + TOUCH, "near": "@far", "network_def": small_unet(act="@near")},
    )
    yield "a required expression", {"network_def": small_unet(_requires_="$" + TOUCH)}
    yield "a lambda that is called", {"inferer": {"_target_": "SimpleInferer", "_requires_": f"$(lambda: {TOUCH})()"}}
    yield "a comprehension", {"network_def": small_unet(act=f"$[{TOUCH} for _ in (1,)]")}
    yield "globals of a method", {
        "network_def": small_unet(),
        "inferer": {"_target_": "SimpleInferer",
                    "_requires_": "$@network_def.forward.__globals__['__builtins__']['open']('{marker}', 'w')"},
    }  # fmt: skip
    yield "a formatted text", {"network_def": small_unet(act='$f"{' + TOUCH + '}"')}
    yield (
        "a disabled part",
        {
            "network_def": small_unet(
                act={"_target_": "os.system", "_disabled_": "$" + TOUCH + " is None", "command": "ls"}
            )
        },
    )
    yield "in postprocessing", {"postprocessing": {"_target_": "Compose", "transforms": ["$" + TOUCH]}}
    yield "a method of a reference as target", {
        "shell": "$__import__('os')", "inferer": {"_target_": "$@shell.system", "command": "touch {marker}"},
    }  # fmt: skip


def with_marker(value, marker):
    return json.loads(json.dumps(value).replace("{marker}", str(marker)))


@functools.cache
def harmless():
    folder = Path(tempfile.mkdtemp()) / "b"
    return make_bundle(folder, inference(small_unet(), [step("NormalizeIntensityd")]), metadata(CLASSES))


def bundle(tmp_path, changes):
    """A bundle that is harmless but for some changes."""
    folder = Path(shutil.copytree(harmless(), tmp_path / "b"))
    path = folder / "configs" / "inference.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


@pytest.mark.parametrize(("changes"), [pytest.param(c, id=name) for name, c in attacks()])
def test_an_attack_is_named_and_nothing_of_it_runs(tmp_path, changes):
    marker = tmp_path / "ran"
    folder = bundle(tmp_path, with_marker(changes, marker))
    describe(folder, {})
    with pytest.raises(BackboneError, match=r"inference\.json: .* which was not run: .*\"trust\": true"):
        load(folder, {})
    assert not marker.exists()

    with contextlib.suppress(BackboneError):  # the attack is a real one: where the user vouches for the bundle it runs
        load(folder, {"trust": True})
    assert marker.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"imports": ["$import monai_bundle_evil"]},
        {"initialize": ["$" + TOUCH], "run": ["$" + TOUCH], "datalist": "$" + TOUCH, "evaluator": "$" + TOUCH},
        {"anything": "$import monai_bundle_evil"},
    ],
    ids=["imports", "what only running needs", "an import under any key"],
)
def test_what_inference_does_not_need_is_not_even_looked_at(tmp_path, monkeypatch, changes):
    marker = tmp_path / "ran"
    (tmp_path / "monai_bundle_evil.py").write_text(f"open({str(marker)!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))
    load(bundle(tmp_path, with_marker(changes, marker)), {})
    assert not marker.exists() and "monai_bundle_evil" not in sys.modules


@pytest.mark.parametrize(
    "reading",
    [
        {"_target_": "LoadImaged", "keys": "image", "reader": "os.system", "command": "touch {marker}"},
        {"_target_": "LoadImaged", "keys": "image", "dtype": "$" + TOUCH},
        {"_target_": "SaveImaged", "keys": "pred", "writer": "os.system", "output_dir": "$" + TOUCH},
    ],
    ids=["reader", "argument of the reader", "writer"],
)
def test_readers_and_writers_are_left_out_with_all_their_arguments(tmp_path, reading):
    marker = tmp_path / "ran"
    steps = [with_marker(reading, marker), step("NormalizeIntensityd")]
    folder = bundle(tmp_path, {"preprocessing": {"_target_": "Compose", "transforms": steps}})
    assert [type(s).__name__ for s in load(folder, {}).preprocessing._transforms] == ["NormalizeIntensityd"]
    assert not marker.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network_def": small_unet(_mode_="debug")}, "only the _mode_ 'default' is allowed"),
        ({"network_def": small_unet(_debug_=True)}, "'_debug_', which was not run: this key is not allowed"),
        ({"network_def": {"_target_": "EfficientNetBN", "model_name": "efficientnet-b0"}}, "set 'pretrained' to false"),
        ({"network_def": {"_target_": "monai.bundle.run"}}, "only MONAI's networks, transforms and inferers"),
        ({"network_def": {"_target_": "torch.hub.load"}}, "only MONAI's networks, transforms and inferers"),
        ({"network_def": {"_target_": "scripts.net.Net"}}, "'scripts.net.Net', which was not run"),
        ({"network_def": "%other.json::network"}, "reads another file, which was not done"),
    ],
)
def test_what_else_is_refused(tmp_path, changes, message):
    with pytest.raises(BackboneError, match=message):
        load(bundle(tmp_path, changes), {})


@pytest.mark.parametrize(
    "name",
    ["monai.networks.nets.UNet", "monai.transforms.Compose", "monai.inferers.SimpleInferer", "torch.nn.Conv3d"],
)
def test_harmless_classes_may_be_made(name):
    assert is_harmless(name)


@pytest.mark.parametrize(
    "name",
    ["monai.transforms.LoadImage", "monai.transforms.SaveImaged", "monai.transforms.TorchVision", "os.system",
     "monai.inferers.PatchInferer", "monai.networks.utils.torch.hub.load", "torch.nn.functional.relu", "torch.load",
     "monai.networks.nets.resnet50", "monai.transforms.utils.np.load", "torch.nn.nothing", "builtins.eval"],
)  # fmt: skip
def test_nothing_else_may_be_made(name):
    assert not is_harmless(name)


@pytest.mark.parametrize(
    "text",
    ["1 + 2 * 3", "torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')", "np.float32",
     "__local_refs['network_def'].to(__local_refs['device'])", "[1, 2][0]", "int(8 * (1 - 0.5))", "lambda x: x > 0",
     "lambda x: torch.where(x[[0]] > 0.5, 1, 0)", "__local_refs['a'] + '/eval'", "lambda x: x.float().mean()",
     "monai.utils.CommonKeys.IMAGE"],
)  # fmt: skip
def test_arithmetic_may_be_evaluated(text):
    assert refusal(text) is None


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "open('x')", "eval('1')", "exec('1')", "getattr(int, 'x')", "os.system('ls')",
     "torch.load('x')", "monai.utils.CommonKeys.mro", "monai.utils.module", "np.load('x')", "().__class__", "x",
     "lambda: y", "(lambda x: x.__globals__)(1)", "[i for i in (1, 2)]",
     "f'{1}'", "(a := 1)", "torch.hub.load('x')", "torch.ops", "monai.bundle", "str.format", "yield_", "print(1)",
     "__local_refs['a'].__dict__", "__local_refs['a'].modules()", "globals()", "b'1'", "1 +", "import os",
     "torch.device('cpu').type.__class__", "int.from_bytes", "lambda torch: torch.load('x')"],
)  # fmt: skip
def test_nothing_else_is_evaluated(text):
    assert refusal(text)


class Touches:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (Path(self.marker),)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_in_the_weights_is_not_opened(tmp_path, wrapped):
    folder, marker = bundle(tmp_path, {}), tmp_path / "ran"
    weights = folder / "models" / "model.pt"
    if wrapped:
        torch.save({"model": {"weight": Touches(marker)}}, weights)
    else:
        weights.write_bytes(pickle.dumps(Touches(marker)))
    describe(folder, {})
    with pytest.raises(BackboneError, match=r"model\.pt holds no plain tensors and was not opened further"):
        load(folder, {})
    with pytest.raises(BackboneError, match="was not opened further"):  # trust is about the configuration
        load(folder, {"trust": True})
    assert not marker.exists()


def test_with_trust_a_bundle_may_bring_its_own_code(tmp_path):
    folder = bundle(tmp_path, {"network_def": {"_target_": "monai_test_scripts.net.Net"}})
    (folder / "monai_test_scripts").mkdir()
    (folder / "monai_test_scripts" / "__init__.py").touch()
    (folder / "monai_test_scripts" / "net.py").write_text(
        "from monai.networks.nets import UNet\n\n\ndef Net():\n"
        "    return UNet(3, 1, 3, channels=(4, 8, 8), strides=(2, 2), num_res_units=1)\n"
    )
    with pytest.raises(BackboneError, match=r"monai_test_scripts\.net\.Net', which was not run"):
        load(folder, {})
    before = list(sys.path)
    assert load(folder, {"trust": True}).n_parameters > 0
    assert sys.path == before
