"""Benchmark: how long a refinement takes to be written into the segments of a 512 x 512 x 300 scan.

Run `python -m Testing.benchmarks.write_back`. It prints our box-sized Add and Remove beside ModificationModeSet of the
whole volume, which is what a plain effect would do, for the same result.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "InteractiveRefine"), str(ROOT / "Testing" / "tests")]

import slicer  # noqa: E402
from scene_examples import HeadlessEditor, add_segmentation, add_shared_segments, add_volume, ijk_to_ras  # noqa: E402

from InteractiveRefineScene.labelmaps import orientedImage  # noqa: E402
from Testing.slicer_stand_in.bootstrap import CoreSession  # noqa: E402

SHAPE = (300, 512, 512)
#: The whole write-back of a refinement may take this long (issue 5).
TARGET_S = 0.15


def organs():
    """Labels (K, J, I) uint8 of four ellipsoids, and a refinement of two of them that touch."""
    before = np.zeros(SHAPE, np.uint8)
    for label, (k, j, i, radius) in enumerate(
        ((150, 220, 170, 85), (150, 230, 345, 60), (90, 330, 250, 40), (230, 300, 260, 40)), 1
    ):
        box = tuple(slice(c - radius, c + radius + 1) for c in (k, j, i))
        grid = np.indices([2 * radius + 1] * 3) - radius
        before[box][np.linalg.norm(grid, axis=0) <= radius] = label
    after = before.copy()
    bite = (slice(110, 190), slice(190, 280), slice(250, 330))  # where the first two touch
    after[bite] = np.where(np.indices(after[bite].shape)[2] < 40, 1, 2)
    return before, after


def new_editor(session, before):
    volume = add_volume(session.scene, np.zeros(SHAPE, np.int16))
    node = add_segmentation(session.scene, volume)
    add_shared_segments(node, before, ["liver", "spleen", "kidney", "stomach"], ijk_to_ras(volume))
    return HeadlessEditor(session.scene, volume, node)


def write_boxes(editor, before, after, segments, box):
    """What the product does."""
    editor.writer.apply(before, after, segments, editor.volume, changedBox=box)


def write_whole(editor, before, after, segments, box):
    """What a plain effect does: every changed segment anew, over the whole volume."""
    editor.logic.SaveStateForUndo()
    mode = slicer.vtkSlicerSegmentEditorLogic.ModificationModeSet
    for segment in segments[:2]:
        image = orientedImage((after == segment.label).astype(np.uint8), ijk_to_ras(editor.volume))
        editor.logic.ModifySegmentByLabelmap(editor.segmentation, segment.id, image, mode, False, False)


def seconds(editor, write, before, after, segments, box, repeats=5):
    """Times of one write, undo state included; each is undone, which also shows that Undo brings all back."""
    times = []
    for _ in range(repeats):
        editor.history.RemoveAllStates()  # after Undo, Slicer would not save the state again
        start = time.perf_counter()
        write(editor, before, after, segments, box)
        times.append(time.perf_counter() - start)
        assert np.array_equal(editor.read().labels, after), "the segments are not what was written"
        editor.logic.Undo()
        assert np.array_equal(editor.read().labels, before), "Undo did not bring the segments back"
    return times


def main():
    session = CoreSession()
    before, after = organs()
    editor = new_editor(session, before)
    segments = editor.read().segments
    changed = np.argwhere(before != after)
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(changed.min(axis=0), changed.max(axis=0)))
    ours = seconds(editor, write_boxes, before, after, segments, box)
    unknown_box = seconds(editor, write_boxes, before, after, segments, None)
    whole = seconds(editor, write_whole, before, after, segments, box)
    size = " x ".join(str(side.stop - side.start) for side in box)
    print(f"write-back, {SHAPE[2]} x {SHAPE[1]} x {SHAPE[0]} voxels, {len(changed)} of them changed in a box of {size}")
    rows = (("box-sized Add and Remove", ours), ("the same, box not known", unknown_box), ("Set, whole volume", whole))
    for name, times in rows:
        print(f"  {name:26} median {statistics.median(times):6.3f} s   fastest {min(times):6.3f} s")
    print(f"  ratio of the medians, whole volume / box-sized: {statistics.median(whole) / statistics.median(ours):.1f}")
    # The fastest of all: what else runs on the machine can only make it slower.
    met = min(ours) <= TARGET_S
    print(f"  target {TARGET_S} s: {'met' if met else 'MISSED'}")
    session.close()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
