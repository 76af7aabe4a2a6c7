"""Every error of the computation as a `WorkerError` with the code that the client is told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BackboneError, Cancelled, InputError, OutOfMemoryError
from ..torch_probe import MISSING, TorchReport
from . import failure
from .failure import WorkerError
from .wire import WireError

_log = logging.getLogger(__name__)


@contextmanager
def coded_errors(torch: TorchReport) -> Iterator[None]:
    """Turn whatever goes wrong into a `WorkerError` with its code."""
    try:
        yield
    except WorkerError:
        raise
    except Cancelled as error:
        raise WorkerError(failure.CANCELLED, str(error)) from error
    except (OutOfMemoryError, MemoryError) as error:
        text = str(error) if isinstance(error, OutOfMemoryError) else (
            f"The worker ran out of memory. {failure.KEPT} Close other programs, or crop the image."
        )  # fmt: skip
        raise WorkerError(failure.OUT_OF_MEMORY, text) from error
    except BackboneError as error:
        raise WorkerError(failure.BACKBONE, str(error)) from error
    except WireError as error:
        raise WorkerError(failure.PROTOCOL, str(error)) from error
    except InputError as error:
        raise WorkerError(failure.BAD_INPUT, str(error)) from error
    except Exception as error:
        if not torch.usable:
            raise WorkerError(failure.CANNOT_START, no_torch(torch)) from error
        _log.exception("Unexpected error in the worker")
        raise WorkerError(
            failure.INTERNAL, f"Unexpected {type(error).__name__} in the worker: {error}. {failure.KEPT}"
        ) from error


def no_torch(torch: TorchReport) -> str:
    """Why nothing can be computed here, for the user."""
    if torch.state == MISSING:
        return "PyTorch is not installed where the worker runs; install it there (pip install torch) and try again."
    return (
        f"PyTorch cannot be used where the worker runs ({torch.state} {torch.version} {torch.detail}). Install it "
        "there again and retry."
    )
