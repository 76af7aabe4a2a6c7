"""On real scans strokes alone find structures that no network knows; bounds a little under the measured figures."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.volume import Volume  # noqa: E402
from Testing.from_scratch import DATA, play  # noqa: E402
from Testing.real_data import data_folder  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(data_folder() is None, reason="needs the real scans, see Testing/real_data.py"),
]


def thinned(case, steps):
    """Every n-th voxel along K, J, I: a round then takes a fraction of a second."""
    image, truth, names = case
    part = tuple(slice(None, None, step) for step in steps)
    matrix = image.ijk_to_ras @ np.diag([*[float(step) for step in steps[::-1]], 1.0])
    return Volume(np.ascontiguousarray(image.array[part]), matrix, image.name), truth[part].copy(), names


@pytest.mark.parametrize(
    ("data", "steps", "length", "least"),
    [
        ("hippocampus", (1, 1, 1), 15, 0.80),
        ("mr", (1, 3, 3), 10, 0.82),
        ("flair", (3, 3, 3), 10, 0.92),
        ("ct-kidney", (2, 6, 6), 10, 0.92),
        ("ct-liver", (2, 6, 6), 10, 0.72),
    ],
)
def test_five_rounds_find_it(data, steps, length, least):
    halves = DATA[data].halves()
    names = (halves["tune"] or halves["report"])[:3]
    stories = [play(thinned(DATA[data].read(name), steps), length) for name in names]
    assert [story.violated for story in stories] == [0] * len(names)
    first, last = (np.mean([story.dice[n] for story in stories]) for n in (0, -1))
    assert last > least and last > first
