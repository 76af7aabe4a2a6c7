"""The same story on a real CT with a real network: the scan read from its file by Slicer's own reader."""

import time

import pytest

from Testing.real_backbones import make_backbone_folder
from Testing.real_data import chaos_ct, data_folder, require_data, right_kidney_reference
from Testing.slicer_story import SlicerStory, load_volume, start_module
from Testing.tests.test_slicer_story import same, tell_the_story

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(data_folder() is None, reason="real scans not found; set INTERACTIVE_REFINE_DATA"),
]


@pytest.fixture(scope="module")
def truths():
    """Name -> (K, J, I) bool: an organ that the network knows and one that it does not."""
    image, liver = chaos_ct()
    return {"liver": liver, "right kidney": right_kidney_reference(image, liver)}


@pytest.fixture
def story(slicer_app, editor, tmp_path):
    """The effect on the real CT, segmented by the real network, with one segment more than the network knows."""
    start_module(slicer_app)
    backbone = make_backbone_folder("abdomen", tmp_path / "abdomen")
    volume = load_volume(require_data() / "chaos_ct" / "chaos_ct_set3_image.nii.gz")
    story = SlicerStory(editor, volume, backbone=backbone)
    story.press("predictButton", until="idle")
    story.add_segment("right kidney")
    return story


def test_the_whole_story_on_a_real_ct(story, truths, tmp_path, record_property):
    began = time.perf_counter()
    tell_the_story(story, truths.get, ("liver", "right kidney"), tmp_path, apart=1, again=False)
    record_property("seconds", time.perf_counter() - began)


def test_a_worker_killed_in_the_middle_costs_nothing_on_a_real_ct(story, truths):
    for name, view in (("liver", "Red"), ("right kidney", "Green")):
        story.draw_into(name, truths[name] & ~story.mask(name), view, apart=1)
    before = story.snapshot()
    story.kill_the_worker_at_the_next_step()
    story.ui.refineButton.click()
    story.editor.wait_until(lambda: story.state() == "idle", 120)
    assert same(story.snapshot(), before)
    assert story.offsets() == before.offsets
    story.press("refineButton", until="preview")
    story.press("applyButton", until="idle")
    for _round, target, _kind, voxels in before.strokes:
        name = story.editor.segmentationNode.GetSegmentation().GetSegment(target).GetName()
        assert story.mask(name).reshape(-1)[list(voxels)].all(), f"the stroke of {name} was not obeyed"
