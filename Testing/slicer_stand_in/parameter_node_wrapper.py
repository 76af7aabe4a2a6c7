"""slicer.parameterNodeWrapper for plain values and nodes, stored in the parameter node exactly as Slicer stores them.

Verified: Slicer/Slicer Base/Python/slicer/parameterNodeWrapper/{wrapper,serializers}.py. Members of other types raise;
connectGui is missing: bind widgets by hand, or extend this file.
"""

import pathlib
import types
import typing

import slicer


def _is_node(kind):
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def _plain(kind):
    """The type itself, without `| None` and Annotated."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kinds = [part for part in typing.get_args(kind) if part is not type(None)]
        if len(kinds) == 1 and _is_node(kinds[0]):
            return kinds[0]
    return kind


class _Parameter:
    """One typed member of a wrapped class."""

    def __init__(self, name, kind, default):
        self.name = name
        self.kind = _plain(kind)
        known = self.kind in (int, float, str, bool, pathlib.Path) or _is_node(self.kind)
        if not known:
            raise TypeError(f"the stand-in has no serializer for {name}: {kind!r}")
        if default is _MISSING:
            default = None if _is_node(self.kind) else self.kind()
        self.default = default

    def read(self, node):
        if _is_node(self.kind):
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node, value):
        if _is_node(self.kind):
            if value is not None and not isinstance(value, self.kind):
                raise TypeError(f"{self.name} takes a {self.kind.__name__}, not {value!r}")
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            return
        fits = (int, float) if self.kind is float else self.kind
        if value is None:
            raise ValueError(f"{self.name} must not be None")
        if not isinstance(value, fits):
            raise TypeError(f"{self.name} takes a {self.kind.__name__}, not {value!r}")
        node.SetParameter(self.name, str(value))


_MISSING = object()


def _member(parameter):
    return property(
        lambda self: parameter.read(self.parameterNode),
        lambda self, value: parameter.write(self.parameterNode, value),
    )


def parameterNodeWrapper(classtype=None):
    """Class decorator: annotated members become typed views of a vtkMRMLScriptedModuleNode's parameters."""
    if classtype is None:
        return parameterNodeWrapper
    parameters = {}
    for name, kind in typing.get_type_hints(classtype, include_extras=True).items():
        parameters[name] = _Parameter(name, kind, getattr(classtype, name, _MISSING))
        setattr(classtype, name, _member(parameters[name]))

    def start(self, parameterNode, prefix=None):
        self.parameterNode = parameterNode
        for parameter in parameters.values():
            if not parameterNode.HasParameter(parameter.name):
                parameter.write(parameterNode, parameter.default)

    classtype.__init__ = start
    classtype.allParameters = parameters
    classtype.getValue = lambda self, name: getattr(self, name)
    classtype.setValue = lambda self, name, value: setattr(self, name, value)
    classtype.default = lambda self, name: parameters[name].default
    for forwarded in ("StartModify", "EndModify", "AddObserver", "RemoveObserver", "Modified"):
        setattr(classtype, forwarded, _forward(forwarded))
    return classtype


def _forward(name):
    return lambda self, *arguments: getattr(self.parameterNode, name)(*arguments)
