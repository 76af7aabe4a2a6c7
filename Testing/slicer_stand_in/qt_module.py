"""The module `qt`: PyQt5's classes with PythonQt's manners, one flat namespace, settings in a temporary folder."""

import os
import sys
import tempfile
import types

# Before the first Qt object: no screen is needed.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PyQt5 import QtCore, QtGui, QtNetwork, QtWidgets  # noqa: E402

from . import qt_semantics  # noqa: E402
from .problems import problems  # noqa: E402

#: What PyQt5 has and PythonQt has not.
_NOT_IN_PYTHONQT = {"pyqtSignal", "pyqtSlot", "pyqtProperty", "pyqtBoundSignal", "pyqtEnum", "QT_TR_NOOP"}

application = None
_settings_folder = None
_module = None


def start_application():
    """The one QApplication of the process, offscreen; later calls return it."""
    global application, _settings_folder
    if application is None:
        problems.watch_exceptions()
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="stand-in-runtime-"))
        QtCore.QCoreApplication.setOrganizationName("InteractiveRefineTests")
        QtCore.QCoreApplication.setApplicationName("Slicer")
        application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        application.setQuitOnLastWindowClosed(False)
        _settings_folder = tempfile.mkdtemp(prefix="stand-in-settings-")
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, _settings_folder)
        qt_semantics.install()
    return application


def clear_settings():
    """Forget what the last test stored."""
    settings = QtCore.QSettings()
    settings.clear()
    settings.sync()


class QTimer(QtCore.QTimer):
    """singleShot records an exception instead of ending the process."""

    @staticmethod
    def singleShot(milliseconds, callable_):
        from .qt_connections import make_slot

        QtCore.QTimer.singleShot(int(milliseconds), make_slot(callable_, "QTimer.singleShot"))


def make_module():
    """The module object to put into sys.modules as `qt`."""
    from . import dialogs
    from .ui_loader import QUiLoader

    start_application()
    module = types.ModuleType("qt", __doc__)
    for source in (QtCore, QtGui, QtWidgets, QtNetwork):
        for name in dir(source):
            if not name.startswith("_") and name not in _NOT_IN_PYTHONQT:
                setattr(module, name, getattr(source, name))
    for name, kind in dialogs.CLASSES.items():
        setattr(module, name, kind)
    module.QTimer = QTimer
    module.QUiLoader = QUiLoader
    return module


def install():
    """Make `import qt` work."""
    global _module
    if _module is None:
        _module = make_module()
    sys.modules["qt"] = _module
    return _module
