"""Short ways to declare Qt properties of stand-in widgets, visible to the .ui loader and to PythonQt's manners."""

from PyQt5 import QtCore


def stored(kind, default, changed=None, coerce=None):
    """A property kept in `_values`; `changed` names the method called with the value after a change.

    `kind` is the C++ type ('double', 'QString') or Python type; coerce(self, value) adapts a value before it is kept.
    """

    class Place:
        def __set_name__(self, owner, name):
            def read(widget):
                return _values(widget).get(name, default)

            def write(widget, value):
                if coerce is not None:
                    value = coerce(widget, value)
                if value == read(widget):
                    return
                _values(widget)[name] = value
                if changed is not None:
                    getattr(widget, changed)(value)

            setattr(owner, name, QtCore.pyqtProperty(kind, read, write))

    return Place()


def _values(widget):
    place = QtCore.QObject.__getattribute__(widget, "__dict__")
    return place.setdefault("_values", {})


def computed(kind, read, write=None):
    """A property from functions of the widget."""
    return QtCore.pyqtProperty(kind, read, write) if write else QtCore.pyqtProperty(kind, read)
