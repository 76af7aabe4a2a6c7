"""Everything that a user can hand over wrongly: one line, exit code 2, nothing written."""

import os
import pickle

import numpy as np
import pytest
import torch
from cli_examples import (
    LIVER,
    LPS,
    SHAPE,
    SPLEEN,
    Thresholds,
    errors_of,
    scan,
    strokes,
    truth,
    write_backbone,
    write_labels,
    write_scan,
)

from InteractiveRefineLib.segmentation import Segment
from InteractiveRefineLib.segmentation_io import read_segmentation
from InteractiveRefineLib.volume import Volume

pytest_plugins = ["cli_examples"]


def bad_geometry(folder):
    write_labels(folder / "strokes.nrrd", strokes(), LPS @ np.diag([1, 1, 1.1, 1]))


def unknown_number(folder):
    write_labels(folder / "strokes.nrrd", (strokes() == 1).astype(np.uint16) * 9)


def unknown_name(folder):
    write_labels(folder / "strokes.seg.nrrd", (strokes() == 1).astype(np.uint16), segments=[Segment("pancreas", 1)])


def with_values(**values):
    def make(folder):
        volume = scan()
        for place, value in values.items():
            volume.array[tuple(int(n) for n in place[1:].split("_"))] = value
        write_scan(folder / "image.nrrd", volume)

    return make


def constant(folder):
    write_scan(folder / "image.nrrd", Volume(np.full(SHAPE, 40.0, dtype=np.float32), LPS))


def truncated(folder):
    path = folder / "image.nrrd"
    path.write_bytes(path.read_bytes()[:-2000])


def no_description(folder):
    (folder / "backbone" / "backbone.json").unlink()


def broken_description(folder):
    (folder / "backbone" / "backbone.json").write_text("{broken")


def other_channels(folder):
    write_backbone(folder / "backbone", Thresholds(n_outputs=2))


class Trap:
    """Creates a file when it is unpickled."""

    def __reduce__(self):
        return (open, ("trap-was-sprung", "w"))


def pickle_as_network(folder):
    (folder / "backbone" / "model.ts").write_bytes(pickle.dumps(Trap()))


def pickle_as_weights(folder):
    write_backbone(folder / "backbone", model={"factory": "network.py:build", "weights": "weights.pt"})
    (folder / "backbone" / "network.py").write_text("import torch\ndef build(): return torch.nn.Conv3d(1, 3, 1)\n")
    torch.save({"head": Trap()}, folder / "backbone" / "weights.pt")


def flat_image(folder):
    write_scan(folder / "image.nrrd", Volume(scan().array[8:9], LPS))
    write_labels(folder / "strokes.nrrd", strokes()[8:9])


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (bad_geometry, {}, "strokes.nrrd: the strokes lie on another grid than the image: strokes 32 x 24 x 16"),
        (unknown_number, {}, "Label 9 is not a class of this segmentation; known are"),
        (
            unknown_name,
            {"scribbles": "strokes.seg.nrrd"},
            "the strokes' segment 'pancreas' is no class; known are liver, spleen, background.",
        ),
        (with_values(_3_3_3=np.nan), {}, "image.nrrd has 1 voxels that are NaN or infinite. Replace them"),
        (with_values(_3_3_3=np.inf), {}, "image.nrrd has 1 voxels that are NaN or infinite. Replace them"),
        (constant, {}, "image.nrrd has the same intensity (40) everywhere"),
        (truncated, {}, "Cannot read image.nrrd"),
        (no_description, {}, "backbone has no backbone.json and is no other folder of a network"),
        (broken_description, {}, "backbone.json is not valid JSON"),
        (other_channels, {}, "has 2 output channels, but backbone.json names 3 classes."),
        (pickle_as_network, {}, "is not a TorchScript file"),
        (pickle_as_weights, {}, "holds no plain tensors and was not opened further"),
        (flat_image, {}, "is a 3-D network, but the image is a single slice"),
        (None, {"image": "missing.nrrd"}, "Cannot read missing.nrrd: there is no such file or folder."),
        (None, {"scribbles": "missing.nrrd"}, "missing.nrrd"),
        (None, {"backbone": "missing"}, "missing is not a folder."),
        (None, {"scribbles": None}, "Nothing says what is wrong: give --scribbles"),
        (None, {"output": "out.txt"}, "Cannot write out.txt: a segmentation is one of .seg.nrrd"),
        (None, {"output": "image.nrrd"}, "image.nrrd is read and written at once."),
        (None, {"output": "no/such/folder/out.nrrd"}, "does not exist. Create it or choose another one."),
        (None, {"preview": "picture.jpg"}, "Cannot write picture.jpg: the preview is a .png."),
        (None, {"report": "out.seg.nrrd"}, "out.seg.nrrd is named for two outputs."),
        (None, {"lock": "pancreas"}, "There is no class named 'pancreas'. Known: liver, spleen."),
        (None, {"points": "missing.json"}, "missing.json cannot be read"),
        (None, {"layers": "0"}, "layers must be at least 1, not 0."),
        (None, {"threshold": "-1"}, "threshold must be at least 0, not -1.0."),
        (None, {"device": "toaster"}, "The device must be 'auto', 'cpu' or 'cuda:N', not 'toaster'."),
    ],
)
def test_bad_input_is_one_line_with_code_2_and_no_output(refine_in, folder, capsys, spoil, options, message):
    if spoil is not None:
        spoil(folder)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert refine_in(**options) == 2
    lines = [line for line in errors_of(capsys) if "error:" in line]
    assert len(lines) == 1
    assert message in lines[0]
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts} == before


def test_strokes_that_are_all_on_locked_voxels_are_refused(refine_in, folder, capsys):
    drawn = np.zeros(SHAPE, dtype=np.uint16)
    drawn[8, 10:16, 24] = 1
    write_labels(folder / "strokes.nrrd", drawn)
    assert refine_in("--lock", "spleen", "liver") == 2
    assert "All strokes, points and boxes concern what is locked (spleen); unlock it" in errors_of(capsys)[-1]


def test_empty_strokes_change_nothing_and_say_so(refine_in, folder, capsys):
    write_labels(folder / "current.seg.nrrd", truth(), segments=[LIVER, SPLEEN])
    write_labels(folder / "strokes.nrrd", np.zeros(SHAPE, dtype=np.uint16))
    assert refine_in("--current", "current.seg.nrrd") == 0
    assert np.array_equal(read_segmentation(folder / "out.seg.nrrd").labels, truth())
    captured = capsys.readouterr()
    assert "Nothing changed." in captured.out
    assert "There are no strokes, points or boxes: nothing was changed." in captured.err


def test_a_read_only_output_folder_is_refused_before_anything_is_computed(refine_in, folder, capsys, monkeypatch):
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    if os.access(locked, os.W_OK):  # the superuser may write everywhere
        monkeypatch.setattr("InteractiveRefineLib.atomic._create_beside", refuse)
    monkeypatch.setattr("InteractiveRefineLib.image_io.read_volume", lambda path: pytest.fail("computed"))
    assert refine_in(output="locked/out.seg.nrrd") == 2
    assert "is read-only. Choose another folder." in errors_of(capsys)[-1]


def refuse(target, extension):
    raise PermissionError(13, "Permission denied")
