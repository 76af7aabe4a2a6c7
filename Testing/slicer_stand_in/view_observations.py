"""The editor listens to the interactors and nodes of slice views and hands events to the active effect."""

import slicer
import vtk

#: Events of the interactor that reach an effect in slice views, in the order of Slicer's source.
INTERACTOR_EVENTS = [
    "LeftButtonPressEvent",
    "LeftButtonReleaseEvent",
    "LeftButtonDoubleClickEvent",
    "RightButtonPressEvent",
    "RightButtonReleaseEvent",
    "RightButtonDoubleClickEvent",
    "MiddleButtonPressEvent",
    "MiddleButtonReleaseEvent",
    "MiddleButtonDoubleClickEvent",
    "MouseMoveEvent",
    "MouseWheelForwardEvent",
    "MouseWheelBackwardEvent",
    "MouseWheelLeftEvent",
    "MouseWheelRightEvent",
    "KeyPressEvent",
    "KeyReleaseEvent",
    "EnterEvent",
    "LeaveEvent",
]


class ViewObservations:
    """Verified: setupViewObservations and processEvents of qMRMLSegmentEditorWidget.cxx (priority 1.0, abort flag)."""

    def __init__(self, editor):
        self._editor = editor
        self._observed = []

    def setup(self):
        self.remove()
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        for name in manager.sliceViewNames():
            view = manager.sliceWidget(name)
            interactor = view.sliceView().interactorStyle().GetInteractor()
            for event in INTERACTOR_EVENTS:
                self._observe(interactor, event, view)
            node = view.sliceLogic().GetSliceNode()
            tag = node.AddObserver(
                "ModifiedEvent", lambda caller, event, view=view: self._node_event(caller, view), 1.0
            )
            self._observed.append((node, tag))

    def _observe(self, interactor, event, view):
        tags = []

        def forward(caller, name):
            if self._process(caller, vtk.vtkCommand.GetEventIdFromString(name), view):
                caller.GetCommand(tags[0]).SetAbortFlag(1)

        tags.append(interactor.AddObserver(event, forward, 1.0))
        self._observed.append((interactor, tags[0]))

    def remove(self):
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._observed = []

    def _effect(self):
        scene = self._editor.mrmlScene()
        if scene is None or scene.IsClosing() or self._editor.mrmlSegmentEditorNode() is None:
            return None
        return self._editor.activeEffect()

    def _process(self, interactor, event, view):
        effect = self._effect()
        return effect is not None and effect.processInteractionEvents(interactor, event, view)

    def _node_event(self, node, view):
        effect = self._effect()
        if effect is not None:
            effect.processViewNodeEvents(node, vtk.vtkCommand.ModifiedEvent, view)
