"""Strokes that lie outside, contradict each other, lie on what is locked, are a single voxel or ten million."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np

from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.stroke_book import Stroke, StrokeBook
from InteractiveRefineLib.stroke_book_json import book_from_json, book_to_json
from InteractiveRefineLib.worker.constraint_codec import constraints_from_fields, constraints_to_fields
from Testing.tests.cli_examples import LPS, SHAPE
from Testing.tests.session_examples import IN_LIVER, IN_SPLEEN, MISSED, a_session

from .registry import Tally, row

_GROUP = "Strange strokes"
#: A whole scan of 512 x 512 x 78 has twice as many voxels.
_MANY = 10_000_000
#: Seconds of the processor, for the machine may be busy with other things.
_MOST_SECONDS, _MOST_MEGABYTES = 30.0, 3000


@row(_GROUP, "outside the image, in part or wholly: the part inside is obeyed, the rest is told")
def outside(tally: Tally, folder: Path) -> None:
    far = np.array([[-1, 0, 0], [0, 0, 10**6], [-(10**9), 5, 5], [8, 24, 13]])
    for what, kji in {"wholly": far, "in part": np.concatenate([far, MISSED])}.items():
        with tally.fault(what):
            session = a_session(steps=3)
            before = session.predict()
            strokes = Constraints(session.image.geometry)
            strokes.add_stroke_indices(kji, 1)
            result = session.refine(strokes)
            tally.strokes_obeyed(strokes, result.labels)
            assert any("4 " in w and "outside" in w for w in result.warnings), result.warnings
            if what == "wholly":
                tally.segments_kept(before, result.labels)


@row(_GROUP, "conflicting in one round and over rounds, of every kind: the latest is obeyed, and it is told")
def conflicting(tally: Tally, folder: Path) -> None:
    for first in (0, 1, 2, "not 1"):
        for second in (0, 1, 2, "not 1", "not 2"):
            for later in (False, True):
                with tally.fault(f"{first}, then {second}{' a round later' if later else ''}"):
                    session = a_session(steps=2)
                    strokes = Constraints(session.image.geometry)
                    _stroke(strokes, MISSED, first)
                    if later:
                        strokes.next_round()
                    _stroke(strokes, MISSED[:2], second)
                    _stroke(strokes, IN_SPLEEN, 2)
                    result = session.refine(strokes)
                    tally.strokes_obeyed(strokes, result.labels)
                    if isinstance(first, int) and isinstance(second, int) and first != second and not later:
                        assert any("stroke" in w for w in result.warnings), "nobody was told"


def _stroke(strokes: Constraints, kji: np.ndarray, what: int | str) -> None:
    forbidden = isinstance(what, str)
    strokes.add_stroke_indices(kji, int(what.split()[-1]) if forbidden else what, forbidden)


@row(_GROUP, "on what is locked, and of what is locked: no locked voxel changes, and it is told")
def locked(tally: Tally, folder: Path) -> None:
    for what, drawn in {
        "liver on the locked spleen": (IN_SPLEEN, 1),
        "background on the locked spleen": (IN_SPLEEN, 0),
        "locked spleen on the liver": (IN_LIVER, 2),
        "not spleen on the locked spleen": (IN_SPLEEN, "not 2"),
    }.items():
        for also_elsewhere in (False, True):
            with tally.fault(what + (" and elsewhere" if also_elsewhere else "")):
                session = a_session(steps=3)
                before = session.predict()
                strokes = Constraints(session.image.geometry, {2})
                _stroke(strokes, *drawn)
                if also_elsewhere:
                    _stroke(strokes, MISSED, 1)
                try:
                    labels, told = (result := session.refine(strokes)).labels, result.warnings
                    assert also_elsewhere, "it should have been refused"
                    tally.strokes_lost += int((labels[tuple(MISSED.T)] != 1).any())
                except InputError as error:
                    assert not also_elsewhere
                    labels, told = session.segmentation().labels, [str(error)]
                tally.segments_kept((before == 2).astype(int), (labels == 2).astype(int))
                assert any("lock" in sentence for sentence in told), told


@row(_GROUP, "a single voxel: in each class, at a corner, of a new class")
def one_voxel(tally: Tally, folder: Path) -> None:
    for kji in ([0, 0, 0], [15, 23, 31], [8, 12, 14]):
        for label in (0, 1, 2, 3):
            with tally.fault(f"{label} at {kji}"):
                session = a_session(steps=2, new_classes=("tumor",))
                strokes = Constraints(session.image.geometry)
                strokes.add_stroke_indices(np.array([kji]), label)
                tally.strokes_obeyed(strokes, session.refine(strokes).labels)


@row(
    _GROUP,
    f"every voxel of an image stroked; and {_MANY:,} voxels kept, saved, sent and weighed within bounds",
    slow=True,
)
def very_many(tally: Tally, folder: Path) -> None:
    with tally.fault("every voxel"):
        session = a_session(steps=2)
        wanted = np.random.default_rng(0).integers(0, 3, SHAPE)
        strokes = Constraints(session.image.geometry)
        strokes.add_strokes(np.where(wanted == 0, 255, wanted))
        tally.strokes_obeyed(strokes, session.refine(strokes).labels)
    with tally.fault(f"{_MANY:,} voxels"):
        start, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = {}
        geometry = Geometry((64, 512, 512), LPS)
        flat = np.random.default_rng(1).choice(np.prod(geometry.shape), _MANY, replace=False)
        flat.sort()
        seconds["made"] = time.process_time() - start
        book = StrokeBook(geometry)
        for number, part in enumerate(np.array_split(flat, 3), start=1):
            book.add([Stroke(part, f"segment {number}")])
            book.close_round()
        seconds["drawn"] = time.process_time() - start
        text = book_to_json(book)
        seconds["saved"] = time.process_time() - start
        again = book_from_json(text)
        seconds["read"] = time.process_time() - start
        (strokes, _), (back, _) = (b.to_constraints(lambda name: int(name[-1])) for b in (book, again))
        tally.strokes_known(strokes, back)
        arrays: list[np.ndarray] = []
        sent = constraints_from_fields(constraints_to_fields(strokes, arrays), geometry, arrays)
        tally.strokes_known(strokes, sent)
        seconds["sent"] = time.process_time() - start
        resolved = strokes.resolve(np.zeros(geometry.shape, np.uint16), 4)
        assert len(resolved.indices) == _MANY
        seconds["weighed"] = time.process_time() - start
        used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
        tally.notes.append(
            ", ".join(f"{name} {at:.1f} s" for name, at in seconds.items()) + f", {used:.0f} MB more at the most"
        )
        assert seconds["weighed"] < _MOST_SECONDS and used < _MOST_MEGABYTES
