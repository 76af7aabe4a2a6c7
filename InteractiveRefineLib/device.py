"""Choose where to compute, and turn running out of memory into one clear error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .dispatch import PlainDispatchMode
from .errors import InputError, OutOfMemoryError

#: What torch's plain RuntimeErrors say on Windows, on Linux, and out of TorchScript on CUDA.
_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """True for what Python and torch raise when memory runs out, on the CPU and on CUDA."""
    text = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)
    )


class MemoryWatch(PlainDispatchMode):
    """Keeps the error of an operation that ran out of memory.

    Where operations are followed one by one (to record them), TorchScript passes on an error without type and text.

    Attributes:
        error: the first such error, None before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        try:
            return func(*args, **(kwargs or {}))
        except Exception as error:
            if self.error is None and is_out_of_memory(error):
                self.error = error
            raise


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
