"""nnU-Net folders are found wherever people point, say what they know, and are refused with what to do about it."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from InteractiveRefineLib.backbone import load_backbone
from InteractiveRefineLib.backbone.nnunet import KIND, describe, load, recognizes
from InteractiveRefineLib.backbone.recognize import describe_backbone, kind_of
from InteractiveRefineLib.errors import BackboneError
from Testing.tests.nnunet_examples import DATASET, checkpoint, configuration, plans, write_model

pytest.importorskip("dynamic_network_architectures")
pytestmark = pytest.mark.usefixtures("one_thread")


def renamed(folder, file, **changes):
    """Change keys of one of the folder's JSON files; a value of None takes the key out."""
    path = folder / file
    said = json.loads(path.read_text(encoding="utf-8"))
    said.update(changes)
    path.write_text(json.dumps({k: v for k, v in said.items() if v is not None}), encoding="utf-8")


def with_configuration(**changes):
    said = plans()
    said["configurations"]["3d_fullres"].update(changes)
    said["configurations"]["3d_fullres"] = {k: v for k, v in said["configurations"]["3d_fullres"].items() if v != "-"}
    return said


@pytest.mark.parametrize("pointed_at", [".", "fold_0", ".."])
def test_the_model_is_found_from_its_folder_its_fold_and_the_datasets_folder(pointed_at, tmp_path):
    model = write_model(tmp_path / "Dataset001_Test")
    folder = (model / pointed_at).resolve()
    assert recognizes(folder)
    backbone = load_backbone(folder)
    assert kind_of(folder) == backbone.kind == KIND == "nnU-Net v2 trained model"
    assert [s.name for s in backbone.config.classes] == ["front", "back"]
    assert backbone.config == describe_backbone(folder)


def test_other_folders_are_not_recognized(tmp_path):
    model = write_model(tmp_path / "Dataset001_Test")
    assert not recognizes(tmp_path)
    assert not recognizes(tmp_path / "nowhere")
    (model / "plans.json").unlink()
    assert not recognizes(model)
    with pytest.raises(BackboneError, match="is no trained model of nnU-Net v2"):
        load(model, {})


def test_of_several_models_one_must_be_chosen(tmp_path):
    first = write_model(tmp_path, name="nnUNetTrainer__nnUNetPlans__3d_fullres")
    second = write_model(tmp_path, name="nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres")
    assert recognizes(tmp_path)
    with pytest.raises(BackboneError, match="holds several trained models; choose one of these folders") as error:
        load(tmp_path, {})
    assert str(first) in str(error.value) and str(second) in str(error.value)


def test_what_is_said_about_the_network(tmp_path):
    said = plans({"3d_fullres": configuration(patch_size=[16, 24, 32], spacing=[3.0, 0.7, 0.8])})
    config = describe(write_model(tmp_path, said, {**DATASET, "licence": "CC BY 4.0"}), {})
    assert (config.name, config.dimensions, config.channels) == ("Dataset001_Test, 3d_fullres", 3, ("MRI",))
    assert [(s.name, s.label) for s in config.classes] == [("front", 1), ("back", 2)]
    assert (config.channel_labels, config.activation) == ((0, 1, 2), "softmax")
    assert (config.patch_size, config.spacing) == ((32, 24, 16), (0.8, 0.7, 3.0))  # I, J, K
    assert (config.padding, config.overlap, config.license) == ("zero-centered", 0.5, "CC BY 4.0")


def test_channels_follow_the_labels_numbers_not_their_order_in_the_file(tmp_path):
    dataset = {**DATASET, "labels": {"back": 2, "background": 0, "front": "1"}}
    config = load(write_model(tmp_path, None, dataset), {}).config
    assert [(s.name, s.label) for s in config.classes] == [("front", 1), ("back", 2)]
    assert config.channel_labels == (0, 1, 2)


def test_regions_are_painted_in_their_order_and_the_ignored_label_has_no_output(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "inner": [3], "ignore": 4}
    dataset = {**DATASET, "labels": labels, "regions_class_order": [2, 1, 3]}
    config = load(write_model(tmp_path, None, dataset), {}).config
    assert (config.channel_labels, config.activation) == ((2, 1, 3), "regions")
    assert [(s.name, s.label) for s in config.classes] == [("core", 1), ("whole", 2), ("inner", 3)]


@pytest.mark.parametrize(
    ("folds", "option", "expected"),
    [
        (("3",), None, "fold 3"),
        (("0", "1"), None, "fold 0"),
        (("0", "all"), None, "fold all"),
        (("0", "1", "2"), [2], "fold 2"),
        (("0", "1", "2"), 1, "fold 1"),
        (("0", "1", "2"), [0, "2"], "folds 0, 2, averaged"),
    ],
)
def test_folds_are_chosen(folds, option, expected, tmp_path):
    model = write_model(tmp_path, folds=folds)
    backbone = load(model, {} if option is None else {"folds": option})
    assert backbone.details[0] == f"checkpoint_final.pth of {expected}"
    if "averaged" not in expected:
        seed = folds.index(expected.split()[-1])
        chosen = checkpoint(plans(), DATASET, "3d_fullres", seed)["network_weights"]
        assert all(torch.equal(v, chosen[k]) for k, v in backbone.network.state_dict().items())


def test_pointing_at_a_fold_chooses_it(tmp_path):
    model = write_model(tmp_path, folds=("0", "1"))
    assert load(model / "fold_1", {}).details[0] == "checkpoint_final.pth of fold 1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": [7]}, r"'folds' must be a list of different folds out of 0, 1, not \[7\]"),
        ({"folds": [1, 1]}, r"different folds out of 0, 1, not \[1, 1\]"),
        ({"folds": []}, "different folds"),
        (
            {"checkpoint": "checkpoint_best.pth"},
            "has no fold with a checkpoint_best.pth; weight files there: fold_0/ch",
        ),
        ({"checkpoint": "../../other.pth"}, "'checkpoint' must be the name of a file"),
        ({"mirroring": True}, "Option 'mirroring' of an nnU-Net folder is unknown; known are 'folds', 'checkpoint'"),
    ],
)
def test_wrong_options_are_explained(options, message, tmp_path):
    with pytest.raises(BackboneError, match=message):
        load(write_model(tmp_path, folds=("0", "1")), options)


def test_a_backbone_json_beside_or_elsewhere_chooses_the_folds(tmp_path):
    model = write_model(tmp_path / "models", folds=("0", "1"))
    said = {"format": 1, "kind": "nnunet", "folder": f"../models/{model.name}", "folds": [0, 1], "name": "mine"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "backbone.json").write_text(json.dumps(said), encoding="utf-8")
    backbone = load_backbone(tmp_path / "mine")
    assert backbone.config.name == "mine" and "folds 0, 1, averaged" in backbone.details[0]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (with_configuration(previous_stage="3d_lowres"), "'3d_fullres' is the second stage of a cascade.*'3d_lowres'"),
        (with_configuration(preprocessor_name="MyOwn"), "preprocessor_name' is 'MyOwn', a program of its own"),
        (with_configuration(spacing=[1, 1]), r"'configurations.3d_fullres.spacing' must be 3 positive numbers, not "),
        (with_configuration(patch_size="-"), "'configurations.3d_fullres.patch_size' is missing; it must be 2 or 3"),
        (with_configuration(normalization_schemes=["Mine"]), "normalization_schemes names 'Mine', which is not supp"),
        (with_configuration(resampling_fn_data="mine"), "resampling_fn_data' is 'mine'; supported are resample_dat"),
        (with_configuration(normalization_schemes=[]), "must be a list of 1, one per channel of dataset.json, not"),
        (with_configuration(inherits_from="2d"), "'3d_fullres' inherits from '2d', which is not there"),
        (with_configuration(inherits_from="3d_fullres"), "goes in a circle: 3d_fullres -> 3d_fullres"),
        (plans(image_reader_writer="MyReader"), "'image_reader_writer' is 'MyReader', a program of its own"),
        (plans(transpose_forward=[0, 1, 1]), "'transpose_forward' must be an order of the axes 0, 1, 2"),
        (plans(label_manager="Mine"), "'label_manager' is 'Mine'"),
        (with_configuration(resampling_fn_probabilities_kwargs={"order": 3}), "_kwargs.order' must be 1, nothing else"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be_used_name_the_key(said, message, tmp_path):
    usable = plans()
    model = write_model(tmp_path, usable)
    (model / "plans.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(BackboneError, match=message) as error:
        describe(model, {})
    assert str(model / "plans.json") in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": {"0": "background", "1": "front"}},
            "'labels' must name 'background' with label 0. The names come f",
        ),
        ({"labels": {"background": 1, "front": 0}}, "'labels.background' must be 0, not 1"),
        ({"labels": {"background": 0, "front": 2}}, "must be 1, 2, 3, ... without a gap, at most 254, not 2"),
        ({"labels": {"background": 0, "front": -1}}, "'labels.front' must be a whole number from 0 on"),
        ({"labels": {"background": 0}}, "without a gap"),
        (
            {"labels": {"background": 0, "a": [1, 2], "b": 2}},
            "'regions_class_order' is missing; it must be a list of 2",
        ),
        ({"channel_names": None}, "'channel_names' is missing; it must be an object like"),
        ({"channel_names": {"1": "CT"}}, "'channel_names' must be an object like"),
    ],
)
def test_a_dataset_json_that_cannot_be_used_names_the_key(changes, message, tmp_path):
    model = write_model(tmp_path)
    renamed(model, "dataset.json", **changes)
    with pytest.raises(BackboneError, match=message) as error:
        describe(model, {})
    assert str(model / "dataset.json") in str(error.value)


def test_a_configuration_takes_over_what_another_says(tmp_path):
    configurations = {"3d_fullres": configuration(), "3d_high": {"inherits_from": "3d_fullres", "spacing": [0.5] * 3}}
    model = write_model(tmp_path, plans(configurations), name="nnUNetTrainer__nnUNetPlans__3d_high")
    config = describe(model, {})
    assert (config.spacing, config.patch_size) == ((0.5,) * 3, (16,) * 3)


def test_the_folders_name_must_tell_the_configuration_where_there_are_several(tmp_path):
    several = plans({"2d": configuration(dimensions=2), "3d_fullres": configuration()})
    with pytest.raises(
        BackboneError, match="knows the configurations 2d, 3d_fullres, but the folder's name does not t"
    ):
        describe(write_model(tmp_path / "a", several, name="model"), {})
    with pytest.raises(BackboneError, match="but the folder's name says '3d_lowres'"):
        describe(write_model(tmp_path / "b", several, name="T__P__3d_lowres"), {})
    assert describe(write_model(tmp_path / "c", name="model"), {}).dimensions == 3
    wrong = write_model(tmp_path / "d", several, name="T__P__3d_fullres", trained_as="2d")
    with pytest.raises(BackboneError, match="was trained as '2d', but the folder's name says '3d_fullres'"):
        load(wrong, {})


@pytest.mark.parametrize("residual", [False, True])
def test_plans_of_nnunet_2_0_describe_the_same_network(residual, tmp_path):
    said = plans()
    model = write_model(tmp_path, said)
    expected = load(model, {}).network
    old = said["configurations"]["3d_fullres"]
    arguments = old.pop("architecture")["arch_kwargs"]
    old |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 8,
        "n_conv_per_stage_encoder": arguments["n_conv_per_stage"],
        "n_conv_per_stage_decoder": arguments["n_conv_per_stage_decoder"],
        "conv_kernel_sizes": arguments["kernel_sizes"],
        "pool_op_kernel_sizes": arguments["strides"],
        "num_pool_per_axis": [1, 1, 1],
    }
    old.update({} if not residual else {"UNet_class_name": "ResidualEncoderUNet"})
    (model / "plans.json").write_text(json.dumps(said), encoding="utf-8")
    if residual:  # another network: its weights are not these
        with pytest.raises(BackboneError, match="does not fit the network that plans.json describes"):
            load(model, {})
        return
    x = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        assert torch.equal(load(model, {}).network(x), expected(x))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_parallel_and_compiled_training_are_taken_off(prefix, tmp_path):
    model = write_model(tmp_path)
    expected = load(model, {}).network.state_dict()
    saved = checkpoint(plans(), DATASET, "3d_fullres")
    saved["network_weights"] = {prefix + k: v for k, v in saved["network_weights"].items()}
    torch.save(saved, model / "fold_0" / "checkpoint_final.pth")
    found = load(model, {}).network.state_dict()
    assert all(torch.equal(found[k], v) for k, v in expected.items())


def test_weights_of_another_network_are_refused(tmp_path):
    model = write_model(tmp_path)
    saved = checkpoint(plans(), DATASET, "3d_fullres")
    saved["trainer_name"] = "nnUNetTrainerBN"
    saved["network_weights"].popitem()
    torch.save(saved, model / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(BackboneError, match="The trainer 'nnUNetTrainerBN' may build another network. .*Missing key"):
        load(model, {})


class _Runs:
    """A pickle that runs a program when it is opened."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.system, (f"touch {self.marker}",))


@pytest.mark.parametrize("place", ["logging", "network_weights", "init_args"])
def test_a_program_hidden_in_a_checkpoint_is_not_run(place, tmp_path):
    model, marker = write_model(tmp_path), tmp_path / "ran"
    saved = checkpoint(plans(), DATASET, "3d_fullres")
    saved[place] = _Runs(marker)
    torch.save(saved, model / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(
        BackboneError, match=r"checkpoint_final.pth holds no plain .* asks for \w+.system, which could exe"
    ):
        load(model, {})
    (model / "fold_0" / "checkpoint_final.pth").write_bytes(pickle.dumps(_Runs(marker)))
    with pytest.raises(BackboneError, match="A checkpoint of nnU-Net holds tensors, numbers and texts only"):
        load(model, {})
    assert not marker.exists()


def test_numpys_own_functions_are_not_called_either(tmp_path):
    """The training log's numbers are dropped: whoever writes the file decides what those functions are called with."""
    model = write_model(tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "import numpy as np\n"
        "from InteractiveRefineLib.backbone.nnunet.checkpoint import read_checkpoint\n"
        "np.dtype = np._core.multiarray.scalar = None\n"
        f"found = read_checkpoint(Path({str(model / 'fold_0' / 'checkpoint_final.pth')!r}))\n"
        "assert found.trainer == 'nnUNetTrainer' and found.configuration == '3d_fullres'\n"
    )
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_a_damaged_checkpoint_is_an_error_of_one_line(tmp_path):
    model = write_model(tmp_path)
    path = model / "fold_0" / "checkpoint_final.pth"
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        at = next(i.header_offset for i in archive.infolist() if i.filename.endswith("data.pkl"))
    flipped = bytearray(whole)
    for offset in range(at + 200, at + 400):
        flipped[offset] ^= 0x55
    for damaged in (whole[: len(whole) // 2], b"", whole[:-40], bytes(flipped), b"no checkpoint at all"):
        path.write_bytes(damaged)
        with pytest.raises(BackboneError) as error:
            load(model, {})
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(BackboneError, match="has no 'network_weights' of names and tensors"):
        load(model, {})


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("network_class_name", "os.system"),
        ("network_class_name", "subprocess.Popen"),
        ("network_class_name", "torch.nn.Sequential"),
        ("network_class_name", "dynamic_network_architectures.architectures.unet.torch.nn.Sequential"),
        ("network_class_name", "dynamic_network_architectures.architectures.unet.test_submodules_loadable"),
        ("network_class_name", "dynamic_network_architectures_evil.Network"),
        ("network_class_name", "dynamic_network_architectures..os"),
        ("network_class_name", "dynamic_network_architectures.architectures.unet._ConvNd"),
        ("conv_op", "torch.nn.Parameter"),
        ("conv_op", "os.system"),
        ("conv_op", "torch.nn.functional.torch.load"),
        ("conv_op", "torch.nn.init.torch"),
        ("nonlin", "builtins.eval"),
    ],
)
def test_plans_cannot_name_a_program(key, name, tmp_path):
    model = write_model(tmp_path)
    said = plans()
    architecture = said["configurations"]["3d_fullres"]["architecture"]
    (architecture if key == "network_class_name" else architecture["arch_kwargs"])[key] = name
    (model / "plans.json").write_text(json.dumps(said), encoding="utf-8")
    describe(model, {})
    with pytest.raises(BackboneError, match="which is not built|does not have") as error:
        load(model, {})
    assert key in str(error.value) and repr(name) in str(error.value)


def test_a_module_that_plans_name_is_not_even_imported(tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    (tmp_path / "their_module.py").write_text(f"open({str(marker)!r}, 'w')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    model = write_model(tmp_path / "models")
    for key in ("network_class_name", "conv_op"):
        said = plans()
        architecture = said["configurations"]["3d_fullres"]["architecture"]
        (architecture if key == "network_class_name" else architecture["arch_kwargs"])[key] = "their_module.Network"
        (model / "plans.json").write_text(json.dumps(said), encoding="utf-8")
        with pytest.raises(BackboneError, match="which is not built"):
            load(model, {})
    assert not marker.exists()


def test_without_the_package_of_architectures_the_error_says_what_to_install(tmp_path, monkeypatch):
    model = write_model(tmp_path)
    for name in [n for n in sys.modules if n.split(".")[0] == "dynamic_network_architectures"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert describe(model, {}).dimensions == 3  # the description needs nothing
    with pytest.raises(BackboneError, match="pip install --no-deps dynamic-network-architectures"):
        load(model, {})


def test_loading_takes_nobodys_random_numbers(tmp_path):
    model = write_model(tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    load(model, {})
    assert torch.equal(torch.rand(1), expected)


def test_arguments_that_do_not_fit_are_explained(tmp_path):
    model = write_model(tmp_path)
    said = plans()
    said["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["n_stages"] = "two"
    (model / "plans.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(BackboneError, match="configurations.3d_fullres.architecture.arch_kwargs does not fit"):
        load(model, {})
