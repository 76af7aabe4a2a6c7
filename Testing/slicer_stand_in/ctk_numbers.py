"""CTK's number widgets. Verified in commontk/CTK, Libs/Widgets/{ctkDoubleSpinBox,ctkSliderWidget,ctkRangeWidget}.h.

Methods that are neither a slot nor Q_INVOKABLE (setMinimum, setRange of a slider) are missing on purpose.
"""

from PyQt5 import QtCore, QtWidgets

from .properties import computed, stored

_get = QtCore.QObject.__getattribute__


def _emit(widget, signal, *arguments):
    _get(widget, signal).emit(*arguments)


class _DoubleRange(QtWidgets.QWidget):
    """Value, minimum, maximum and decimals of a number widget over a QDoubleSpinBox."""

    valueChanged = QtCore.pyqtSignal(float)
    decimalsChanged = QtCore.pyqtSignal(int)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        self._spin.setRange(0.0, 99.0)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._spin.valueChanged.connect(lambda value: _emit(self, "valueChanged", value))

    def _spin_property(name, kind="double"):
        return computed(kind, lambda w: getattr(w._spin, name), lambda w, value: setattr(w._spin, name, value))

    decimals = _spin_property("decimals", "int")
    singleStep = _spin_property("singleStep")
    minimum = _spin_property("minimum")
    maximum = _spin_property("maximum")
    value = _spin_property("value")
    prefix = _spin_property("prefix", "QString")
    suffix = _spin_property("suffix", "QString")
    del _spin_property

    def setValue(self, value):
        self._spin.setValue(value)

    def setDecimals(self, count):
        self._spin.setDecimals(count)
        _emit(self, "decimalsChanged", count)


class ctkDoubleSpinBox(_DoubleRange):
    """A spin box of doubles; a QWidget, not a QDoubleSpinBox."""

    editingFinished = QtCore.pyqtSignal()
    readOnly = stored("bool", False)
    frame = stored("bool", True)
    invertedControls = stored("bool", False)
    decimalsOption = stored("int", 0)
    setMode = stored("int", 0)

    def __init__(self, parent=None):
        super().__init__(parent)
        _get(self, "layout")().addWidget(self._spin)
        self._spin.editingFinished.connect(lambda: _emit(self, "editingFinished"))

    def setValueIfDifferent(self, value):
        self._spin.setValue(value)

    setValueAlways = setValueIfDifferent

    def stepUp(self):
        self._spin.stepUp()

    def stepDown(self):
        self._spin.stepDown()


class ctkSliderWidget(_DoubleRange):
    """Slider and spin box; without tracking, valueChanged waits for the release and valueIsChanging tells all."""

    valueIsChanging = QtCore.pyqtSignal(float)
    pageStep = stored("double", 10.0)
    tracking = stored("bool", True)
    tickInterval = stored("double", 0.0)
    spinBoxVisible = stored("bool", True)
    popupSlider = stored("bool", False)
    invertedAppearance = stored("bool", False)
    invertedControls = stored("bool", False)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._slider.setRange(0, 1000)
        _get(self, "layout")().addWidget(self._slider)
        _get(self, "layout")().addWidget(self._spin)
        self._slider.valueChanged.connect(self._slid)
        self._spin.valueChanged.connect(self._follow)

    def _slid(self, position):
        span = self._spin.maximum - self._spin.minimum
        self._spin.setValue(self._spin.minimum + span * position / 1000)

    def _follow(self, value):
        span = (self._spin.maximum - self._spin.minimum) or 1.0
        blocked = self._slider.blockSignals(True)
        self._slider.setValue(round(1000 * (value - self._spin.minimum) / span))
        self._slider.blockSignals(blocked)
        _emit(self, "valueIsChanging", value)

    def setSpinBoxVisible(self, shown):
        self.spinBoxVisible = shown
        self._spin.setVisible(shown)

    def reset(self):
        self._spin.setValue(self._spin.minimum)


class ctkRangeWidget(QtWidgets.QWidget):
    """Two values in a range."""

    minimumValueChanged = QtCore.pyqtSignal(float)
    maximumValueChanged = QtCore.pyqtSignal(float)
    valuesChanged = QtCore.pyqtSignal(float, float)
    rangeChanged = QtCore.pyqtSignal(float, float)
    decimals = stored("int", 2)
    singleStep = stored("double", 1.0)
    minimum = stored("double", 0.0)
    maximum = stored("double", 99.0)
    prefix = stored("QString", "")
    suffix = stored("QString", "")
    tracking = stored("bool", True)
    minimumValue = stored("double", 0.0, changed="_changed")
    maximumValue = stored("double", 99.0, changed="_changed")

    def _changed(self, _):
        _emit(self, "minimumValueChanged", self.minimumValue)
        _emit(self, "maximumValueChanged", self.maximumValue)
        _emit(self, "valuesChanged", self.minimumValue, self.maximumValue)

    def setRange(self, low, high):
        self.minimum, self.maximum = low, high
        _emit(self, "rangeChanged", low, high)

    def setValues(self, low, high):
        self.minimumValue, self.maximumValue = low, high
