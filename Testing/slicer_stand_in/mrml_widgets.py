"""Slicer's widgets that a panel may use. Verified in Slicer/Slicer, Libs/MRML/Widgets and Segmentations/Widgets."""

import slicer
from PyQt5 import QtCore, QtWidgets

from .ctk_widgets import ctkDoubleSpinBox, ctkSliderWidget
from .mrml_widget import qMRMLWidget
from .properties import computed, stored

_get = QtCore.QObject.__getattribute__


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Chooses a node of some classes; follows the scene. Libs/MRML/Widgets/qMRMLNodeComboBox.h."""

    SIGNALS = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "currentNodeValid",
        "currentNodeIDChanged(QString)": "currentNodeIDChanged",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
    }
    currentNodeChanged = QtCore.pyqtSignal(object)
    currentNodeValid = QtCore.pyqtSignal(bool)
    currentNodeIDChanged = QtCore.pyqtSignal(str)
    nodeAddedByUser = QtCore.pyqtSignal(object)
    nodeActivated = QtCore.pyqtSignal(object)
    nodeAdded = QtCore.pyqtSignal(object)

    nodeTypes = stored("QStringList", [], changed="_refresh")
    showHidden = stored("bool", False, changed="_refresh")
    showChildNodeTypes = stored("bool", True, changed="_refresh")
    hideChildNodeTypes = stored("QStringList", [], changed="_refresh")
    noneEnabled = stored("bool", False, changed="_refresh")
    addEnabled = stored("bool", True)
    removeEnabled = stored("bool", True)
    editEnabled = stored("bool", False)
    renameEnabled = stored("bool", False)
    selectNodeUponCreation = stored("bool", True)
    baseName = stored("QString", "")
    noneDisplay = stored("QString", "None")

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None
        self._tags = []
        self._attributes = []
        self._ids = []
        self._last = ""
        self._combo = QtWidgets.QComboBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(lambda index: self._chosen())

    currentNodeID = computed("QString", lambda w: w._current(), lambda w, node_id: w.setCurrentNodeID(node_id))

    def _current(self):
        index = self._combo.currentIndex
        return self._ids[index] if 0 <= index < len(self._ids) else ""

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        if self._scene is not None:
            for tag in self._tags:
                self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is not None:
            events = slicer.vtkMRMLScene
            ends = events.EndCloseEvent, events.EndBatchProcessEvent
            for event in (events.NodeAddedEvent, events.NodeRemovedEvent, *ends):
                self._tags.append(scene.AddObserver(event, lambda *_: self._refresh()))
        self._refresh()

    def addAttribute(self, node_type, name, value=None):
        self._attributes.append((node_type, name, value))
        self._refresh()

    def _fits(self, node):
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        kinds = self.nodeTypes
        if self.showChildNodeTypes:
            fits = any(node.IsA(kind) for kind in kinds) and not any(node.IsA(k) for k in self.hideChildNodeTypes)
        else:
            fits = node.GetClassName() in kinds
        for kind, name, value in self._attributes:
            if fits and node.IsA(kind):
                found = node.GetAttribute(name)
                fits = found is not None and (value is None or found == str(value))
        return fits

    def _refresh(self, *_):
        if self._scene is not None and self._scene.IsBatchProcessing():
            return
        before = self._last
        nodes = []
        if self._scene is not None:
            nodes = [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        nodes = [node for node in nodes if self._fits(node)]
        blocked = self._combo.blockSignals(True)
        self._combo.clear()
        self._ids = [""] if self.noneEnabled else []
        if self.noneEnabled:
            self._combo.addItem(self.noneDisplay)
        for node in nodes:
            self._ids.append(node.GetID())
            self._combo.addItem(node.GetName())
        # A combo box that allows no None takes the first node by itself.
        self._combo.setCurrentIndex(self._ids.index(before) if before in self._ids else (0 if self._ids else -1))
        self._combo.blockSignals(blocked)
        self._chosen()

    def _chosen(self):
        if self._current() == self._last:
            return
        self._last = self._current()
        node = self.currentNode()
        _get(self, "currentNodeChanged").emit(node)
        _get(self, "currentNodeValid").emit(node is not None)
        _get(self, "currentNodeIDChanged").emit(self._last)

    def currentNode(self):
        return self._scene.GetNodeByID(self._current()) if self._scene is not None and self._current() else None

    def setCurrentNode(self, node):
        self.setCurrentNodeID(node if isinstance(node, str) else node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id):
        self._combo.setCurrentIndex(self._ids.index(node_id) if node_id in self._ids else -1)

    def setCurrentNodeIndex(self, index):
        self._combo.setCurrentIndex(index + int(self.noneEnabled))

    def nodeCount(self):
        return len([node_id for node_id in self._ids if node_id])

    def nodeFromIndex(self, index):
        ids = [node_id for node_id in self._ids if node_id]
        return self._scene.GetNodeByID(ids[index]) if 0 <= index < len(ids) else None

    def addNode(self, node_type=None):
        node = self._scene.AddNewNodeByClass(node_type or self.nodeTypes[0], self.baseName)
        _get(self, "nodeAddedByUser").emit(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node


class _UnitAware:
    """What qMRMLSpinBox and qMRMLSliderWidget add to CTK's widgets."""

    Nothing, Precision, Prefix, Suffix = 0x00, 0x01, 0x02, 0x04
    MinimumValue, MaximumValue, Scaling, All = 0x08, 0x10, 0x20, 0xFF
    _scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        self._scene = scene


class qMRMLSpinBox(_UnitAware, ctkDoubleSpinBox):
    """Libs/MRML/Widgets/qMRMLSpinBox.h."""

    quantity = stored("QString", "")
    unitAwareProperties = stored("int", 0xFF)


class qMRMLSliderWidget(_UnitAware, ctkSliderWidget):
    """Libs/MRML/Widgets/qMRMLSliderWidget.h."""

    quantity = stored("QString", "")
    unitAwareProperties = stored("int", 0xFF)


class qMRMLSegmentsTableView(qMRMLWidget):
    """The list of segments. Modules/Loadable/Segmentations/Widgets/qMRMLSegmentsTableView.h."""

    SIGNALS = {"selectionChanged(QItemSelection,QItemSelection)": "selectionChanged"}
    selectionChanged = QtCore.pyqtSignal(object, object)
    selectionMode = stored("int", 3)
    headerVisible = stored("bool", True)
    visibilityColumnVisible = stored("bool", True)
    colorColumnVisible = stored("bool", True)
    opacityColumnVisible = stored("bool", True)
    statusColumnVisible = stored("bool", False)
    readOnly = stored("bool", False)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node = None
        self._selected = ()

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node):
        self._node = node
        self._selected = ()

    def selectedSegmentIDs(self):
        return tuple(self._selected)

    def setSelectedSegmentIDs(self, ids):
        self._selected = tuple(ids)
        _get(self, "selectionChanged").emit(None, None)

    def clearSelection(self):
        self.setSelectedSegmentIDs(())


class _Late:
    """Names whose files import this one."""

    @staticmethod
    def editor():
        from .segment_editor_widget import qMRMLSegmentEditorWidget

        return qMRMLSegmentEditorWidget


class _Classes(dict):
    def __contains__(self, name):
        return name == "qMRMLSegmentEditorWidget" or super().__contains__(name)

    def __missing__(self, name):
        if name == "qMRMLSegmentEditorWidget":
            return _Late.editor()
        raise KeyError(name)


CLASSES = _Classes(
    {
        kind.__name__: kind
        for kind in (qMRMLNodeComboBox, qMRMLSpinBox, qMRMLSliderWidget, qMRMLSegmentsTableView, qMRMLWidget)
    }
)


def install():
    """Put the classes into `slicer`."""
    for name, kind in CLASSES.items():
        setattr(slicer, name, kind)
    slicer.qMRMLSegmentEditorWidget = _Late.editor()
