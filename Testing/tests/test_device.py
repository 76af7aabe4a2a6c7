"""Devices by name, and one clear error for all the ways of running out of memory."""

import pytest

from InteractiveRefineLib.errors import Cancelled, InputError, OutOfMemoryError

torch = pytest.importorskip("torch")

from InteractiveRefineLib.device import choose_device, out_of_memory_as_error  # noqa: E402


@pytest.mark.parametrize("found", [0, 2])
def test_auto_takes_cuda_where_it_works(monkeypatch, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    assert choose_device("auto").type == ("cuda" if found else "cpu")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:-1", "mps", "meta", "7"])
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match=r"'auto', 'cpu' or 'cuda:N'"):
        choose_device(name)


@pytest.mark.parametrize("name, found, fine", [
    ("cuda", 0, False), ("cuda:0", 0, False), ("cuda", 1, True), ("cuda:1", 1, False), ("cuda:1", 2, True),
])  # fmt: skip
def test_cuda_devices_must_be_there(monkeypatch, name, found, fine):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    if fine:
        assert choose_device(name) == torch.device(name)
    else:
        with pytest.raises(InputError, match=rf"no device '{name}' here \({found} CUDA"):
            choose_device(name)


@pytest.mark.parametrize("error", [
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"),
    RuntimeError("The following operation failed in the TorchScript interpreter. RuntimeError: CUDA out of memory."),
    torch.OutOfMemoryError("CUDA out of memory."),
])  # fmt: skip
def test_all_ways_to_run_out_of_memory(error):
    with pytest.raises(OutOfMemoryError, match="Out of memory; the segmentation is unchanged") as caught:
        with out_of_memory_as_error():
            raise error
    assert caught.value.__cause__ is error
    assert caught.value.exit_code == 4


def test_what_torch_really_says_here():
    with pytest.raises(OutOfMemoryError):
        with out_of_memory_as_error():
            torch.empty(10**15)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), Cancelled("stop"), InputError("bad"), OutOfMemoryError("x")])
def test_other_errors_pass_unchanged(error):
    with pytest.raises(type(error)) as caught:
        with out_of_memory_as_error():
            raise error
    assert caught.value is error


def test_without_an_error_nothing_happens():
    with out_of_memory_as_error():
        pass
