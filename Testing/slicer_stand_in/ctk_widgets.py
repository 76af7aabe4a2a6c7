"""CTK's widgets that a panel may use: their properties, slots and signals, and nothing that Python cannot reach.

Methods that are neither a slot nor Q_INVOKABLE are missing on purpose: PythonQt does not see them.
Verified in commontk/CTK, Libs/Widgets/<class>.h.
"""

from PyQt5 import QtCore, QtGui, QtWidgets

from .ctk_numbers import ctkDoubleSpinBox, ctkRangeWidget, ctkSliderWidget
from .properties import computed, stored

_get = QtCore.QObject.__getattribute__


def _emit(widget, signal, *arguments):
    _get(widget, signal).emit(*arguments)


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A title that hides what is below it. No constructor with a text."""

    contentsCollapsed = QtCore.pyqtSignal(bool)
    flat = stored("bool", False)
    collapsedHeight = stored("int", 10)
    contentsLineWidth = stored("int", 1)
    contentsFrameShape = stored("int", 0)
    contentsFrameShadow = stored("int", 0)
    collapsed = stored("bool", False, changed="_fold")

    def __init__(self, parent=None):
        if isinstance(parent, str):
            raise TypeError("ctkCollapsibleButton has no constructor with a text")
        super().__init__(parent)
        self.setCheckable(True)
        self.setChecked(True)
        super().toggled.connect(lambda opened: setattr(self, "collapsed", not opened))

    def _fold(self, folded):
        self.setChecked(not folded)
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not folded)
        _emit(self, "contentsCollapsed", folded)

    def _title_height(self):
        return self.fontMetrics().height() + 10

    def event(self, event):
        if event.type() == QtCore.QEvent.LayoutRequest or event.type() == QtCore.QEvent.Polish:
            layout = _get(self, "layout")()
            if layout is not None and layout.contentsMargins().top() < self._title_height():
                margins = layout.contentsMargins()
                top = margins.top() + self._title_height()
                layout.setContentsMargins(margins.left(), top, margins.right(), margins.bottom())
        return super().event(event)

    def sizeHint(self):
        layout = _get(self, "layout")()
        if layout is None or self.collapsed:
            return QtCore.QSize(100, self._title_height())
        return _get(layout, "sizeHint")() if callable(_get(layout, "sizeHint")) else layout.sizeHint

    def paintEvent(self, event):
        painter = QtGui.QPainter(self)
        painter.drawRect(0, self._title_height() // 2, self.width - 1, self.height - self._title_height() // 2 - 1)
        title = QtCore.QRect(0, 0, self.width, self._title_height())
        painter.fillRect(title, self.palette.button())
        arrow = "\u25b8 " if self.collapsed else "\u25be "
        painter.drawText(title.adjusted(6, 0, 0, 0), QtCore.Qt.AlignVCenter, arrow + self.text)


class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a text for no choice, and one that can ignore the wheel."""

    AlwaysScroll, ScrollWithFocus, NeverScroll = 0, 1, 2
    defaultText = stored("QString", "")
    forceDefault = stored("bool", False)
    scrollWheelEffect = stored("int", 0)
    elideMode = stored("int", 3)

    @QtCore.pyqtProperty(str)
    def currentUserDataAsString(self):
        return str(self.itemData(self.currentIndex) or "")

    @currentUserDataAsString.setter
    def currentUserDataAsString(self, text):
        self.setCurrentIndex(self.findData(text))


class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for a path with a browse button; filters are flags of the class."""

    Dirs, Files, Drives, NoSymLinks = 0x001, 0x002, 0x004, 0x008
    Readable, Writable, Executable, Hidden = 0x010, 0x020, 0x040, 0x100
    Modified, System = 0x080, 0x200
    validInputChanged = QtCore.pyqtSignal(bool)
    currentPathChanged = QtCore.pyqtSignal(str)
    label = stored("QString", "")
    settingKey = stored("QString", "")
    filters = stored("int", 0)
    options = stored("int", 0)
    nameFilters = stored("QStringList", [])
    showBrowseButton = stored("bool", True)
    showHistoryButton = stored("bool", True)
    minimumContentsLength = stored("int", 0)
    sizeAdjustPolicy = stored("int", 0)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setEditable(True)
        self._browse = QtWidgets.QToolButton(self)
        self._browse.setText("\u2026")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo, 1)
        layout.addWidget(self._browse)
        self._combo.currentTextChanged.connect(lambda text: _emit(self, "currentPathChanged", text))

    currentPath = computed("QString", lambda w: w._combo.currentText, lambda w, path: w._combo.setEditText(path))

    def comboBox(self):
        return self._combo

    def setCurrentPath(self, path):
        self._combo.setEditText(path)

    def addCurrentPathToHistory(self):
        if self._combo.findText(self._combo.currentText) < 0:
            self._combo.addItem(self._combo.currentText)

    def retrieveHistory(self):
        pass

    def browse(self):
        pass


class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows a folder and lets the user choose another."""

    directoryChanged = QtCore.pyqtSignal(str)
    directorySelected = QtCore.pyqtSignal(str)
    directory = stored("QString", "", changed="_changed")
    caption = stored("QString", "")
    text = stored("QString", "")

    def _changed(self, path):
        _emit(self, "directoryChanged", path)

    def browse(self):
        pass


class ctkColorPickerButton(QtWidgets.QPushButton):
    """A button showing a color."""

    colorChanged = QtCore.pyqtSignal(QtGui.QColor)
    colorNameChanged = QtCore.pyqtSignal(str)
    color = stored("QColor", QtGui.QColor(), changed="_changed")
    displayColorName = stored("bool", True)

    def _changed(self, color):
        _emit(self, "colorChanged", color)

    def setColor(self, color):
        self.color = color


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A checkable group box that folds."""

    collapsed = stored("bool", False, changed="_fold")
    collapsedHeight = stored("int", 14)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.setCheckable(True)

    def _fold(self, folded):
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not folded)


class ctkMessageBox(QtWidgets.QMessageBox):
    """Never waits for anybody: exec_() records the text and answers with `answer` (tests set it)."""

    shown = []
    answer = QtWidgets.QMessageBox.Ok
    dontShowAgain = stored("bool", False)
    dontShowAgainVisible = stored("bool", False)
    dontShowAgainSettingsKey = stored("QString", "")

    def addDontShowAgainButtonRole(self, role):
        pass

    def exec_(self):
        ctkMessageBox.shown.append(self.text)
        return int(ctkMessageBox.answer)

    exec = exec_


#: Widget classes by name, for the module `ctk` and the .ui loader.
CLASSES = {
    kind.__name__: kind
    for kind in (
        ctkCollapsibleButton,
        ctkDoubleSpinBox,
        ctkSliderWidget,
        ctkRangeWidget,
        ctkComboBox,
        ctkPathLineEdit,
        ctkDirectoryButton,
        ctkColorPickerButton,
        ctkCollapsibleGroupBox,
        ctkMessageBox,
    )
}


def install():
    """Make `import ctk` work and forget the messages of the last test."""
    import sys
    import types

    module = types.ModuleType("ctk")
    for name, kind in CLASSES.items():
        setattr(module, name, kind)
    sys.modules["ctk"] = module
    ctkMessageBox.shown.clear()
    ctkMessageBox.answer = QtWidgets.QMessageBox.Ok
