"""`check-backbone` tells what a network is, what of it is a program, what can be tuned, and what it will take."""

import json

import numpy as np
import pytest
import torch
from cli_examples import Thresholds, scan, write_scan

from InteractiveRefineLib.cli import check_backbone
from InteractiveRefineLib.cli.main import main
from InteractiveRefineLib.image_io import write_volume
from InteractiveRefineLib.image_state import ImageFrame
from InteractiveRefineLib.partial.cost import estimate_cost
from InteractiveRefineLib.partial.prepare import prepare
from InteractiveRefineLib.volume import Volume
from Testing.tests.network_examples import UNet2d, UNet3d, a_backbone, randomized, traced, write_folder

pytest_plugins = ["cli_examples"]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def unet(tmp_path):
    return write_folder(tmp_path / "unet", randomized(UNet3d()), divisible_by=2, license="MIT", name="A U-Net")


def printed(capsys, *words):
    """What the command prints on stdout; it must succeed."""
    assert main(["check-backbone", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_everything_that_was_recognized_is_printed_in_order(unet, capsys):
    lines = printed(capsys, unet).splitlines()
    assert lines[:-1] == [
        "Programs    model.ts is a program (TorchScript). Use only networks of people you trust.",
        f"Backbone    A U-Net ({unet})",
        "Kind        folder with backbone.json",
        "Network     3-D, 1,878 parameters, softmax",
        "Channels    image",
        "Orientation LPS",
        "Grid        the image's own spacing, crop: none; whole image at once",
        "Intensity   none",
        "License     MIT",
        "Classes",
        "  0  background",
        "  1  liver",
        "  2  spleen",
        "Layers      that --layers 1, 2, ... tunes: the last one, the last two, ...",
        "  1  head.weight, 3 x 4 x 1 x 1 x 1: 15 values, together 15",
        "  2  decode.0.weight, 4 x 8 x 3 x 3 x 3: 880 values, together 895",
        "  3  up.weight, 6 x 4 x 2 x 2 x 2: 196 values, together 1,091",
        "  4  down.0.weight, 6 x 4 x 3 x 3 x 3: 667 values, together 1,758",
        "  5  stem.0.weight, 4 x 1 x 3 x 3 x 3: 120 values, together 1,878",
    ]
    assert lines[-1].startswith("Trial run   passed in ") and lines[-1].endswith(" on 32 x 32 x 32 voxels (I, J, K)")


def test_programs_are_told_before_the_network_is_loaded(unet, capsys):
    (unet / "model.ts").write_bytes(b"")
    assert main(["check-backbone", str(unet)]) == 2
    seen = capsys.readouterr()
    assert seen.out.splitlines() == [
        "Programs    model.ts is a program (TorchScript). Use only networks of people you trust."
    ]
    assert f"{unet / 'model.ts'} is not a TorchScript file" in seen.err


def test_weights_are_no_programs(tmp_path, capsys):
    folder = write_folder(tmp_path / "net", model={"exported": "model.pt2"})
    assert main(["check-backbone", str(folder)]) == 2
    assert "Programs" not in capsys.readouterr().out


def test_a_license_file_is_shown(unet, capsys):
    write_folder(unet, divisible_by=2)
    (unet / "LICENSE.txt").write_text("CC BY-NC-SA 4.0\n...")
    assert "License     CC BY-NC-SA 4.0 (LICENSE.txt)" in printed(capsys, unet)


def test_at_most_six_layers_are_listed_and_constants_of_a_frozen_network_have_no_name(tmp_path, capsys):
    from Testing.tests.network_examples import frozen

    deep = torch.nn.Sequential(*[torch.nn.Conv3d(1 if n == 0 else 3, 3, 1) for n in range(8)])
    lines = printed(capsys, write_folder(tmp_path / "a", deep)).splitlines()
    assert [line for line in lines if line.startswith("  6 ")] == [
        "  6  2.weight, 3 x 3 x 1 x 1 x 1: 12 values, together 72"
    ]
    assert not [line for line in lines if line.startswith("  7 ")]
    assert "  1  constant, 3 x 4 x 1 x 1 x 1: 15 values" in printed(
        capsys, write_folder(tmp_path / "b", frozen(randomized(UNet3d())))
    )


def test_layers_of_a_network_of_one_size_are_found_at_that_size(tmp_path, capsys):
    class Flat(torch.nn.Module):
        """Takes 8 x 6 x 4 voxels only."""

        def __init__(self):
            super().__init__()
            self.head = torch.nn.Conv3d(1, 3, 1)

        def forward(self, x):
            return self.head(x.reshape(1, 1, 4, 6, 8))

    folder = write_folder(tmp_path, traced(Flat(), 1, 1, 4, 6, 8), patch_size=[8, 6, 4])
    assert "  1  head.weight, 3 x 1 x 1 x 1 x 1: 6 values" in printed(capsys, folder)


@pytest.mark.parametrize("axes", ["KJI", "IJK"])
def test_layers_of_a_two_dimensional_network(tmp_path, capsys, axes):
    network = randomized(UNet2d(classes=3))
    folder = write_folder(tmp_path, network, dimensions=2, patch_size=[16, 12], tensor_axes=axes, divisible_by=2)
    out = printed(capsys, folder)
    assert "  1  head.weight, 3 x 4 x 1 x 1: 15 values" in out
    assert "on 16 x 12 x 1 voxels (I, J, K)" in out


@pytest.mark.parametrize("axes", ["KJI", "IJK"])
def test_a_two_dimensional_network_sees_whole_slices(axes):
    """A kernel of 3 x 3 without padding fails on an edge of one voxel."""
    backbone = a_backbone(torch.nn.Conv2d(1, 3, 3), dimensions=2, tensor_axes=axes)
    assert [layer.weight.shape for layer in check_backbone.tunable_layers(backbone)] == [(3, 1, 3, 3)]


def test_json_holds_the_same_for_scripts_and_nothing_else_is_printed(unet, capsys):
    found = json.loads(printed(capsys, unet, "--json"))
    assert found.pop("trial_run").keys() == {"shape_ijk", "seconds"}
    layers = found.pop("layers")
    assert layers[1] == {"layers": 2, "weight": "decode.0.weight", "shape": [4, 8, 3, 3, 3], "values": 880}
    assert found == {
        "folder": str(unet),
        "kind": "folder with backbone.json",
        "name": "A U-Net",
        "dimensions": 3,
        "channels": ["image"],
        "classes": [
            {"label": 0, "name": "background"},
            {"label": 1, "name": "liver"},
            {"label": 2, "name": "spleen"},
        ],
        "activation": "softmax",
        "axis_codes": "LPS",
        "spacing": None,
        "patch_size": None,
        "intensity": "none",
        "parameters": 1878,
        "license": "MIT",
        "license_files": [],
        "programs": ["model.ts is a program (TorchScript)."],
        "details": [],
        "warnings": [],
    }


def test_windows_are_counted_and_multiplied(tmp_path, unet, capsys):
    """32 x 24 x 16 voxels in windows of 16 x 16 x 8 with steps of 8 x 8 x 4: 3 x 2 x 3 of them."""
    write_folder(unet, patch_size=[16, 16, 8], overlap=0.5, divisible_by=2)
    image = write_scan(tmp_path / "scan.nrrd")
    found = json.loads(printed(capsys, unet, "--image", image, "--json"))["estimate"]
    assert (found["grid_ijk"], found["window_ijk"], found["windows"]) == ([32, 24, 16], [16, 16, 8], 18)
    out = printed(capsys, unet, "--image", image)
    assert "is brought to 32 x 24 x 16 voxels (I, J, K); the network runs 18 times, each time on 16 x 16 x 8" in out
    assert "Trial run" not in out
    assert "Estimate    " in out and " for its first run, from one window; " in out


def test_an_image_is_brought_to_the_spacing_of_the_network(tmp_path, unet, capsys):
    write_folder(unet, spacing=[4, 4, 3], divisible_by=2)
    found = json.loads(printed(capsys, unet, "--image", write_scan(tmp_path / "scan.nrrd"), "--json"))["estimate"]
    assert (found["grid_ijk"], found["windows"]) == ([16, 12, 16], 1)


def test_one_image_for_each_channel(tmp_path, capsys):
    channels = [{"name": "FLAIR"}, {"name": "T1c"}]
    folder = write_folder(tmp_path / "two", randomized(UNet3d(channels=2)), channels=channels, divisible_by=2)
    first, second = (write_scan(tmp_path / name, scan(seed)) for seed, name in enumerate(("a.nrrd", "b.nrrd")))
    assert "Estimate" in printed(capsys, folder, "--image", first, second)
    assert "Estimate" in printed(capsys, folder, "--image", f"T1c={second}", f"FLAIR={first}")
    assert main(["check-backbone", str(folder), "--image", first]) == 2
    assert "T1c" in capsys.readouterr().err


def test_an_image_that_cannot_be_read_is_told_before_the_network_is_loaded(tmp_path, unet, capsys, monkeypatch):
    monkeypatch.setattr(check_backbone.common, "load_network", lambda folder: pytest.fail("loaded in vain"))
    assert main(["check-backbone", str(unet), "--image", str(tmp_path / "absent.nrrd")]) == 2
    assert "absent.nrrd" in capsys.readouterr().err


class Known(torch.nn.Module):
    """Holds 8 and 2 values per voxel at the same time, and nothing else of that size."""

    def __init__(self):
        super().__init__()
        self.wide, self.head = torch.nn.Conv3d(1, 8, 1), torch.nn.Conv3d(8, 2, 1)

    def forward(self, x):
        return self.head(self.wide(x))


def cost_of(shape, **changes):
    volume = Volume(np.random.default_rng(0).normal(size=shape).astype(np.float32), np.diag([1.0, 1, 1, 1]), "x")
    backbone = a_backbone(randomized(Known()), classes=2, **{"axis_codes": "RAS", **changes})
    frame = ImageFrame(volume, backbone)
    return estimate_cost(backbone, frame.image, frame.geometry)


def test_memory_of_one_window_is_that_of_the_tensors_that_exist_together():
    """Per voxel: the input and its copies, 8 features, 2 outputs; and a convolution's own 16 + 16."""
    voxels = 32 * 40 * 48
    memory = cost_of((32, 40, 48)).memory_bytes / (4 * voxels)
    assert 11 + 32 <= memory <= 16 + 32


def test_memory_of_many_windows_holds_what_every_window_keeps():
    """Every window of 16^3 keeps 8 features and 2 outputs; there are 5^3 with an overlap of one half over 48^3."""
    cost = cost_of((48, 48, 48), patch_size=(16, 16, 16))
    assert (cost.windows, cost.window) == (125, (16, 16, 16))
    kept = 125 * 10 * 4 * 16**3
    assert kept <= cost.memory_bytes <= 2 * kept  # and the input, and all of it once more while windows are merged


@pytest.mark.parametrize(
    "changes, window, count",
    [
        ({"patch_size": (16, 0, 16)}, (16, 40, 16), 5 * 7),  # 0: all of J; half overlap over 48 (K) and 64 (I)
        ({"patch_size": (0, 0, 0)}, (48, 40, 64), 1),
        ({"patch_size": (16, 20, 16), "window_step": (16, 20, 16)}, (16, 20, 16), 3 * 2 * 4),
        ({"patch_size": (24, 0, 16), "window_step": (20, 40, 16)}, (16, 40, 24), 3 * 3),  # I: 0, 20, 40
    ],
)
def test_windows_are_those_that_will_really_run(changes, window, count, monkeypatch):
    runs = []
    forward = Known.forward
    monkeypatch.setattr(Known, "forward", lambda self, x: runs.append(tuple(x.shape[2:])) or forward(self, x))
    cost = cost_of((48, 40, 64), axis_codes="RAS", tensor_axes="KJI", **changes)
    assert (cost.grid, cost.window, cost.windows) == ((48, 40, 64), window, count)
    runs.clear()
    volume = Volume(np.zeros((48, 40, 64), np.float32) + np.arange(64, dtype=np.float32), np.diag([1.0, 1, 1, 1]), "x")
    backbone = a_backbone(randomized(Known()), classes=2, axis_codes="RAS", tensor_axes="KJI", **changes)
    frame = ImageFrame(volume, backbone)
    with torch.no_grad():
        inputs, grid = backbone.preprocessing(frame.image, frame.geometry, torch.device("cpu"))
        prepare(backbone, grid, inputs)
    assert runs.count(window) == count  # besides a small one in which the layers were looked for


def test_time_grows_with_the_number_of_windows(monkeypatch):
    from InteractiveRefineLib.partial import cost as module

    monkeypatch.setattr(module, "_one_window", lambda *arguments: (2.0, 100, 10, ["slow"]))
    cost = cost_of((48, 48, 48), patch_size=(16, 16, 16))
    assert 250 <= cost.seconds < 260 and cost.notes == ["slow"]


def test_the_estimate_leaves_the_image_as_it_was(tmp_path, unet, capsys):
    before = (tmp_path / "scan.nrrd", scan())
    write_volume(before[1], before[0])
    content = before[0].read_bytes()
    printed(capsys, unet, "--image", before[0])
    assert before[0].read_bytes() == content


def test_an_unusual_network_is_warned_of(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check_backbone, "_trial_run", lambda backbone: ((8, 8, 8), 0.1, ["It is slow."]))
    folder = write_folder(tmp_path, Thresholds())
    assert main(["check-backbone", str(folder)]) == 0
    assert capsys.readouterr().err == "interactive-refine: warning: It is slow.\n"
    assert json.loads(printed(capsys, folder, "--json"))["warnings"] == ["It is slow."]
