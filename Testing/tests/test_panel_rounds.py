"""The panel with the real worker under Qt's event loop: segment, draw, refine, apply, undo, and what goes wrong."""

import os
import re
import signal

import numpy as np
import pytest

from Testing.tests.panel_examples import PanelDesk

pytest.importorskip("torch")


@pytest.fixture
def desk(editor):
    made = PanelDesk(editor)
    made.quick()
    return made


def rows(table):
    """The texts of a table, row by row."""
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]


def test_from_the_first_segmentation_to_undo_by_the_buttons_alone(desk):
    ui, editor = desk.ui, desk.editor
    desk.segment()
    assert "right kidney" in editor.widget.segmentationNode().GetSegmentation().GetSegmentIDs()
    assert editor.array("liver").sum() > 500
    before = editor.array("liver"), editor.array("spleen")
    desk.draw("liver")
    desk.draw("spleen")
    offsets = [editor.view(name).mrmlSliceNode().GetSliceOffset() for name in editor.viewNames()]

    desk.refine()

    assert ui.previewGroupBox.enabled and ui.refineButton.enabled and not ui.cancelButton.enabled
    proposal = desk.controller.proposal
    shown = {name: (added, removed) for name, added, removed, reach in rows(ui.changesTable)}
    volume = desk.image.geometry.voxel_volume_ml
    for change in proposal.changes:
        gained = ((proposal.after == change.label) & (proposal.before != change.label)).sum() * volume
        assert shown[change.name][0] == f"{gained:.2f}"
    assert {"liver", "spleen"} <= set(shown)
    display = desk.controller.preview.node.GetDisplayNode()
    first = desk.controller.preview.node.GetSegmentation().GetNthSegmentID(0)
    ui.opacitySlider.setValue(0.35)
    assert display.GetSegmentOpacity2DFill(first) == pytest.approx(0.35)
    assert display.GetSegmentVisibility("change:added")
    ui.showChangesCheckBox.click()
    assert not display.GetSegmentVisibility("change:added")
    assert np.array_equal(editor.array("liver"), before[0])

    ui.applyButton.click()

    assert np.array_equal(editor.array("liver"), proposal.after == 1)
    assert not ui.previewGroupBox.enabled and ui.changesTable.rowCount == 0
    assert offsets == [editor.view(name).mrmlSliceNode().GetSliceOffset() for name in editor.viewNames()]
    editor.undo()
    assert np.array_equal(editor.array("liver"), before[0]) and np.array_equal(editor.array("spleen"), before[1])
    assert len(desk.controller.strokes.book.rounds[0]) == 2 and desk.controller.strokes.book.has_open_strokes
    editor.undo()
    assert len(desk.controller.strokes.book.rounds[0]) == 1
    editor.redo()
    editor.redo()
    assert np.array_equal(editor.array("liver"), proposal.after == 1)


def test_progress_tells_the_step_and_the_loss_and_cancel_ends_it(desk):
    ui = desk.ui
    desk.segment()
    desk.draw("liver")
    ui.stepsSpinBox.setValue(1000)

    ui.refineButton.click()

    assert not ui.refineButton.enabled and ui.cancelButton.enabled and not ui.networkGroupBox.enabled
    desk.editor.wait_until(lambda: re.fullmatch(r"step \d+ of 10\d\d, loss [\d.e+-]+", ui.progressBar.format), 60)
    assert ui.progressBar.maximum >= 1000 and ui.progressBar.value >= 1
    ui.cancelButton.click()
    desk.wait("idle")
    assert ui.statusLabel.text == "Cancelled. Segments and strokes are as they were."
    assert ui.refineButton.enabled and not ui.cancelButton.enabled and ui.progressBar.format == ""
    assert not desk.controller.strokes.book.is_empty


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_worker_is_told_in_red_and_the_next_refine_works(desk):
    ui = desk.ui
    desk.segment()
    desk.draw("liver")
    before = desk.editor.array("liver")
    ui.stepsSpinBox.setValue(1000)
    ui.refineButton.click()
    desk.editor.wait_until(lambda: "loss" in ui.progressBar.format, 60)

    os.kill(desk.controller.client.transport._process.processId(), signal.SIGKILL)

    desk.wait("idle")
    assert "Your segmentation and strokes are as they were" in ui.statusLabel.text
    assert "color" in ui.statusLabel.styleSheet
    assert np.array_equal(desk.editor.array("liver"), before) and ui.refineButton.enabled
    desk.quick()
    desk.refine()
    assert ui.statusLabel.styleSheet == ""
    ui.discardButton.click()
    assert desk.controller.state.value == "idle" and not ui.previewGroupBox.enabled
    assert np.array_equal(desk.editor.array("liver"), before)


def test_auto_refine_refines_by_itself_and_again_after_the_next_stroke(desk):
    desk.segment()
    desk.ui.autoRefineCheckBox.click()
    desk.ui.delaySpinBox.setValue(0.1)

    desk.draw("liver")
    desk.wait("preview")
    first = desk.controller.proposal
    desk.draw("spleen")

    desk.editor.wait_until(
        lambda: desk.controller.state.value == "preview" and desk.controller.proposal is not first, 60
    )
    assert not desk.controller.hasNewStrokes
    assert len(desk.controller.strokes.book.rounds[0]) == 2


def test_another_patient_finds_an_empty_panel(desk):
    desk.segment()
    desk.draw("liver")
    desk.refine()

    desk.editor.session.scene.Clear(0)
    desk.editor.process_events(0.05)

    assert desk.controller.proposal is None and desk.controller.strokes is None
    assert desk.ui.changesTable.rowCount == 0 and desk.ui.classTable.rowCount == 0
    assert not desk.ui.refineButton.enabled and not desk.ui.previewGroupBox.enabled
