"""The panel with a network of two channels: one selector more, and what is said while it is empty."""

import pytest

from Testing.tests.channel_examples import write_two_channel_backbone
from Testing.tests.panel_examples import PanelDesk

pytest.importorskip("torch")


@pytest.fixture
def desk(editor, tmp_path):
    import slicer

    made = PanelDesk(editor)
    made.t1c = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "second scan")
    slicer.util.updateVolumeFromArray(made.t1c, made.image.array)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    made.folder = write_two_channel_backbone(tmp_path / "two channels")
    return made


def use(desk, folder):
    """As if the user had chosen the folder on this computer before."""
    desk.panel.network._backbones.trust(folder)
    desk.effect.scriptedEffect.setParameter("Backbone", folder)
    desk.effect.updateGUIFromMRML()


def test_a_second_channel_is_chosen_in_one_more_row_and_goes_with_the_scan(desk):
    import slicer

    from InteractiveRefineScene.scene_image import channelNode

    ui, volumeNode = desk.ui, desk.editor.volumeNode
    assert ui.channelsFrame.isHidden()
    use(desk, desk.folder)
    assert not ui.channelsFrame.isHidden() and ui.channelsFrame.layout().rowCount() == 1
    assert ui.classesLabel.text.endswith("FLAIR: the source volume.")
    selector = desk.panel.network.channels.selector("T1c")
    assert selector.currentNode() is None and selector.nodeCount() == 2, "scans, and no label maps"
    why = "This network needs FLAIR + T1c, and there is no T1c. Choose its volume below the network."
    assert not ui.predictButton.enabled and ui.predictButton.toolTip == why
    desk.draw("liver")
    assert ui.refineButton.toolTip == why
    desk.panel.onRefine()
    assert ui.statusLabel.text == why and not desk.controller.client.alive

    selector.setCurrentNode(desk.t1c)

    assert channelNode(volumeNode, "T1c") is desk.t1c
    assert ui.predictButton.enabled and ui.refineButton.enabled and ui.statusLabel.text == ""
    assert not desk.controller.strokes.book.is_empty
    desk.editor.widget.setSourceVolumeNode(desk.t1c)
    assert desk.panel.network.channels.selector("T1c").currentNode() is None, "what goes with the other scan"
    desk.editor.widget.setSourceVolumeNode(volumeNode)
    assert desk.panel.network.channels.selector("T1c").currentNode() is desk.t1c
    slicer.mrmlScene.RemoveNode(desk.t1c)
    desk.editor.process_events(0.05)
    assert not ui.predictButton.enabled
    use(desk, "")
    assert ui.channelsFrame.isHidden() and ui.predictButton.enabled


def test_another_patient_finds_no_channel_of_this_one(desk):
    use(desk, desk.folder)
    desk.panel.network.channels.selector("T1c").setCurrentNode(desk.t1c)
    desk.editor.session.scene.Clear(0)
    desk.editor.process_events(0.05)
    assert desk.ui.channelsFrame.isHidden() and desk.controller.volumeNode is None


def test_growing_is_shown_also_while_a_channel_is_missing_and_then_looks_at_both(desk):
    from InteractiveRefineScene.scene_image import imageKey

    use(desk, desk.folder)
    desk.editor.segmentationNode.GetSegmentation().AddEmptySegment("rib", "rib")
    preview = desk.effect.growingPreview
    desk.draw("liver")
    desk.editor.wait_until(lambda: preview.threshold is not None, 20)
    alone = preview._asked[-1]
    assert preview._image(desk.controller).array.ndim == 3

    desk.panel.network.channels.selector("T1c").setCurrentNode(desk.t1c)

    desk.editor.wait_until(lambda: not preview.isPending and preview._asked[-1] != alone, 20)
    assert preview._image(desk.controller).array.shape[0] == 2 and imageKey(desk.editor.volumeNode, ("FLAIR", "T1c"))
