"""The client's side of the conversation: what it says when, and what it makes of answers, silence and ends."""

import dataclasses

import numpy as np
import pytest

from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.segmentation import Segment, Segmentation
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.torch_probe import TorchReport
from InteractiveRefineLib.volume import Volume
from InteractiveRefineLib.worker import wire
from InteractiveRefineLib.worker.client import BackboneInfo, Deadlines, RefineRequest, WorkerClient
from InteractiveRefineLib.worker.memory import Memory, changes
from InteractiveRefineLib.worker.messages import backbone_to_fields, hello_fields, image_key
from InteractiveRefineLib.worker.wire import FrameDecoder

IMAGE = Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
LIVER = Segment("liver", 1, (1.0, 0.0, 0.0))
INFO = BackboneInfo("net", "a net", (LIVER,), ("CT",), 3)


class FakeTransport:
    """The edge that is no process here: keeps what is written, and what was done to it."""

    def __init__(self, inlet):
        self.inlet, self.running, self.closed_input = inlet, True, False
        self._decoder = FrameDecoder()

    def write(self, data):
        self._decoder.feed(data)

    def close_input(self):
        self.closed_input = True

    def kill(self):
        self.running = False

    def said(self):
        """Messages since the last look."""
        return list(iter(self._decoder.next, None))

    def kinds(self):
        return [message.kind for message in self.said()]

    def answer(self, kind, arrays=(), **fields):
        self.inlet.feed(wire.encode(kind, fields, arrays))

    def hello(self, **changes):
        about = {"python": "3.12", "host": "box", "torch": dataclasses.asdict(TorchReport("cpu", "2.9"))}
        self.answer("hello", **{**hello_fields("0.0.0"), **about, **changes})

    def backbone(self, job, loaded=True):
        self.answer("backbone", job=job, info=backbone_to_fields(INFO), loaded=loaded)

    def predicted(self, job, labels, held=None):
        """The network's labels, against what the client was told before."""
        arrays, after = [], Memory([LIVER], labels, np.zeros(labels.shape, dtype=bool))
        memory = changes(held or Memory([LIVER]), after, arrays)
        self.answer("predicted", arrays, job=job, warnings=["a warning"], memory=memory)


class World:
    """A client with its listeners, its fake workers and a clock that is set by hand."""

    def __init__(self, **deadlines):
        self.now, self.workers, self.events = 1000.0, [], []
        self.client = WorkerClient(self.start, lambda: self.now, Deadlines(**deadlines))
        self.client.on_result = lambda result: self.events.append(result)
        self.client.on_error = lambda error: self.events.append((error.code, str(error)))
        self.client.on_backbone = lambda info: self.events.append(info.name)
        self.client.on_progress = lambda *step: self.events.append(step)

    def start(self, inlet):
        self.workers.append(FakeTransport(inlet))
        return self.workers[-1]

    @property
    def worker(self):
        return self.workers[-1]

    @property
    def codes(self):
        return [event[0] for event in self.events if isinstance(event, tuple) and isinstance(event[0], str)]

    def wait(self, seconds):
        for _ in range(int(seconds)):
            self.now += 1
            self.client.tick()

    def ready(self):
        """A worker that was asked for a prediction and has everything."""
        self.client.submit(ask())
        self.worker.hello()
        self.worker.backbone(1)
        return self


def ask(**changes):
    return RefineRequest(**{"image": IMAGE, "backbone": "net", "constraints": None, **changes})


def label_map(*ones):
    labels = np.zeros((2, 3, 4), dtype=np.uint16)
    labels.reshape(-1)[list(ones)] = 1
    return labels


def shown(labels):
    return Segmentation(labels, IMAGE.geometry, [LIVER])


def test_a_new_worker_is_told_one_thing_after_the_other():
    world = World()
    assert not world.workers and not world.client.alive
    world.client.submit(ask())
    assert world.client.busy and world.client.alive and world.worker.kinds() == ["hello"]
    world.worker.hello()
    assert world.client.worker.host == "box" and "version 0.0.0" in world.client.worker.warnings[0]
    (load,) = world.worker.said()
    assert (load.kind, load.fields) == ("load", {"job": 1, "folder": "net", "class_map": {}})
    world.worker.backbone(1)
    image, state, predict = world.worker.said()
    assert [m.kind for m in (image, state, predict)] == ["image", "state", "predict"]
    assert np.array_equal(image.arrays[0], IMAGE.array) and image.fields["matrix"] == np.eye(4).tolist()
    assert (state.fields["base"], state.fields["labels"]) == (0, None)
    assert predict.fields["settings"] == dataclasses.asdict(RefineSettings())
    assert world.client.classes == [LIVER]


def test_an_answer_is_delivered_once_and_remembered():
    world = World().ready()
    world.worker.predicted(1, label_map(3, 4))
    result = world.events[-1]
    assert np.array_equal(result.labels, label_map(3, 4)) and result.warnings == ["a warning"]
    assert not world.client.busy and world.client.segments == [LIVER] and not world.client.manual.any()
    world.worker.predicted(1, label_map(5))
    assert world.events[-1] is result, "a second answer to the same request is none"


def test_what_comes_later_is_only_what_changed():
    world = World().ready()
    world.worker.predicted(1, label_map(3, 4))
    world.worker.said()
    current = label_map(3, 4, 23)
    world.client.submit(ask(current=shown(current)))
    current[:] = 0  # what the caller does to its array afterward is its own business
    state, _ = world.worker.said()
    assert (state.fields["base"], state.fields["revision"]) == (1, 2)
    assert state.fields["labels"] == {"box": [[1, 2], [2, 3], [3, 4]], "array": 0} and state.arrays[0].tolist() == [
        [[1]]
    ]
    assert state.fields["manual"] == {"box": [[1, 2], [2, 3], [3, 4]], "array": 1}, "what was edited is manual"
    world.worker.answer("error", job=2, code="cancelled", text="", holds=holds(image=image_key(IMAGE), revision=2))
    world.client.submit(ask(current=shown(label_map(3, 4, 23))))
    state, _ = world.worker.said()
    assert state.fields["base"] == 2 and state.fields["labels"] == {"box": None} == state.fields["manual"]


def test_what_an_answer_changed_that_was_thrown_away_was_not_edited_by_hand():
    world = World().ready()
    world.worker.predicted(1, label_map(3, 4))
    world.client.submit(ask(current=shown(label_map(3, 4, 23))))
    held = Memory([LIVER], label_map(3, 4, 23), label_map(23) > 0)
    world.worker.predicted(2, label_map(3), held)
    world.worker.said()
    world.client.submit(ask(current=shown(label_map(3, 4, 23))))
    state, _ = world.worker.said()
    assert state.fields["manual"]["box"] == [[1, 2], [2, 3], [3, 4]], "voxel 23, as before the answer; voxel 4 is not"

    world.worker.predicted(3, label_map(3), held)
    world.client.submit(ask(current=shown(label_map(3, 4))))
    state, _ = world.worker.said()
    assert state.fields["manual"]["box"] == [[0, 1], [1, 2], [0, 1]], "voxel 4, edited upon the answer"


def holds(**changes):
    return {"backbone": "net", "image": None, "revision": 0, **changes}


def test_a_worker_that_lost_count_is_told_everything_again():
    world = World().ready()
    world.worker.predicted(1, label_map(3, 4))
    world.client.submit(ask(current=shown(label_map(3))))
    world.worker.said()
    world.worker.answer("error", job=2, code="out-of-memory", text="too large", holds=holds())
    assert world.events[-1] == ("out-of-memory", "too large") and world.client.alive
    world.client.submit(ask(current=shown(label_map(3))))
    image, state, _ = world.worker.said()
    assert (
        image.kind == "image"
        and state.fields["base"] == 0
        and state.fields["labels"]["box"] == [[0, 1], [0, 1], [3, 4]]
    )
    assert state.fields["manual"]["box"] == [[0, 1], [1, 2], [0, 1]], "voxel 4, against the last answer"


def test_given_memory_takes_the_place_of_what_is_remembered():
    world = World().ready()
    world.worker.predicted(1, label_map(3, 4))
    world.worker.said()
    manual = label_map(0) > 0
    called = (np.array([9, 2]), np.array([1, 0]))
    world.client.submit(ask(current=shown(label_map(3)), manual=manual, called=called))
    state, _ = world.worker.said()
    assert state.fields["manual"]["box"] == [[0, 1], [0, 1], [0, 1]]
    first = state.fields["called"]
    assert (state.arrays[first].tolist(), state.arrays[first + 1].tolist()) == ([2, 9], [0, 1])


def test_another_object_with_the_same_voxels_is_the_same_image_and_other_voxels_are_not():
    world = World().ready()
    world.worker.predicted(1, label_map())
    world.worker.said()
    world.client.submit(ask(image=Volume(IMAGE.array.copy(), np.eye(4))))
    assert world.worker.kinds() == ["state", "predict"]
    world.worker.predicted(2, label_map(), Memory([LIVER]))
    world.client.submit(ask(image=Volume(IMAGE.array + 1, np.eye(4))))
    assert world.worker.kinds() == ["image", "state", "predict"]


def test_progress_reaches_the_listener_until_a_cancel():
    world = World().ready()
    world.worker.answer("progress", job=1, step=2, total=9, message="Tuning, loss 0.5", loss=0.5)
    assert world.events[-1] == (2, 9, "Tuning, loss 0.5", 0.5)
    world.client.cancel()
    assert world.worker.kinds()[-1] == "cancel" and world.client.busy
    n = len(world.events)
    world.worker.answer("progress", job=1, step=3, total=9, message="Tuning", loss=None)
    assert len(world.events) == n
    world.worker.answer("error", job=1, code="cancelled", text="x", holds=holds(revision=1))
    assert world.codes == ["cancelled"] and world.client.alive and not world.client.busy


def test_an_answer_that_crosses_the_cancel_is_dropped():
    world = World().ready()
    world.client.cancel()
    world.worker.predicted(1, label_map(3))
    assert world.codes == ["cancelled"] and world.client.segments == [] and world.client.alive


def test_a_worker_that_ignores_a_cancel_is_ended_after_the_deadline():
    world = World(cancel=7).ready()
    world.wait(3)
    world.client.cancel()
    world.wait(6)
    assert world.worker.running and not world.codes
    world.wait(1)
    assert not world.worker.running and world.codes == ["cancelled"] and not world.client.busy


def test_a_cancel_before_the_worker_said_hello_ends_it():
    world = World()
    world.client.submit(ask())
    world.client.cancel()
    assert world.codes == ["cancelled"] and not world.worker.running and not world.client.alive


@pytest.mark.parametrize("greeted", [True, False])
def test_a_question_can_be_cancelled_too(greeted):
    world = World()
    world.client.describe_backbone("other")
    if greeted:
        world.worker.hello()
    world.client.cancel()
    assert world.codes == ["cancelled"] and not world.client.waiting and world.worker.running == greeted


def test_silence_is_broken_by_a_ping_and_ended_by_the_deadline():
    world = World(answer=20, ping=5).ready()
    world.worker.said()
    world.wait(4)
    assert world.worker.kinds() == []
    world.wait(1)
    assert world.worker.kinds() == ["ping"]
    world.worker.answer("pong")
    world.wait(19)
    assert world.worker.kinds() == ["ping"] and world.worker.running
    world.wait(1)
    assert world.codes == ["hung"] and not world.worker.running
    assert "within 20 s" in world.events[-1][1] and "Refine again" in world.events[-1][1]


def test_time_in_which_nobody_listened_does_not_count():
    world = World(answer=20, ping=5).ready()
    for _ in range(3):
        world.now += 500  # a laptop that slept, an application that hung
        world.client.tick()
    assert not world.codes and world.worker.running


def test_an_idle_worker_may_be_silent_for_ever():
    world = World(answer=20, ping=5).ready()
    world.worker.predicted(1, label_map())
    world.worker.said()
    world.wait(100)
    assert world.worker.kinds() == [] and world.worker.running
    world.client.submit(ask())
    world.wait(4)
    assert world.worker.running


@pytest.mark.parametrize(
    "reason, code, words",
    [
        ("killed by signal 9", "died", "ran out of memory"),
        ("ended with exit code 137", "died", "ran out of memory"),
        ("crashed (signal or exception 9)", "died", "ran out of memory"),
        ("killed by signal 11", "died", "stopped unexpectedly (killed by signal 11)"),
        ("ended with exit code 0", "died", "stopped unexpectedly"),
    ],
)
def test_the_end_of_the_process_is_told_with_its_last_words(reason, code, words):
    world = World().ready()
    world.worker.inlet.transport_closed(reason, "line one\n\nCUDA error\n")
    assert world.codes == [code] and not world.client.alive and not world.client.busy
    text = world.events[-1][1]
    assert words in text and "as they were" in text and text.endswith("line one\nCUDA error")


def test_the_next_request_starts_another_worker_which_is_told_everything():
    world = World().ready()
    world.worker.predicted(1, label_map(3, 4))
    old = world.worker
    old.inlet.transport_closed("killed by signal 9", "")
    assert world.codes == [], "nobody waited for it"
    world.client.submit(ask(current=shown(label_map(3))))
    assert len(world.workers) == 2
    old.inlet.feed(b"garbage of the dead")
    old.inlet.transport_closed("killed by signal 9", "")
    assert world.client.alive and not world.codes, "what an old process still says is not heard"
    world.worker.hello()
    world.worker.backbone(2)
    _, _, image, state, _ = world.worker.said()
    assert image.kind == "image" and state.fields["base"] == 0
    assert state.fields["manual"]["box"] == [[0, 1], [1, 2], [0, 1]], "edited since the answer of the dead one"


def test_garbage_ends_the_worker():
    world = World().ready()
    world.worker.inlet.feed(b"Traceback (most recent call last)")
    assert world.codes == ["protocol"] and not world.worker.running and "Traceback" in world.events[-1][1]


@pytest.mark.parametrize(
    "kind, fields",
    [
        ("backbone", {"job": 1, "info": {}, "loaded": True}),
        ("predicted", {"job": 1}),
        ("predicted", {"job": 1, "warnings": [], "memory": {"labels": {"box": [[0, 9]] * 3, "array": 0}}}),
        ("hello", {"protocol": 99}),
    ],
)
def test_an_answer_that_makes_no_sense_ends_the_worker(kind, fields):
    world = World().ready()
    world.worker.answer(kind, **fields)
    assert world.codes == ["protocol"] and not world.worker.running and not world.client.busy


def test_a_process_that_cannot_be_started_is_told():
    world = World()
    world.client._start_transport = lambda inlet: (_ for _ in ()).throw(FileNotFoundError("no such file: ssh"))
    world.client.submit(ask())
    assert world.codes == ["cannot-start"] and "no such file: ssh" in world.events[-1][1] and not world.client.busy


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"constraints": Constraints(Geometry((2, 3, 5), np.eye(4)))}, "another image"),
        ({"current": shown(label_map()), "manual": np.zeros((1, 1, 1), dtype=bool)}, "`manual` has shape"),
        ({"called": (np.array([24]), np.array([0]))}, "`called` must be"),
        ({"called": (np.array([1, 1]), np.array([0, 0]))}, "`called` must be"),
        ({"called": (np.array([1]), np.array([7]))}, "`called` must be"),
        ({"new_classes": (" ",)}, "needs a name"),
    ],
)
def test_a_request_that_cannot_be_is_refused_before_anything_is_sent(changes, words):
    world = World().ready()
    world.worker.predicted(1, label_map())
    world.worker.said()
    world.client.submit(ask(**changes))
    assert world.codes == ["bad-input"] and words in world.events[-1][1]
    assert world.worker.kinds() == [] and world.client.alive and not world.client.busy


def test_a_backbone_is_described_also_while_a_request_runs():
    world = World().ready()
    world.worker.said()
    world.client.describe_backbone("other")
    (question,) = world.worker.said()
    assert question.fields == {"job": 2, "folder": "other", "class_map": {}} and world.client.waiting
    world.worker.predicted(1, label_map())
    assert not world.client.busy and world.client.waiting
    world.worker.answer("error", job=2, code="backbone", text="no folder", holds=holds(revision=1))
    assert world.events[-1] == ("backbone", "no folder") and not world.client.waiting


def test_the_same_folder_with_other_classes_is_another_network():
    world = World().ready()
    world.worker.predicted(1, label_map())
    world.worker.said()
    world.client.submit(ask(class_map={"ignore": ["skin"]}))
    (load,) = world.worker.said()
    assert load.fields == {"job": 2, "folder": "net", "class_map": {"ignore": ["skin"]}}
    info = dataclasses.replace(INFO, class_map={"ignore": ["skin"]})
    world.worker.answer("backbone", job=2, info=backbone_to_fields(info), loaded=True)
    assert world.worker.kinds() == ["state", "predict"]


def test_killed_or_shut_down_nothing_is_called_back():
    for end in ("kill", "shutdown", "forget"):
        world = World().ready()
        n = len(world.events)
        getattr(world.client, end)()
        world.worker.predicted(1, label_map())
        world.worker.inlet.transport_closed("killed by signal 9", "")
        assert len(world.events) == n and not world.client.alive and not world.client.waiting
        assert world.worker.closed_input == (end == "shutdown")


def test_forgetting_leaves_nothing_of_the_patient():
    world = World().ready()
    world.worker.predicted(1, label_map(3))
    world.client.forget()
    assert world.client.manual is None and world.client.called is None and world.client.segments == []


def test_two_requests_at_once_are_a_mistake_of_the_program():
    world = World().ready()
    with pytest.raises(RuntimeError, match="busy"):
        world.client.submit(ask())
