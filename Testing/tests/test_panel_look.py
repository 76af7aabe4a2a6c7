"""Pictures of the panel as wide as Slicer's module panel: nothing is cut, nothing lies over something else.

With INTERACTIVE_REFINE_PICTURES=<folder> the pictures stay there; Resources/Screenshots has two of them.
"""

import os
from pathlib import Path

import pytest

from Testing.tests.panel_examples import PanelDesk

pytest.importorskip("torch")
WIDTH = 430
LONG = (
    "The worker was killed (killed by signal 9), probably because the computer ran out of memory. Your segmentation "
    "and strokes are as they were. Close other programs or crop the image, then refine again; the worker is "
    "restarted by itself."
)


@pytest.fixture
def pictures(tmp_path):
    folder = Path(os.environ.get("INTERACTIVE_REFINE_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def picture(desk, path):
    """Take a picture; the shown widgets that hold text but are too small for it, by name."""
    import qt

    desk.grab(path, WIDTH)
    assert 400 < desk.panel.widget.width <= WIDTH, "the panel does not fit into Slicer's module panel"
    cut = []
    for widget in desk.panel.widget.findChildren(qt.QWidget):
        if not widget.visible or not widget.name or widget.name.startswith("qt_"):
            continue
        inBox = widget.parent().name in ("networkGroupBox", "previewGroupBox", "advancedCollapsibleButton")
        if inBox and widget.geometry.bottom() > widget.parent().height:
            cut.append(f"{widget.name} by {widget.parent().name}")
        text = isinstance(widget, (qt.QPushButton, qt.QToolButton, qt.QCheckBox, qt.QLabel, qt.QLineEdit))
        wraps = isinstance(widget, qt.QLabel) and widget.wordWrap
        if text and not wraps and widget.width < widget.minimumSizeHint.width():
            cut.append(widget.name)
        if wraps and widget.height < widget.heightForWidth(widget.width):
            cut.append(widget.name)
        if isinstance(widget, qt.QComboBox) and widget.currentText:
            free = widget.width - widget.height  # its arrow
            if widget.fontMetrics().boundingRect(widget.currentText).width() > free:
                cut.append(widget.name)
    return cut


def overlaps(desk):
    """Pairs of neighbors in the panel's main column of which one lies over the other."""
    layout = desk.panel.widget.layout()
    items = [layout.itemAt(n) for n in range(layout.count())]
    boxes = [item.geometry() for item in items if not item.isEmpty()]
    return [n for n, (above, below) in enumerate(zip(boxes, boxes[1:])) if above.bottom() >= below.top() + 1]


def test_nothing_is_cut_in_any_state(editor, pictures):
    desk = PanelDesk(editor, withScan=False)
    editor.widget.setSourceVolumeNode(None)
    assert picture(desk, pictures / "panel-no-volume.png") == []
    editor.widget.setSourceVolumeNode(editor.volumeNode)
    desk.show_scan()
    assert picture(desk, pictures / "panel-ready.png") == []

    desk.segment()
    desk.draw("liver")
    desk.draw("spleen")
    editor.segmentationNode.GetSegmentation().AddEmptySegment("a very long name of a structure", "an own structure")
    assert picture(desk, pictures / "panel.png") == [] and overlaps(desk) == []

    desk.ui.stepsSpinBox.setValue(1000)
    desk.ui.refineButton.click()
    editor.wait_until(lambda: desk.ui.progressBar.value >= 40, 60)
    assert picture(desk, pictures / "panel-running.png") == [] and overlaps(desk) == []
    desk.ui.cancelButton.click()
    desk.wait("idle")

    desk.quick()
    desk.refine()
    assert picture(desk, pictures / "panel-preview.png") == [] and overlaps(desk) == []
    desk.ui.discardButton.click()

    desk.panel.showError(LONG)
    desk.ui.advancedCollapsibleButton.collapsed = False
    assert picture(desk, pictures / "panel-error.png") == [] and overlaps(desk) == []


def test_nothing_is_cut_with_a_network_that_nobody_trusts_yet_and_that_wants_two_scans(editor, pictures, tmp_path):
    from Testing.tests.channel_examples import write_two_channel_backbone

    desk = PanelDesk(editor)
    license = "Creative Commons Attribution-ShareAlike 4.0 International, see the file LICENSE beside the weights"
    folder = write_two_channel_backbone(tmp_path / "a network of two channels", license=license)
    desk.effect.scriptedEffect.setParameter("Backbone", folder)
    desk.effect.updateGUIFromMRML()
    assert picture(desk, pictures / "panel-not-trusted.png") == [] and overlaps(desk) == []
    desk.ui.trustButton.click()
    desk.ui.boxButton.click()
    assert picture(desk, pictures / "panel-two-channels.png") == [] and overlaps(desk) == []
