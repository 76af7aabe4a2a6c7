"""Devices by name, and one clear error for all the ways of running out of memory."""

import pytest

from InteractiveRefineLib.errors import Cancelled, InputError, OutOfMemoryError

torch = pytest.importorskip("torch")

from InteractiveRefineLib.device import choose_device, is_of_several_devices, out_of_memory_as_error, repeatable_on  # noqa: E402


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
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
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


@pytest.mark.parametrize("text, several", [
    ("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!", True),
    ("expected self and mask to be on the same device, but got mask on cpu and self on cuda:0", True),
    ("indices should be either on cpu or on the same device as the indexed tensor (cpu)", True),
    ("Input type (torch.cuda.FloatTensor) and weight type (torch.FloatTensor) should be the same", True),
    ("Input type (torch.FloatTensor) and weight type (torch.cuda.FloatTensor) should be the same", True),
    ("Input type (torch.cuda.HalfTensor) and weight type (torch.cuda.FloatTensor) should be the same", False),
    ("Input type (torch.HalfTensor) and weight type (torch.FloatTensor) should be the same", False),
    ("expected input[1, 1, 8, 6, 10] to have 2 channels, but got 1 channels instead", False),
])  # fmt: skip
def test_what_torch_says_of_several_devices(text, several):
    assert is_of_several_devices(RuntimeError(text)) == several
    assert not is_of_several_devices(ValueError(text))


def precision():
    return torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic, torch.get_deterministic_debug_mode()


def test_a_graphics_card_repeats_itself_in_single_precision_while_it_works_for_us_only():
    before = precision()
    assert before == (True, False, 0)  # torch's own choice
    with pytest.raises(KeyError), repeatable_on(torch.device("cuda")):
        assert precision() == (False, True, 1)
        raise KeyError
    assert precision() == before


def test_the_cpu_needs_no_such_care():
    with repeatable_on(torch.device("cpu")):
        assert precision() == (True, False, 0)


def test_whoever_asked_torch_for_more_keeps_it():
    torch.set_deterministic_debug_mode("error")
    try:
        with repeatable_on(torch.device("cuda")):
            assert precision() == (False, True, 2)
    finally:
        torch.set_deterministic_debug_mode("default")
