"""The worker's side of the conversation, in this process: order, cancels, errors with codes, and the client's end."""

import dataclasses
import os
import select
import threading
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.errors import BackboneError, Cancelled, InputError, OutOfMemoryError  # noqa: E402
from InteractiveRefineLib.settings import RefineSettings  # noqa: E402
from InteractiveRefineLib.torch_probe import TorchReport  # noqa: E402
from InteractiveRefineLib.worker import wire  # noqa: E402
from InteractiveRefineLib.worker.coded import coded_errors  # noqa: E402
from InteractiveRefineLib.worker.desk import Desk  # noqa: E402
from InteractiveRefineLib.worker.failure import WorkerError  # noqa: E402
from InteractiveRefineLib.worker.memory import Memory, changes  # noqa: E402
from InteractiveRefineLib.worker.messages import hello_fields, image_to_fields, segments_to_fields  # noqa: E402
from InteractiveRefineLib.worker.server import Server  # noqa: E402
from InteractiveRefineLib.worker.wire import FrameDecoder, encode  # noqa: E402
from Testing.tests.cli_examples import LIVER, SPLEEN, write_backbone  # noqa: E402
from Testing.tests.session_examples import hesitant  # noqa: E402
from Testing.tests.worker_examples import IMAGE, first_strokes  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

#: Runs out of memory where `no-memory` lies beside it, and waits for `go` where `wait` lies there.
MOODY = """
import os, time
import torch
HERE = os.path.dirname(__file__)

class Moody(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.jit.load(os.path.join(HERE, "model.ts"))
        self.head = torch.nn.Conv3d(3, 3, 1)
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(3).reshape(3, 3, 1, 1, 1))
            self.head.bias.zero_()

    def forward(self, x):
        if os.path.exists(os.path.join(HERE, "no-memory")):
            raise MemoryError
        while os.path.exists(os.path.join(HERE, "wait")):
            open(os.path.join(HERE, "running"), "w").close()
            time.sleep(0.01)
        return self.head(self.inner(x))

def network():
    return Moody()
"""


@pytest.fixture(scope="module")
def moody(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moody")
    write_backbone(folder, hesitant(), model={"factory": "network.py:network"})
    (folder / "network.py").write_text(MOODY, encoding="utf-8")
    return folder


class Conversation:
    """A server in a thread, and a client that says what a test wants it to say."""

    def __init__(self):
        theirs, self._say = os.pipe()
        self._hear, ours = os.pipe()
        self.gave_up = threading.Event()
        self.server = Server(os.fdopen(theirs, "rb", 0), os.fdopen(ours, "wb", 0), self.gave_up.set)
        self._source, self._sink = self.server._source, self.server._sink
        self.code = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self._decoder = FrameDecoder()

    def _run(self):
        self.code = self.server.run()

    def say(self, kind, arrays=(), **fields):
        self.raw(encode(kind, fields, arrays))

    def raw(self, data):
        while data:
            data = data[os.write(self._say, data) :]

    def hear(self, *skip):
        """The next message that is none of these kinds; None at the end."""
        while True:
            message = self._decoder.next()
            if message is None:
                assert select.select([self._hear], [], [], 20)[0], "nothing was heard"
                data = os.read(self._hear, 1 << 16)
                if not data:
                    return None
                self._decoder.feed(data)
            elif message.kind not in skip:
                return message

    def hang_up(self):
        if self._say is not None:
            os.close(self._say)
            self._say = None

    def end(self):
        self.hang_up()
        self.thread.join(20)
        assert not self.thread.is_alive()
        # Who listens still could read from the next conversation's pipe, which may get this one's number.
        assert self.server._gone.wait(20)
        self._source.close()
        self._sink.close()
        os.close(self._hear)

    def ready(self, folder):
        self.say("hello", **hello_fields("x"))
        self.say("load", job=1, folder=str(folder))
        assert [self.hear().kind, self.hear().kind] == ["hello", "backbone"]
        return self

    def send_image(self, job):
        fields, array = image_to_fields(IMAGE, "key")
        self.say("image", [array], job=job, **fields)

    def send_state(self, job, base=0, memory=None):
        arrays = []
        fields = changes(Memory([]), memory or Memory([LIVER, SPLEEN]), arrays)
        segments = segments_to_fields([LIVER, SPLEEN])
        self.say("state", arrays, job=job, revision=job, base=base, segments=segments, **fields)

    def predict(self, job, **settings):
        self.say("predict", job=job, settings=dataclasses.asdict(RefineSettings(**{"device": "cpu", **settings})))


def make_it_wait(folder):
    """From now on the network of this folder waits, once it runs, for `wait` to be removed."""
    (folder / "running").unlink(missing_ok=True)
    (folder / "wait").touch()


def wait_until_it_computes(folder):
    """Until the network of this folder runs, and waits for `wait` to be removed."""
    deadline = time.monotonic() + 20
    while not (folder / "running").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def conversation():
    talk = Conversation()
    yield talk
    talk.end()


def test_hello_tells_who_is_there(conversation):
    conversation.say("hello", **hello_fields("x"))
    hello = conversation.hear()
    assert hello.fields["protocol"] == wire.PROTOCOL_VERSION
    assert hello.fields["torch"]["version"] == torch.__version__


def test_a_client_of_another_protocol_is_told_and_left(conversation):
    conversation.say("hello", protocol=99, library="9.9")
    assert conversation.hear().kind == "hello", "so that it can find out too"
    error = conversation.hear()
    assert (error.fields["job"], error.fields["code"]) == (0, "protocol") and "9.9" in error.fields["text"]
    conversation.thread.join(5)
    assert conversation.code == 1


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", encode("refine", {"job": 3})])
def test_who_does_not_say_hello_is_told_and_left(conversation, data):
    conversation.raw(data)
    assert conversation.hear().fields["code"] == "protocol"
    conversation.thread.join(5)
    assert conversation.code == 1


def test_garbage_after_a_good_start_ends_it_after_what_was_asked(conversation, moody):
    conversation.ready(moody)
    conversation.say("describe", job=2, folder=str(moody))
    conversation.raw(b"garbage")
    assert conversation.hear().fields["loaded"] is False
    assert "begins with 'garbage'" in conversation.hear().fields["text"]


def test_a_network_is_described_and_loaded_with_the_classes_that_were_asked_for(conversation, moody):
    conversation.ready(moody)
    conversation.say("describe", job=2, folder=str(moody))
    info = conversation.hear().fields["info"]
    assert [c["name"] for c in info["classes"]] == ["liver", "spleen"] and info["class_map"] == {}
    assert info["kind"] and info["code"] == ["network.py is a program (Python)."]
    merged = {"liver": ["liver", "spleen"], "add": ["cyst"]}
    for job, kind in ((3, "describe"), (4, "load")):
        conversation.say(kind, job=job, folder=str(moody), class_map=merged)
        info = conversation.hear().fields["info"]
        assert [c["name"] for c in info["classes"]] == ["liver"] and info["added"] == ["cyst"]
    before = conversation.server._desk._backbone[1]
    conversation.say("load", job=5, folder=str(moody), class_map={"ignore": ["spleen"]})
    assert [c["name"] for c in conversation.hear().fields["info"]["classes"]] == ["liver"]
    now = conversation.server._desk._backbone[1]
    assert now.network is before.network and now.config.channel_labels == (0, 1, 0) != before.config.channel_labels
    conversation.say("load", job=6, folder=str(moody), class_map={"ignore": ["heart"]})
    error = conversation.hear().fields
    assert error["code"] == "backbone" and "no class 'heart'" in error["text"]


def test_shutdown_ends_it(conversation):
    conversation.say("shutdown")
    conversation.thread.join(5)
    assert conversation.code == 0


def test_what_belongs_to_a_failed_job_is_answered_once(conversation, moody):
    conversation.ready(moody)
    conversation.send_state(2)  # there is no image
    conversation.predict(2)
    conversation.say("dance", job=3)
    first, second = conversation.hear(), conversation.hear()
    assert (first.fields["job"], first.fields["code"]) == (2, "protocol") and "No image" in first.fields["text"]
    assert first.fields["holds"] == {"backbone": str(moody), "image": None, "revision": 0}
    assert second.fields["job"] == 3 and "does not know the message 'dance'" in second.fields["text"]


def test_a_change_of_what_it_does_not_hold_is_refused(conversation, moody):
    conversation.ready(moody)
    conversation.send_image(2)
    conversation.send_state(2, base=7)
    error = conversation.hear()
    assert "revision 7" in error.fields["text"] and error.fields["holds"]["image"] == "key"


def test_it_answers_pings_and_hears_cancels_while_it_computes(conversation, moody):
    make_it_wait(moody)
    conversation.ready(moody)
    conversation.send_image(2)
    conversation.send_state(2)
    conversation.predict(2)
    wait_until_it_computes(moody)
    conversation.say("ping")
    assert conversation.hear("progress").kind == "pong"
    conversation.say("cancel", job=2)
    conversation.say("ping")
    assert conversation.hear("progress").kind == "pong", "so that the cancel was heard"
    (moody / "wait").unlink()
    error = conversation.hear("progress")
    assert (error.fields["job"], error.fields["code"]) == (2, "cancelled") and error.fields["holds"]["revision"] == 2


def test_a_cancel_of_another_job_changes_nothing(conversation, moody):
    conversation.ready(moody)
    conversation.send_image(2)
    conversation.send_state(2)
    conversation.say("cancel", job=1)
    conversation.predict(2)
    assert conversation.hear("progress").kind == "predicted"


def test_out_of_memory_is_survived(conversation, moody):
    (moody / "no-memory").touch()
    conversation.ready(moody)
    conversation.send_image(2)
    conversation.send_state(2)
    conversation.predict(2)
    error = conversation.hear("progress")
    (moody / "no-memory").unlink()
    assert error.fields["code"] == "out-of-memory" and "unchanged" in error.fields["text"]
    assert error.fields["holds"] == {"backbone": str(moody), "image": "key", "revision": 2}
    conversation.predict(3)
    assert conversation.hear("progress").kind == "predicted"


def test_when_the_client_goes_away_the_computation_is_cancelled(conversation, moody):
    make_it_wait(moody)
    conversation.ready(moody)
    conversation.send_image(2)
    conversation.send_state(2)
    conversation.predict(2)
    wait_until_it_computes(moody)
    conversation.hang_up()
    while not conversation.server._gone.wait(0.01):
        pass
    (moody / "wait").unlink()
    error = conversation.hear("progress")
    conversation.thread.join(20)
    assert error.fields["code"] == "cancelled" and conversation.code == 0 and not conversation.gave_up.is_set()


def test_a_computation_that_does_not_end_then_is_given_up(moody, monkeypatch):
    monkeypatch.setattr("InteractiveRefineLib.worker.server._GRACE_S", 0.1)
    talk = Conversation()
    make_it_wait(moody)
    talk.ready(moody)
    talk.send_image(2)
    talk.send_state(2)
    talk.predict(2)
    wait_until_it_computes(moody)
    talk.hang_up()
    assert talk.gave_up.wait(10)
    (moody / "wait").unlink()
    talk.end()


@pytest.mark.parametrize(
    "error, code",
    [
        (Cancelled("x"), "cancelled"),
        (OutOfMemoryError("x"), "out-of-memory"),
        (MemoryError(), "out-of-memory"),
        (BackboneError("x"), "backbone"),
        (InputError("x"), "bad-input"),
        (wire.WireError("x"), "protocol"),
        (ZeroDivisionError("x"), "internal"),
    ],
)
def test_every_error_has_its_code(error, code):
    with pytest.raises(WorkerError) as caught, coded_errors(TorchReport("cpu", "2.9")):
        raise error
    assert caught.value.code == code


def test_without_torch_it_says_so():
    with pytest.raises(WorkerError, match="PyTorch is not installed where the worker runs") as caught:
        with coded_errors(TorchReport("missing")):
            raise ImportError("no torch")
    assert caught.value.code == "cannot-start"


class TestDesk:
    """What is kept between messages, with the results of sessions that start anew."""

    def desk(self, moody, report=None):
        desk = Desk(report or TorchReport("cpu", "2.9"))
        desk.load(str(moody))
        desk.set_image("key", IMAGE)
        return desk

    def state(self, desk, memory, revision):
        arrays = []
        fields = changes(Memory([]), memory, arrays)
        desk.set_state({"base": 0, "revision": revision, **fields}, memory.segments, arrays)

    def refined(self, desk, **settings):
        found = desk.refine(
            first_strokes(), RefineSettings(device="cpu", **settings), lambda *step: None, lambda: False
        )
        return found.labels.tobytes(), desk.memory.manual.tobytes(), [a.tolist() for a in desk.memory.called]

    def test_an_old_session_answers_as_a_new_one(self, moody):
        by_hand = np.zeros(IMAGE.geometry.shape, dtype=np.uint16)
        by_hand[4:9, 4:9, 4:9] = 1
        called = (np.array([5, 8 * 24 * 32 + 12 * 32 + 13]), np.array([1, 2]))
        segments = [LIVER, SPLEEN]
        memories = [
            Memory(segments),
            Memory(segments, by_hand, by_hand > 0),
            Memory(segments, by_hand, None),
            Memory(segments, by_hand, by_hand > 5, called),
            Memory([*segments, dataclasses.replace(SPLEEN, name="new", label=3)], by_hand + by_hand * 2, None),
            Memory(segments, by_hand, None),
        ]
        old = self.desk(moody)
        for revision, memory in enumerate(memories, start=1):
            self.state(old, memory, revision)
            fresh = self.desk(moody)
            self.state(fresh, memory, revision)
            assert self.refined(old) == self.refined(fresh), f"state {revision}"

    def test_the_network_runs_once_for_many_rounds(self, moody):
        desk = self.desk(moody)
        self.state(desk, Memory([LIVER, SPLEEN]), 1)
        self.refined(desk)
        session = desk._session
        by_hand = desk.memory.labels.copy()
        by_hand[0, 0, :4] = 1
        self.state(desk, dataclasses.replace(desk.memory, labels=by_hand), 2)
        self.refined(desk, reach="local")
        assert desk._session is session

    def test_exactly_the_voxels_that_are_said_to_be_manual_are(self, moody):
        old, fresh = self.desk(moody), self.desk(moody)
        self.state(old, Memory([LIVER, SPLEEN]), 1)
        self.refined(old)
        session, by_hand = old._session, old.memory.labels.copy()
        by_hand[0, 0, :4] = 1
        manual = np.zeros(by_hand.shape, dtype=bool)
        manual[0, 0, 2] = manual[9, 9, 9] = True
        told = dataclasses.replace(old.memory, labels=by_hand, manual=manual)
        self.state(old, told, 2)
        self.state(fresh, told, 2)
        assert self.refined(old) == self.refined(fresh) and old._session is session
        assert old.memory.manual[9, 9, 9] and not old.memory.manual[0, 0, 1]

    def test_a_gpu_that_torch_cannot_use_is_not_used_and_told(self, moody):
        desk = self.desk(moody, TorchReport("gpu-too-new", "2.9", gpu="RTX 9090"))
        self.state(desk, Memory([LIVER, SPLEEN]), 1)
        result = desk.refine(first_strokes(), RefineSettings(), lambda *step: None, lambda: False)
        assert result.warnings[-1] == "The GPU RTX 9090 cannot be used by PyTorch 2.9; the worker computed on the CPU."
        assert desk._session.settings.device == "cpu"

    def test_an_answer_that_was_not_sent_makes_the_client_start_over(self, moody):
        desk = self.desk(moody)
        self.state(desk, Memory([LIVER, SPLEEN]), 1)
        with pytest.raises(MemoryError), desk.round():
            self.refined(desk)
            raise MemoryError
        assert desk.holds["revision"] == 0

    def test_another_backbone_keeps_the_image(self, moody):
        desk = self.desk(moody)
        desk.load("")
        assert desk.holds == {"backbone": "", "image": "key", "revision": 0}
