"""The effects of one segment editor widget: their clones, their buttons, and which one is active."""

import slicer
from PyQt5 import QtWidgets

from .effect_host import qSlicerSegmentEditorEffectFactory
from .problems import problems


class EditorEffects:
    """Mixin of qMRMLSegmentEditorWidget; needs its `_logic`, `_node`, `_effects`, `_buttons`, `_options`, `_views`."""

    def updateEffectList(self):
        """Clones newly registered effects; in Slicer the factory's signal calls it."""
        for effect in qSlicerSegmentEditorEffectFactory.instance().copyEffects(self._effects):
            effect._logic = self._logic
            effect._select = self.setActiveEffectByName
            effect._save_state = self.saveStateForUndo
            if self._node is not None:
                effect.setParameterSetNode(self._node)
                effect.call("setMRMLDefaults")
            button = QtWidgets.QToolButton(self._buttons)
            button.setObjectName(effect.name)
            button.setCheckable(True)
            button.setText(effect.title)
            button.setIcon(effect.icon())
            button.connect("clicked()", lambda name=effect.name: self._toggle(name))
            self._buttons.layout().addWidget(button)
            effect.call("setupOptionsFrame")
            effect.optionsFrame().setVisible(False)
            self._options.layout().addWidget(effect.optionsFrame())

    def _toggle(self, name):
        self.setActiveEffectByName("" if self._active and self._active.name == name else name)

    def _order_changed(self, *_):
        for effect in self._effects:
            shown = self.unorderedEffectsVisible or effect.name in self._order
            self._buttons.findChild(QtWidgets.QToolButton, effect.name).setVisible(shown)

    def _states_changed(self, count):
        self._logic.SetMaximumNumberOfUndoStates(count)

    def effectNameOrder(self):
        return tuple(self._order)

    def setEffectNameOrder(self, names):
        self._order = list(names)
        self._order_changed()

    def availableEffectNames(self):
        return tuple(effect.name for effect in self._effects)

    def effectByName(self, name):
        for effect in self._effects:
            if effect.name == name:
                return effect
        if name and name != "NULL":
            problems.message(f"qMRMLSegmentEditorWidget: no effect named '{name}'")
        return None

    def effectCount(self):
        return len(self._effects)

    def effectByIndex(self, index):
        return self._effects[index]

    def activeEffect(self):
        return self._active

    def setActiveEffect(self, effect):
        if self._node is None:
            if effect is not None:
                problems.message("setActiveEffect: Invalid segment editor parameter set node")
            return
        self._node.SetActiveEffectName(effect.name if effect else "")

    def setActiveEffectByName(self, name):
        self.setActiveEffect(self.effectByName(name))

    def _update_effect(self):
        effect = self.effectByName(self._node.GetActiveEffectName() or "")
        if effect is self._active:
            return
        if self._active is not None:
            self._active.deactivate()
        if effect is not None and not self._logic.SetSourceRepresentationToBinaryLabelMap():
            effect = None
        if effect is not None:
            self._views.setup()
            effect.activate()
        else:
            self._views.remove()
        for known in self._effects:
            self._buttons.findChild(QtWidgets.QToolButton, known.name).setChecked(known is effect)
        self.setEffectCursor(effect)
        self._last_active, self._active = self._active, effect

    def setEffectCursor(self, effect):
        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames() if manager else ():
            view = manager.sliceWidget(name)
            if effect is not None and effect.showEffectCursorInSliceView:
                view.sliceView().setDefaultViewCursor(effect.createCursor(view))
            else:
                view.sliceView().unsetViewCursor()
