"""The product uses only such names of Qt, CTK and Slicer as somebody has looked up in their sources."""

from pathlib import Path

import pytest

pytest.importorskip("PyQt5", reason="PyQt5 is not installed (pip install PyQt5==5.15.11)")
slicer = pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core==5.12.4.0)")

from Testing.slicer_stand_in import name_scan, names  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "InteractiveRefine"
#: Names that slicer-core has: real, so that tests would fail on a wrong one.
REAL = ("slicer.util", "slicer.vtk", "slicer.mrmlScene")


def qt_classes():
    """Every class that an object of the panel, the views or the effect may have."""
    from PyQt5 import QtCore, QtGui, QtWidgets

    from Testing.slicer_stand_in import (
        application,
        ctk_widgets,
        editor_effects,
        effect_host,
        scripted_module,
        segment_editor_widget,
        slice_views,
    )

    for module in (QtCore, QtGui, QtWidgets):
        for name, kind in vars(module).items():
            if isinstance(kind, type) and name.startswith("Q"):
                yield kind
    yield from ctk_widgets.CLASSES.values()
    for module in (application, editor_effects, effect_host, scripted_module, segment_editor_widget, slice_views):
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                yield kind


def members_of(kinds):
    found = set()
    for kind in kinds:
        found |= {name for name in vars(kind) if not name.startswith("_")}
        meta = getattr(kind, "staticMetaObject", None)
        if meta is not None:
            found |= {meta.property(index).name() for index in range(meta.propertyCount())}
    return found


def unverified(used):
    known = names.verified()
    return {name: sorted(files) for name, files in used.items() if name not in known and not name.startswith(REAL)}


def test_names_in_python_files_were_looked_up():
    own = name_scan.defined([MODULE, ROOT / "InteractiveRefineLib"])
    used = name_scan.python_names(MODULE, members_of(qt_classes()), own)
    used = {name: files for name, files in used.items() if name not in ("slicer.app", "slicer.modules")}
    assert unverified(used) == {}, "look these up in the sources, then add them to Testing/slicer_stand_in/names.py"


def test_names_in_ui_files_were_looked_up():
    from Testing.slicer_stand_in import ui_loader

    known = names.verified()
    missing = {}
    for name, files in name_scan.ui_names(MODULE).items():
        kind, _dot, prop = name.removeprefix("ui ").partition(".")
        bases = [name]
        if prop:
            found = ui_loader._LAYOUTS.get(kind) or ui_loader.widget_class(kind)
            bases = [f"ui {base.__name__}.{prop}" for base in found.__mro__]
        if not any(base in known for base in bases):
            missing[name] = sorted(files)
    assert missing == {}


def test_real_names_of_slicer_core_exist():
    used = name_scan.python_names(MODULE, set(), set())
    for name in used:
        parts = name.split(".")
        if name.startswith(("slicer.util.", "slicer.vtk")):
            target = slicer
            for part in parts[1:]:
                assert hasattr(target, part), name
                target = getattr(target, part)


def test_every_name_of_the_list_has_a_source_and_exists_in_the_stand_in(slicer_app):
    import ctk
    import qt

    roots = {"qt": qt, "ctk": ctk, "slicer": slicer}
    missing = []
    for name, source in names.verified().items():
        assert source.startswith(("pythonqt ", "Qt (", "CTK ", "Slicer "))
        target = roots.get(name.split(".")[0])
        if target is None or name.startswith(("slicer.modules.interactiverefine", "slicer.app.launcher")):
            continue
        for part in name.split(".")[1:]:
            if not hasattr(target, part):
                missing.append(name)
                break
            target = getattr(target, part)
    assert missing == []


def test_a_name_that_nobody_looked_up_is_found(tmp_path):
    (tmp_path / "x.py").write_text(
        "import qt, slicer\nqt.QTreeWidgett()\nslicer.app.frobnicate()\nb.connect('clicketed()', f)\nb.setTabOrder(a)\n"
    )
    (tmp_path / "x.ui").write_text(
        '<ui><widget class="ctkOdd"><property name="odd"><enum>Qt::Odd</enum></property></widget></ui>'
    )
    used = name_scan.python_names(tmp_path, {"setTabOrder"}, set()) | name_scan.ui_names(tmp_path)
    assert sorted(unverified(used)) == [
        "member setTabOrder",
        "qt.QTreeWidgett",
        "signal clicketed()",
        "slicer.app.frobnicate",
        "ui Qt::Odd",
        "ui ctkOdd",
        "ui ctkOdd.odd",
    ]
