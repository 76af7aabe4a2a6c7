"""Sentences for the user about constraints that were clipped, contradictory or locked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .resolution import Conflict, Rows, Source

#: Maps a label to the class's name.
Names = Callable[[int], str]

_VOXEL_OF = {Source.STROKE: "stroke voxel", Source.POINT: "point voxel", Source.BOX: "box voxel"}


def default_name(label: int) -> str:
    """What a class is called when nobody told its name."""
    return "background" if label == 0 else f"label {label}"


def clip_warning(n: int, source: Source) -> str:
    """`n` voxels of the input were left out because the image ends before them."""
    return f"{_voxels(n, source)} {_lie(n)} outside the image and {_were(n)} ignored."


def conflict_warning(conflict: Conflict, name: Names) -> str:
    """Some voxels were marked as two classes at once; says where and which one counts."""
    n, place = conflict.n_voxels, ", ".join(f"{x:.1f}" for x in conflict.ras)
    return (
        f"{_voxels(n, conflict.source)} around RAS ({place}) mm {_were(n)} marked both {name(conflict.dropped)} and "
        f"{name(conflict.kept)}; {name(conflict.kept)}, which came later, was used."
    )


def lock_warnings(on_lock: Rows, locks: np.ndarray, wants_lock: Rows, held: Rows, name: Names) -> list[str]:
    """Constraints that contradict a lock; one sentence per means and locked label.

    Args:
        on_lock: wanted labels at voxels that are locked as something else.
        locks: (N,) the locked label of each row of `on_lock`.
        wants_lock: rows that want a locked label where it is not.
        held: "not this class" rows at voxels that are locked as this class.
        name: the name of a label.
    """
    warnings = []
    sources = np.concatenate([on_lock.sources, held.sources])
    for source, label, n in _tally(sources, np.concatenate([locks, held.labels])):
        lock = name(label)
        warnings.append(
            f"{_voxels(n, source)} {_lie(n)} on locked {lock} and {_were(n)} ignored; unlock {lock} to change it."
        )
    for source, label, n in _tally(wants_lock.sources, wants_lock.labels):
        lock = name(label)
        warnings.append(
            f"{_voxels(n, source)} would add to locked {lock} and {_were(n)} ignored; unlock {lock} to change it."
        )
    return warnings


def stuck_warnings(stuck: Rows, name: Names) -> list[str]:
    """Voxels that must not be a class and could become locked ones only; one sentence per means and class."""
    return [
        f"{_voxels(n, source)} marked not {name(label)} could only become what is locked and {_were(n)} ignored; "
        "unlock another class."
        for source, label, n in _tally(stuck.sources, stuck.labels)
    ]


def _tally(sources: np.ndarray, labels: np.ndarray) -> list[tuple[Source, int, int]]:
    """Each pair of source and label with its count, the most precise source first."""
    pairs = np.stack([sources, labels], axis=1).astype(np.int64)
    found = zip(*np.unique(pairs, axis=0, return_counts=True))
    tally = [(Source(int(source)), int(label), int(n)) for (source, label), n in found]
    return sorted(tally, key=lambda entry: (-entry[0], entry[1]))


def _voxels(n: int, source: Source) -> str:
    return f"{n} {_VOXEL_OF[source]}{'' if n == 1 else 's'}"


def _lie(n: int) -> str:
    return "lies" if n == 1 else "lie"


def _were(n: int) -> str:
    return "was" if n == 1 else "were"
