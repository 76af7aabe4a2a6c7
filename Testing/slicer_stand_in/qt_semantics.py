"""Gives PyQt5's objects the manners of PythonQt: properties are values, unknown attributes fail, connect by string.

PyQt5's QObject is changed in place, once and for the whole process: objects that Qt makes itself (a header view, a
line edit in a combo box) behave like PythonQt's too. Verified in MeVisLab/pythonqt, src/PythonQtInstanceWrapper.cpp
(attributes) and src/PythonQtSignalReceiver.cpp (how many arguments a slot gets).
"""

import numbers

from PyQt5 import QtCore

from . import qt_connections

_get = QtCore.QObject.__getattribute__
_set = QtCore.QObject.__setattr__
_property = QtCore.QObject.property
_set_property = QtCore.QObject.setProperty
_kinds = {}
_installed = False
#: Types whose values a numeric property takes; PythonQt refuses a text there, PyQt5 would convert it.
_NUMBERS = {"int", "uint", "double", "float", "bool", "qlonglong", "qulonglong"}


def _own(kind):
    """True for classes that stand for C++ classes, on which PythonQt allows no new attributes."""
    return kind.__module__.startswith("PyQt5") or kind.__module__.startswith(__package__)


def meta_property(obj, name):
    """The QMetaProperty of a name, or None; PythonQt reads `name` as objectName."""
    kind = type(obj)
    key = (kind, name)
    if key not in _kinds:
        meta = _get(obj, "metaObject")()
        index = meta.indexOfProperty("objectName" if name == "name" else name)
        _kinds[key] = None if index < 0 else meta.property(index)
    return _kinds[key]


def _python_property(obj, name):
    """A property that a stand-in class defines in Python, or None."""
    found = getattr(type(obj), name, None)
    return found if isinstance(found, QtCore.pyqtProperty) else None


def _getattribute(self, name):
    if name.startswith("__"):
        return _get(self, name)
    defined = _python_property(self, name)
    if defined is not None:
        return defined.fget(self)
    if not name.startswith("_") and _overrides(type(self), name) is None:
        found = meta_property(self, name)
        if found is not None and found.isReadable():
            return _property(self, found.name())
    try:
        value = _get(self, name)
    except AttributeError:
        if name == "className":
            return lambda: type(self).__name__
        for child in _get(self, "children")():
            if _get(child, "objectName")() == name:
                return child
        if not name.startswith("_") and name in [bytes(n).decode() for n in _get(self, "dynamicPropertyNames")()]:
            return _property(self, name)
        raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'") from None
    if isinstance(value, QtCore.pyqtBoundSignal):
        return qt_connections.Signal(self, name, value)
    return value


def _overrides(kind, name):
    """The class below Qt's own that defines `name` in Python, or None."""
    for base in kind.__mro__:
        if base.__module__.startswith("PyQt5"):
            return None
        if name in vars(base):
            return base
    return None


def _setattr(self, name, value):
    defined = _python_property(self, name)
    if defined is not None and defined.fset is not None:
        defined.fset(self, value)
        return
    if not name.startswith("_"):
        found = meta_property(self, name)
        if found is not None:
            _write(self, name, found, value)
            return
        if _own(type(self)):
            if name in [bytes(n).decode() for n in _get(self, "dynamicPropertyNames")()]:
                _set_property(self, name, value)
                return
            raise AttributeError(
                f"'{name}' does not exist on {type(self).__name__} and creating new attributes on C++ objects is not"
                " allowed"
            )
    _set(self, name, value)


def _write(obj, name, found, value):
    if not found.isWritable():
        raise AttributeError(f"Property '{name}' of {type(obj).__name__} object is not writable")
    kind = found.typeName()
    fits = True
    if kind in _NUMBERS:
        fits = isinstance(value, numbers.Number) or hasattr(value, "__index__")
    elif kind == "QString":
        fits = isinstance(value, str)
    elif kind == "bool":
        fits = isinstance(value, (bool, int))
    if not fits or not _set_property(obj, found.name(), value):
        raise AttributeError(
            f"Property '{name}' of type '{kind}' does not accept an object of type {type(value).__name__} ({value!r})"
        )


def install():
    """Change PyQt5's QObject; a second call changes nothing."""
    global _installed
    if _installed:
        return
    QtCore.QObject.__getattribute__ = _getattribute
    QtCore.QObject.__setattr__ = _setattr
    # PythonQt objects have no truth value of their own; PyQt5's combo boxes and layouts are false when empty.
    QtCore.QObject.__bool__ = lambda self: True
    QtCore.QObject.connect = qt_connections.connect
    QtCore.QObject.disconnect = qt_connections.disconnect
    QtCore.QObject.delete = lambda self: self.deleteLater()
    _installed = True
