"""`slicer.app`: the part of qSlicerApplication that scripted modules use, without windows."""

import tempfile
from pathlib import Path

from .core_io import CoreIOManager
from .plain_signals import PlainSignals


class CommandOptions:
    """What the application was started with."""

    noMainWindow = True
    testingEnabled = False
    runPythonAndExit = False
    isTestingEnabled = False


class ModuleFactoryManager:
    """Knows which modules are loaded. Base/QTCore/qSlicerModuleFactoryManager.h."""

    #: Slicer's own modules are loaded before startupCompleted.
    BUILT_IN = ("Colors", "Data", "Markups", "SampleData", "SegmentEditor", "Segmentations", "Volumes")

    def __init__(self):
        self._modules = {}
        self._started = False

    def isLoaded(self, name):
        return name in self._modules or (self._started and name in self.BUILT_IN)

    def loadedModuleNames(self):
        return (*(self.BUILT_IN if self._started else ()), *self._modules)


class ModuleManager(PlainSignals):
    """Finds registered modules by name. Base/QTCore/qSlicerModuleManager.h."""

    SIGNALS = ("moduleLoaded(QString)", "moduleAboutToBeUnloaded(QString)", "moduleUnloaded(QString)")

    def __init__(self):
        super().__init__()
        self._factory = ModuleFactoryManager()

    def module(self, name):
        return self._factory._modules.get(name)

    def modulesNames(self):
        return self._factory.loadedModuleNames()

    def factoryManager(self):
        return self._factory


class Application(PlainSignals):
    """One per test, as the scene is. Attributes that the application has as Qt properties are plain values."""

    SIGNALS = (
        "startupCompleted()",
        "aboutToQuit()",
        "lastWindowClosed()",
        "mrmlSceneChanged(vtkMRMLScene*)",
    )

    def __init__(self, scene, application_logic):
        super().__init__()
        self._scene = scene
        self._logic = application_logic
        self._testing = False
        self._layout_manager = None
        self._options = CommandOptions()
        self._module_manager = ModuleManager()
        self._io = CoreIOManager(scene, application_logic)
        self._paused = 0
        self._cursors = []
        self._temporary = Path(tempfile.gettempdir())
        self.applicationName = "Slicer"
        self.applicationVersion = "5.12.0"
        self.majorVersion, self.minorVersion, self.revision = 5, 12, "0"
        self.documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"
        self.slicerHome = str(self._temporary)

    @property
    def temporaryPath(self):
        return str(self._temporary)

    @temporaryPath.setter
    def temporaryPath(self, path):
        self._temporary = Path(path)

    @property
    def cachePath(self):
        return str(self._temporary / "cache")

    def mrmlScene(self):
        return self._scene

    def applicationLogic(self):
        return self._logic

    def coreIOManager(self):
        return self._io

    ioManager = coreIOManager

    def moduleManager(self):
        return self._module_manager

    def layoutManager(self):
        """None without views, as in Slicer with --no-main-window."""
        return self._layout_manager

    def mainWindow(self):
        return None

    def topLevelWidgets(self):
        import sys

        if "qt" not in sys.modules:
            return []
        from PyQt5.QtWidgets import QApplication

        return QApplication.topLevelWidgets()

    def commandOptions(self):
        return self._options

    def testingEnabled(self):
        return self._testing

    def translate(self, context, text):
        return text

    def moduleDocumentationUrl(self, name):
        return self.documentationBaseUrl + "user_guide/modules/" + name.lower() + ".html"

    def startupEnvironment(self):
        """A QProcessEnvironment: the variables before the launcher changed them."""
        from PyQt5.QtCore import QProcessEnvironment

        return QProcessEnvironment.systemEnvironment()

    environment = startupEnvironment

    def pauseRender(self):
        self._paused += 1

    def resumeRender(self):
        self._paused -= 1

    def processEvents(self):
        """Runs the Qt events that are waiting, where there is Qt."""
        import sys

        if "qt" in sys.modules:
            from PyQt5.QtCore import QCoreApplication

            QCoreApplication.processEvents()

    def setOverrideCursor(self, cursor):
        self._cursors.append(cursor)

    def restoreOverrideCursor(self):
        if self._cursors:
            self._cursors.pop()

    def userSettings(self):
        import qt

        return qt.QSettings()

    settings = userSettings
    revisionUserSettings = userSettings
