"""Which names of Qt, CTK and Slicer's application the product uses: read from its Python and .ui files."""

import ast
import logging
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

import numpy

ROOTS = {"qt", "ctk", "slicer"}
_CONNECT = {"connect", "disconnect"}
#: Names of everyday Python, which say nothing about Qt.
_PYTHON = set()
for _kind in (str, bytes, list, dict, set, tuple, int, float, Path, Exception):
    _PYTHON |= set(dir(_kind))
_PYTHON |= set(dir(numpy)) | set(dir(logging))


def dotted(node):
    """'qt.Qt.AlignRight' of an attribute expression that begins with a plain name, else None."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *parts[::-1]]) if isinstance(node, ast.Name) else None


def trees(folder):
    """(path, syntax tree) of every Python file."""
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def defined(folders):
    """Names of functions, classes, fields and attributes that the product defines itself."""
    names = set()
    for folder in folders:
        for _path, tree in trees(folder):
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    names.add(node.name)
                elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    names.add(node.target.id)
                elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    names |= {node.attr} if getattr(node.value, "id", None) == "self" else set()
    return names


def python_names(folder, members, own):
    """{name: {file names}}: 'qt.X.Y', 'slicer.X', 'scriptedEffect.X', 'signal text', and 'member X' of `members`."""
    used = defaultdict(set)
    for path, tree in trees(folder):
        gui = "qt" in _imports(tree) or path.parent.name.endswith("Effect") or path.parent == folder
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                found = list(_attribute_names(node))
                for name in found:
                    used[name].add(path.name)
                # Capitals begin the methods of VTK, which is real.
                if gui and not found and node.attr in members - own - _PYTHON and not node.attr[0].isupper():
                    used[f"member {node.attr}"].add(path.name)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CONNECT:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    used[f"signal {first.value}"].add(path.name)
    return dict(used)


def _imports(tree):
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def _attribute_names(node):
    whole = dotted(node)
    if whole is not None and whole.split(".")[0] in ROOTS:
        yield whole
    owner = node.value
    if getattr(owner, "id", None) == "scriptedEffect" or getattr(owner, "attr", None) == "scriptedEffect":
        yield f"scriptedEffect.{node.attr}"


def ui_names(folder):
    """{name: {file names}} of .ui files: 'ui QLabel', 'ui QLabel.wordWrap', 'ui Qt::AlignRight', 'signal text'."""
    used = defaultdict(set)
    for path in sorted(folder.rglob("*.ui")):
        root = ElementTree.parse(path).getroot()
        for element in root.iter():
            if element.tag in ("widget", "layout"):
                kind = element.get("class")
                used[f"ui {kind}"].add(path.name)
                for entry in element.findall("property"):
                    if entry.get("stdset") != "0":
                        used[f"ui {kind}.{entry.get('name')}"].add(path.name)
            elif element.tag in ("enum", "set"):
                for part in re.split(r"\|", element.text or ""):
                    if part:
                        used[f"ui {part.strip()}"].add(path.name)
            elif element.tag == "connection":
                used[f"signal {element.findtext('signal')}"].add(path.name)
    return dict(used)
