"""Images that hold nothing, too much, or what is no number; and the files they come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.image_io import read_volume, write_volume
from InteractiveRefineLib.segmentation import Segment, Segmentation
from InteractiveRefineLib.segmentation_io import read_segmentation, write_segmentation
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import RefineSettings
from InteractiveRefineLib.volume import Volume
from Testing.tests.cli_examples import LPS, SHAPE, scan
from Testing.tests.session_examples import a_backbone, a_session, hesitant, usual_constraints

from .registry import Tally, row

_GROUP = "Strange images"


def _with(value: float) -> np.ndarray:
    array = scan().array.copy()
    array[3, 4, 5] = value
    return array


@row(
    _GROUP,
    "NaN, infinity, constant, one voxel, no voxels, not numbers, no axes: one sentence that says which and what to do",
)
def refused(tally: Tally, folder: Path) -> None:
    refused = {
        "one NaN": (lambda: _with(np.nan), "1 voxels that are NaN or infinite. Replace them"),
        "one infinity": (lambda: _with(np.inf), "1 voxels that are NaN or infinite. Replace them"),
        "one negative infinity": (lambda: _with(-np.inf), "NaN or infinite. Replace them"),
        "nothing but NaN": (lambda: np.full(SHAPE, np.nan, np.float32), f"{np.prod(SHAPE)} voxels that are NaN"),
        "constant": (lambda: np.full(SHAPE, 7, np.int16), "the same intensity (7) everywhere"),
        "complex": (lambda: np.full(SHAPE, 1j), "not numbers that could be intensities"),
        "texts": (lambda: np.full(SHAPE, "x"), "not numbers that could be intensities"),
        "no slice": (lambda: np.zeros((0, 8, 8), np.float32), "three sides of at least one voxel"),
        "no voxel": (lambda: np.zeros((0, 0, 0), np.float32), "three sides of at least one voxel"),
        "two axes": (lambda: np.zeros((8, 8), np.float32), "an image is (K, J, I)"),
        "another number of channels": (lambda: np.ones((2, *SHAPE), np.float32), "needs 1 channel(s)"),
        "one row": (lambda: np.arange(32.0).reshape(1, 1, 32), "is a 3-D network, but the image is a single slice"),
        "one voxel": (lambda: np.ones((1, 1, 1), np.float32), "the same intensity (1) everywhere"),
    }
    for what, (array, words) in refused.items():
        with tally.fault(what):
            _is_refused(lambda array=array: a_session(Volume(array(), LPS)).predict(), words)
    for what, matrix in {"singular": np.diag([1.0, 1.0, 0.0, 1.0]), "NaN": np.full((4, 4), np.nan)}.items():
        with tally.fault(f"a {what} matrix"):
            _is_refused(lambda matrix=matrix: Volume(scan().array, matrix), "must be finite, invertible and 4 x 4")


@row(_GROUP, "one slice, one row, one column, extreme and integer intensities: strokes are obeyed, locks hold")
def thin(tally: Tally, folder: Path) -> None:
    random = np.random.default_rng(0)
    shapes = [(1, 24, 32), (1, 2, 2), (1, 3, 40), (2, 2, 2), (2, 3, 40), (40, 2, 3)]
    kinds: dict[str, Callable[[], np.ndarray]] = {
        f"{shape} voxels": lambda shape=shape: random.normal(100, 60, shape).astype(np.float32) for shape in shapes
    }
    kinds["intensities of 1e30"] = lambda: scan().array * np.float32(1e28)
    kinds["intensities of 1e-30"] = lambda: scan().array * np.float32(1e-30)
    kinds["unsigned bytes"] = lambda: scan().array.clip(0, 255).astype(np.uint8)
    kinds["64-bit integers"] = lambda: (scan().array * 1e12).astype(np.int64)
    kinds["true and false"] = lambda: scan().array > 50
    kinds["one voxel that differs"] = lambda: np.where(np.arange(np.prod(SHAPE)).reshape(SHAPE) == 99, 1.0, 0.0)
    for what, array in kinds.items():
        with tally.fault(what):
            volume = Volume(array(), LPS, what)
            flat = volume.geometry.is_2d
            backbone = a_backbone(hesitant(dimensions=2), dimensions=2) if flat else a_backbone()
            session = RefineSession(volume, backbone, RefineSettings(device="cpu", steps=3))
            before = session.predict()
            first, last = np.zeros((1, 3), dtype=int), np.array(volume.geometry.shape)[None] - 1
            lock = {2} - {int(before[tuple(kji[0])]) for kji in (first, last)}
            strokes = Constraints(volume.geometry, lock)
            strokes.add_stroke_indices(first, 1)
            strokes.add_stroke_indices(last, 0)
            result = session.refine(strokes)
            tally.strokes_obeyed(strokes, result.labels)
            if lock:
                tally.segments_kept((before == 2).astype(int), (result.labels == 2).astype(int))


@row(_GROUP, "a label map of 65,535 labels: written and read whole, refused for refining; one of 252 labels is refined")
def many_labels(tally: Tally, folder: Path) -> None:
    shape = (16, 64, 64)  # 65,536 voxels
    labels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    with tally.fault("written and read"):
        plain = Segmentation(labels, Geometry(shape, LPS), [])
        write_segmentation(plain, folder / "labels.nii.gz")
        back = read_segmentation(folder / "labels.nii.gz")
        tally.segments_kept(labels, back.labels)
        assert len(back.segments) == 65535
    random = np.random.default_rng(0)
    image = Volume(random.normal(100, 60, shape).astype(np.float32), LPS)
    strokes = Constraints(image.geometry)
    strokes.add_stroke_indices(np.array([[8, 30, 30], [8, 30, 31]]), 5)
    with tally.fault("refined: more classes than strokes can tell apart"):
        _is_refused(lambda: a_session(image, current=plain_segments(labels, image)), "At most 254 classes")
    with tally.fault("refined: as many as can be"):
        current = plain_segments((labels % 253).astype(np.uint16), image)
        session = a_session(image, current=current, steps=2)
        before = session.predict()
        result = session.refine(strokes)
        tally.strokes_obeyed(strokes, result.labels)
        far = np.ones(shape, dtype=bool)
        far[:, 10:50, 10:50] = False
        tally.segments_kept(np.where(far, before, 0), np.where(far, result.labels, 0))
    with tally.fault("more labels than there are"):
        wide = np.arange(70000, dtype=np.uint32).reshape(10, 100, 70)
        _is_refused(
            lambda: write_segmentation(Segmentation(wide, Geometry(wide.shape, LPS), []), folder / "wide.seg.nrrd"),
            "above 65535",
        )
        assert not (folder / "wide.seg.nrrd").exists()


@row(
    _GROUP,
    "files of 0 bytes, cut at each quarter, or with flipped bits: a clear error, or the voxels that were written",
)
def damaged_files(tally: Tally, folder: Path) -> None:
    random = np.random.default_rng(5)
    image = scan()
    for name in ("a.nrrd", "a.nii.gz", "a.nii", "a.seg.nrrd"):
        path = folder / name
        read = read_segmentation if "seg" in name else read_volume
        if "seg" in name:
            segments = [Segment("liver", 1), Segment("spleen", 2)]
            write_segmentation(Segmentation((image.array > 50).astype(np.uint16), image.geometry, segments), path)
        else:
            write_volume(image, path)
        whole = path.read_bytes()
        damages = {f"{name} cut at {quarter}/4": whole[: len(whole) * quarter // 4] for quarter in range(4)}
        for _ in range(8):
            at, bit = int(random.integers(len(whole))), int(random.integers(8))
            damages[f"{name} bit {bit} of byte {at}"] = whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]
        for what, data in damages.items():
            with tally.fault(what):
                path.write_bytes(data)
                try:
                    found = read(path)
                except InputError as error:
                    assert str(path) in str(error) and "\n" not in str(error), str(error)
                else:
                    # Only the plain formats have no checksum: there a flipped bit is another intensity, or header.
                    assert "bit" in what, "a file that was cut was taken for whole"
                    assert (found.labels if "seg" in name else found.array).size <= image.array.size


def plain_segments(labels: np.ndarray, image: Volume) -> Segmentation:
    """A segmentation with a name for each label."""
    return Segmentation(labels, image.geometry, [Segment(f"s{n}", n) for n in range(1, int(labels.max()) + 1)])


def _is_refused(action: Callable[[], object], words: str) -> None:
    try:
        action()
    except InputError as error:
        assert words in str(error), str(error)
        assert "\n" not in str(error)
    else:
        raise AssertionError("it was taken")


@row(_GROUP, "a strange image in the middle of a session: refused, and the session before goes on")
def refused_in_a_session(tally: Tally, folder: Path) -> None:
    for what, value in (("NaN", np.nan), ("infinity", np.inf)):
        with tally.fault(what):
            session = a_session(steps=3)
            expected = a_session(steps=3).refine(usual_constraints(session))
            _is_refused(lambda value=value: a_session(Volume(_with(value), LPS)), "NaN or infinite")
            result = session.refine(usual_constraints(session))
            tally.segments_kept(expected.labels, result.labels)
            tally.strokes_obeyed(usual_constraints(session), result.labels)
