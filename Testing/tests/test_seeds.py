"""Which strokes grow, and what grows from them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.image_state import ImageFrame  # noqa: E402
from InteractiveRefineLib.progress import never_cancel  # noqa: E402
from InteractiveRefineLib.round_input import RoundInput  # noqa: E402
from InteractiveRefineLib.seeds import make_seeds  # noqa: E402
from InteractiveRefineLib.settings import RefineSettings  # noqa: E402
from Testing.tests.cli_examples import SHAPE, scan, truth  # noqa: E402
from Testing.tests.session_examples import EMPTY, IN_LIVER, IN_SPLEEN, a_backbone  # noqa: E402

NONE = np.zeros(SHAPE, dtype=bool)


def seeds_of(*strokes, blocked=NONE, missing=(), missing_distance_mm=0.0, **settings):
    voxels = np.concatenate([v for v, _ in strokes])
    wanted = np.concatenate([np.full(len(v), label, np.int64) for v, label in strokes])
    count = np.zeros(len(wanted), np.int64)
    strokes = RoundInput(voxels, wanted, count, count > 0)
    settings = RefineSettings(**{"threshold": 20.0, "max_distance_mm": 60.0, **settings})
    frame = ImageFrame(scan(), a_backbone())
    named = lambda n: f"class {n}"  # noqa: E731
    return strokes, make_seeds(
        strokes, frame, blocked, 3, settings, named, never_cancel, missing, missing_distance_mm
    )  # fmt: skip


def grown_map(seeds):
    """(K, J, I) with the seeds' labels, -1 elsewhere."""
    out = np.full(SHAPE, -1)
    out[tuple(seeds.voxels.T)] = seeds.labels
    return out


def test_new_classes_grow_and_known_ones_do_not():
    _, seeds = seeds_of((IN_SPLEEN, 3), (IN_LIVER, 1))
    grown = grown_map(seeds)
    assert np.array_equal(grown == 3, truth() == 2)
    assert np.count_nonzero(grown == 1) == 2


def test_all_grow_background_too():
    _, seeds = seeds_of((IN_SPLEEN, 2), (EMPTY, 0), grow="all")
    grown = grown_map(seeds)
    assert np.array_equal(grown == 2, truth() == 2)
    assert np.count_nonzero(grown == 0) > 100
    assert not (grown == 255).any()


@pytest.mark.parametrize("grow, label", [("none", 3), ("new", 2)])
def test_nothing_grows_where_nothing_is_chosen(grow, label):
    strokes, seeds = seeds_of((IN_SPLEEN, label), grow=grow)
    assert np.array_equal(seeds.voxels, strokes.voxels)
    assert np.array_equal(seeds.labels, strokes.wanted)
    assert seeds.warnings == []


def test_the_strokes_come_first_as_they_are():
    strokes, seeds = seeds_of((IN_SPLEEN, 3), (EMPTY, 0), (IN_LIVER, 4))
    n = len(strokes)
    assert np.array_equal(seeds.voxels[:n], strokes.voxels)
    assert np.array_equal(seeds.labels[:n], strokes.wanted)
    assert len(np.unique(seeds.voxels, axis=0)) == len(seeds.voxels)
    assert seeds.labels.dtype == np.int64


def test_nobody_grows_over_another_stroke_or_what_is_locked():
    blocked = NONE.copy()
    blocked[:, 14:] = True
    fence = np.array([[k, j, 22] for k in range(4, 12) for j in range(8, 14)])
    _, seeds = seeds_of((IN_SPLEEN, 3), (fence, 0), blocked=blocked)
    grown = grown_map(seeds)
    assert (grown[tuple(fence.T)] == 0).all()
    assert not (grown[:, 14:] >= 0).any()
    assert not (grown[:, :, :22] == 3).any()
    assert not blocked[:, :14].any()  # the caller's mask stays as it was


def test_the_bound_in_mm_is_kept():
    _, seeds = seeds_of((IN_SPLEEN, 3), max_distance_mm=5.0)
    far = np.min(np.linalg.norm((seeds.voxels[:, None] - IN_SPLEEN[None]) * np.array([3.0, 2.0, 2.0]), axis=2), axis=1)
    assert far.max() <= 5.0 + 1e-6
    assert len(seeds.voxels) > 10


def test_the_noise_gives_the_threshold_when_none_is_given():
    _, seeds = seeds_of((IN_SPLEEN, 3), threshold=None, threshold_noise=4.0)
    assert np.mean((grown_map(seeds) == 3)[truth() == 2]) > 0.9
    _, seeds = seeds_of((IN_SPLEEN, 3), threshold=None, threshold_noise=0.0)
    assert np.count_nonzero(grown_map(seeds) == 3) < 10
