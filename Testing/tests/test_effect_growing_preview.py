"""What would grow from the strokes is shown while the user draws and moves the sliders."""

import numpy as np
import pytest

from Testing.tests.effect_examples import Refine

#: An organ of 100 in a body of 0: voxels (K, J, I).
ORGAN = (slice(4, 12), slice(5, 15), slice(6, 18))


@pytest.fixture
def refine(editor):
    import slicer

    found = Refine(editor)
    rng = np.random.default_rng(0)
    array = rng.integers(-2, 3, (16, 20, 24)).astype(np.int16)
    array[ORGAN] += 100
    slicer.util.updateVolumeFromArray(editor.volumeNode, array)
    found.set("ThresholdAutomatic", 0)
    found.set("Threshold", 30.0)
    found.set("MaxDistanceMm", 4.1)
    found.set("Grow", "all")
    editor.center_views(found.ras(8, 10, 12))
    return found


def grown(refine, segment="liver"):
    """Voxels (k, j, i) of the lighter overlay of a segment, read from the strokes node."""
    import slicer

    node = refine.effect.controller.strokes.node
    if node.GetSegmentation().GetSegment(f"grown:{segment}") is None:
        return set()
    volume = refine.editor.volumeNode
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, f"grown:{segment}", volume)
    return set() if array is None else {tuple(row) for row in np.argwhere(array > 0).tolist()}


def wait(refine):
    refine.editor.wait_until(lambda: not refine.effect.growingPreview.isPending, 5)


def click(refine, k=8, j=10, i=12, **keys):
    refine.editor.click("Red", refine.ras(k, j, i), **keys)


def within(refine, distance_mm):
    """The organ's voxels this close to the last stroke, without it."""
    stroke = np.array(sorted(refine.voxels()))
    every = np.argwhere(np.ones((16, 20, 24)))
    apart = np.linalg.norm((every[:, None] - stroke[None]) * 2.0, axis=2).min(axis=1)
    inside = np.zeros((16, 20, 24), bool)
    inside[ORGAN] = True
    return {tuple(v) for v in every[(apart <= distance_mm) & inside[tuple(every.T)]].tolist()} - refine.voxels()


def test_what_grows_appears_lighter_than_the_strokes_after_a_short_rest(refine):
    refine.set("BrushDiameterMm", 1.0)
    click(refine)
    assert refine.effect.growingPreview.isPending
    assert grown(refine) == set()
    wait(refine)
    assert grown(refine) == within(refine, 4.1)
    assert len(grown(refine)) == 32  # a ball of two voxels' radius has 33
    node = refine.effect.controller.strokes.node
    display = node.GetDisplayNode()
    assert display.GetSegmentOpacity2DFill("grown:liver") < display.GetSegmentOpacity2DFill("class:liver")
    segments = node.GetSegmentation(), refine.editor.segmentationNode.GetSegmentation()
    assert segments[0].GetSegment("grown:liver").GetColor() == segments[1].GetSegment("liver").GetColor()


def test_the_sliders_move_it_and_many_moves_are_computed_once(refine, monkeypatch):
    import InteractiveRefineEffect.growing as growing

    runs = []
    real = growing.growFromStrokes
    monkeypatch.setattr(growing, "growFromStrokes", lambda *a, **k: runs.append(1) or real(*a, **k))
    click(refine)
    wait(refine)
    small = grown(refine)
    runs.clear()
    for distance in (5.0, 6.0, 7.0, 8.1):
        refine.effect.panel.ui.maxDistanceSlider.value = distance
    wait(refine)
    assert len(runs) == 1
    assert small < grown(refine) == within(refine, 8.1)
    refine.effect.panel.ui.thresholdSlider.value = 0.5
    wait(refine)
    assert len(grown(refine)) < len(small)  # noise is larger than that nearly everywhere


def test_nothing_is_computed_again_when_only_the_selection_or_the_brush_changes(refine, monkeypatch):
    import InteractiveRefineEffect.growing as growing

    click(refine)
    wait(refine)
    before = grown(refine)
    monkeypatch.setattr(growing, "growFromStrokes", None)
    refine.editor.select("spleen")
    refine.set("BrushDiameterMm", 9.0)
    wait(refine)
    assert grown(refine) == before != set()
    assert not any("previewed" in line for line in refine.effect.growingPreview.lines)


def test_the_automatic_threshold_is_told(refine):
    from InteractiveRefineLib.noise import estimate_noise_near
    from InteractiveRefineScene.volumes import readVolume

    refine.set("ThresholdAutomatic", 1)
    click(refine)
    wait(refine)
    kji = np.array(sorted(refine.voxels()))
    volume = readVolume(refine.editor.volumeNode)
    expected = 2.0 * estimate_noise_near(volume.channels, kji, (2.0, 2.0, 2.0))
    assert refine.effect.growingPreview.threshold == pytest.approx(expected)
    assert expected > 0
    told = f"Threshold from the noise near the strokes: {expected:.4g}."
    assert refine.effect.panel.ui.growingLabel.text.splitlines()[-1] == told


def stroke_known_and_new(refine):
    """A stroke of the liver, which the network that comes with the program knows, and one of a cyst."""
    refine.editor.segmentationNode.GetSegmentation().AddEmptySegment("cyst", "cyst")
    click(refine)
    refine.editor.select("cyst")
    click(refine, k=10, j=7)
    wait(refine)


def test_it_says_which_segments_take_part_and_how_much_they_gain(refine):
    stroke_known_and_new(refine)
    lines = refine.effect.growingPreview.lines
    assert [line.split(" grows")[0] for line in lines] == ["liver", "cyst"]
    assert float(lines[0].split()[-2]) == pytest.approx(len(grown(refine, "liver")) * 0.008, abs=0.05)


@pytest.mark.parametrize(("choice", "shown"), [("new", {"cyst"}), ("all", {"liver", "cyst"}), ("none", set())])
def test_only_segments_grow_that_refine_grows(refine, choice, shown):
    refine.set("Grow", choice)
    stroke_known_and_new(refine)
    assert {name for name in ("liver", "cyst") if grown(refine, name)} == shown
    expected = {"new": "cyst grows by", "all": "liver grows by", "none": "Growing is off."}[choice]
    assert refine.effect.growingPreview.lines[0].startswith(expected)


def test_as_long_as_nobody_knows_the_network_every_segment_counts_as_new_and_that_is_told(refine):
    refine.set("Backbone", "no-such-folder")
    refine.set("Grow", "new")
    stroke_known_and_new(refine)
    assert grown(refine, "liver") and grown(refine, "cyst")
    told = "What the network knows is not known yet: every segment counts as new."
    assert refine.effect.growingPreview.lines[-1] == told


def test_locked_segments_block_and_do_not_grow(refine):
    import slicer

    from InteractiveRefineScene.locks import setLocked

    half = np.zeros((16, 20, 24), np.uint8)
    half[:, :, 13:] = 1
    editor = refine.editor
    slicer.util.updateSegmentBinaryLabelmapFromArray(half, editor.segmentationNode, "spleen", editor.volumeNode)
    setLocked(editor.segmentationNode, "spleen", True)
    refine.set("BrushDiameterMm", 1.0)
    click(refine)
    wait(refine)
    assert grown(refine) == {voxel for voxel in within(refine, 4.1) if voxel[2] < 13}
    setLocked(editor.segmentationNode, "spleen", False)
    refine.effect.growingPreview.schedule()
    wait(refine)
    assert grown(refine) == within(refine, 4.1)


def test_a_background_stroke_stops_it_and_undo_lets_it_go_on(refine):
    refine.set("BrushDiameterMm", 1.0)
    click(refine)
    click(refine, i=14, shift=True)
    wait(refine)
    assert (8, 10, 11) in grown(refine)
    assert (8, 10, 13) not in grown(refine)  # background, which grows as well here, arrives at the same time
    assert (8, 10, 14) not in grown(refine)
    refine.editor.undo()
    wait(refine)
    assert (8, 10, 14) in grown(refine)
    refine.editor.undo()
    wait(refine)
    assert grown(refine) == set()
    refine.editor.redo()
    wait(refine)
    assert grown(refine) == within(refine, 4.1)


def test_switched_off_or_out_of_the_effect_nothing_is_shown(refine):
    click(refine)
    wait(refine)
    assert grown(refine)
    refine.set("ShowGrown", 0)
    wait(refine)
    assert grown(refine) == set()
    refine.set("ShowGrown", 1)
    wait(refine)
    assert grown(refine)
    refine.editor.widget.setActiveEffectByName("")
    assert grown(refine) == set()
    assert not refine.effect.growingPreview.isPending
    refine.editor.activate("InteractiveRefine")
    wait(refine)
    assert grown(refine)


def test_strokes_of_a_removed_segment_are_kept_take_no_part_and_that_is_told(refine):
    click(refine)
    refine.editor.select("spleen")
    click(refine, k=10, j=7)
    refine.editor.segmentationNode.GetSegmentation().RemoveSegment("liver")
    refine.effect.growingPreview.schedule()
    wait(refine)
    assert [target for target, _, _ in refine.said()] == ["liver", "spleen"]
    assert grown(refine, "liver") == set()
    assert grown(refine, "spleen")
    assert refine.effect.growingPreview.lines[-1] == "1 strokes belong to a removed segment and take no part."


def test_a_renamed_segment_keeps_its_strokes(refine):
    click(refine)
    refine.editor.segmentationNode.GetSegmentation().GetSegment("liver").SetName("Leber")
    refine.effect.growingPreview.schedule()
    wait(refine)
    assert refine.effect.growingPreview.lines[0].startswith("Leber grows by ")


def test_a_preview_that_takes_too_long_is_given_up_and_told(refine, monkeypatch):
    import InteractiveRefineEffect.growing_preview as module

    monkeypatch.setattr(module, "_LONGEST_S", -1.0)
    click(refine)
    wait(refine)
    assert grown(refine) == set()
    assert refine.effect.growingPreview.lines[0].startswith("The region is too large")


def test_when_the_strokes_node_was_removed_by_hand_the_next_stroke_brings_all_back(refine):
    click(refine)
    wait(refine)
    refine.editor.session.scene.RemoveNode(refine.effect.controller.strokes.node)
    click(refine, k=8, j=12)
    wait(refine)
    assert len(refine.strokes) == 2
    assert grown(refine)
