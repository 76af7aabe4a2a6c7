"""Loads Qt Designer's .ui files strictly: an unknown class, property, layout or signal is an error."""

import xml.etree.ElementTree as ElementTree

from PyQt5 import QtCore, QtGui, QtWidgets

from . import ctk_widgets, mrml_widgets
from .mrml_widget import qMRMLWidget
from .qt_semantics import meta_property

_LAYOUTS = {
    "QVBoxLayout": QtWidgets.QVBoxLayout,
    "QHBoxLayout": QtWidgets.QHBoxLayout,
    "QGridLayout": QtWidgets.QGridLayout,
    "QFormLayout": QtWidgets.QFormLayout,
}
_NAMESPACES = {"Qt": QtCore.Qt, "QtCore": QtCore.Qt}


class UiError(Exception):
    """The file asks for something that Qt, CTK or Slicer would not understand."""


def widget_class(name):
    """The class of a name in <widget class="...">; raises UiError."""
    if name == "qMRMLWidget":
        return qMRMLWidget
    for module in (ctk_widgets, mrml_widgets):
        if name in module.CLASSES:
            return module.CLASSES[name]
    found = getattr(QtWidgets, name, None)
    if isinstance(found, type) and issubclass(found, QtWidgets.QWidget):
        return found
    raise UiError(f"unknown widget class {name}")


class QUiLoader(QtCore.QObject):
    """`load(QFile)` gives the top widget."""

    def load(self, device, parent=None):
        return load(bytes(device.readAll()).decode("utf-8"), parent)


def load(text, parent=None):
    """The widget tree of a .ui file's text; raises UiError."""
    root = ElementTree.fromstring(text)
    if root.tag != "ui":
        raise UiError("not a .ui file")
    _only(root, "class", "widget", "customwidgets", "resources", "connections", "tabstops", "layoutdefault", "author")
    declared = {entry.findtext("class") for entry in root.iterfind("customwidgets/customwidget")}
    return _Loader(declared).run(root, parent)


def _only(element, *allowed):
    for child in element:
        if child.tag not in allowed:
            raise UiError(f"<{child.tag}> inside <{element.tag}> is not supported")


class _Loader:
    def __init__(self, declared):
        self._declared = declared
        self._buddies = []
        self._groups = {}

    def run(self, root, parent):
        top = self._widget(root.find("widget"), parent)
        self._top = top
        for label, name in self._buddies:
            label.setBuddy(self._named(name))
        for connection in root.iterfind("connections/connection"):
            self._connect(connection)
        for stop in root.iterfind("tabstops/tabstop"):
            self._named(stop.text)
        return top

    def _named(self, name):
        if self._top.objectName == name:
            return self._top
        found = self._top.findChild(QtCore.QObject, name)
        if found is None:
            raise UiError(f"no widget named {name}")
        return found

    def _connect(self, element):
        sender, receiver = (self._named(element.findtext(tag)) for tag in ("sender", "receiver"))
        signal, slot = element.findtext("signal"), element.findtext("slot")
        if not hasattr(receiver, slot.split("(")[0]):
            raise UiError(f"{receiver.className()} has no slot {slot}")
        if not sender.connect(signal, receiver, slot):
            raise UiError(f"{sender.className()} has no signal {signal}")

    def _widget(self, element, parent):
        name = element.get("class")
        if not hasattr(QtWidgets, name) and name not in self._declared:
            raise UiError(f"{name} is missing in <customwidgets>")
        kind = widget_class(name)
        widget = kind(parent) if parent is not None else kind()
        widget.setObjectName(element.get("name", ""))
        _only(element, "property", "attribute", "widget", "layout", "item", "column", "row", "addaction", "action")
        for child in element.iterfind("layout"):
            self._layout(child, widget)
        for child in element.iterfind("property"):
            self._property(widget, child)
        self._items(widget, element)
        for child in element.iterfind("widget"):
            self._place(widget, self._widget(child, widget), child)
        for child in element.iterfind("attribute"):
            if child.get("name") == "buttonGroup":
                group = self._groups.setdefault(child.findtext("string"), QtWidgets.QButtonGroup(widget.parent()))
                group.addButton(widget)
        return widget

    def _items(self, widget, element):
        for child in element.iterfind("item"):
            text = child.find("property[@name='text']/string")
            if not isinstance(widget, (QtWidgets.QComboBox, QtWidgets.QListWidget)) or text is None:
                raise UiError(f"<item> in {widget.className()} is not supported")
            widget.addItem(text.text or "")
        columns = [child.find("property[@name='text']/string") for child in element.iterfind("column")]
        if columns:
            widget.setColumnCount(len(columns))
            widget.setHorizontalHeaderLabels([(text.text or "") if text is not None else "" for text in columns])

    def _place(self, parent, child, element):
        attributes = {entry.get("name"): entry for entry in element.iterfind("attribute")}
        if isinstance(parent, QtWidgets.QTabWidget):
            parent.addTab(child, attributes["title"].findtext("string"))
        elif isinstance(parent, QtWidgets.QStackedWidget):
            parent.addWidget(child)
        elif isinstance(parent, QtWidgets.QScrollArea):
            parent.setWidget(child)
        elif isinstance(parent, QtWidgets.QSplitter):
            parent.addWidget(child)

    def _layout(self, element, owner):
        name = element.get("class")
        if name not in _LAYOUTS:
            raise UiError(f"unknown layout {name}")
        layout = _LAYOUTS[name]()
        if isinstance(owner, QtWidgets.QWidget):
            owner.setLayout(layout)
            parent = owner
        else:
            parent = owner[0]
        layout.setObjectName(element.get("name", ""))
        _only(element, "property", "item")
        margins = list(layout.getContentsMargins())
        for child in element.iterfind("property"):
            key = child.get("name")
            if key in ("leftMargin", "topMargin", "rightMargin", "bottomMargin"):
                margins[("leftMargin", "topMargin", "rightMargin", "bottomMargin").index(key)] = self._value(child)
            elif key == "margin":
                margins = [self._value(child)] * 4
            elif key in ("spacing", "horizontalSpacing", "verticalSpacing"):
                getattr(layout, "set" + key[0].upper() + key[1:])(self._value(child))
            else:
                self._property(layout, child)
        layout.setContentsMargins(*margins)
        for item in element.iterfind("item"):
            self._layout_item(layout, item, parent)
        stretch = element.get("stretch")
        for index, value in enumerate(stretch.split(",") if stretch else ()):
            layout.setStretch(index, int(value))
        return layout

    def _layout_item(self, layout, item, parent):
        _only(item, "widget", "layout", "spacer")
        if len(item) != 1:
            raise UiError("a layout <item> holds exactly one thing")
        child = item[0]
        if child.tag == "widget":
            made = self._widget(child, parent)
        elif child.tag == "layout":
            made = self._layout(child, (parent,))
        else:
            made = _spacer(child)
        _add(layout, made, item)

    def _property(self, target, element):
        name = element.get("name")
        if element.get("stdset") == "0":
            target.setProperty(name, self._value(element))
            return
        if name == "buddy":
            self._buddies.append((target, element.findtext("cstring")))
            return
        if isinstance(target, QtWidgets.QFrame) and name == "orientation":
            target.setFrameShape(
                QtWidgets.QFrame.HLine if "Horizontal" in element.findtext("enum") else QtWidgets.QFrame.VLine
            )
            return
        if meta_property(target, name) is None:
            raise UiError(f"{target.className()} has no property {name}")
        setattr(target, name, self._value(element))

    def _value(self, element):
        if len(element) != 1:
            raise UiError(f"property {element.get('name')} has no single value")
        value = element[0]
        reader = _VALUES.get(value.tag)
        if reader is None:
            raise UiError(f"<{value.tag}> in property {element.get('name')} is not supported")
        return reader(value)


def _add(layout, made, item):
    if isinstance(layout, (QtWidgets.QGridLayout, QtWidgets.QFormLayout)):
        if item.get("row") is None or item.get("column") is None:
            raise UiError("an <item> of a grid or form needs row and column")
        row, column = int(item.get("row")), int(item.get("column"))
    if isinstance(layout, QtWidgets.QFormLayout):
        wide = int(item.get("colspan", 1)) > 1
        role = QtWidgets.QFormLayout.SpanningRole if wide else QtWidgets.QFormLayout.ItemRole(column)
        if isinstance(made, QtWidgets.QWidget):
            layout.setWidget(row, role, made)
        elif isinstance(made, QtWidgets.QLayout):
            layout.setLayout(row, role, made)
        else:
            layout.setItem(row, role, made)
        return
    where = ()
    if isinstance(layout, QtWidgets.QGridLayout):
        where = (row, column, int(item.get("rowspan", 1)), int(item.get("colspan", 1)))
    if isinstance(made, QtWidgets.QWidget):
        layout.addWidget(made, *where)
    elif isinstance(made, QtWidgets.QLayout):
        layout.addLayout(made, *where)
    else:
        layout.addItem(made, *where)


def _spacer(element):
    vertical = "Vertical" in (element.findtext("property[@name='orientation']/enum") or "")
    minimum, expanding = QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Expanding
    return QtWidgets.QSpacerItem(20, 20, minimum if vertical else expanding, expanding if vertical else minimum)


def _enum(text):
    """'Qt::AlignLeft' or 'QSizePolicy::Preferred', with scopes of any depth."""
    *scope, name = text.strip().split("::")
    owner = _NAMESPACES.get(scope[0]) if scope else None
    if owner is None and scope:
        owner = getattr(QtWidgets, scope[0], None) or getattr(QtGui, scope[0], None) or widget_class(scope[0])
    if not hasattr(owner, name):
        raise UiError(f"unknown enumerator {text}")
    return getattr(owner, name)


def _set(element):
    value = 0
    for part in (element.text or "").split("|"):
        value = _enum(part) | value
    return value


def _size_policy(element):
    horizontal, vertical = element.get("hsizetype"), element.get("vsizetype")
    policy = QtWidgets.QSizePolicy(getattr(QtWidgets.QSizePolicy, horizontal), getattr(QtWidgets.QSizePolicy, vertical))
    policy.setHorizontalStretch(int(element.findtext("horstretch", "0")))
    policy.setVerticalStretch(int(element.findtext("verstretch", "0")))
    return policy


def _font(element):
    font = QtGui.QFont()
    for child in element:
        if child.tag == "bold":
            font.setBold(child.text == "true")
        elif child.tag == "italic":
            font.setItalic(child.text == "true")
        elif child.tag == "pointsize":
            font.setPointSize(int(child.text))
        elif child.tag != "weight":
            raise UiError(f"<{child.tag}> in a font is not supported")
    return font


_VALUES = {
    "string": lambda e: e.text or "",
    "cstring": lambda e: e.text or "",
    "bool": lambda e: {"true": True, "false": False}[e.text],
    "number": lambda e: int(e.text),
    "double": lambda e: float(e.text),
    "enum": lambda e: _enum(e.text),
    "set": _set,
    "size": lambda e: QtCore.QSize(int(e.findtext("width")), int(e.findtext("height"))),
    "rect": lambda e: QtCore.QRect(*(int(e.findtext(tag)) for tag in ("x", "y", "width", "height"))),
    "sizepolicy": _size_policy,
    "font": _font,
    "stringlist": lambda e: [child.text or "" for child in e],
    "color": lambda e: QtGui.QColor(*(int(e.findtext(tag)) for tag in ("red", "green", "blue"))),
    "iconset": lambda e: QtGui.QIcon(),
}
