"""The stand-in reads .ui files as strictly as Slicer ought to."""

import pytest

UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Panel</class>
 <widget class="QWidget" name="Panel">
  <layout class="QVBoxLayout" name="all">
   <property name="spacing"><number>3</number></property>
   <property name="leftMargin"><number>0</number></property>
   <item>
    <widget class="ctkCollapsibleButton" name="advanced">
     <property name="text"><string>Advanced</string></property>
     <property name="collapsed"><bool>true</bool></property>
     <layout class="QFormLayout" name="form">
      <item row="0" column="0">
       <widget class="QLabel" name="label"><property name="text"><string>Steps</string></property></widget>
      </item>
      <item row="0" column="1">
       <widget class="QSpinBox" name="steps">
        <property name="toolTip"><string>How many</string></property>
        <property name="maximum"><number>500</number></property>
        <property name="value"><number>60</number></property>
       </widget>
      </item>
      <item row="1" column="0" colspan="2">
       <widget class="ctkSliderWidget" name="reach">
        <property name="maximum"><double>30.000000000000000</double></property>
        <property name="value"><double>2.500000000000000</double></property>
        <property name="suffix"><string> mm</string></property>
       </widget>
      </item>
     </layout>
    </widget>
   </item>
   <item>
    <layout class="QHBoxLayout" name="row" stretch="1,0">
     <item>
      <widget class="QComboBox" name="mode">
       <property name="sizePolicy">
        <sizepolicy hsizetype="Expanding" vsizetype="Fixed"><horstretch>1</horstretch></sizepolicy>
       </property>
       <item><property name="text"><string>Brush</string></property></item>
       <item><property name="text"><string>Box</string></property></item>
      </widget>
     </item>
     <item><spacer name="gap"><property name="orientation"><enum>Qt::Horizontal</enum></property></spacer></item>
    </layout>
   </item>
   <item>
    <widget class="QTableWidget" name="classes">
     <property name="alternatingRowColors"><bool>true</bool></property>
     <property name="selectionMode"><enum>QAbstractItemView::NoSelection</enum></property>
     <column><property name="text"><string>Class</string></property></column>
     <column><property name="text"><string>Segment</string></property></column>
    </widget>
   </item>
   <item>
    <widget class="QPushButton" name="more"><property name="text"><string>More</string></property>
     <property name="checkable"><bool>true</bool></property></widget>
   </item>
  </layout>
 </widget>
 <customwidgets>
  <customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends></customwidget>
  <customwidget><class>ctkSliderWidget</class><extends>QWidget</extends></customwidget>
 </customwidgets>
 <resources/>
 <connections>
  <connection><sender>more</sender><signal>toggled(bool)</signal><receiver>classes</receiver><slot>setVisible(bool)</slot></connection>
 </connections>
</ui>
"""


@pytest.fixture
def load(slicer_app, tmp_path):
    """slicer.util.loadUI on the text, with one replacement."""
    import slicer

    def loaded(old="", new=""):
        assert old in UI
        path = tmp_path / "Panel.ui"
        path.write_text(UI.replace(old, new) if old else UI, encoding="utf-8")
        return slicer.util.loadUI(str(path))

    return loaded


def test_values_layouts_and_connections_are_those_of_the_file(load):
    import slicer

    panel = load()
    ui = slicer.util.childWidgetVariables(panel)
    assert (ui.steps.value, ui.steps.maximum, ui.steps.toolTip) == (60, 500, "How many")
    assert (ui.reach.value, ui.reach.maximum, ui.reach.suffix) == (2.5, 30.0, " mm")
    assert ui.advanced.collapsed and ui.advanced.text == "Advanced"
    assert (ui.mode.count, ui.mode.currentText) == (2, "Brush")
    assert ui.classes.horizontalHeaderItem(1).text() == "Segment"
    assert panel.layout().getContentsMargins()[0] == 0
    ui.more.click()
    ui.more.click()
    assert ui.classes.isHidden()


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('class="QSpinBox"', 'class="QSpinnBox"', "QSpinnBox is missing in <customwidgets>"),
        ("<class>ctkSliderWidget</class>", "<class>ctkOther</class>", "ctkSliderWidget is missing"),
        ('name="suffix"', 'name="suffixx"', "ctkSliderWidget has no property suffixx"),
        ('name="alternatingRowColors"', 'name="alternatingRowColours"', "QTableWidget has no property"),
        ("QAbstractItemView::NoSelection", "QAbstractItemView::None", "unknown enumerator"),
        ('class="QFormLayout"', 'class="QFormsLayout"', "unknown layout QFormsLayout"),
        ('row="1" column="0"', 'column="0"', "needs row and column"),
        ("toggled(bool)", "toggledd(bool)", "no signal toggledd"),
        ("setVisible(bool)", "setShown(bool)", "no slot setShown"),
        ("<sender>more</sender>", "<sender>less</sender>", "no widget named less"),
        ("<resources/>", "<slots/>", "<slots> inside <ui>"),
    ],
)
def test_whatever_qt_would_not_understand_is_refused(load, slicer_problems, old, new, message):
    from Testing.slicer_stand_in.ui_loader import UiError

    slicer_problems.allow("has no signal")
    with pytest.raises(UiError, match=message):
        load(old, new)


def test_a_file_that_is_missing_is_an_error(slicer_app):
    import slicer

    with pytest.raises(RuntimeError, match="file not found"):
        slicer.util.loadUI("nowhere.ui")
