"""The worker process under Qt's event loop: bytes both ways, its end, and commands that cannot be started."""

import os
import sys

import pytest

from Testing.tests.controller_examples import ROOT

#: Says a word, then everything it hears back in capitals, until its input ends.
ECHO = """
import sys
sys.stdout.buffer.write(b"\\x00hello\\n"); sys.stdout.flush()
while chunk := sys.stdin.buffer.read1(65536):
    sys.stdout.buffer.write(chunk.upper()); sys.stdout.flush()
sys.stderr.write("no more input\\n")
sys.exit(7)
"""


class Listener:
    """Keeps what a transport tells its client."""

    def __init__(self):
        self.heard, self.ends, self.ticks = b"", [], 0

    def feed(self, data):
        assert type(data) is bytes
        self.heard += data

    def transport_closed(self, reason, stderr_tail):
        self.ends.append((reason, stderr_tail))

    def tick(self):
        self.ticks += 1


@pytest.fixture
def start(editor):
    """Start a program's text under a transport; its pieces are ended with the test."""
    from InteractiveRefineEffect.qprocess_transport import QProcessTransport

    started = []

    def start(program, **options):
        listener = Listener()
        transport = QProcessTransport(listener, [sys.executable, "-c", program], **options)
        started.append(transport)
        return listener, transport

    yield start
    for transport in started:
        transport.kill()


def test_bytes_go_both_ways_unchanged_also_many_and_zeros(start, editor):
    listener, transport = start(ECHO)
    data = bytes(range(256)) * 20000

    transport.write(data)

    editor.wait_until(lambda: len(listener.heard) == 7 + len(data))
    assert listener.heard == b"\x00hello\n" + data.upper()
    assert transport.running


def test_what_is_too_long_for_one_array_of_qt_goes_in_slices(start, editor, monkeypatch):
    from InteractiveRefineEffect import qprocess_transport

    monkeypatch.setattr(qprocess_transport, "_SLICE", 3)
    listener, transport = start(ECHO)
    written, process = [], transport._process

    class Watched:
        def __getattr__(self, name):
            return getattr(process, name)

        def write(self, data):
            written.append(data)
            return process.write(data)

    transport._process = Watched()
    transport.write(b"abcdefg")
    transport._process = process

    editor.wait_until(lambda: listener.heard == b"\x00hello\nABCDEFG")
    assert written == [b"abc", b"def", b"g"]


def test_the_end_of_the_input_lets_the_program_leave_and_tells_its_code_and_last_words(start, editor):
    listener, transport = start(ECHO)

    transport.write(b"last")
    transport.close_input()

    editor.wait_until(lambda: listener.ends)
    assert listener.heard == b"\x00hello\nLAST"
    assert listener.ends == [("ended with exit code 7", "no more input\n")]
    assert not transport.running


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_program_is_told_as_killed(start, editor):
    listener, transport = start("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")

    editor.wait_until(lambda: listener.ends)

    from InteractiveRefineLib.worker.failure import ended

    error = ended(*listener.ends[0], greeted=True)
    assert error.code == "died" and "ran out of memory" in str(error)


def test_kill_ends_it_at_once_and_nothing_is_told_afterward(start, editor):
    listener, transport = start("import time\nprint('x' * 9, flush=True)\ntime.sleep(600)")
    editor.wait_until(lambda: listener.heard)

    transport.kill()

    assert not transport.running
    editor.process_events(0.2)
    assert listener.ends == [] and len(listener.heard) == 10
    transport.write(b"to nobody")
    transport.close_input()
    transport.kill()


def test_the_clock_ticks_while_it_runs_and_stops_with_it(start, editor, monkeypatch):
    from InteractiveRefineEffect import qprocess_transport

    monkeypatch.setattr(qprocess_transport, "_TICK_MS", 20)
    listener, transport = start(ECHO)
    editor.wait_until(lambda: listener.ticks >= 3)

    transport.kill()

    ticks = listener.ticks
    editor.process_events(0.15)
    assert listener.ticks == ticks


def test_a_program_that_does_not_exist_is_an_error_at_once(editor):
    from InteractiveRefineEffect.qprocess_transport import QProcessTransport

    with pytest.raises(OSError):
        QProcessTransport(Listener(), ["no-such-program-anywhere"])


def test_our_python_finds_the_library_and_a_foreign_program_gets_a_clean_environment(editor, monkeypatch):
    from InteractiveRefineEffect import qprocess_transport

    told = []
    monkeypatch.setattr(qprocess_transport, "QProcessTransport", lambda *arguments: told.append(arguments))

    qprocess_transport.transportStarter(lambda: "")("client")
    qprocess_transport.transportStarter(lambda: " ssh 'gpu box' interactive-refine worker ")("client")

    own, foreign = told
    assert own[0] == "client" and own[1][1:] == ["-m", "InteractiveRefineLib", "worker"]
    assert str(ROOT) in own[2]["PYTHONPATH"].split(os.pathsep)
    assert foreign[1] == ["ssh", "gpu box", "interactive-refine", "worker"]
    assert foreign[2].get("PYTHONPATH") == os.environ.get("PYTHONPATH")


def test_a_command_with_a_missing_quote_is_a_start_that_failed(editor):
    from InteractiveRefineEffect.qprocess_transport import transportStarter

    with pytest.raises(OSError, match="cannot be read"):
        transportStarter(lambda: "ssh 'gpu")("client")
