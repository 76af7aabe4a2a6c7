"""A result file is written whole or not at all, and unwritable places are found before the work starts."""

import errno
import os

import pytest

from InteractiveRefineLib import atomic
from InteractiveRefineLib.atomic import atomic_output, full_extension, require_writable
from InteractiveRefineLib.errors import InputError


@pytest.fixture
def failing_open(monkeypatch):
    """Makes creating a file fail with a given errno; permissions would not stop root, who runs these tests."""

    def arrange(code):
        def fail(path, flags, mode=0o777):
            raise OSError(code, os.strerror(code), str(path))

        monkeypatch.setattr(atomic.os, "open", fail)

    return arrange


def test_the_file_appears_only_when_the_block_ends(tmp_path):
    with atomic_output(tmp_path / "result.nrrd") as temporary:
        temporary.write_bytes(b"voxels")
        assert not (tmp_path / "result.nrrd").exists()
    assert (tmp_path / "result.nrrd").read_bytes() == b"voxels"


@pytest.mark.parametrize(
    ("name", "ending"),
    [("a.seg.nrrd", ".seg.nrrd"), ("a.nii.gz", ".nii.gz"), ("a.v1.2.nrrd", ".nrrd"), ("A.NII.GZ", ".NII.GZ")],
)
def test_the_temporary_file_has_the_same_folder_and_ending(tmp_path, name, ending):
    with atomic_output(tmp_path / name) as temporary:
        assert temporary.parent == tmp_path
        assert full_extension(temporary) == ending
        assert temporary.name != name


def test_nothing_but_the_result_is_left_in_the_folder(tmp_path):
    with atomic_output(tmp_path / "result.nrrd") as temporary:
        temporary.write_bytes(b"voxels")
    assert [p.name for p in tmp_path.iterdir()] == ["result.nrrd"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file_and_removes_the_temporary_one(tmp_path, failure):
    (tmp_path / "result.nrrd").write_bytes(b"old")
    with pytest.raises(failure, match="halfway"), atomic_output(tmp_path / "result.nrrd") as temporary:
        temporary.write_bytes(b"half")
        raise failure("halfway")
    assert [p.name for p in tmp_path.iterdir()] == ["result.nrrd"]
    assert (tmp_path / "result.nrrd").read_bytes() == b"old"


def test_an_existing_file_is_replaced_and_keeps_its_permissions(tmp_path):
    (tmp_path / "result.nrrd").write_bytes(b"old")
    (tmp_path / "result.nrrd").chmod(0o640)
    with atomic_output(tmp_path / "result.nrrd") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "result.nrrd").read_bytes() == b"new"
    assert (tmp_path / "result.nrrd").stat().st_mode & 0o777 == 0o640


def test_a_new_file_gets_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_output(tmp_path / "result.nrrd") as temporary:
            temporary.write_bytes(b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "result.nrrd").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link_to_the_new_content(tmp_path):
    (tmp_path / "real.nrrd").write_bytes(b"old")
    (tmp_path / "link.nrrd").symlink_to(tmp_path / "real.nrrd")
    with atomic_output(tmp_path / "link.nrrd") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "link.nrrd").is_symlink()
    assert (tmp_path / "real.nrrd").read_bytes() == b"new"


def test_the_data_reach_the_disk_before_the_renaming(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(atomic.os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(atomic.os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    with atomic_output(tmp_path / "result.nrrd"):
        pass
    assert calls[:2] == ["fsync", "replace"]


def test_a_full_disk_while_writing_is_one_line_for_the_user(tmp_path):
    with pytest.raises(InputError, match=r"Cannot write .*result\.nrrd: the disk is full\. Free some space") as caught:
        with atomic_output(tmp_path / "result.nrrd"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_writable_place_passes_and_is_left_as_it_was(tmp_path):
    (tmp_path / "old.nrrd").write_bytes(b"old")
    require_writable(tmp_path / "new.nrrd")
    require_writable(tmp_path / "old.nrrd")
    assert [p.name for p in tmp_path.iterdir()] == ["old.nrrd"]
    assert (tmp_path / "old.nrrd").read_bytes() == b"old"


@pytest.mark.parametrize("check", [require_writable, lambda path: atomic_output(path).__enter__()])
def test_a_missing_folder_is_named_with_what_to_do(tmp_path, check):
    with pytest.raises(InputError, match=r"result\.nrrd: the folder .*nowhere does not exist\. Create it"):
        check(tmp_path / "nowhere" / "result.nrrd")


@pytest.mark.parametrize("check", [require_writable, lambda path: atomic_output(path).__enter__()])
def test_a_file_in_the_place_of_the_folder_is_named(tmp_path, check):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"result\.nrrd: .*file is not a folder\. Choose another folder"):
        check(tmp_path / "file" / "result.nrrd")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="it is a folder. Give the name of a file in it"):
        require_writable(tmp_path)


def test_a_device_in_the_place_of_the_file_is_refused():
    with pytest.raises(InputError, match="/dev/null: it is not an ordinary file"):
        require_writable("/dev/null")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_read_only_folder_is_refused_before_any_work(tmp_path, failing_open, code):
    failing_open(code)
    with pytest.raises(InputError, match=r"result\.nrrd: the folder .* is read-only\. Choose another folder") as caught:
        require_writable(tmp_path / "result.nrrd")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_refused_before_any_work(tmp_path, failing_open, code):
    failing_open(code)
    with pytest.raises(InputError, match="the disk is full. Free some space or choose another folder"):
        require_writable(tmp_path / "result.nrrd")


def test_a_disk_without_room_for_a_single_byte_is_refused_and_the_probe_removed(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.Path, "write_bytes", full)
    with pytest.raises(InputError, match="the disk is full"):
        require_writable(tmp_path / "result.nrrd")
    assert list(tmp_path.iterdir()) == []
