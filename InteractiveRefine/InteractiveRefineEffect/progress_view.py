"""The progress bar: step k of N, the loss, and whether there is anything to cancel."""

from slicer.i18n import tr as _


class ProgressView:
    """Shows the steps of the worker.

    Args:
        bar: the QProgressBar.
        cancelButton: the QPushButton beside it.
    """

    def __init__(self, bar, cancelButton):
        self._bar, self._cancelButton = bar, cancelButton
        self._running = None
        self.setRunning(False)

    def setRunning(self, running):
        """Start or end; the same again changes nothing."""
        if running == self._running:
            return
        self._running = running
        self._bar.enabled = self._cancelButton.enabled = running
        self._bar.setRange(0, 1)
        self._bar.setValue(0)
        self._bar.setFormat(_("Starting") if running else "")

    def show(self, step, total, message, loss=None):
        """Show one step; `total` 0 for a length that nobody knows."""
        self._bar.setRange(0, max(total, 0))
        self._bar.setValue(min(step, total))
        text = _("step {step} of {total}").format(step=step, total=total) if total > 0 else message
        if loss is not None:
            text = _("{text}, loss {loss:.3g}").format(text=text, loss=loss)
        elif total > 0 and message:
            text = f"{text}: {message}"
        self._bar.setFormat(text)
