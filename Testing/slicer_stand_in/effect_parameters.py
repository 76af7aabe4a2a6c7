"""Parameters of an effect as attributes of the segment editor node, named 'effect.parameter'."""

from .problems import problems


class EffectParameters:
    """Mixin of the scripted effect; needs `name` and `parameterSetNode()`.

    Verified: Slicer/Slicer Modules/Loadable/Segmentations/EditorEffects/qSlicerSegmentEditorAbstractEffect.cxx.
    """

    def _prefixed(self, name):
        return f"{self.name}.{name}"

    def parameter(self, name):
        """Text of the effect's parameter, else of the common one; an unknown one is a mistake and gives ''."""
        node = self.parameterSetNode()
        if node is None:
            return ""
        value = node.GetAttribute(self._prefixed(name))
        if value is None:
            value = node.GetAttribute(name)
        if value is None:
            problems.message(f"Parameter named {name} cannot be found for effect {self.name}")
            return ""
        return value

    def _number(self, name, kind):
        if self.parameterSetNode() is None:
            return kind(0)
        text = self.parameter(name)
        try:
            return kind(text)
        except ValueError:
            problems.message(f"Parameter named {name} cannot be converted to {kind.__name__}: {text!r}")
            return kind(0)

    def integerParameter(self, name):
        return self._number(name, int)

    def doubleParameter(self, name):
        return self._number(name, float)

    def nodeReference(self, name):
        node = self.parameterSetNode()
        if node is None:
            return None
        return node.GetNodeReference(self._prefixed(name)) or node.GetNodeReference(name)

    def setParameter(self, name, value):
        if self.parameterSetNode() is None:
            problems.message(f"Invalid segment editor parameter set node set to effect {self.name}")
            return
        self.setCommonParameter(self._prefixed(name), value)

    def setParameterDefault(self, name, value):
        if not self.parameterDefined(name):
            self.setParameter(name, value)

    def setCommonParameter(self, name, value):
        """Tells effects (their updateGUIFromMRML) when the text changes."""
        import slicer

        node = self.parameterSetNode()
        if node is None:
            problems.message(f"Invalid segment editor parameter set node set to effect {self.name}")
            return
        text = _as_text(value)
        if (node.GetAttribute(name) or "") == text:
            return
        # The editor is told by EffectParameterModified; Modified would update the whole editor.
        blocked = node.GetDisableModifiedEvent()
        node.SetDisableModifiedEvent(1)
        node.SetAttribute(name, text)
        node.SetDisableModifiedEvent(blocked)
        node.InvokeCustomModifiedEvent(slicer.vtkMRMLSegmentEditorNode.EffectParameterModified)

    def setCommonParameterDefault(self, name, value):
        if not self.commonParameterDefined(name):
            self.setCommonParameter(name, value)

    def setNodeReference(self, name, node):
        self.setCommonNodeReference(self._prefixed(name), node)

    def setCommonNodeReference(self, name, node):
        import slicer

        editor = self.parameterSetNode()
        if editor.GetNodeReference(name) is node:
            return
        editor.SetNodeReferenceID(name, node.GetID() if node else None)
        editor.InvokeCustomModifiedEvent(slicer.vtkMRMLSegmentEditorNode.EffectParameterModified)

    def parameterDefined(self, name):
        return self.commonParameterDefined(self._prefixed(name))

    def commonParameterDefined(self, name):
        node = self.parameterSetNode()
        return bool(node is not None and node.GetAttribute(name))


def _as_text(value):
    """C++ has overloads for text, int and double only; PythonQt passes a bool as the int."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, float):
        # QString::number(double): six significant digits; what needs more has to be passed as text.
        return f"{value:g}"
    raise ValueError(f"setParameter takes text or a number, not {type(value).__name__}")
