"""What the panel shows of growing: a threshold slider that fits the image, the automatic threshold, the sentences."""

from . import parameters as names


class GrowingView:
    """Shows what `GrowingPreview` found.

    Args:
        slider: the ctkSliderWidget of the threshold.
        label: the QLabel for the sentences about growing.
        preview: the `GrowingPreview`.
        parameters: `Parameters` of the effect.
    """

    def __init__(self, slider, label, preview, parameters):
        self._slider, self._label, self._preview, self._parameters = slider, label, preview, parameters
        preview.onChanged = self.update
        self.update()

    def disconnect(self):
        """Be told nothing any more."""
        self._preview.onChanged = None

    def update(self):
        """The preview of growing was computed anew."""
        lines, threshold = self._preview.lines, self._preview.threshold
        self._label.text = "\n".join(lines)
        self._label.setVisible(bool(lines))
        if threshold is not None and self._parameters.flag(names.THRESHOLD_AUTOMATIC):
            # Shown, not stored: it is not the user's choice.
            self._quietly(lambda: self._show(threshold))

    def fitTo(self, volumeNode):
        """Let the slider reach as far as thresholds make sense in an image."""
        image = volumeNode.GetImageData() if volumeNode is not None else None
        if image is not None and image.GetPointData().GetScalars() is not None:
            low, high = image.GetScalarRange()
            self._quietly(lambda: self._fit(max((high - low) / 10, 1e-3)))

    def _show(self, threshold):
        self._slider.maximum = max(self._slider.maximum, threshold)
        self._slider.setValue(threshold)

    def _fit(self, span):
        self._slider.decimals = 1 if span >= 10 else 3
        self._slider.singleStep = 1.0 if span >= 10 else span / 100
        self._slider.maximum = max(span, self._parameters.number(names.THRESHOLD))

    def _quietly(self, action):
        blocked = self._slider.blockSignals(True)
        action()
        self._slider.blockSignals(blocked)
