"""The table of classes and segments: what becomes of each class of the network, and which segments are locked."""

from dataclasses import dataclass

import qt
from slicer.i18n import tr as _

#: No more rows than this are shown without scrolling.
_MOST_ROWS = 8
_ICON_SIZE = 12


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        className: of the network; "" for a structure that it does not know.
        target: ID of the segment, or `class_choice.OWN` or `IGNORED`.
        isProposed: nobody decided this yet.
        locked: of the segment.
    """

    className: str
    target: str
    isProposed: bool = False
    locked: bool = False


class ClassTableView:
    """Fills the panel's table and tells what the user chooses there.

    Args:
        table: the QTableWidget, with three columns.
        onClass: called with the name of a class, and an ID of a segment, `class_choice.OWN` or `IGNORED`.
        onLock: called with segment ID and True or False.
    """

    def __init__(self, table, onClass, onLock):
        self._table, self._onClass, self._onLock = table, onClass, onLock
        self._shown = None
        table.verticalHeader().hide()
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(1, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(2, qt.QHeaderView.ResizeToContents)
        fitHeight(table, _MOST_ROWS)

    def show(self, rows, segments):
        """Show what becomes of each class, and the structures that the network does not know.

        Args:
            rows: list of `Row`.
            segments: all segments, as a list of (segment ID, name, (red, green, blue) 0 to 1).
        """
        wanted = (tuple(rows), tuple(segments))
        if wanted == self._shown:
            return  # the user may be about to choose something in it
        self._shown = wanted
        self._table.setRowCount(0)  # old widgets would otherwise be seen until the event loop deletes them
        self._table.setRowCount(len(rows))
        # One icon per segment for all boxes: a picture for every segment in every box takes seconds.
        icons = {segmentId: colorIcon(color) for segmentId, _name, color in segments}
        for number, row in enumerate(rows):
            item = qt.QTableWidgetItem(row.className or _("new structure"))
            item.setToolTip(row.className or _("The network does not know it; it grows from its strokes."))
            self._table.setItem(number, 0, item)
            name = next((name for segmentId, name, _color in segments if segmentId == row.target), "")
            if row.className:
                self._table.setCellWidget(number, 1, self._segmentBox(row, segments, icons))
            else:
                item = qt.QTableWidgetItem(name)
                item.setIcon(icons[row.target])
                item.setToolTip(name)
                self._table.setItem(number, 1, item)
            if name:
                self._table.setCellWidget(number, 2, self._lockBox(row, name))
        fitHeight(self._table, _MOST_ROWS)

    def disconnect(self):
        """Call nobody any more."""
        self._onClass = self._onLock = lambda *_arguments: None
        self._table.setRowCount(0)
        self._shown = None

    def segmentBox(self, row):
        """The combo box of a row, None for a new structure."""
        return self._table.cellWidget(row, 1)

    def lockBox(self, row):
        """The check box of a row."""
        return self._table.cellWidget(row, 2).findChild(qt.QCheckBox)

    def _segmentBox(self, row, segments, icons):
        from InteractiveRefineScene.class_choice import IGNORED, OWN

        box = qt.QComboBox()
        # A long name must not make the table wider than the panel.
        box.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        targets = [segmentId for segmentId, _name, _color in segments] + [OWN, IGNORED]
        for segmentId, name, _color in segments:
            box.addItem(icons[segmentId], name)
        box.addItem(_("own segment"))
        box.addItem(_("ignored"))
        box.setCurrentIndex(targets.index(row.target) if row.target in targets else targets.index(OWN))
        tip = _(
            "The segment that stands for {name}; several classes may share one. An ignored class counts as background."
        ).format(name=row.className)
        if row.isProposed:
            font = box.font  # a copy
            font.setItalic(True)
            box.font = font
            tip = _("Proposed because of the segment's name; Refine accepts it.") + "\n" + tip
        box.setToolTip(tip)
        box.connect("currentIndexChanged(int)", lambda index: self._chosen(row.className, targets[index]))
        return box

    def _lockBox(self, row, name):
        frame = qt.QWidget()
        layout = qt.QHBoxLayout(frame)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setAlignment(qt.Qt.AlignCenter)
        box = qt.QCheckBox()
        box.setToolTip(_("Lock {name}: it neither gains nor loses a voxel.").format(name=name))
        box.setChecked(row.locked)
        box.connect("toggled(bool)", lambda checked: self._onLock(row.target, checked))
        layout.addWidget(box)
        return frame

    def _chosen(self, className, target):
        self._shown = None  # another row may have to change as well
        self._onClass(className, target)


def segmentsOf(controller):
    """The segments of `ClassTableView.show` for the segmentation of a `RefineController`."""
    if controller.segmentationNode is None:
        return []
    segmentation = controller.segmentationNode.GetSegmentation()
    segments = [(segmentId, segmentation.GetSegment(segmentId)) for segmentId in segmentation.GetSegmentIDs()]
    return [(segmentId, segment.GetName(), tuple(segment.GetColor())) for segmentId, segment in segments]


def rowsOf(controller):
    """The rows of `ClassTableView.show`: classes and structures in the order of segments, then all other classes."""
    from InteractiveRefineScene.class_choice import choicesOf
    from InteractiveRefineScene.locks import isLocked

    node = controller.segmentationNode
    if node is None:
        return []
    choices = choicesOf(node, controller.classes)
    rows, ids = [], [segmentId for segmentId, _name, _color in segmentsOf(controller)]
    for segmentId in ids:
        locked = isLocked(node, segmentId)
        own = [choice for choice in choices if choice.target == segmentId]
        rows += [Row(choice.name, segmentId, choice.isProposed, locked) for choice in own]
        rows += [] if own else [Row("", segmentId, locked=locked)]
    return rows + [Row(choice.name, choice.target) for choice in choices if choice.target not in ids]


def colorIcon(color):
    """A small square of a color, (red, green, blue) 0 to 1."""
    pixmap = qt.QPixmap(_ICON_SIZE, _ICON_SIZE)
    pixmap.fill(qt.QColor.fromRgbF(*color))
    return qt.QIcon(pixmap)


def fitHeight(table, mostRows, fewestRows=1):
    """Make a table just as high as its rows, so that a panel is neither full of holes nor cut."""
    rows = min(max(table.rowCount, fewestRows), mostRows)
    rowHeight = table.verticalHeader().defaultSectionSize
    height = table.horizontalHeader().height + rows * rowHeight + 2 * table.frameWidth
    table.setMinimumHeight(height)
    table.setMaximumHeight(height)
