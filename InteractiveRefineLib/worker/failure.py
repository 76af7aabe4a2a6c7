"""What can go wrong with a worker, as one error with a code and a text that tells the user what to do."""

from __future__ import annotations

import re

from ..errors import RefineError

DIED, HUNG, OUT_OF_MEMORY, CANCELLED = "died", "hung", "out-of-memory", "cancelled"
BAD_INPUT, BACKBONE, PROTOCOL, CANNOT_START, INTERNAL = "bad-input", "backbone", "protocol", "cannot-start", "internal"
CODES = (DIED, HUNG, OUT_OF_MEMORY, CANCELLED, BAD_INPUT, BACKBONE, PROTOCOL, CANNOT_START, INTERNAL)

#: Exit codes as the command line gives them, see errors.py.
_EXIT_CODES = {BAD_INPUT: 2, BACKBONE: 2, CANCELLED: 3, OUT_OF_MEMORY: 4}
#: What is shown of the worker's last words.
_TAIL_LINES, _TAIL_CHARACTERS = 5, 600

KEPT = "Your segmentation and strokes are as they were."
_KILLED = re.compile(r"\b(?:signal|crashed)\D{0,25}9\b|\bSIGKILL\b|\bexit code (?:137|-9)\b")
_MISSING = re.compile(r"\bexit code 12[67]\b")
_SSH_FAILED = re.compile(r"\bexit code 255\b")


class WorkerError(RefineError):
    """A round that came to nothing, or a worker that could not be used; what was there before is unchanged.

    Attributes:
        code: one of `CODES`.
        exit_code: of the command line.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code if code in CODES else INTERNAL
        self.exit_code = _EXIT_CODES.get(self.code, 1)


def reason_of_exit(returncode: int) -> str:
    """How a process ended, in the words that `ended` understands; `returncode` as of `subprocess.Popen`."""
    return f"killed by signal {-returncode}" if returncode < 0 else f"ended with exit code {returncode}"


def ended(reason: str, stderr_tail: str, *, greeted: bool) -> WorkerError:
    """The error for a worker that went away while something was expected of it.

    Args:
        reason: as in `reason_of_exit`.
        stderr_tail: the last of what it wrote to stderr.
        greeted: it had said hello before.
    """
    words = last_words(stderr_tail)
    if not greeted:
        if _MISSING.search(reason):
            advice = "The program was not found or may not be run: check the worker's command in the settings."
        elif _SSH_FAILED.search(reason):
            advice = "Check that `ssh` reaches the machine without asking for a password."
        else:
            advice = "Check the worker's command in the settings, and that the library and PyTorch are installed there."
        return WorkerError(CANNOT_START, f"The worker could not be started: {reason}. {advice} {KEPT}{words}")
    if _KILLED.search(reason):
        return WorkerError(
            DIED,
            f"The worker was killed ({reason}), probably because the computer ran out of memory. {KEPT} Close other "
            f"programs or crop the image, then refine again; the worker is restarted by itself.{words}",
        )
    return WorkerError(
        DIED, f"The worker stopped unexpectedly ({reason}). {KEPT} Refine again; the worker is restarted.{words}"
    )


def last_words(stderr_tail: str) -> str:
    """The end of the worker's stderr, to be appended to a sentence; "" when it said nothing."""
    lines = [line.rstrip() for line in stderr_tail.splitlines() if line.strip()][-_TAIL_LINES:]
    text = "\n".join(lines)[-_TAIL_CHARACTERS:]
    return f"\nThe worker's last words:\n{text}" if text else ""


def cancelled() -> WorkerError:
    """The user cancelled."""
    return WorkerError(CANCELLED, f"Cancelled. {KEPT}")


def no_memory() -> WorkerError:
    """Memory ran out on this side."""
    text = "There is not enough memory to exchange the image with the worker. Close other programs."
    return WorkerError(OUT_OF_MEMORY, f"{text} {KEPT}")
