"""slicer.ScriptedLoadableModule and what Slicer builds around a module file: module, widget, registration.

Verified: Slicer/Slicer Base/Python/slicer/ScriptedLoadableModule.py, Base/QTGUI/qSlicerScriptedLoadableModule*.cxx.
"""

import importlib.util
import sys
import types
import unittest
from pathlib import Path

import slicer
from PyQt5 import QtCore, QtGui, QtWidgets

from .mrml_widget import qMRMLWidget
from .properties import stored


class ScriptedLoadableModule:
    """Base of a module's description."""

    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = ""
        parent.categories = []
        parent.dependencies = []
        parent.contributors = []
        parent.helpText = ""
        parent.acknowledgementText = ""
        icon = Path(parent.path).parent / "Resources" / "Icons" / f"{self.moduleName}.png"
        if icon.is_file():
            parent.icon = QtGui.QIcon(str(icon))
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename):
        return str(Path(self.parent.path).parent / "Resources" / filename)

    def getDefaultModuleDocumentationLink(self, docPage=None):
        return f'<p><a href="{slicer.app.moduleDocumentationUrl(self.moduleName)}">documentation</a></p>'

    def runTest(self, msec=100, **kwargs):
        test = getattr(sys.modules[type(self).__module__], f"{self.moduleName}Test")()
        test.messageDelay = msec
        test.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """Base of a module's panel; `layout` is the parent's layout. With no parent it makes its own and calls setup."""

    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue("Developer/DeveloperMode", False, slicer.util.toBool)
        self.parent = parent
        if parent is None:
            self.parent = qMRMLWidget()
            self.parent.setLayout(QtWidgets.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename):
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def cleanup(self):
        pass

    def _onModuleAboutToBeUnloaded(self, name):
        if name == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def setupDeveloperSection(self):
        pass

    def setup(self):
        self.setupDeveloperSection()

    def onReload(self):
        pass


class ScriptedLoadableModuleLogic:
    """Base of a module's logic with its parameter node."""

    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        """The module's vtkMRMLScriptedModuleNode of this scene, made when there is none."""
        scene = slicer.mrmlScene
        if self.isSingletonParameterNode:
            node = scene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if node is not None:
                node.SetAttribute("ModuleName", self.moduleName)
                return node
        else:
            nodes = self.getAllParameterNodes()
            if nodes:
                return nodes[0]
        return scene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self):
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self):
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of a module's self test; delayDisplay keeps its messages in `displayed` and does not wait."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.displayed = []

    def delayDisplay(self, message, requestedDelay=None, msec=None):
        self.displayed.append(message)
        slicer.app.processEvents()

    def takeScreenshot(self, name, description, type=-1):
        pass

    def runTest(self):
        raise NotImplementedError("a self test implements runTest")


class qSlicerScriptedLoadableModule(QtCore.QObject):
    """`slicer.modules.<name>`: only the properties of the C++ class can be set."""

    title = stored("QString", "")
    categories = stored("QStringList", [])
    dependencies = stored("QStringList", [])
    contributors = stored("QStringList", [])
    helpText = stored("QString", "")
    acknowledgementText = stored("QString", "")
    icon = stored("QIcon", QtGui.QIcon())
    hidden = stored("bool", False)
    widgetRepresentationCreationEnabled = stored("bool", True)
    index = stored("int", -1)
    associatedNodeTypes = stored("QStringList", [])
    path = stored("QString", "")

    def __init__(self, path):
        super().__init__()
        self.path = str(path)
        self.setObjectName(Path(path).stem)
        self._python = None
        self._widget = None
        self._namespace = None

    def self(self):
        return self._python

    def widgetRepresentation(self):
        """The module's panel, made, shown to `setup` and entered by nobody at first use."""
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
            setattr(slicer.modules, f"{self.name}Widget", self._widget.self())
        return self._widget

    def createNewWidgetRepresentation(self):
        return qSlicerScriptedLoadableModuleWidget(self)

    def logic(self):
        """Scripted modules have a C++ logic without content; theirs is widgetRepresentation().self().logic."""
        return slicer.vtkSlicerScriptedLoadableModuleLogic()

    def unload(self):
        manager = slicer.app.moduleManager()
        manager.fire("moduleAboutToBeUnloaded(QString)", self.name)
        if self._widget is not None:
            for editor in self._widget.findChildren(slicer.qMRMLSegmentEditorWidget):
                editor.close_editor()
            self._widget.setParent(None)
            self._widget.deleteLater()
            self._widget = None
        sys.modules.pop(self.name, None)


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """What widgetRepresentation() returns; `self()` is the Python object."""

    def __init__(self, module):
        super().__init__()
        self.setLayout(QtWidgets.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)
        namespace = module._namespace
        self._entered = False
        self._python = getattr(namespace, f"{module.name}Widget")(self)
        self._python.setup()

    @QtCore.pyqtProperty(bool)
    def isEntered(self):
        return self._entered

    def self(self):
        return self._python

    def enter(self):
        self._entered = True
        if hasattr(self._python, "enter"):
            self._python.enter()

    def exit(self):
        self._entered = False
        if hasattr(self._python, "exit"):
            self._python.exit()


def load(path):
    """Import a module file under its own name and register it; the qSlicerScriptedLoadableModule."""
    path = Path(path)
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    namespace = importlib.util.module_from_spec(spec)
    sys.modules[name] = namespace
    folder = str(path.parent)
    if folder not in sys.path:
        # Slicer adds the folder of every module.
        sys.path.append(folder)
    spec.loader.exec_module(namespace)
    module = qSlicerScriptedLoadableModule(path)
    module._namespace = namespace
    setattr(slicer.modules, name.lower(), module)
    module._python = getattr(namespace, name)(module)
    setattr(slicer.modules, f"{name}Instance", module._python)
    slicer.app.moduleManager().factoryManager()._modules[name] = module
    return module


def install():
    """Make `from slicer.ScriptedLoadableModule import *` work."""
    package = types.ModuleType("slicer.ScriptedLoadableModule")
    names = ["ScriptedLoadableModule", "ScriptedLoadableModuleWidget"]
    names += ["ScriptedLoadableModuleLogic", "ScriptedLoadableModuleTest"]
    package.__all__ = names
    for name in names:
        setattr(package, name, globals()[name])
    sys.modules["slicer.ScriptedLoadableModule"] = package
    slicer.ScriptedLoadableModule = package
    slicer.qSlicerScriptedLoadableModule = qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget
