"""Exceptions that carry a message for the user and the exit code of the command line."""

from __future__ import annotations


class RefineError(Exception):
    """Base of every error this library raises on purpose; the text says what to do next."""

    exit_code = 1


class InputError(RefineError, ValueError):
    """Something the user handed over cannot be used; nothing was changed."""

    exit_code = 2


class BackboneError(InputError):
    """A backbone folder is incomplete, malformed or does not fit the image."""


class OnCpuOnlyError(BackboneError):
    """The network does not run on the graphics card; on the CPU it may."""


class Cancelled(RefineError):
    """The user pressed Cancel; the previous result is kept."""

    exit_code = 3


class OutOfMemoryError(RefineError, MemoryError):
    """The computation did not fit into memory, even after it was made smaller."""

    exit_code = 4
