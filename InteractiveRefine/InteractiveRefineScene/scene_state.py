"""Settings kept with the scene, and the purge when the scene closes."""

from __future__ import annotations

import weakref

import slicer

from .names import PREFIX


def getSetting(editorNode, name: str, default: str = "") -> str:
    """A setting of the effect: attribute "InteractiveRefine.<name>" of the segment editor node."""
    value = editorNode.GetAttribute(PREFIX + name)
    return default if value is None else value


def setSetting(editorNode, name: str, value) -> None:
    """Store a setting as text; booleans as "1" and "0"; nothing happens when it is that already."""
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if editorNode.GetAttribute(PREFIX + name) != text:
        editorNode.SetAttribute(PREFIX + name, text)


def getReference(editorNode, role: str):
    """The node that the segment editor node references as "InteractiveRefine.<role>", or None."""
    return editorNode.GetNodeReference(PREFIX + role)


def setReference(editorNode, role: str, node) -> None:
    """Reference a node (None = no more); survives saving and loading."""
    if editorNode.GetNodeReference(PREFIX + role) is not node:
        editorNode.SetNodeReferenceID(PREFIX + role, None if node is None else node.GetID())


class ClosePurge:
    """Calls `release()` of everything registered when the scene starts to close: no trace of the patient remains."""

    def __init__(self, scene) -> None:
        """Watch a vtkMRMLScene for StartCloseEvent."""
        self._scene = scene
        self._releasables = weakref.WeakSet()
        self._observation = scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, self._onStartClose)

    def add(self, releasable) -> None:
        """Register an object with `release()`; it is held weakly."""
        self._releasables.add(releasable)

    def stop(self) -> None:
        """Stop watching."""
        if self._scene is not None:
            self._scene.RemoveObserver(self._observation)
        self._scene = None

    def _onStartClose(self, caller, event) -> None:
        for releasable in list(self._releasables):
            releasable.release()
