"""What went wrong without anybody raising: VTK errors, exceptions in slots, messages of the fake Qt application."""

import logging
import re
import sys
import traceback

log = logging.getLogger(__name__)

#: Said by slicer-core itself in a run without windows, whatever the product does.
ALLOWED_VTK = (
    r"bad X server connection",
    # Reading a scene that was saved with an oblique slice view.
    r"invalid orientation preset name: Reformat",
)


class Problems:
    """Everything that a test must not leave behind; one instance per process, emptied between tests."""

    def __init__(self):
        self.vtkErrors = []
        self.slotExceptions = []
        self.messages = []
        self._allowed = []
        self._window = None

    def clear(self):
        self.vtkErrors.clear()
        self.slotExceptions.clear()
        self.messages.clear()
        self._allowed.clear()

    def allow(self, pattern):
        """From here to the end of the test, problems matching the regular expression are expected."""
        self._allowed.append(re.compile(pattern))

    def message(self, text):
        """A thing that Slicer, CTK or PythonQt would only write to the log, although it is a programming mistake."""
        log.error(text)
        self.messages.append(text)

    def exception(self, where):
        """Call in an except block: an exception that the application would print and forget."""
        text = f"{where}\n{traceback.format_exc()}"
        log.error(text)
        self.slotExceptions.append(text)

    def unexpected(self):
        """All problems that no pattern allows, as texts."""
        found = [*self.vtkErrors, *self.slotExceptions, *self.messages]
        return [text for text in found if not any(pattern.search(text) for pattern in self._allowed)]

    def watch_vtk(self):
        """Send VTK's errors and warnings here instead of to stderr; a second call changes nothing."""
        if self._window is not None:
            return
        import vtk

        window = vtk.vtkOutputWindow()
        window.SetDisplayModeToNever()

        def note(caller, event, text=""):
            if not any(re.search(pattern, text) for pattern in ALLOWED_VTK):
                log.warning("VTK: %s", text)
                self.vtkErrors.append(text)

        note.CallDataType = "string0"
        window.AddObserver("ErrorEvent", note)
        window.AddObserver("WarningEvent", note)
        vtk.vtkOutputWindow.SetInstance(window)
        # Otherwise each error is on stderr as well.
        vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
        self._window = window

    def watch_exceptions(self):
        """PyQt5 aborts the process on an exception in a virtual method or slot unless sys.excepthook is replaced."""
        if getattr(sys.excepthook, "stand_in", False):
            return
        previous = sys.excepthook

        def hook(kind, value, trace):
            if issubclass(kind, KeyboardInterrupt):
                previous(kind, value, trace)
                return
            text = "".join(traceback.format_exception(kind, value, trace))
            log.error(text)
            self.slotExceptions.append(text)

        hook.stand_in = True
        sys.excepthook = hook


#: The one recorder of this process.
problems = Problems()
