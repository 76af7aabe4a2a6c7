"""`interactive-refine worker`: computes for 3D Slicer or for `refine --worker`, through stdin and stdout."""

from __future__ import annotations

import argparse

from ..errors import RefineError

NAME = "worker"
SUMMARY = "compute for another program, through stdin and stdout"
DESCRIPTION = """\
Wait for another program's messages at stdin, compute, and answer at stdout. 3D Slicer starts it on this computer by
itself; it can also be started on another one, through ssh or a cluster's queue.
Nobody types into it; it leaves when its input ends."""
EXAMPLE = """\
  interactive-refine refine --worker "ssh gpu-box interactive-refine worker" --image ct.nrrd \\
      --scribbles strokes.seg.nrrd --output refined.seg.nrrd"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This command has no options."""


def run(args: argparse.Namespace) -> None:
    """Run this command."""
    from ..worker.server import main

    if main() != 0:
        raise RefineError("The program at the other end does not speak this worker's protocol; see above.")
