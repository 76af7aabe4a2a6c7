"""qSlicerSegmentEditorScriptedEffect and the factory: loads an effect's Python class and speaks to it like Slicer.

Verified: Slicer/Slicer Modules/Loadable/Segmentations/EditorEffects/ (qSlicerSegmentEditorScriptedEffect.cxx,
qSlicerSegmentEditorAbstractEffect.cxx, qSlicerSegmentEditorEffectFactory.cxx).
"""

import importlib.util
import sys
import types
from pathlib import Path

import slicer
from PyQt5 import QtCore, QtWidgets

from .effect_parameters import EffectParameters
from .effect_views import EffectViews
from .effect_volumes import EffectVolumes
from .problems import problems
from .properties import stored


class qSlicerSegmentEditorScriptedEffect(EffectParameters, EffectVolumes, EffectViews, QtCore.QObject):
    """One instance belongs to the factory, and each editor widget has a clone of its own."""

    NotConfirmed, ConfirmedWithoutDialog, ConfirmedWithDialog = 0, 1, 2

    name = stored("QString", "UnnamedScriptedEffect")
    _title = None
    perSegment = stored("bool", True)
    requireSegments = stored("bool", True)
    showEffectCursorInSliceView = stored("bool", True)
    showEffectCursorInThreeDView = stored("bool", False)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._python = None
        self._source = ""
        self._node = None
        self._logic = None
        self._select = lambda name: None
        self._save_state = lambda: None
        self._active = False
        self._frame = QtWidgets.QFrame()
        self._frame.setFrameShape(QtWidgets.QFrame.NoFrame)
        layout = QtWidgets.QFormLayout(self._frame)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        self._saved_cursor = None

    @QtCore.pyqtProperty("QString")
    def title(self):
        return self._title or self.name

    @title.setter
    def title(self, text):
        self._title = text

    def setPythonSource(self, path):
        """Loads the class named like the file from the module named like the file's folder. False when it cannot."""
        if not path.endswith((".py", ".pyc")):
            return False
        folder, class_name = Path(path).parent.name, Path(path).name.split(".")[0]
        if not class_name.endswith("Effect"):
            class_name += "Effect"
        module = sys.modules.get(folder)
        if not hasattr(module, class_name):
            # Slicer loads the file itself under the folder's name; relative imports cannot work in that case.
            spec = importlib.util.spec_from_file_location(folder, path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[folder] = module
            try:
                spec.loader.exec_module(module)
            except Exception:
                problems.exception(f"while loading {class_name} as module {folder}")
                return False
        if not hasattr(module, class_name):
            problems.message(f"class {class_name} was not found in module {folder}")
            return False
        try:
            self._python = getattr(module, class_name)(self)
        except Exception:
            problems.exception(f"in the constructor of {class_name}")
            return False
        self._source = path
        setattr(slicer, folder, self._python)
        return True

    def pythonSource(self):
        return self._source

    def self(self):
        return self._python

    def call(self, method, *arguments, default=None):
        """The Python method's result; `default` when it is missing or raises (the exception is recorded)."""
        function = getattr(self._python, method, None)
        if function is None:
            return default() if default else None
        try:
            return function(*arguments)
        except Exception:
            problems.exception(f"in {type(self._python).__name__}.{method}")
            return default() if default else None

    def clone(self):
        found = self.call("clone")
        if not isinstance(found, qSlicerSegmentEditorScriptedEffect):
            problems.message(f"clone of effect {self.name} returned {found!r}")
            return None
        return found

    def active(self):
        return self._active

    def activate(self):
        self._frame.setVisible(True)
        self._active = True
        self.updateGUIFromMRML()
        self.call("activate")

    def deactivate(self):
        self._frame.setVisible(False)
        self._active = False
        self.call("deactivate")

    def updateGUIFromMRML(self):
        self.call("updateGUIFromMRML")

    def updateMRMLFromGUI(self):
        self.call("updateMRMLFromGUI")

    def helpText(self):
        text = self.call("helpText", default=str)
        if not isinstance(text, str):
            problems.message("Function 'helpText' is expected to return a string!")
            return ""
        return text

    def processInteractionEvents(self, interactor, event, view):
        result = self.call("processInteractionEvents", interactor, event, view, default=bool)
        if not isinstance(result, bool):
            problems.message("function 'processInteractionEvents' is expected to return a boolean")
            return False
        return result

    def processViewNodeEvents(self, node, event, view):
        self.call("processViewNodeEvents", node, event, view)

    def interactionNodeModified(self, node):
        def usual():
            if node is not None and node.GetCurrentInteractionMode() != node.ViewTransform:
                self.selectEffect("")

        self.call("interactionNodeModified", node, default=usual)

    def cleanup(self):
        self.call("cleanup")

    def scene(self):
        return self._node.GetScene() if self._node else None

    def parameterSetNode(self):
        return self._node

    def setParameterSetNode(self, node):
        self._node = node

    def selectEffect(self, name):
        self._select(name)

    def saveStateForUndo(self):
        self._save_state()

    def optionsFrame(self):
        return self._frame

    def optionsLayout(self):
        return self._frame.layout()

    def addOptionsWidget(self, widget):
        if isinstance(widget, QtWidgets.QWidget):
            widget.setParent(self._frame)
            widget.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.MinimumExpanding)
        self.optionsLayout().addRow(widget)

    def addLabeledOptionsWidget(self, label, widget):
        shown = QtWidgets.QLabel(label)
        if isinstance(widget, QtWidgets.QWidget):
            widget.setParent(self._frame)
            widget.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.MinimumExpanding)
        elif not isinstance(widget, QtWidgets.QHBoxLayout):
            shown.setAlignment(QtCore.Qt.AlignLeft | QtCore.Qt.AlignTop)
        self.optionsLayout().addRow(shown, widget)
        return shown


class qSlicerSegmentEditorEffectFactory(QtCore.QObject):
    """The list of registered effects, one per process in Slicer, one per test here."""

    effectRegistered = QtCore.pyqtSignal(str)
    _instance = None

    def __init__(self):
        super().__init__()
        self._effects = []

    @classmethod
    def instance(cls):
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def registerEffect(self, effect):
        """False for a name that is registered already."""
        if not effect.name:
            problems.message("Segment editor effect cannot be registered with empty name!")
            return False
        if any(known.name == effect.name for known in self._effects):
            return False
        self._effects.append(effect)
        QtCore.QObject.__getattribute__(self, "effectRegistered").emit(effect.name)
        return True

    def registeredEffects(self):
        return list(self._effects)

    def copyEffects(self, existing):
        """Clones of the effects that are not in the list yet; they are appended to it and returned."""
        added = []
        for effect in self._effects:
            if any(known.name == effect.name for known in existing):
                continue
            clone = effect.clone()
            if clone is not None:
                existing.append(clone)
                added.append(clone)
        return added


def install():
    """Make the effect classes importable and forget the effects of the last test."""
    module = types.ModuleType("qSlicerSegmentationsEditorEffectsPythonQt")
    module.qSlicerSegmentEditorScriptedEffect = qSlicerSegmentEditorScriptedEffect
    module.qSlicerSegmentEditorEffectFactory = qSlicerSegmentEditorEffectFactory
    sys.modules[module.__name__] = module
    qSlicerSegmentEditorEffectFactory._instance = None
    slicer.qSlicerSegmentEditorEffectFactory = qSlicerSegmentEditorEffectFactory
    slicer.qSlicerSegmentEditorAbstractEffect = qSlicerSegmentEditorScriptedEffect
    slicer.qSlicerSegmentEditorScriptedEffect = qSlicerSegmentEditorScriptedEffect
