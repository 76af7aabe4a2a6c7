"""A batch on Dask workers gives the same files as one here, also when workers are killed in the middle of cases."""

import collections
import importlib.util
import json
import os
import random
import threading
import time

import pytest

pytest.importorskip("torch")
pytest.importorskip("distributed")

import dask  # noqa: E402
import psutil  # noqa: E402
from batch_examples import a_row, bytes_of  # noqa: E402
from distributed import LocalCluster  # noqa: E402

from InteractiveRefineLib.batch import Computing, on_dask  # noqa: E402
from InteractiveRefineLib.batch.case import Case  # noqa: E402
from InteractiveRefineLib.batch.outcome import FAILED, FINISHED, Outcome  # noqa: E402
from InteractiveRefineLib.batch.serial import run_here  # noqa: E402
from InteractiveRefineLib.errors import InputError  # noqa: E402
from InteractiveRefineLib.progress import no_progress  # noqa: E402

pytest_plugins = ["batch_examples"]

N_CASES, N_KILLS = 40, 3


class Assassin(threading.Thread):
    """Kills a random worker process whenever another tenth of the cases is done and some case is being computed."""

    def __init__(self, output):
        super().__init__(daemon=True)
        self.output, self.stop, self.killed, self.listening = output, threading.Event(), 0, set()
        self._random = random.Random(0)

    def run(self):
        while not self.stop.wait(0.02):
            done = len(list(self.output.glob("case-*")))
            working = list(self.output.glob("_batch/run-*/case-*"))
            if working and self.killed < N_KILLS and done >= 4 * (self.killed + 1):
                self.listening |= listening()
                time.sleep(self._random.uniform(0, 0.3))
                victims = workers()
                if victims:
                    self._random.choice(victims).kill()
                    self.killed += 1


def workers():
    """The processes that compute, as far as they are up: they were started by `multiprocessing`, and load torch."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "spawn_main" in " ".join(process.cmdline()) and process.num_threads() > 2:
                found.append(process)
        except psutil.Error:
            continue
    return found


def listening():
    """Addresses at which this process and its children wait for connections."""
    found = set()
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            connections = process.net_connections(kind="inet")
        except psutil.Error:
            continue
        found |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.slow
def test_forty_cases_finish_exactly_once_though_workers_are_killed_and_give_the_same_bytes(batch_of, inputs):
    rows = [
        a_row(f"case-{n:02}", image=("image.nrrd", "other.nrrd")[n % 2], settings=json.dumps({"seed": n, "steps": 3}))
        for n in range(N_CASES)
    ]
    rows[7]["strokes"] = "wrong.nrrd"
    batch_of(*rows, output=inputs.parent / "serial")
    output = inputs.parent / "dask"
    assassin = Assassin(output)
    assassin.start()
    try:
        result = batch_of(*rows, output=output, computing=Computing(workers=2, threads=1, retries=2 * N_KILLS))
    finally:
        assassin.stop.set()
        assassin.join()
    assert assassin.killed == N_KILLS
    assert (len(result.finished), len(result.failed), result.left) == (N_CASES - 1, 1, ())
    assert bytes_of(output) == bytes_of(inputs.parent / "serial")
    journal = [json.loads(line) for line in (output / "_batch" / "journal.jsonl").read_text().splitlines()]
    ends = collections.Counter((e["case"], e["event"]) for e in journal if e["event"] in ("finished", "kept", "failed"))
    assert set(ends.values()) == {1} and {name for name, _ in ends} == {row["case"] for row in rows}
    assert sorted(p.name for p in (output / "_batch").iterdir()) == ["failed", "journal.jsonl", "lock"]
    assert assassin.listening == {"127.0.0.1"}, "a port was open to others"
    assert workers() == [], "a worker was left behind"


@pytest.fixture(scope="module")
def scheduler():
    """An existing scheduler with one worker of two threads and one GPU, in this process."""
    with dask.config.set({"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}):
        cluster = LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address=None,
            resources={"GPU": 1},
        )
    with cluster:
        yield cluster.scheduler_address


def test_an_existing_scheduler_gets_the_cases(batch_of, inputs, scheduler):
    rows = [a_row("a"), a_row("b", strokes="wrong.nrrd"), a_row("c", image="other.nrrd")]
    batch_of(*rows, output=inputs.parent / "serial")
    result = batch_of(*rows, computing=Computing(scheduler=scheduler, resources={"GPU": 1}))
    assert [o.status for o in result.outcomes] == ["finished", "failed", "finished"]
    assert all(o.worker.startswith("tcp://127.0.0.1:") for o in result.outcomes)
    assert bytes_of(inputs.parent / "out") == bytes_of(inputs.parent / "serial")


def test_a_case_waits_for_a_worker_with_the_resources_it_needs(batch_of, inputs, scheduler, monkeypatch):
    started = []

    def attempt(case, *more, **options):
        started.append(case.name)
        return Outcome(case.name, FINISHED)

    monkeypatch.setattr(on_dask, "attempt_case", attempt)
    end = time.monotonic() + 2
    beyond = Computing(scheduler=scheduler, resources={"GPU": 2})
    result = batch_of(a_row(), computing=beyond, should_cancel=lambda: time.monotonic() > end)
    assert result.left == ("a",) and started == []
    result = batch_of(a_row(), computing=Computing(scheduler=scheduler, resources={"GPU": 1}))
    assert result.left == () and started == ["a"]


def test_an_error_that_is_not_the_inputs_fault_is_tried_again(batch_of, inputs, scheduler, monkeypatch):
    calls = collections.Counter()
    real = on_dask.attempt_case

    def attempt(case, *more, **options):
        calls[case.name] += 1
        if case.name == "never" or calls[case.name] < 3:
            return Outcome(case.name, FAILED, reason="Out of memory.", try_again=case.name != "input")
        return real(case, *more, **options)

    monkeypatch.setattr(on_dask, "attempt_case", attempt)
    rows = [a_row("third"), a_row("never"), a_row("input")]
    result = batch_of(*rows, computing=Computing(scheduler=scheduler, retries=2))
    assert {o.name: o.status for o in result.outcomes} == {"third": "finished", "never": "failed", "input": "failed"}
    assert calls == {"third": 3, "never": 3, "input": 1}


def test_cancelling_leaves_what_was_not_finished(batch_of, inputs, scheduler):
    done = []
    result = batch_of(
        *[a_row(name) for name in "abcdef"],
        computing=Computing(scheduler=scheduler),
        on_case=lambda outcome, n, total: done.append(outcome.name),
        should_cancel=lambda: bool(done),
    )
    assert 1 <= len(done) < 6 and len(result.left) == 6 - len(done)
    time.sleep(0.5)
    out = inputs.parent / "out"
    assert sorted(p.name for p in (out / "_batch").iterdir()) == ["journal.jsonl", "lock"]
    resumed = batch_of(*[a_row(name) for name in "abcdef"], resume=True)
    assert len(resumed.finished) == 6


def test_what_a_worker_finishes_before_it_hears_of_a_cancel_is_recorded_and_told(batch_of, inputs, monkeypatch):
    def without_hearing_of_it(cases, folder, computing, **more):
        for number, outcome in enumerate(run_here(cases[:3], folder.store, **more, progress=no_progress)):
            if number == 0:
                yield outcome

    monkeypatch.setattr(on_dask, "run_on_dask", without_hearing_of_it)
    told = []
    result = batch_of(
        *[a_row(name) for name in "abcd"],
        computing=Computing(workers=2),
        on_case=lambda outcome, done, total: told.append((outcome.name, done, total)),
    )
    assert told == [("a", 1, 4), ("b", 2, 4), ("c", 3, 4)]
    assert [outcome.name for outcome in result.finished] == ["a", "b", "c"] and result.left == ("d",)


def fields_of(inputs, name="a"):
    return Case(name, 2, (("", str(inputs / "image.nrrd")),), str(inputs / "backbone")).to_fields()


def test_a_worker_of_another_version_says_so(inputs, tmp_path):
    (tmp_path / "_batch" / "run").mkdir(parents=True)
    run = str(tmp_path / "_batch" / "run")
    fields = on_dask.compute_on_worker(fields_of(inputs), str(tmp_path), run, False, None, "0.0.1")
    assert fields["status"] == "failed" and "was started by 0.0.1" in fields["reason"]


def test_a_worker_that_does_not_see_the_output_folder_says_so(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(on_dask, "_SHARED_FOLDER_S", 0.1)
    version = on_dask.__version__
    there = tmp_path / "elsewhere" / "_batch" / "run"
    fields = on_dask.compute_on_worker(fields_of(inputs), str(there.parents[1]), str(there), False, None, version)
    assert fields["status"] == "failed" and "The workers need the same folders" in fields["reason"]
    there.parent.mkdir(parents=True)
    assert on_dask.compute_on_worker(fields_of(inputs), str(there.parents[1]), str(there), False, None, version) is None


class KilledWorker(Exception):
    last_worker = type("Worker", (), {"address": "tcp://10.0.0.7:1"})


def test_a_case_that_kills_every_worker_is_failed_with_that_reason():
    case = Case("a", 2, (), "")
    outcome = on_dask._outcome_of("error", (KilledWorker, KilledWorker("a"), None), case)
    assert (outcome.status, outcome.try_again) == ("failed", False)
    assert outcome.reason == "Its worker was lost again and again (tcp://10.0.0.7:1): out of memory, or a crash."
    assert on_dask._outcome_of("cancelled", None, case) is None
    unexpected = on_dask._outcome_of("error", (ValueError, ValueError("by\nchance"), None), case)
    assert (unexpected.reason, unexpected.try_again) == ("Unexpected ValueError on a worker: by chance", True)


def test_a_case_that_was_finished_before_its_worker_died_is_no_older_result(batch_of, inputs, monkeypatch):
    from InteractiveRefineLib.batch import attempt, serial

    real = attempt.attempt_case

    def twice(*arguments, **options):
        real(*arguments, **options)
        return real(*arguments, **options)

    monkeypatch.setattr(serial, "attempt_case", twice)
    (outcome,) = batch_of(a_row()).outcomes
    assert (outcome.status, outcome.reused) == ("finished", False)


def test_without_the_package_several_workers_are_refused_with_advice(batch_of, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "distributed" else real(name))
    with pytest.raises(InputError, match=r"pip install 'interactive-refine\[batch\]'"):
        batch_of(a_row(), computing=Computing(workers=2))


def test_a_scheduler_that_does_not_answer_is_one_clear_error(batch_of):
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        with pytest.raises(InputError, match="The scheduler tcp://127.0.0.1:1 cannot be used"):
            batch_of(a_row(), computing=Computing(scheduler="tcp://127.0.0.1:1"))


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"threads": 0}, {"retries": -1}, {"workers": 2, "scheduler": "x"}])
def test_numbers_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError):
        Computing(**wrong)


def test_the_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8), raising=False)
    assert [on_dask._threads(Computing(workers=n)) for n in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert on_dask._threads(Computing(workers=4, threads=3)) == 3
    assert on_dask._threads(Computing(scheduler="tcp://head:8786")) is None
