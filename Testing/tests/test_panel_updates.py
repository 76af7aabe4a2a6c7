"""The panel with a network of many classes: one update for a burst of changes, and a new table only for a new sight."""

import pytest

from Testing.tests.panel_examples import PanelDesk
from Testing.tests.test_panel_parameters import a_network, browse

#: As many as TotalSegmentator has.
MANY = 117


class Counts:
    """How often the panel of a desk took a look, and what it made for the table.

    Attributes:
        updates, icons, boxes: since the last `take`.
    """

    def __init__(self, desk, monkeypatch):
        from InteractiveRefineEffect import class_table_view

        self.updates = self.icons = self.boxes = 0
        network, makeIcon = desk.panel.network, class_table_view.colorIcon
        update, makeBox = network.update, network.table._segmentBox

        def countUpdate():
            self.updates += 1
            update()

        def countIcon(color):
            self.icons += 1
            return makeIcon(color)

        def countBox(*arguments):
            self.boxes += 1
            return makeBox(*arguments)

        monkeypatch.setattr(network, "update", countUpdate)
        monkeypatch.setattr(class_table_view, "colorIcon", countIcon)
        monkeypatch.setattr(network.table, "_segmentBox", countBox)

    def take(self):
        """(updates, icons, boxes), and count from 0 again."""
        taken = self.updates, self.icons, self.boxes
        self.updates = self.icons = self.boxes = 0
        return taken


@pytest.fixture
def desk(editor):
    return PanelDesk(editor)


@pytest.fixture
def many(desk, tmp_path, monkeypatch):
    """A desk with a network of many classes and without a segment."""
    desk.editor.segmentationNode.GetSegmentation().RemoveAllSegments()
    names = [f"structure {n}" for n in range(MANY)]
    browse(desk, monkeypatch, a_network(tmp_path / "many", *names, model={"exported": "model.pt2"}))
    desk.editor.process_events()
    desk.counts = Counts(desk, monkeypatch)
    return desk


def add_segments(desk, count=MANY, name="structure {}"):
    """Segments with colors of their own, each with several events, as a network's are added."""
    import slicer

    for n in range(count):
        segment = slicer.vtkSegment()
        segment.SetName(name.format(n))
        segment.SetColor(n / MANY, 0.5, 0.5)
        desk.editor.segmentationNode.GetSegmentation().AddSegment(segment, f"id{n}")


def names_in(desk):
    """The segments that the rows of the table show."""
    view = desk.panel.network.table
    return [view.segmentBox(row).currentText for row in range(desk.ui.classTable.rowCount)]


def test_many_segments_are_shown_at_once_with_one_icon_each(many):
    add_segments(many)
    assert many.counts.take() == (0, 0, 0), "nothing while they come"

    many.editor.process_events()

    assert many.counts.take() == (1, MANY, MANY)
    assert names_in(many) == [f"structure {n}" for n in range(MANY)]
    for row in (0, 1, MANY - 1):
        box = many.panel.network.table.segmentBox(row)
        assert [box.itemText(n) for n in (0, MANY - 1, MANY, MANY + 1)] == [
            "structure 0", f"structure {MANY - 1}", "own segment", "ignored",
        ]  # fmt: skip
        assert box.count == MANY + 2 and box.currentIndex == row
        assert not box.itemIcon(MANY - 1).isNull() and box.itemIcon(MANY).isNull()


def test_many_tags_are_shown_at_once(many):
    from InteractiveRefineScene.class_mapping import ensureSegments

    add_segments(many)
    many.editor.process_events()
    view = many.panel.network.table
    assert [view.segmentBox(row).font.italic() for row in range(MANY)] == [True] * MANY
    many.counts.take()

    ensureSegments(many.editor.segmentationNode, many.controller.classes)
    many.editor.process_events()

    assert many.counts.take() == (1, MANY, MANY)
    assert [view.segmentBox(row).font.italic() for row in range(MANY)] == [False] * MANY


def test_what_is_not_shown_makes_no_table_anew(many):
    add_segments(many)
    many.editor.process_events()
    many.counts.take()
    segment = many.editor.segmentationNode.GetSegmentation().GetSegment("id3")

    segment.SetTag("Other.Tag", "x")
    many.editor.process_events()
    assert many.counts.take() == (1, 0, 0)

    segment.SetName("cyst")
    segment.SetColor(0.0, 1.0, 0.0)
    many.editor.process_events()
    assert many.counts.take() == (1, MANY, MANY)
    assert many.panel.network.table.segmentBox(0).itemText(3) == "cyst"


def test_structures_of_one_color_are_not_mixed_up_and_new_ones_have_their_icon(desk, monkeypatch):
    counts = Counts(desk, monkeypatch)
    add_segments(desk, 2, "rib {}")
    desk.editor.process_events()
    assert counts.take()[:2] == (1, 4)
    table = desk.ui.classTable
    shown = [table.item(row, 1) for row in range(table.rowCount) if table.item(row, 1)]
    assert [item.text() for item in shown] == ["rib 0", "rib 1"]
    colors = [item.icon().pixmap(12, 12).toImage().pixelColor(5, 5).red() for item in shown]
    assert colors == [0, 2]  # of 255: 0 and 1 / 117


def test_a_look_that_was_taken_meanwhile_is_not_taken_again(desk, monkeypatch):
    counts = Counts(desk, monkeypatch)
    add_segments(desk, 2)
    desk.effect.updateGUIFromMRML()  # as when another parameter is stored
    assert counts.take()[0] == 1
    desk.editor.process_events(0.05)
    assert counts.take()[0] == 0


@pytest.mark.parametrize(("press", "asks"), [("onPredict", "predictInitial"), ("onRefine", "refine")])
def test_the_worker_is_asked_with_the_table_as_it_is_now(desk, monkeypatch, press, asks):
    seen = []
    desk.draw("liver")
    desk.ui.workerCommandLineEdit.setText("a worker")
    desk.ui.workerCommandLineEdit.editingFinished.emit()
    monkeypatch.setattr(desk.controller, asks, lambda: seen.append(desk.ui.classTable.rowCount))
    before = desk.ui.classTable.rowCount
    add_segments(desk, 3)

    getattr(desk.panel, press)()

    assert seen == [before + 3]


def test_after_cleanup_nothing_is_shown_any_more(desk, monkeypatch):
    counts = Counts(desk, monkeypatch)
    controller, panel = desk.controller, desk.panel
    add_segments(desk, 2)
    desk.effect.cleanup()
    controller.onSegments()
    desk.editor.segmentationNode.GetSegmentation().RemoveAllSegments()
    desk.editor.process_events(0.05)
    assert counts.take() == (0, 0, 0)
    assert panel.ui.classTable.rowCount == 0
