"""The key of a case follows the contents of everything that is read, and nothing else."""

import json
import os

import pytest

from InteractiveRefineLib.batch import fingerprint
from InteractiveRefineLib.batch.fingerprint import BackboneHashes, content_hash

DICOM = b"\0" * 128 + b"DICM"


def test_a_file_is_its_bytes_and_its_kind_wherever_it_lies_and_whatever_it_is_called(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("a.nrrd", "below/b.nrrd", "c.NRRD", "d.seg.nrrd", "e.nii.gz"):
        (tmp_path / name).write_bytes(b"voxels")
    first = content_hash(tmp_path / "a.nrrd")
    assert content_hash(tmp_path / "below/b.nrrd") == content_hash(tmp_path / "c.NRRD") == first
    os.utime(tmp_path / "a.nrrd", (0, 0))
    assert content_hash(tmp_path / "a.nrrd") == first
    assert len({first, content_hash(tmp_path / "d.seg.nrrd"), content_hash(tmp_path / "e.nii.gz")}) == 3
    (tmp_path / "a.nrrd").write_bytes(b"voxelt")
    assert content_hash(tmp_path / "a.nrrd") != first


def test_a_series_is_its_slices_in_any_order_and_one_slice_stands_for_all(tmp_path):
    for folder, names in (("x", "abc"), ("y", "cab")):
        (tmp_path / folder).mkdir()
        for name, content in zip(names, (b"1", b"2", b"3")):
            (tmp_path / folder / name).write_bytes(DICOM + content)
    assert content_hash(tmp_path / "x") == content_hash(tmp_path / "y")
    whole, single = content_hash(tmp_path / "x"), content_hash(tmp_path / "x" / "a")
    (tmp_path / "x" / "b").write_bytes(DICOM + b"changed")
    assert content_hash(tmp_path / "x") != whole
    assert content_hash(tmp_path / "x" / "a") != single


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.nhdr", "NRRD0004\ntype: short\ndata file: voxels.raw\n"),
        ("a.nhdr", "NRRD0004\r\ndatafile: voxels.raw\r\n"),
        ("a.nhdr", "NRRD0004\ndata file: LIST\nvoxels.raw\n"),
        ("a.nhdr", "NRRD0004\ndata file: voxels%d.raw 1 3 1\n"),
        ("a.mhd", "NDims = 3\nElementDataFile = voxels.raw\n"),
    ],
)
def test_voxels_beside_a_header_count(tmp_path, name, header):
    (tmp_path / name).write_text(header)
    (tmp_path / "voxels.raw").write_bytes(b"1")
    before = content_hash(tmp_path / name)
    (tmp_path / "voxels.raw").write_bytes(b"2")
    assert content_hash(tmp_path / name) != before


def write_network(folder):
    folder.mkdir()
    (folder / "backbone.json").write_text("{}")
    (folder / "model.ts").write_bytes(b"weights")
    return folder


def test_a_network_is_all_its_files_but_not_what_was_left_behind(tmp_path):
    folder = write_network(tmp_path / "net")
    before = BackboneHashes().of(folder)
    for name in (".DS_Store", "__pycache__/x.pyc", "validation/case.nii.gz"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "loop").symlink_to(folder)
    assert BackboneHashes().of(folder) == before
    (folder / "sub").mkdir()
    (folder / "sub" / "network.py").write_text("")
    assert BackboneHashes().of(folder) != before


def test_a_description_that_points_elsewhere_counts_what_lies_there(tmp_path):
    target = write_network(tmp_path / "trained")
    pointer = tmp_path / "pointer"
    pointer.mkdir()
    (pointer / "backbone.json").write_text(json.dumps({"format": 1, "kind": "nnunet", "folder": "../trained"}))
    before = BackboneHashes().of(pointer)
    (target / "model.ts").write_bytes(b"retrained")
    assert BackboneHashes().of(pointer) != before


def test_a_network_is_read_once_unless_it_changes(tmp_path, monkeypatch):
    folder, read = write_network(tmp_path / "net"), []
    real = fingerprint.file_hash
    monkeypatch.setattr(fingerprint, "file_hash", lambda path: read.append(path.name) or real(path))
    hashes = BackboneHashes()
    before = hashes.of(folder)
    assert hashes.of(folder) == before and read == ["backbone.json", "model.ts"]
    (folder / "model.ts").write_bytes(b"other weights")
    assert hashes.of(folder) != before
