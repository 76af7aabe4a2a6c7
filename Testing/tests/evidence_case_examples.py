"""Tiny cases of the evidence, made by hand."""

from __future__ import annotations

import numpy as np

from InteractiveRefineLib.volume import Volume
from Testing.evidence.case import Case, Spot


def tiny_case(truth, start=None, spacing=(1.0, 1.0, 1.0), classes=3, name="one", **others) -> Case:
    """A case of a truth (K, J, I), by default with an empty start; spacing in mm along K, J, I."""
    truth = np.asarray(truth, dtype=np.uint16)
    start = np.zeros_like(truth) if start is None else np.asarray(start, dtype=np.uint16)
    matrix = np.diag([*spacing[::-1], 1.0])
    names = tuple(f"class {n}" for n in range(1, classes + 1))
    scored = others.pop("scored", tuple(range(1, classes + 1)))
    image = Volume(np.zeros(truth.shape, dtype=np.float32), matrix, "tiny")
    return Case(Spot("tiny", "by hand", name, "tune"), image, names, truth, start, scored, None, **others)


def blocks(seed, shape=(9, 20, 24), classes=3, wrong=0.3):
    """A case of blocks of 4 x 4 x 4 voxels, with many errors all over."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes + 1, size=[-(-n // 4) for n in shape])
    truth = np.kron(coarse, np.ones((4, 4, 4), dtype=int))[tuple(slice(n) for n in shape)]
    return tiny_case(truth, np.where(rng.random(shape) < wrong, np.roll(truth, 3, axis=2), truth), classes=classes)
