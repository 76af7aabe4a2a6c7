"""qMRMLSegmentEditorWidget: nodes, notifications, undo; all editing is in the real logic.

Verified: Slicer/Slicer Modules/Loadable/Segmentations/Widgets/qMRMLSegmentEditorWidget.{h,cxx}.
"""

import weakref

import slicer
import vtk
from PyQt5 import QtCore, QtWidgets

from .editor_effects import EditorEffects
from .mrml_widget import qMRMLWidget
from .properties import stored
from .view_observations import ViewObservations


class qMRMLSegmentEditorWidget(EditorEffects, qMRMLWidget):
    """Signals and slots with the real names; the buttons `UndoButton`, `RedoButton` and one per effect exist."""

    SIGNALS = {
        "currentSegmentIDChanged(QString)": "currentSegmentIDChanged",
        "segmentationNodeChanged(vtkMRMLSegmentationNode*)": "segmentationNodeChanged",
        "sourceVolumeNodeChanged(vtkMRMLVolumeNode*)": "sourceVolumeNodeChanged",
    }
    currentSegmentIDChanged = QtCore.pyqtSignal(str)
    segmentationNodeChanged = QtCore.pyqtSignal(object)
    sourceVolumeNodeChanged = QtCore.pyqtSignal(object)

    segmentationNodeSelectorVisible = stored("bool", True)
    sourceVolumeNodeSelectorVisible = stored("bool", True)
    maskingSectionVisible = stored("bool", True)
    switchToSegmentationsButtonVisible = stored("bool", True)
    addRemoveSegmentButtonsVisible = stored("bool", True)
    specifyGeometryButtonVisible = stored("bool", True)
    show3DButtonVisible = stored("bool", True)
    autoShowSourceVolumeNode = stored("bool", True)
    jumpToSelectedSegmentEnabled = stored("bool", False)
    undoEnabled = stored("bool", True)
    readOnly = stored("bool", False)
    unorderedEffectsVisible = stored("bool", True, changed="_order_changed")
    effectColumnCount = stored("int", 2)
    maximumNumberOfUndoStates = stored("int", 10, changed="_states_changed")

    #: All that exist, so that the end of a test does what their C++ destructors do.
    living = weakref.WeakSet()

    def __init__(self, parent=None):
        super().__init__(parent)
        qMRMLSegmentEditorWidget.living.add(self)
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMaximumNumberOfUndoStates(10)
        changed = slicer.vtkSlicerSegmentEditorLogic.SegmentationHistoryChangedEvent
        self._history_tag = self._logic.AddObserver(changed, lambda *_: self._update_undo_buttons())
        self._node = None
        self._effects = []
        self._active = None
        self._last_active = None
        self._order = []
        self._segmentation = None
        self._source = None
        self._segment = None
        self._geometry = None
        self._tags = []
        self._updating = False
        self._views = ViewObservations(self)
        self._shortcuts = []
        layout = QtWidgets.QVBoxLayout(self)
        self._buttons = QtWidgets.QWidget(self)
        QtWidgets.QHBoxLayout(self._buttons)
        self._options = QtWidgets.QWidget(self)
        QtWidgets.QVBoxLayout(self._options)
        layout.addWidget(self._buttons)
        layout.addWidget(self._options)
        for name, slot in (("UndoButton", self.undo), ("RedoButton", self.redo)):
            button = QtWidgets.QToolButton(self)
            button.setObjectName(name)
            button.connect("clicked()", slot)
            layout.addWidget(button)
        self.updateEffectList()

    # Nodes

    def mrmlSegmentEditorNode(self):
        return self._node

    def setMRMLSegmentEditorNode(self, node):
        if node is self._node:
            return
        if self._node is not None:
            for tag in self._tags:
                self._node.RemoveObserver(tag)
            self._tags = []
        self._node = node
        self._logic.SetSegmentEditorNode(node)
        if node is None:
            return
        changed = slicer.vtkMRMLSegmentEditorNode.EffectParameterModified
        self._tags = [
            node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self.updateWidgetFromMRML()),
            node.AddObserver(changed, lambda *_: [effect.updateGUIFromMRML() for effect in self._effects]),
        ]
        self._initialize_node()
        self.updateWidgetFromMRML()

    def _initialize_node(self):
        if self._node is None:
            return
        was = self._node.StartModify()
        for effect in self._effects:
            effect.setParameterSetNode(self._node)
            effect.call("setMRMLDefaults")
        self._node.EndModify(was)

    def setMRMLScene(self, scene):
        before = self.mrmlScene()
        if scene is before:
            return
        if before is not None:
            for tag in self._scene_tags:
                before.RemoveObserver(tag)
        super().setMRMLScene(scene)
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic() if scene else None)
        self._logic.SetMRMLScene(scene)
        self._logic.SetVerbose(True)
        if scene is None:
            return
        interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        self._scene_tags = [
            scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, lambda *_: self._closed()),
            scene.AddObserver(slicer.vtkMRMLScene.EndBatchProcessEvent, lambda *_: self.updateWidgetFromMRML()),
        ]
        self._interaction = interaction
        if interaction is not None:
            self._interaction_tag = interaction.AddObserver(
                vtk.vtkCommand.ModifiedEvent,
                lambda *_: self._active and self._active.interactionNodeModified(interaction),
            )
        self.updateWidgetFromMRML()

    def _closed(self):
        self._initialize_node()
        self.updateWidgetFromMRML()

    def segmentationNode(self):
        return self._logic.GetSegmentationNode()

    def segmentationNodeID(self):
        node = self.segmentationNode()
        return node.GetID() if node else ""

    def setSegmentationNode(self, node):
        if self._logic.GetSegmentationNode() is node:
            return
        self._logic.SetSegmentationNode(node)
        self.setActiveEffect(None)

    def setSegmentationNodeID(self, node_id):
        self.setSegmentationNode(self.mrmlScene().GetNodeByID(node_id))

    def sourceVolumeNode(self):
        return self._logic.GetSourceVolumeNode()

    def sourceVolumeNodeID(self):
        node = self.sourceVolumeNode()
        return node.GetID() if node else ""

    def setSourceVolumeNode(self, node):
        self._logic.SetSourceVolumeNode(node)

    def setSourceVolumeNodeID(self, node_id):
        self.setSourceVolumeNode(self.mrmlScene().GetNodeByID(node_id))

    def currentSegmentID(self):
        return self._logic.GetCurrentSegmentID()

    def setCurrentSegmentID(self, segment_id):
        if self._node is not None:
            self._node.SetSelectedSegmentID(segment_id)

    def interactionNode(self):
        return self._interaction

    # Updating

    def updateWidgetFromMRML(self):
        """Everything that follows from the editor node: nodes, notifications, the active effect."""
        scene = self.mrmlScene()
        if scene is None or scene.IsClosing() or scene.IsBatchProcessing() or self._node is None or self._updating:
            return
        self._updating = True
        was = self._node.StartModify()
        try:
            self._update_segmentation()
            self._update_source()
            self._update_segment()
            self._update_effect()
        finally:
            self._node.EndModify(was)
            self._updating = False
        self._update_undo_buttons()

    def _update_undo_buttons(self):
        self.findChild(QtWidgets.QToolButton, "UndoButton").setEnabled(bool(self._logic.CanUndo()))
        self.findChild(QtWidgets.QToolButton, "RedoButton").setEnabled(bool(self._logic.CanRedo()))

    def _update_segmentation(self):
        node = self._logic.GetSegmentationNode()
        if node is not self._segmentation:
            self._segmentation = node
            if node is not None:
                reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
                if reference is not None:
                    self._logic.SetSourceVolumeNode(reference)
                node.CreateDefaultDisplayNodes()
                ids = self._logic.GetSegmentIDs()
                if ids and not self._node.GetSelectedSegmentID():
                    self._node.SetSelectedSegmentID(ids[0])
            QtCore.QObject.__getattribute__(self, "segmentationNodeChanged").emit(node)
        geometry = self._logic.GetReferenceImageGeometryString() if node is not None else None
        if geometry != self._geometry:
            self._geometry = geometry
            for effect in self._effects:
                effect.call("referenceGeometryChanged")

    def _update_source(self):
        if self._node.GetSegmentationNode() is None:
            return
        node = self._logic.GetSourceVolumeNode()
        if node is self._source:
            return
        self._source = node
        QtCore.QObject.__getattribute__(self, "sourceVolumeNodeChanged").emit(node)
        for effect in self._effects:
            effect.call("sourceVolumeNodeChanged")

    def _update_segment(self):
        chosen = self._node.GetSelectedSegmentID() or ""
        if chosen == self._segment:
            return
        self._segment = chosen
        if not chosen and self._active is not None and self._active.perSegment:
            self.setActiveEffect(None)
        QtCore.QObject.__getattribute__(self, "currentSegmentIDChanged").emit(chosen)

    # Views, undo

    def setupViewObservations(self):
        self._views.setup()

    def removeViewObservations(self):
        self._views.remove()

    def saveStateForUndo(self):
        self._logic.SaveStateForUndo()

    def undo(self):
        self._logic.Undo()

    def redo(self):
        self._logic.Redo()

    def installKeyboardShortcuts(self, parent=None):
        """Undo, redo and Escape of the real keys; there the main window is the parent when none is given."""
        from PyQt5.QtGui import QKeySequence

        self.uninstallKeyboardShortcuts()
        undo, redo = self.undo, self.redo
        keys = (("Z", undo), ("Ctrl+Z", undo), ("Y", redo), ("Ctrl+Shift+Z", redo), ("Escape", self._leave_effect))
        for key, slot in keys:
            shortcut = QtWidgets.QShortcut(QKeySequence(key), parent or self)
            shortcut.connect("activated()", slot)
            self._shortcuts.append(shortcut)

    def _leave_effect(self):
        """There the effect number 0, which is none; the digits choose the others."""
        self.setActiveEffect(None)

    def uninstallKeyboardShortcuts(self):
        for shortcut in self._shortcuts:
            shortcut.setParent(None)
        self._shortcuts = []

    def close_editor(self):
        """What the destructor does: effects clean up, nothing observes the scene any more."""
        if self not in qMRMLSegmentEditorWidget.living:
            return
        qMRMLSegmentEditorWidget.living.discard(self)
        if self.mrmlScene() is not None and self._node is not None:
            self.setActiveEffect(None)
        self._views.remove()
        for effect in self._effects:
            effect.cleanup()
        self.setMRMLSegmentEditorNode(None)
        self._logic.RemoveObserver(self._history_tag)
        if getattr(self, "_interaction", None) is not None:
            self._interaction.RemoveObserver(self._interaction_tag)
        self.setMRMLScene(None)
