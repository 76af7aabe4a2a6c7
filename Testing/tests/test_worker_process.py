"""The worker as a real process: the same bytes as in this one, whatever happens to it in between."""

import os
import re
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.class_table import ClassTable  # noqa: E402
from InteractiveRefineLib.constraints import Constraints  # noqa: E402
from InteractiveRefineLib.segmentation import Segment, Segmentation  # noqa: E402
from InteractiveRefineLib.worker import wire  # noqa: E402
from InteractiveRefineLib.worker.client import Deadlines  # noqa: E402
from InteractiveRefineLib.worker.subprocess_transport import run_until_idle  # noqa: E402
from Testing.tests.cli_examples import truth  # noqa: E402
from Testing.tests.session_examples import EMPTY, IN_SPLEEN, MISSED, a_session  # noqa: E402
from Testing.tests.worker_examples import IMAGE, ROOT, edited, first_strokes, request, same_account  # noqa: E402

pytest_plugins = ["Testing.tests.worker_examples"]
pytestmark = pytest.mark.usefixtures("one_thread")

BY_HAND = [[2, 2, 2], [2, 2, 3]]
TUMOR = [[6, 10, 6], [6, 10, 7], [6, 11, 6]]


def second_strokes():
    constraints = first_strokes()
    constraints.next_round()
    constraints.add_stroke_indices(EMPTY, 0)
    constraints.add_stroke_indices(np.array(TUMOR), 3)
    constraints.locked = {2}
    return constraints


def as_shown(labels, segments):
    """A segmentation as the scene gives it back after a round, with an edit by hand."""
    return edited(Segmentation(labels.copy(), IMAGE.geometry, list(segments)), BY_HAND, 2)


@pytest.fixture(scope="module")
def undisturbed():
    """The results of two rounds in this process, and the session after them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    session = a_session(IMAGE)
    one = session.refine(first_strokes())
    session.set_current(as_shown(one.labels, session.classes))
    session.add_class("tumor")
    two = session.refine(second_strokes())
    torch.set_num_threads(before)
    return one, two, session


def second_request(backbone, one, client, **changes):
    current = as_shown(one.labels, client.segments)
    return request(backbone, second_strokes(), current=current, new_classes=("tumor",), **changes)


def test_two_rounds_in_a_worker_are_two_rounds_here(start_worker, backbones, undisturbed):
    client, told = start_worker()
    one, two, session = undisturbed
    found = told.ask(request(backbones["plain"], first_strokes()))
    assert same_account(found, one) and one.changed_box is not None
    assert [s.name for s in told.backbones[0].classes] == ["liver", "spleen"]
    assert told.progress[0][:2] == (0, told.progress[0][1]) and told.progress[-1][2] == "Done"
    assert any(step[3] is not None for step in told.progress), "the loss"

    found = told.ask(second_request(backbones["plain"], one, client))
    assert same_account(found, two)
    assert client.segments == session.classes and len(client.segments) == 3
    assert np.array_equal(client.manual, session.manual) and client.manual[2, 2, 2]
    assert all(np.array_equal(a, b) for a, b in zip(client.called, session.called))


def test_later_rounds_send_neither_the_image_nor_what_did_not_change(start_worker, backbones, undisturbed):
    client, told = start_worker()
    told.ask(request(backbones["plain"], first_strokes()))
    sent, write = [], client.transport.write
    client.transport.write = lambda data: (sent.append(data), write(data))
    told.ask(second_request(backbones["plain"], undisturbed[0], client))
    decoder = wire.FrameDecoder()
    decoder.feed(b"".join(sent))
    state, refine = iter(decoder.next, None)
    assert (state.kind, refine.kind) == ("state", "refine")
    assert state.fields["labels"]["box"] == [[2, 3], [2, 3], [2, 4]], "the box of the edit by hand"
    assert sum(array.size for array in refine.arrays) == 2 * (len(MISSED) + len(IN_SPLEEN) + len(EMPTY) + len(TUMOR))


def test_a_worker_killed_between_rounds_is_not_missed(start_worker, backbones, undisturbed):
    client, told = start_worker()
    one, two, _ = undisturbed
    told.ask(request(backbones["plain"], first_strokes()))
    first = client.transport
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    while client.alive:
        first.pump(0.1)
    assert not told.errors, "nobody waited for it"
    assert same_account(told.ask(second_request(backbones["plain"], one, client)), two)
    assert client.transport is not first


def test_a_new_client_that_is_told_everything_goes_on_where_the_other_was(start_worker, backbones, undisturbed):
    client, told = start_worker()
    one, two, _ = undisturbed
    told.ask(request(backbones["plain"], first_strokes()))
    current = as_shown(one.labels, client.segments)
    manual = client.manual | (current.labels != one.labels)
    other, told = start_worker()
    remembered = request(
        backbones["plain"],
        second_strokes(),
        current=current,
        manual=manual,
        called=client.called,
        new_classes=("tumor",),
    )
    assert same_account(told.ask(remembered), two)


def during(client, told, action):
    """Submit, and act once the network runs; returns the error that came of it."""
    while not told.progress:
        client.transport.pump(0.1)
    action(client.transport)
    run_until_idle(client)
    assert not told.results
    return told.errors[-1]


@pytest.mark.slow
def test_killed_in_the_middle_it_says_why_and_is_restarted(start_worker, backbones):
    client, told = start_worker()
    client.submit(request(backbones["slow"], first_strokes()))
    error = during(client, told, lambda transport: os.kill(transport.process.pid, signal.SIGKILL))
    assert error.code == "died"
    assert "ran out of memory" in str(error) and "as they were" in str(error) and not client.alive
    after = told.ask(request(backbones["slow"], first_strokes()))
    assert after.violated_strokes == 0 and client.alive
    other, fresh = start_worker()
    assert same_account(after, fresh.ask(request(backbones["slow"], first_strokes())))


def test_stopped_in_the_middle_it_is_ended_after_the_deadline(start_worker, backbones):
    client, told = start_worker(deadlines=Deadlines(answer=3.0, ping=0.5))
    client.submit(request(backbones["slow"], first_strokes()))
    transport = client.transport
    error = during(client, told, lambda transport: os.kill(transport.process.pid, signal.SIGSTOP))
    assert error.code == "hung" and "within 3 s" in str(error)
    assert not client.alive and not transport.running


@pytest.mark.slow
def test_a_long_computation_is_not_taken_for_a_hang(start_worker, backbones):
    client, told = start_worker(deadlines=Deadlines(answer=1.5, ping=0.3))
    result = told.ask(request(backbones["very slow"], first_strokes()))  # each window takes 2 s and says nothing
    assert not told.errors and result.violated_strokes == 0


def test_cancelled_in_the_middle_everything_is_kept(start_worker, backbones, undisturbed):
    client, told = start_worker()
    one, two, _ = undisturbed
    told.ask(request(backbones["plain"], first_strokes()))
    kept = client.transport
    client.submit(second_request(backbones["plain"], one, client))
    client.cancel()
    assert client.busy, "until the worker stopped"
    run_until_idle(client)
    assert told.error_codes == ["cancelled"] and len(told.results) == 1
    client.submit(second_request(backbones["plain"], one, client))
    run_until_idle(client)
    assert same_account(told.results[-1], two) and client.transport is kept, "it was not restarted"


def test_a_cancel_is_obeyed_at_the_next_step(start_worker, backbones):
    client, told = start_worker()
    client.submit(request(backbones["slow"], first_strokes()))
    error = during(client, told, lambda transport: client.cancel())
    assert error.code == "cancelled" and "as they were" in str(error)
    assert client.alive and told.progress[-1][2] == "Running the network", "the worker itself gave up, at once"


def test_a_library_that_prints_does_not_get_between_the_frames(start_worker, backbones, undisturbed):
    client, told = start_worker()
    result = told.ask(request(backbones["chatty"], first_strokes()))
    assert not told.errors and np.array_equal(result.labels[tuple(MISSED.T)], [1, 1, 1])
    tail = client.transport.stderr_tail
    for words in ("hello from the factory", "a C library says hello", "and so does a child", "building"):
        assert words in tail


@pytest.mark.parametrize(
    "changes, code, words",
    [
        ({"backbone": "no-such-folder"}, "backbone", "no-such-folder is not a folder"),
        ({"image": type(IMAGE)(np.ones((4, 4, 4), np.float32), np.eye(4), "flat")}, "bad-input", "same intensity"),
        ({"image": type(IMAGE)(np.ones((2, 4, 4, 4), np.float32), np.eye(4))}, "backbone", r"needs 1 channel\(s\)"),
        ({"image": type(IMAGE)(np.full((4, 4, 4), "a"), np.eye(4))}, "bad-input", "convert it to float32"),
    ],
)
def test_what_cannot_be_used_is_said_with_a_code_and_the_worker_goes_on(
    start_worker, backbones, undisturbed, changes, code, words
):
    client, told = start_worker()
    told.ask(request(backbones["plain"], first_strokes()))
    geometry = changes.get("image", IMAGE).geometry
    client.submit(request(**{"backbone": backbones["plain"], "constraints": Constraints(geometry), **changes}))
    run_until_idle(client)
    assert told.error_codes == [code]
    assert re.search(words, str(told.errors[0]))
    client.submit(second_request(backbones["plain"], undisturbed[0], client))
    run_until_idle(client)
    assert same_account(told.results[-1], undisturbed[1])


def test_prediction_alone(start_worker, backbones):
    client, told = start_worker()
    result = told.ask(request(backbones["plain"]))
    assert np.array_equal(result.labels, a_session(IMAGE).predict())
    assert [s.name for s in result.segments] == ["liver", "spleen"]
    again = told.ask(request(backbones["plain"], current=Segmentation(truth(), IMAGE.geometry, result.segments)))
    assert np.array_equal(again.labels, truth())
    assert np.array_equal(told.ask(request(backbones["plain"])).labels, result.labels), "the network's own again"


def test_a_segment_that_the_network_does_not_know_is_warned_of_once(start_worker, backbones):
    client, told = start_worker()
    labels = truth()
    labels[2, 2, 2] = 7
    current = Segmentation(labels, IMAGE.geometry, [Segment("spleen", 2), Segment("liver", 1), Segment("cyst", 7)])
    expected = a_session(IMAGE, current=current).refine(first_strokes())
    found = told.ask(request(backbones["plain"], first_strokes(), current=current))
    assert same_account(found, expected)
    assert [w for w in found.warnings if "'cyst'" in w] == [
        "The network does not know 'cyst'; it is kept and can be corrected too."
    ]
    assert found.labels[2, 2, 2] == 3 == ClassTable(client.segments).label_of("cyst")


def test_it_runs_with_what_slicers_python_has(start_worker, tmp_path):
    code = (
        "import sys, runpy\n"
        "for name in ('tqdm', 'nibabel', 'PIL', 'hypothesis', 'pytest'): sys.modules[name] = None\n"
        "sys.argv = ['InteractiveRefineLib', 'worker']\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "runpy.run_module('InteractiveRefineLib', run_name='__main__')\n"
    )
    script = tmp_path / "slicer python.py"
    script.write_text(code, encoding="utf-8")
    client, told = start_worker(f"'{sys.executable}' '{script}'")
    assert told.ask(request("", first_strokes(), image=IMAGE)).violated_strokes == 0
    assert client.classes[0].name == "liver" and "phantoms only" in told.backbones[0].warnings[0]


def wrapper(tmp_path, before=""):
    """A shell script that starts a worker, as a container's or a cluster's command does."""
    script = tmp_path / "start worker.sh"
    script.write_text(
        f"#!/bin/sh\n{before}\ncd '{ROOT}' && '{sys.executable}' -m InteractiveRefineLib worker\n", encoding="utf-8"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
def test_a_wrapper_script_works_the_same_and_is_ended_with_its_child(start_worker, backbones, tmp_path, undisturbed):
    client, told = start_worker(f"'{wrapper(tmp_path)}'")
    assert same_account(told.ask(request(backbones["plain"], first_strokes())), undisturbed[0])
    group = client.transport.process.pid
    assert len(members(group)) == 2, "the shell and its worker"
    client.kill()
    assert members(group) == []


def members(group):
    """Processes of a process group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [pid for pid, pgid, state in rows if int(pgid) == group and not state.startswith("Z")]


@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
@pytest.mark.parametrize(
    "command, code, words",
    [
        ("no-such-program-here worker", "cannot-start", "no-such-program-here"),
        ("sh -c 'exit 127'", "cannot-start", "was not found"),
        ("sh -c 'echo Permission denied >&2; exit 255'", "cannot-start", "`ssh` reaches.*\n.*\nPermission denied"),
        ("sh -c 'echo Welcome; cat'", "protocol", "begins with 'Welcome'"),
        ("sh 'unclosed", "cannot-start", "No closing quotation"),
    ],
)
def test_a_command_that_starts_no_worker_is_explained(start_worker, command, code, words):
    client, told = start_worker(command)
    client.describe_backbone("")
    run_until_idle(client)
    assert told.error_codes == [code] and not client.waiting
    assert re.search(words, str(told.errors[0])), told.errors[0]
