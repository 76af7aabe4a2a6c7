"""The preview's numbers: how many milliliters each class gains and loses."""

import qt

from .class_table_view import colorIcon, fitHeight

_MOST_ROWS = 6


class ProposalView:
    """Fills the table of changes.

    Args:
        group: the group box around the preview.
        table: the QTableWidget, with the columns class, added, removed, reach.
    """

    def __init__(self, group, table):
        self._group, self._table = group, table
        table.verticalHeader().hide()
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in (1, 2, 3):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        fitHeight(table, _MOST_ROWS)

    def show(self, proposal, segmentationNode):
        """Show what a `Proposal` changes; None empties the table."""
        changes = list(proposal.changes) if proposal is not None else []
        self._table.setRowCount(len(changes))
        for row, change in enumerate(changes):
            texts = (change.name, f"{change.added_ml:.2f}", f"{change.removed_ml:.2f}", change.reach)
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                if column in (1, 2):
                    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
                self._table.setItem(row, column, item)
            color = _colorOf(proposal, change.label)
            if color is not None:
                self._table.item(row, 0).setIcon(colorIcon(color))
        fitHeight(self._table, _MOST_ROWS)


def _colorOf(proposal, label):
    return next((segment.color for segment in proposal.segments if segment.label == label), None)
