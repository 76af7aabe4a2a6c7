"""`python -m Testing.faults`: injects every fault, prints the matrix, and exits 1 when anything was lost."""

from __future__ import annotations

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the rows and print them; 0 when every fault was survived and nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m Testing.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the rows that take more than a few seconds")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose group, name or function contains it")
    args = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(1)  # on arrays this small, threads only wait for each other
    from .registry import measure
    from .rows import all_rows
    from .table import markdown, remarks

    chosen = [r for r in all_rows() if not (args.quick and r.slow) and args.only in f"{r.group} {r.name} {r.id}"]
    if not chosen:
        parser.error(f"no row contains {args.only!r}")
    measured = []
    for line in chosen:
        print(f"{line.group}: {line.name} ...", end="", file=sys.stderr, flush=True)
        tally = measure(line)
        print(f" {'good' if tally.is_good else 'FAILED'}, {tally.seconds:.1f} s", file=sys.stderr, flush=True)
        measured.append((line, tally))
    print(markdown(measured))
    said = remarks(measured)
    if said:
        print("\n" + said)
    return 0 if all(tally.is_good for _, tally in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
