"""The stand-in's `qt` and `ctk` behave as PythonQt does, where that differs from PyQt5."""

import functools
import time

import pytest


@pytest.fixture
def qt(slicer_app):
    import qt

    return qt


def test_properties_are_values_and_cannot_be_called(qt):
    button = qt.QPushButton("Go")
    assert (button.text, button.enabled, button.isEnabled()) == ("Go", True, True)
    with pytest.raises(TypeError):
        button.text()
    button.enabled = False
    button.setText("Stop")
    assert (button.text, button.isEnabled()) == ("Stop", False)


def test_widgets_that_qt_makes_itself_have_the_same_manners(qt):
    combo = qt.QComboBox()
    combo.setEditable(True)
    combo.lineEdit().text = "typed"
    assert combo.currentText == "typed"
    assert qt.QTableWidget(2, 3).horizontalHeader().count() == 3


def test_name_is_the_object_name_and_finds_children(qt):
    parent = qt.QWidget()
    child = qt.QLabel("x", parent)
    child.name = "answer"
    assert parent.answer is child
    assert (child.objectName, child.className()) == ("answer", "QLabel")


@pytest.mark.parametrize("name, value", [("colour", "red"), ("enabeld", True), ("sizeHint", 3)])
def test_an_unknown_or_read_only_attribute_cannot_be_set(qt, name, value):
    with pytest.raises(AttributeError):
        setattr(qt.QPushButton(), name, value)


def test_a_property_refuses_a_value_of_another_type(qt):
    spin = qt.QSpinBox()
    with pytest.raises(AttributeError, match="does not accept"):
        spin.value = "3"
    with pytest.raises(AttributeError, match="does not accept"):
        qt.QLabel().text = 3


def test_a_subclass_in_python_may_have_attributes_of_its_own(qt):
    class Panel(qt.QWidget):
        pass

    panel = Panel()
    panel.logic = 3
    panel.toolTip = "help"
    assert (panel.logic, panel.toolTip) == (3, "help")


def test_an_empty_combo_box_is_true(qt):
    assert qt.QComboBox()
    assert qt.QVBoxLayout()


def test_slots_get_as_many_arguments_as_they_take(qt):
    button, got = qt.QPushButton(), []
    button.checkable = True

    class Owner:
        def slot(self):
            got.append("method")

    assert button.connect("clicked()", lambda: got.append("none"))
    assert button.connect("clicked(bool)", got.append)
    assert button.connect("clicked(bool)", lambda on, more=7: got.append((on, more)))
    assert button.connect("clicked(bool)", Owner().slot)
    assert button.connect("clicked(bool)", functools.partial(got.append))
    button.clicked.connect(lambda: got.append("signal"))
    button.click()
    assert got == ["none", True, (True, 7), "method", True, "signal"]


def test_disconnecting_stops_exactly_that_slot(qt):
    button, got = qt.QPushButton(), []

    def first():
        got.append("first")

    def second():
        got.append("second")

    button.connect("clicked()", first)
    button.clicked.connect(second)
    assert button.disconnect("clicked()", first)
    button.click()
    assert got == ["second"]
    assert button.clicked.disconnect(second)
    assert not button.disconnect("clicked()", first)
    button.click()
    assert got == ["second"]


def test_an_unknown_signal_is_a_recorded_mistake(qt, slicer_problems):
    assert not qt.QPushButton().connect("pushed()", print)
    assert slicer_problems.messages == ["connect: QPushButton has no signal 'pushed()'"]
    slicer_problems.allow("pushed")


def test_an_exception_in_a_slot_is_recorded_and_ends_nothing(qt, slicer_problems):
    button, got = qt.QPushButton(), []

    def fail():
        raise ValueError("broken slot")

    button.connect("clicked()", fail)
    button.connect("clicked()", lambda: got.append(1))
    button.click()
    assert got == [1]
    assert len(slicer_problems.unexpected()) == 1
    assert "broken slot" in slicer_problems.slotExceptions[0]
    slicer_problems.allow("broken slot")


def test_a_timer_and_a_process_call_back(qt, editor):
    got = []
    qt.QTimer.singleShot(0, lambda: got.append("shot"))
    process = qt.QProcess()
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: got.append(code))
    process.connect("readyReadStandardOutput()", lambda: got.append(process.readAllStandardOutput().data()))
    process.start("printf", ["%s", "two\nlines"])
    editor.wait_until(lambda: 0 in got, seconds=20)
    assert sorted(map(str, got)) == sorted(["shot", "b'two\\nlines'", "0"])


def test_settings_are_empty_in_every_test(qt):
    assert qt.QSettings().value("StandIn/Key") is None
    qt.QSettings().setValue("StandIn/Key", "kept")
    assert qt.QSettings().value("StandIn/Key") == "kept"


def test_settings_of_the_test_before_are_gone(qt):
    assert qt.QSettings().value("StandIn/Key") is None


def test_ctk_number_widgets_tell_of_changes(qt):
    import ctk

    for widget in (ctk.ctkSliderWidget(), ctk.ctkDoubleSpinBox()):
        got = []
        assert widget.connect("valueChanged(double)", got.append)
        widget.maximum = 5.0
        widget.value = 3.5
        widget.setValue(9)
        assert got == [3.5, 5.0]


def test_ctk_widgets_lack_what_python_cannot_reach(qt):
    import ctk

    with pytest.raises(TypeError):
        ctk.ctkCollapsibleButton("Advanced")
    with pytest.raises(AttributeError):
        ctk.ctkSliderWidget().setMaximum(3)


def test_a_collapsed_button_hides_its_content(qt):
    import ctk

    button = ctk.ctkCollapsibleButton()
    layout = qt.QVBoxLayout(button)
    label = qt.QLabel("inside")
    layout.addWidget(label)
    got = []
    button.connect("contentsCollapsed(bool)", got.append)
    button.collapsed = True
    assert label.isHidden() and not button.checked
    button.click()
    assert not label.isHidden() and not button.collapsed
    assert got == [True, False]


def test_a_node_combo_box_follows_the_scene(slicer_app):
    import slicer

    box, got = slicer.qMRMLNodeComboBox(), []
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.noneEnabled = True
    box.setMRMLScene(slicer.mrmlScene)
    box.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    assert (box.currentNode(), box.nodeCount()) == (None, 1)
    box.setCurrentNode(node)
    assert box.currentNodeID == node.GetID()
    slicer.mrmlScene.RemoveNode(node)
    assert got == [node, None]


def test_message_boxes_never_wait_and_are_kept(slicer_app):
    import ctk
    import slicer

    slicer.util.errorDisplay("There is no window to show it in")
    slicer_app.show_main_window()
    ctk.ctkMessageBox.answer = ctk.ctkMessageBox.Yes
    assert slicer.util.confirmYesNoDisplay("Really?") is True
    slicer.util.errorDisplay("It failed")
    assert ctk.ctkMessageBox.shown == ["Really?", "It failed"]


def test_without_the_qt_fixture_there_is_no_qt(slicer_scene):
    with pytest.raises(ImportError):
        import qt  # noqa: F401
    with pytest.raises(ImportError):
        import ctk  # noqa: F401


def test_a_qt_session_starts_quickly(slicer_app):
    from Testing.slicer_stand_in.bootstrap import CoreSession

    start = time.perf_counter()
    CoreSession().close()
    assert time.perf_counter() - start < 2.0
