"""The command `interactive-refine`: finds the subcommand, runs it, and turns every failure into one line and a code."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from .. import __version__
from ..errors import Cancelled, OutOfMemoryError, RefineError
from . import batch, check_backbone, grow, predict, refine, worker
from .interrupt import listening_for_interrupts

PROGRAM = "interactive-refine"
EXIT_UNEXPECTED, EXIT_BAD_INPUT = 1, 2

_DESCRIPTION = """\
Correct the segmentation of any pretrained network from a few strokes.
Every stroke is obeyed, and what nobody complained about is left alone."""
_EPILOG = f"""\
Each command explains itself, with an example: {PROGRAM} refine --help

Exit codes: 0 success, 1 unexpected error, 2 an input cannot be used, 3 cancelled, 4 out of memory,
5 some cases of a batch failed."""


class _Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line."""

    def error(self, message: str) -> None:
        print(f"{PROGRAM}: error: {message}. See: {self.prog} --help", file=sys.stderr)
        raise SystemExit(EXIT_BAD_INPUT)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; `args.run(args)` runs the chosen command."""
    parser = _Parser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (predict, grow, refine, batch, check_backbone, worker):
        command = commands.add_parser(
            module.NAME,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=f"Example:\n{module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.add_argument("--debug", action="store_true", help="after an error, show where in the program it arose")
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: arguments without the program's name; None takes those of the process.
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as request:  # --help, --version or a complaint, already printed
        return int(request.code or 0)
    try:
        with listening_for_interrupts():
            args.run(args)
        return 0
    except KeyboardInterrupt:
        return _fail(args, Cancelled("Cancelled at once; an output that is there is complete."))
    except RefineError as error:
        return _fail(args, error)
    except Exception as error:
        if _is_out_of_memory(error):
            return _fail(args, OutOfMemoryError("Out of memory. Close other programs, or use a smaller image."))
        hint = "" if args.debug else " Run it again with --debug to see where."
        return _fail(args, RefineError(f"Unexpected {type(error).__name__}: {error}.{hint}"))


def _fail(args: argparse.Namespace, error: RefineError) -> int:
    if args.debug:
        traceback.print_exc()
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # Only check-backbone has room for the drawing of the expected folder, and batch for a list; elsewhere it is a line.
    shown = lines if args.run in (check_backbone.run, batch.run) else lines[:1]
    print(f"{PROGRAM}: error: " + "\n".join(shown), file=sys.stderr)
    return error.exit_code


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    # torch raises RuntimeErrors for this, and must not be imported here just to name them.
    signs = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in signs)


if __name__ == "__main__":
    sys.exit(main())
