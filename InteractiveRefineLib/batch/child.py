"""The process in which `apart` computes cases: it reads them from stdin, one JSON line each, and answers on stdout."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from ..errors import Cancelled, RefineError
from .attempt import attempt_case
from .case import Case
from .check import describe_here
from .networks import NetworkKeeper
from .store import CaseStore


def main(arguments: list[str]) -> int:
    """Compute until stdin ends; with a folder as argument, tell what the network in it knows."""
    # Whatever a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(fields: dict[str, Any]) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    def on_step(step: int, total: int, message: str) -> None:
        answer({"step": [int(step), int(total), message]})

    if arguments:
        try:
            answer({"known": dataclasses.asdict(describe_here(arguments[0]))})
        except RefineError as error:
            answer({"error": str(error)})
        return 0
    start = json.loads(sys.stdin.readline() or "null")
    if start is None:
        return 0
    if start["threads"] is not None:
        import torch

        torch.set_num_threads(start["threads"])
    store, networks = CaseStore(Path(start["output"]), Path(start["run"])), NetworkKeeper()
    for line in sys.stdin:
        case = Case.from_fields(json.loads(line))
        try:
            outcome = attempt_case(
                case, store, networks, preview=start["preview"], progress=on_step, should_cancel=store.is_over
            )
        except Cancelled:
            answer({"outcome": None})
            return 0
        answer({"outcome": outcome.to_fields()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
