"""Region growing written for certainty, not speed: plain Python over voxels, straight from the definition."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

STEPS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))


def grow_slowly(image, seeds, spacing_kji, threshold, max_distance_mm, blocked=None, rule="chain"):
    """The labels that `growing.grow` must return, without the leak guard."""
    channels = image if image.ndim == 4 else image[None]
    value = {v: [float(c[v]) for c in channels] for v in product(*(range(n) for n in seeds.shape))}
    label = {v: int(seeds[v]) for v in value if seeds[v] != 0}
    seeds_of = {c: [v for v in label if label[v] == c] for c in set(label.values())}
    closed = {v for v in value if blocked is not None and blocked[v]}
    # (voxel, seed it came from) of the newest step
    front = {v: v for v in label}

    def difference(a, b):
        return max((abs(x - y) if not math.isnan(x - y) else math.inf) for x, y in zip(value[a], value[b]))

    def in_reach(voxel, c):
        nearest = min(math.dist(np.multiply(voxel, spacing_kji), np.multiply(s, spacing_kji)) for s in seeds_of[c])
        return nearest <= max_distance_mm + 1e-6

    while front:
        arrivals = {}
        for here, origin in front.items():
            for step in STEPS:
                there = tuple(a + b for a, b in zip(here, step))
                if there not in value or there in label or there in closed:
                    continue
                d = difference(there, origin if rule == "seed" else here)
                if d < threshold and in_reach(there, label[here]):
                    arrivals.setdefault(there, []).append((label[here], d, origin))
        front = {}
        for there, candidates in arrivals.items():
            if len({c for c, _, _ in candidates}) > 1:
                closed.add(there)
                continue
            c, _, origin = min(candidates)
            label[there] = c
            front[there] = origin
    grown = np.zeros_like(seeds)
    for v, c in label.items():
        grown[v] = c
    return grown
