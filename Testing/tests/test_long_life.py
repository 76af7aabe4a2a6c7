"""A long life leaves nothing behind: memory is flat, and no file, process, thread or node of the scene is left."""

import sys

import numpy as np
import pytest

pytest.importorskip("torch")
if not sys.platform.startswith("linux"):
    pytest.skip("memory is looked up in /proc", allow_module_level=True)

from Testing import long_life  # noqa: E402
from Testing.long_life import MOST_KB_A_TURN, MOST_MB, Life  # noqa: E402
from Testing.tests.controller_examples import LIVER, Desk  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_three_hundred_rounds_of_one_session():
    life = long_life.session_life(300)
    print(life)
    assert life.leaks == [] and len(life.memory_mb) == 300


@pytest.mark.slow
def test_rounds_and_a_hundred_switches_in_the_worker():
    life = long_life.worker_life(60, 100)
    print(life)
    assert life.leaks == [] and len(life.memory_mb) == 160


def test_switches_in_this_process():
    life = long_life.switching_life(30)
    print(life)
    assert life.leaks == []


def test_what_grows_is_found():
    flat = Life("flat", list(400 + np.random.default_rng(0).normal(0, 1, 100)), {"open files": 3}, {"open files": 3})
    assert flat.leaks == [] and abs(flat.slope_kb) < MOST_KB_A_TURN
    growing = Life("growing", [400 + turn * 0.5 for turn in range(100)], {"open files": 3}, {"open files": 4})
    assert growing.growth_mb > MOST_MB and growing.slope_kb == pytest.approx(512)
    assert growing.leaks == ["open files: 3 before, 4 after", "memory: 31.5 MB more, 512 KB a turn"]
    late = Life("a cache that fills at first", [100.0 + 10 * min(turn, 20) for turn in range(100)], {}, {})
    assert late.leaks == []


def test_a_file_that_stays_open_is_found(tmp_path):
    files = []
    with long_life.watched("a leaking life") as life:
        files.append(open(tmp_path / "x", "w"))  # noqa: SIM115 - it is to stay open
    files[0].close()
    assert life.leaks == [f"open files: {life.before['open files']} before, {life.before['open files'] + 1} after"]


def test_no_node_of_the_scene_is_left_after_many_rounds(slicer_scene):
    desk = Desk(slicer_scene.scene)
    try:
        desk.segment()
        desk.correct("liver", LIVER)
        desk.refine()
        desk.controller.discard()
        before = desk.node_names()
        for turn in range(10):
            desk.correct("liver", LIVER)
            desk.refine()
            if turn % 3 == 0:
                desk.controller.discard()
            else:
                desk.controller.apply()
            if turn % 3 == 1:
                desk.undo()
        assert desk.errors == [] and desk.node_names() == before
    finally:
        desk.controller.cleanup()
