"""What the panel shows of growing: a threshold slider that fits the image, the automatic threshold, the sentences."""

from . import parameters as names


class GrowingView:
    """Shows what `GrowingPreview` found.

    Args:
        slider: the ctkSliderWidget of the threshold.
        frame: the QWidget below it, for the effect's sentences about growing.
        effect: has the `growingPreview` and the label `growingLabel`.
        parameters: `Parameters` of the effect.
    """

    def __init__(self, slider, frame, effect, parameters):
        self._slider, self._frame, self._effect, self._parameters = slider, frame, effect, parameters
        self._after = None

    def connect(self):
        """Show the sentences beside what they are about, and be told of new ones; the effect has made its label."""
        if self._effect.growingPreview.onChanged == self.update:
            return
        self._after = self._effect.growingPreview.onChanged
        self._effect.growingPreview.onChanged = self.update
        label = getattr(self._effect, "growingLabel", None)
        if label is not None:
            self._frame.layout().addWidget(label)

    def disconnect(self):
        """Be told nothing any more."""
        if self._effect.growingPreview.onChanged == self.update:
            self._effect.growingPreview.onChanged = self._after
        self._after = None

    def update(self):
        """The preview of growing was computed anew."""
        if self._after is not None:
            self._after()
        threshold = self._effect.growingPreview.threshold
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
