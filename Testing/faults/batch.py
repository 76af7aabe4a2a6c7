"""A batch whose process is killed between and in the middle of cases, and one with cases that cannot be computed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from InteractiveRefineLib.batch import run_batch
from InteractiveRefineLib.segmentation_io import read_segmentation
from InteractiveRefineLib.volume import Volume
from Testing.tests.cli_examples import LPS, scan, strokes, write_backbone, write_labels, write_scan
from Testing.tests.session_examples import hesitant

from .forked_worker import in_a_fork
from .registry import Tally, row

_GROUP = "Batch"
_N_CASES = 3
#: What a run writes for people beside the results, which need not be the same after a resume.
_OTHERS = ("timings.json", "timings.csv", "summary.md", "summary.csv")


def _inputs(folder: Path) -> list[dict[str, str]]:
    """Scans, strokes and a network; the rows of a manifest."""
    folder.mkdir()
    write_backbone(folder / "backbone", hesitant())
    write_labels(folder / "strokes.nrrd", strokes())
    for n in range(_N_CASES):
        write_scan(folder / f"scan {n}.nrrd", scan(seed=n))
    return [
        {"case": f"case {n}", "image": f"scan {n}.nrrd", "backbone": "backbone", "strokes": "strokes.nrrd"}
        for n in range(_N_CASES)
    ]


def _results(output: Path) -> dict[str, bytes]:
    found = (p for p in sorted(output.rglob("*")) if p.is_file() and "_batch" not in p.parts)
    return {p.relative_to(output).as_posix(): p.read_bytes() for p in found if p.name not in _OTHERS}


@row(_GROUP, "killed after n cases, or in the middle of one, and resumed: every case once, the same bytes", slow=True)
def killed(tally: Tally, folder: Path) -> None:
    rows = _inputs(folder / "inputs")
    assert len(run_batch(rows, folder / "whole", base=folder / "inputs").outcomes) == _N_CASES
    expected, stroked = _results(folder / "whole"), strokes()
    for cases, steps in ((0, 2), (1, 0), (2, 9)):
        with tally.fault(f"after {cases} cases and {steps} steps"):
            output = folder / f"out {cases} {steps}"
            code = in_a_fork(_run_and_die, rows, str(folder / "inputs"), str(output), cases, steps)
            assert code == -signal.SIGKILL, f"it was not killed: {code}"
            result = run_batch(rows, output, base=folder / "inputs", resume=True)
            finished = [o for o in result.outcomes if o.status == "finished"]
            tally.cases_done(_N_CASES, len({o.name for o in finished}))
            assert sum(o.reused for o in finished) >= cases, "a finished case was computed again"
            found = _results(output)
            assert found == expected, f"other results: {sorted(n for n in expected if found.get(n) != expected[n])}"
            for n in range(_N_CASES):
                labels = read_segmentation(output / f"case {n}" / "refined.seg.nrrd").labels
                wanted = np.where(stroked == 255, 0, stroked)
                tally.strokes_lost += bool((labels != wanted)[stroked > 0].any())


def _run_and_die(rows: list, inputs: str, output: str, cases: int, steps: int) -> None:
    count = {"cases": 0, "steps": 0}

    def die_in_time() -> None:
        if count["cases"] >= cases and count["steps"] >= steps:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_case(*_) -> None:
        count["cases"] += 1
        count["steps"] = 0
        die_in_time()

    def progress(*_) -> None:
        count["steps"] += 1
        die_in_time()

    run_batch(rows, output, base=inputs, on_case=on_case, progress=progress)


@row(_GROUP, "cases with NaN, a cut image or a hostile network among good ones: listed, and the others are finished")
def broken_cases(tally: Tally, folder: Path) -> None:
    from .network_files import Trap

    inputs = folder / "inputs"
    rows = _inputs(inputs)
    run_batch(rows, folder / "whole", base=inputs)
    array = scan().array.copy()
    array[0, 0, 0] = np.nan
    write_scan(inputs / "nan.nrrd", Volume(array, LPS))
    whole = (inputs / "scan 0.nrrd").read_bytes()
    (inputs / "cut.nrrd").write_bytes(whole[: len(whole) // 2])
    write_backbone(inputs / "hostile")
    import pickle

    (inputs / "hostile" / "model.ts").write_bytes(pickle.dumps(Trap(folder / "sprung")))
    broken = {"nan": {"image": "nan.nrrd"}, "cut": {"image": "cut.nrrd"}, "hostile": {"backbone": "hostile"}}
    with tally.fault("three broken cases among three good ones"):
        mixed = [row for pair in zip(rows, [{**rows[0], "case": name, **changes} for name, changes in broken.items()])
                 for row in pair] + rows[len(broken):]  # fmt: skip
        result = run_batch(mixed, folder / "mixed", base=inputs)
        tally.trap(folder / "sprung")
        failed = {o.name: o.reason for o in result.outcomes if o.status == "failed"}
        tally.cases_done(_N_CASES, sum(o.status == "finished" for o in result.outcomes))
        assert set(failed) == set(broken) and all(failed.values()), failed
        expected, found = _results(folder / "whole"), _results(folder / "mixed")
        assert all(found.get(name) == data for name, data in expected.items()), "a good case came out otherwise"
