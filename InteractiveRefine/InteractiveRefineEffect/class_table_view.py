"""The table of segments: which class of the network each stands for, and whether it is locked."""

import qt
from slicer.i18n import tr as _

#: No more rows than this are shown without scrolling.
_MOST_ROWS = 8
_ICON_SIZE = 12


class ClassTableView:
    """Fills the panel's table and tells what the user chooses there.

    Args:
        table: the QTableWidget, with three columns.
        onClass: called with segment ID and class name, "" for a structure that the network does not know.
        onLock: called with segment ID and True or False.
    """

    def __init__(self, table, onClass, onLock):
        self._table, self._onClass, self._onLock = table, onClass, onLock
        self._shown = None
        self._classes = []
        table.verticalHeader().hide()
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(1, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(2, qt.QHeaderView.ResizeToContents)
        fitHeight(table, _MOST_ROWS)

    def show(self, rows, classes):
        """Show the segments.

        Args:
            rows: list of (segment ID, name, (red, green, blue) 0 to 1, class name or "", locked).
            classes: names of the network's classes.
        """
        wanted = (tuple(rows), tuple(classes))
        if wanted == self._shown:
            return  # the user may be about to choose something in it
        self._shown, self._classes = wanted, list(classes)
        self._table.setRowCount(0)  # old widgets would otherwise be seen until the event loop deletes them
        self._table.setRowCount(len(rows))
        for row, (segmentId, name, color, className, locked) in enumerate(rows):
            item = qt.QTableWidgetItem(name)
            item.setIcon(colorIcon(color))
            item.setToolTip(name)
            self._table.setItem(row, 0, item)
            self._table.setCellWidget(row, 1, self._classBox(segmentId, className))
            self._table.setCellWidget(row, 2, self._lockBox(segmentId, name, locked))
        fitHeight(self._table, _MOST_ROWS)

    def disconnect(self):
        """Call nobody any more."""
        self._onClass = self._onLock = lambda *_arguments: None
        self._table.setRowCount(0)
        self._shown = None

    def classBox(self, row):
        """The combo box of a row."""
        return self._table.cellWidget(row, 1)

    def lockBox(self, row):
        """The check box of a row."""
        return self._table.cellWidget(row, 2).findChild(qt.QCheckBox)

    def _classBox(self, segmentId, className):
        box = qt.QComboBox()
        box.setToolTip(_("The class of the network that this segment stands for."))
        # A long name must not make the table wider than the panel.
        box.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        box.addItem(_("new structure"))
        for name in self._classes:
            box.addItem(name)
        box.setCurrentIndex(self._classes.index(className) + 1 if className in self._classes else 0)
        box.connect("currentIndexChanged(int)", lambda index: self._chosen(segmentId, index))
        return box

    def _lockBox(self, segmentId, name, locked):
        frame = qt.QWidget()
        layout = qt.QHBoxLayout(frame)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setAlignment(qt.Qt.AlignCenter)
        box = qt.QCheckBox()
        box.setToolTip(_("Lock {name}: it neither gains nor loses a voxel.").format(name=name))
        box.setChecked(locked)
        box.connect("toggled(bool)", lambda checked: self._onLock(segmentId, checked))
        layout.addWidget(box)
        return frame

    def _chosen(self, segmentId, index):
        self._shown = None  # another row may have to change as well
        self._onClass(segmentId, self._classes[index - 1] if index > 0 else "")


def rowsOf(controller):
    """The rows of `ClassTableView.show` for the segmentation of a `RefineController`."""
    from InteractiveRefineScene.class_mapping import mappingOf
    from InteractiveRefineScene.locks import isLocked

    node = controller.segmentationNode
    if node is None:
        return []
    mapping = mappingOf(node, controller.classes)
    rows = []
    for segmentId in node.GetSegmentation().GetSegmentIDs():
        segment = node.GetSegmentation().GetSegment(segmentId)
        row = segmentId, segment.GetName(), tuple(segment.GetColor()), mapping.get(segmentId, "")
        rows.append((*row, isLocked(node, segmentId)))
    return rows


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
