"""`python -m InteractiveRefineLib ...`: the command line; its `worker` needs only what 3D Slicer's Python has."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    if sys.argv[1:] == ["worker"]:
        # Past the command line, which imports tqdm and the like: Slicer's Python does not have them.
        from .worker.server import main as serve

        return serve()
    from .cli.main import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
