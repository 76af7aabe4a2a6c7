"""Does something once, however often it is asked for, as soon as Slicer is back from what it is doing, or later."""

import qt


class Soon:
    """A network of a hundred classes makes hundreds of events, one after the other; who shows them waits for the last.

    Args:
        work: called without arguments, in the main thread.
    """

    def __init__(self, work):
        self._work = work
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._onTimeout)

    def ask(self, milliseconds=0):
        """Do it after this time without another question; 0: after the events that wait already."""
        if self._work is not None:
            self._timer.start(milliseconds)

    @property
    def isPending(self):
        """True while it was asked for and not done yet."""
        return bool(self._timer.isActive())

    def flush(self):
        """Do it now, if it was asked for."""
        if self.isPending:
            self._onTimeout()

    def drop(self):
        """It was done by other means, or is of no use any more."""
        self._timer.stop()

    def release(self):
        """The owner goes away: do nothing any more."""
        if self._work is not None:
            self._timer.stop()
            self._timer.disconnect("timeout()", self._onTimeout)
            self._work = None

    def _onTimeout(self):
        self._timer.stop()
        self._work()
