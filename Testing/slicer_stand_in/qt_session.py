"""The Qt part of one test: qt, ctk, views, effects, scripted modules; everything undone at the end."""

import sys

import slicer
from PyQt5 import QtCore, QtWidgets

from . import ctk_widgets, dialogs, effect_base, effect_host, mrml_widgets, qt_module, scripted_module
from .segment_editor_widget import qMRMLSegmentEditorWidget
from .slice_views import qSlicerLayoutManager

#: Taken out again, so that a test without Qt cannot import them by accident.
INSTALLED = (
    "qt",
    "ctk",
    "SegmentEditorEffects",
    "qSlicerSegmentationsEditorEffectsPythonQt",
    "slicer.ScriptedLoadableModule",
)


class QtSession:
    """Needs the CoreSession of the same test; `register(path)` loads a scripted module file as Slicer does."""

    def __init__(self, core):
        self.core = core
        self.scene = core.scene
        self.application_logic = core.application_logic
        qt_module.install()
        qt_module.clear_settings()
        dialogs.clear()
        self.dialogs = dialogs
        ctk_widgets.install()
        mrml_widgets.install()
        effect_base.install()
        effect_host.install()
        scripted_module.install()
        self.layout_manager = qSlicerLayoutManager(core)
        core.application._layout_manager = self.layout_manager
        self.modules = []
        self.main_window = None

    def register(self, path):
        """`slicer.modules.<name>` for a module's .py file."""
        module = scripted_module.load(path)
        self.modules.append(module)
        return module

    def start(self):
        """What the application does once all modules are loaded and its window is there."""
        slicer.app.moduleManager().factoryManager()._started = True
        slicer.app.fire("startupCompleted()")

    def show_main_window(self):
        """From here on slicer.util.mainWindow() finds one, as in the application; errorDisplay needs it."""
        if self.main_window is None:
            self.main_window = QtWidgets.QMainWindow()
            self.main_window.setObjectName("qSlicerMainWindow")
        return self.main_window

    def close(self):
        if self.main_window is not None:
            self.main_window.setObjectName("")
            self.main_window.deleteLater()
        for module in self.modules:
            module.unload()
        for widget in list(qMRMLSegmentEditorWidget.living):
            widget.close_editor()
        self.core.application._layout_manager = None
        self.layout_manager.close_views(self.core)
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        QtCore.QCoreApplication.processEvents()
        for name in INSTALLED:
            sys.modules.pop(name, None)
