"""--image takes one scan for each channel of the network, in order or by name."""

import json
import sys

import numpy as np
import pytest

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.image_io import read_volume, write_volume
from InteractiveRefineLib.volume import Volume

torch = pytest.importorskip("torch")

from InteractiveRefineLib.cli.main import main  # noqa: E402
from Testing.tests.network_examples import scripted  # noqa: E402

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_network(folder):
    """A backbone that calls bright what is brighter in the second channel than in the first."""
    network = torch.nn.Sequential(torch.nn.Conv3d(2, 2, 1), torch.nn.Conv3d(2, 2, 1))
    with torch.no_grad():
        for layer, weight in zip(network, ([[1.0, 0.0], [0.0, 1.0]], [[1.0, -1.0], [-1.0, 1.0]])):
            layer.weight.copy_(torch.tensor(weight).reshape(2, 2, 1, 1, 1))
            layer.bias.zero_()
    folder.mkdir()
    scripted(network.eval()).save(str(folder / "model.ts"))
    config = {
        "format": 1,
        "channels": [{"name": "FLAIR"}, {"name": "T1c"}],
        "classes": [{"name": "background"}, {"name": "bright"}],
    }
    (folder / "backbone.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with two scans, a network for both, and a stroke."""
    monkeypatch.chdir(tmp_path)
    write_network(tmp_path / "net")
    flair, t1c, strokes = np.full((4, 8, 8), 5.0), np.zeros((4, 8, 8)), np.zeros((4, 8, 8), np.uint8)
    t1c[1:3, 2:6, 2:6] = 9
    strokes[1, 3, 3:5] = 255
    for name, array in (("flair", flair), ("t1c", t1c), ("strokes", strokes)):
        dtype = np.uint8 if name == "strokes" else np.float32
        write_volume(Volume(array.astype(dtype), LPS, name), f"{name}.nrrd")
    return tmp_path


def run(*words):
    return main(list(words))


def labels_in(path):
    return read_volume(path).array


@pytest.mark.parametrize(
    "images",
    [
        ["--image", "flair.nrrd", "--image", "t1c.nrrd"],
        ["--image", "flair.nrrd", "t1c.nrrd"],
        ["--image", "T1C=t1c.nrrd", "--image", "flair=flair.nrrd"],
    ],
    ids=["twice", "one option", "named"],
)
def test_predict_takes_one_image_for_each_channel(here, images):
    assert run("predict", *images, "--backbone", "net", "--output", "out.nrrd") == 0
    assert (labels_in("out.nrrd") == 1).sum() == 2 * 4 * 4


def test_refine_takes_them_too_and_writes_what_was_given_into_the_report(here):
    words = ["--image", "T1c=t1c.nrrd", "FLAIR=flair.nrrd", "--backbone", "net", "--scribbles", "strokes.nrrd"]
    assert run("refine", *words, "--output", "out.nrrd", "--report", "r.json", "--preview", "p.png") == 0
    assert (labels_in("out.nrrd")[1, 3, 3:5] == 0).all()
    assert json.loads((here / "r.json").read_text())["inputs"]["image"] == ["T1c=t1c.nrrd", "FLAIR=flair.nrrd"]


def test_growing_compares_all_channels(here):
    assert run("grow", "--image", "flair.nrrd", "t1c.nrrd", "--scribbles", "strokes.nrrd", "--threshold", "1",
               "--output", "out.nrrd") == 0  # fmt: skip
    assert (labels_in("out.nrrd") > 0).sum() == 2 * 4 * 4


def test_a_file_with_an_equals_sign_in_its_name_is_a_file(here):
    (here / "flair.nrrd").rename(here / "T1c=flair.nrrd")
    assert run("predict", "--image", "T1c=flair.nrrd", "t1c.nrrd", "--backbone", "net", "--output", "out.nrrd") == 0
    assert (labels_in("out.nrrd") == 1).sum() == 2 * 4 * 4


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["flair.nrrd"], "but there are only 1: flair.nrrd (1). Add an image for T1c, in this order."),
        (["FLAIR=flair.nrrd"], "T1c is missing: this network needs an image for FLAIR, T1c."),
        (["FLAIR=flair.nrrd", "t1c.nrrd"], "--image t1c.nrrd has no channel's name, but others have."),
        (["FLAIR=flair.nrrd", "T1c=nothing.nrrd"], "Cannot read nothing.nrrd: there is no such file or folder."),
        (["FLAIR=flair.nrrd", "T2=t1c.nrrd"], "T2 is no channel of this network; its channels are FLAIR, T1c."),
    ],
)
def test_a_mistake_is_one_line_that_names_the_channel(here, capsys, images, message):
    assert run("predict", "--image", *images, "--backbone", "net", "--output", "out.nrrd") == 2
    assert message in capsys.readouterr().err
    assert not (here / "out.nrrd").exists()


def test_a_4d_nifti_counts_as_its_channels(here):
    nibabel = pytest.importorskip("nibabel")
    both = np.stack([read_volume(f"{name}.nrrd").array.T for name in ("flair", "t1c")], axis=-1)
    nibabel.save(nibabel.Nifti1Image(both, LPS), "both.nii.gz")
    image = read_volume("both.nii.gz", series_as_channels=True)
    np.testing.assert_array_equal(image.array, np.moveaxis(both, -1, 0).swapaxes(1, 3))
    with pytest.raises(InputError, match="is a series of images"):
        read_volume("both.nii.gz")
    assert run("predict", "--image", "both.nii.gz", "--backbone", "net", "--output", "out.nrrd") == 0
    assert (labels_in("out.nrrd") == 1).sum() == 2 * 4 * 4


def test_an_image_is_never_overwritten_also_where_it_is_named(here, capsys):
    assert (
        run("predict", "--image", "FLAIR=flair.nrrd", "T1c=t1c.nrrd", "--backbone", "net", "--output", "t1c.nrrd") == 2
    )
    assert "t1c.nrrd is read and written at once" in capsys.readouterr().err


def test_a_scan_on_another_grid_is_resampled_with_a_warning(here, capsys):
    coarse = read_volume("t1c.nrrd")
    write_volume(Volume(coarse.array[:, ::2, ::2].copy(), np.diag([-2.0, -2.0, 1.0, 1.0])), "coarse.nrrd")
    words = ["--image", "FLAIR=flair.nrrd", "T1c=coarse.nrrd", "--backbone", "net", "--output", "out.nrrd"]
    assert run("predict", *words) == 0
    assert labels_in("out.nrrd").shape == (4, 8, 8)
    assert "warning: T1c (coarse.nrrd) was resampled to the grid of FLAIR (flair.nrrd)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_worker_gets_the_channels_in_its_networks_order(here):
    command = f'"{sys.executable}" -m InteractiveRefineLib.cli.main worker'
    words = ["--image", "T1c=t1c.nrrd", "FLAIR=flair.nrrd", "--backbone", "net", "--scribbles", "strokes.nrrd"]
    assert run("refine", *words, "--output", "here.nrrd") == 0
    assert run("refine", *words, "--output", "there.nrrd", "--worker", command) == 0
    np.testing.assert_array_equal(labels_in("here.nrrd"), labels_in("there.nrrd"))
