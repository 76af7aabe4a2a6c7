"""Choose where to compute, and turn running out of memory into one clear error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from .dispatch import PlainDispatchMode
from .errors import InputError, OutOfMemoryError

#: What torch's plain RuntimeErrors say on Windows, on Linux, out of TorchScript on CUDA, and of CUDA's own libraries.
_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "status_alloc_failed")
#: What they say where the operands of one operation lie on several devices.
_SEVERAL_DEVICES = ("on the same device", "on same device")


def is_out_of_memory(error: BaseException) -> bool:
    """True for what Python and torch raise when memory runs out, on the CPU and on CUDA."""
    text = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)
    )


def is_of_several_devices(error: BaseException) -> bool:
    """True for what torch raises when the operands of one operation lie on several devices."""
    text = str(error).lower()
    of_convolution = "and weight type" in text and text.count("torch.cuda.") == 1
    return isinstance(error, RuntimeError) and (of_convolution or any(sign in text for sign in _SEVERAL_DEVICES))


class MemoryWatch(PlainDispatchMode):
    """Keeps the error of an operation that ran out of memory, and whether one had operands on several devices.

    Where operations are followed one by one (to record them), TorchScript passes on an error without type and text.

    Attributes:
        error: the first one of memory, None before.
        several_devices: True after one of devices.
    """

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.several_devices = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        try:
            return func(*args, **(kwargs or {}))
        except Exception as error:
            if self.error is None and is_out_of_memory(error):
                self.error = error
            self.several_devices |= is_of_several_devices(error)
            raise


@dataclass(frozen=True)
class Devices:
    """Where one session computes.

    Attributes:
        network: runs the network, window by window.
        fields: keeps and computes everything that reaches over the whole image; the same device, or the CPU.
    """

    network: torch.device
    fields: torch.device

    @classmethod
    def only(cls, device: torch.device) -> Devices:
        """Everything on one device."""
        return cls(device, device)


def choose_device(name: str) -> torch.device:
    """The device named "auto", "cpu", "cuda" or "cuda:N"; "auto" takes CUDA where it works.

    Raises:
        InputError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"The device must be 'auto', 'cpu' or 'cuda:N', not {name!r}.") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"The device must be 'auto', 'cpu' or 'cuda:N', not {name!r}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise InputError(f"There is no device {name!r} here ({found} CUDA devices found). Choose 'auto' or 'cpu'.")
    return device


@contextmanager
def repeatable_on(device: torch.device) -> Iterator[None]:
    """On a graphics card, let the same input give the same output, to single precision; on the CPU it does anyway.

    By default cuDNN rounds the factors of its convolutions to 10 bits (TF32), and may choose algorithms that add up in
    another order each time. What has no other algorithm on the card runs nevertheless, with a warning.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, before = torch.backends.cudnn, torch.get_deterministic_debug_mode()
    with cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False):
        torch.set_deterministic_debug_mode(max(before, 1))
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(before)


@contextmanager
def out_of_memory_as_error() -> Iterator[None]:
    """Raise `OutOfMemoryError` for whatever torch, CUDA or numpy raise when memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, OutOfMemoryError):
            raise
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            "Out of memory; the segmentation is unchanged. Close other programs, choose the device 'cpu', or crop "
            "the image around the region of interest."
        ) from error
