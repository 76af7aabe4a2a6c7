"""Ties widgets to the parameters of the segment editor node: what one shows is what the other stores."""

from . import parameters as names

_GROW = ("new", "all", "none")
_REACH = ("automatic", "local", "whole")
_UPDATE = ("protected", "cross-entropy", "paper")


class Binding:
    """One parameter and the widgets that show it.

    Args:
        name: of the parameter.
        widgets: those whose signal tells of a change by the user.
        signal: of each of them.
        read: function that returns what the widgets show.
        write: function that makes the widgets show a text.
    """

    def __init__(self, name, widgets, signal, read, write):
        self.name = name
        self._widgets, self._signal, self._read, self._write = widgets, signal, read, write
        self._slot = None

    def connect(self, onChanged):
        """Call `onChanged(binding)` whenever the user changes it."""

        def slot(*_arguments):
            onChanged(self)

        self._slot = slot
        for widget in self._widgets:
            widget.connect(self._signal, slot)

    def disconnect(self):
        """Call nobody any more."""
        for widget in self._widgets if self._slot is not None else ():
            widget.disconnect(self._signal, self._slot)
        self._slot = None

    def show(self, parameters):
        """Make the widgets show the stored value, without telling anybody."""
        text = parameters.text(self.name)
        before = [widget.blockSignals(True) for widget in self._widgets]
        try:
            self._write(text)
        finally:
            for widget, blocked in zip(self._widgets, before):
                widget.blockSignals(blocked)

    def store(self, scriptedEffect):
        """Store what the widgets show."""
        scriptedEffect.setParameter(self.name, str(self._read()))  # a number would lose digits


def allBindings(ui):
    """A Binding for every parameter that a widget of the panel shows; `ui` as of `slicer.util.childWidgetVariables`."""
    return [
        _buttons(names.INPUT_MODE, {names.STROKE: ui.strokeButton, names.BOX: ui.boxButton}),
        _buttons(
            names.MARK_AS,
            {
                names.SEGMENT: ui.segmentButton,
                names.BACKGROUND: ui.backgroundButton,
                names.NOT_SEGMENT: ui.notSegmentButton,
            },
        ),
        _number(names.BRUSH_DIAMETER_MM, ui.brushSlider, "valueChanged(double)"),
        _number(names.BOX_DEPTH_MM, ui.boxDepthSpinBox, "valueChanged(double)"),
        _choice(names.GROW, ui.growComboBox, _GROW),
        _check(names.SHOW_GROWN, ui.showGrownCheckBox),
        _check(names.THRESHOLD_AUTOMATIC, ui.thresholdAutomaticCheckBox),
        _number(names.THRESHOLD, ui.thresholdSlider, "valueChanged(double)"),
        _number(names.MAX_DISTANCE_MM, ui.maxDistanceSlider, "valueChanged(double)"),
        _check(names.AUTO_REFINE, ui.autoRefineCheckBox),
        _number(names.AUTO_REFINE_DELAY_S, ui.delaySpinBox, "valueChanged(double)"),
        _number(names.PREVIEW_OPACITY, ui.opacitySlider, "valueChanged(double)"),
        _check(names.SHOW_CHANGES, ui.showChangesCheckBox),
        _choice(names.REACH, ui.reachComboBox, _REACH),
        _choice(names.UPDATE, ui.updateComboBox, _UPDATE),
        _number(names.LAYERS, ui.layersSpinBox, "valueChanged(int)", int),
        _number(names.STEPS, ui.stepsSpinBox, "valueChanged(int)", int),
        _number(names.LEARNING_RATE, ui.learningRateSpinBox, "valueChanged(double)"),
        Binding(
            names.DEVICE,
            [ui.deviceComboBox],
            "currentTextChanged(QString)",
            lambda: ui.deviceComboBox.currentText.strip() or "auto",
            ui.deviceComboBox.setCurrentText,
        ),
    ]


def showUseful(ui, parameters):
    """Enable and show what makes sense with the stored parameters."""
    ui.thresholdSlider.enabled = not parameters.flag(names.THRESHOLD_AUTOMATIC)
    isBox = parameters.text(names.INPUT_MODE) == names.BOX
    for widget in (ui.brushLabel, ui.brushSlider):
        widget.setVisible(not isBox)
    for widget in (ui.boxDepthLabel, ui.boxDepthSpinBox):
        widget.setVisible(isBox)


def _buttons(name, buttonOf):
    def read():
        return next((value for value, button in buttonOf.items() if button.checked), names.DEFAULTS[name])

    def write(text):
        buttonOf.get(text, buttonOf[names.DEFAULTS[name]]).setChecked(True)

    return Binding(name, list(buttonOf.values()), "clicked()", read, write)


def _number(name, widget, signal, kind=float):
    def write(text):
        try:
            widget.setValue(kind(float(text)))
        except ValueError:
            widget.setValue(names.DEFAULTS[name])

    return Binding(name, [widget], signal, lambda: kind(widget.value), write)


def _check(name, widget):
    def write(text):
        widget.setChecked(text not in ("", "0", "0.0", "False"))

    return Binding(name, [widget], "toggled(bool)", lambda: int(widget.checked), write)


def _choice(name, widget, values):
    def write(text):
        widget.setCurrentIndex(values.index(text) if text in values else values.index(names.DEFAULTS[name]))

    return Binding(name, [widget], "currentIndexChanged(int)", lambda: values[max(widget.currentIndex, 0)], write)
