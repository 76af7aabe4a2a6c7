"""Constraints on the wire: every input of every round, sparse and lossless."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..constraints import Constraints, InputRecord
from ..geometry import Geometry
from ..resolution import Source
from .memory import array_at, require_between
from .wire import WireError


def constraints_to_fields(constraints: Constraints, arrays: list[np.ndarray]) -> dict[str, Any]:
    """JSON fields; two arrays are appended to `arrays`: all flat voxel indices, and all labels.

    A round is a list of [voxels, forbidden, source, clipped voxels], in the order in which they were added.
    """
    rounds = constraints.to_records()
    records = [record for inputs in rounds for record in inputs]
    arrays.append(np.concatenate([r.indices for r in records] + [np.empty(0, dtype=np.int64)]))
    arrays.append(np.concatenate([r.labels for r in records] + [np.empty(0, dtype=np.int32)]))
    return {
        "rounds": [[[len(r.indices), r.forbidden, int(r.source), r.n_clipped] for r in inputs] for inputs in rounds],
        "locked": sorted(int(label) for label in constraints.locked),
        "arrays": [len(arrays) - 2, len(arrays) - 1],
    }


def constraints_from_fields(fields: dict[str, Any], geometry: Geometry, arrays: list[np.ndarray]) -> Constraints:
    """The constraints out of `constraints_to_fields`.

    Raises:
        WireError: fields that no constraints give.
    """
    try:
        rounds = [[(int(n), bool(f), Source(s), int(c)) for n, f, s, c in inputs] for inputs in fields["rounds"]]
        locked = [int(label) for label in fields["locked"]]
        first, second = fields["arrays"]
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"Constraints cannot be read: {type(error).__name__}: {error}.") from error
    indices, labels = array_at(arrays, first, np.int64), array_at(arrays, second, np.int32)
    counts = [record[0] for inputs in rounds for record in inputs]
    clipped = [record[3] for inputs in rounds for record in inputs]
    if indices.ndim != 1 or labels.shape != indices.shape or sum(counts) != len(indices) or min(counts, default=0) < 0:
        raise WireError("Constraints hold another number of voxels than they say.")
    if not rounds or min(clipped, default=0) < 0:
        raise WireError("Constraints need at least one round, and no negative counts.")
    require_between(indices, 0, int(np.prod(geometry.shape)) - 1, "stroked voxel")
    require_between(labels, 0, 65535, "label of a stroke")
    records, at = [], 0
    for inputs in rounds:
        records.append([])
        for n, forbidden, source, n_clipped in inputs:
            part = slice(at, at + n)
            records[-1].append(InputRecord(indices[part], labels[part], forbidden, source, n_clipped))
            at += n
    return Constraints.from_records(geometry, records, locked)
