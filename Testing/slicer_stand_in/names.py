"""The one list of Qt, CTK and Slicer names that the product may use, each with where it was verified.

Sources: `pythonqt` = MeVisLab/pythonqt (what Python can reach of Qt; generated_cpp_515/ is short for
generated_cpp_515/com_trolltech_qt_...), `Qt` = a property, slot, signal or enumerator in Qt 5.15's own meta-objects,
which PythonQt exposes as they are, `CTK` = commontk/CTK, `Slicer` = Slicer/Slicer. In CTK's and Slicer's classes only
properties, signals, slots and Q_INVOKABLE methods count.
"""

_QT_CORE = "pythonqt generated_cpp_515/core/com_trolltech_qt_core"
_QT_GUI = "pythonqt generated_cpp_515/gui/com_trolltech_qt_gui"
_QT_BUILTIN = "pythonqt generated_cpp_515/{core,gui}_builtin"
_EFFECT = "Slicer Modules/Loadable/Segmentations/EditorEffects/qSlicerSegmentEditorAbstractEffect.h"
_SCRIPTED_EFFECT = "Slicer Modules/Loadable/Segmentations/EditorEffects/qSlicerSegmentEditorScriptedEffect.h"
_FACTORY = "Slicer Modules/Loadable/Segmentations/EditorEffects/qSlicerSegmentEditorEffectFactory.h"
_EDITOR = "Slicer Modules/Loadable/Segmentations/Widgets/qMRMLSegmentEditorWidget.h"
_NODE_BOX = "Slicer Libs/MRML/Widgets/qMRMLNodeComboBox.h"
_APPLICATION = "Slicer Base/QTCore/qSlicerCoreApplication.h"

#: (source, names), the names as name_scan.py writes them; those of one kind share the prefix before the colon.
GROUPS = (
    # Classes and enumerators in Python.
    (
        _QT_GUI + "{0..12}.h",
        "qt: QApplication QButtonGroup QCheckBox QComboBox QDoubleSpinBox QFileDialog QFormLayout QFrame QGridLayout"
        " QGroupBox QHBoxLayout QHeaderView QInputDialog QLabel QLineEdit QMessageBox QProgressBar QPushButton"
        " QRadioButton QShortcut QSlider QSpinBox QTableWidget QTableWidgetItem QToolButton QVBoxLayout QWidget"
        " QFileDialog.getExistingDirectory QInputDialog.getText",
    ),
    (
        _QT_CORE + "{0..4}.h",
        "qt: QObject QProcess QProcessEnvironment QSettings QTimer QTimer.singleShot"
        " QProcessEnvironment.systemEnvironment"
        " QElapsedTimer",
    ),
    (
        _QT_BUILTIN,
        "qt: Qt QByteArray QColor QCursor QIcon QKeySequence QPixmap QPoint QSize QBrush QColor.fromRgbF"
        " QKeySequence.NativeText Qt.AlignCenter Qt.AlignLeft Qt.AlignRight Qt.AlignVCenter Qt.Checked Qt.Unchecked"
        " Qt.CrossCursor Qt.BlankCursor Qt.ArrowCursor Qt.ToolTipRole Qt.UserRole Qt.DecorationRole Qt.ItemIsEnabled"
        " Qt.ItemIsEditable Qt.ItemIsUserCheckable Qt.ShiftModifier Qt.AltModifier Qt.ControlModifier Qt.LeftButton",
    ),
    (_QT_GUI + " (QVector3D: gui_builtin)", "qt: QVector3D"),
    (
        "Qt (Q_ENUM)",
        "qt: QComboBox.AdjustToMinimumContentsLengthWithIcon QHeaderView.ResizeToContents QHeaderView.Stretch"
        " QHeaderView.Fixed QLineEdit.Normal QProcess.CrashExit QProcess.NormalExit QProcess.NotRunning"
        " QProcess.Running"
        " QAbstractItemView.NoSelection",
    ),
    # Signals.
    (
        "Qt (signals of QAbstractButton, QComboBox, QLineEdit, QSpinBox, QProcess, QTimer, QTableWidget, QButtonGroup)",
        "signal: clicked() clicked(bool) toggled(bool) currentIndexChanged(int) editingFinished()"
        " textChanged(QString)"
        " valueChanged(int) valueChanged(double) timeout() finished(int,QProcess::ExitStatus) started()"
        " errorOccurred(QProcess::ProcessError) readyReadStandardOutput() readyReadStandardError()"
        " cellClicked(int,int) itemChanged(QTableWidgetItem*) buttonClicked(int) activated()",
    ),
    (
        "CTK Libs/Widgets/{ctkSliderWidget,ctkPathLineEdit,ctkCollapsibleButton}.h",
        "signal: valueChanged(double) valueIsChanging(double) currentPathChanged(QString) contentsCollapsed(bool)",
    ),
    (_NODE_BOX, "signal: currentNodeChanged(vtkMRMLNode*)"),
    (_EDITOR, "signal: currentSegmentIDChanged(QString) segmentationNodeChanged(vtkMRMLSegmentationNode*)"),
    (_FACTORY, "signal: effectRegistered(QString)"),
    ("Slicer Base/QTGUI/qSlicerApplication.h", "signal: startupCompleted()"),
    # The application and its classes.
    (
        _APPLICATION,
        "slicer: app app.cachePath app.temporaryPath app.slicerHome app.applicationLogic app.moduleManager"
        " app.mrmlScene app.coreIOManager app.settings app.userSettings app.majorVersion app.minorVersion"
        " app.launcherExecutableFilePath",
    ),
    ("Qt (QObject, QCoreApplication)", "slicer: app.connect app.disconnect app.processEvents app.translate"),
    (
        "Slicer Base/QTGUI/qSlicerApplication.h",
        "slicer: app.layoutManager app.commandOptions app.pauseRender app.resumeRender",
    ),
    (
        "Slicer Base/Python/slicer/util.py (uses them), Base/QTCore/qSlicerAbstractCoreModule.h",
        "slicer: modules modules.volumes modules.volumes.logic modules.segmentations modules.segmentations.logic"
        " modules.interactiverefine modules.interactiverefine.widgetRepresentation",
    ),
    (_EDITOR, "slicer: qMRMLSegmentEditorWidget"),
    (_NODE_BOX, "slicer: qMRMLNodeComboBox"),
    (
        _NODE_BOX,
        "member: nodeTypes hideChildNodeTypes noneEnabled addEnabled removeEnabled renameEnabled currentNode"
        " setCurrentNode",
    ),
    (_EFFECT, "slicer: qSlicerSegmentEditorAbstractEffect"),
    (_FACTORY, "slicer: qSlicerSegmentEditorEffectFactory qSlicerSegmentEditorEffectFactory.instance"),
    # The effect.
    (
        _EFFECT,
        "scriptedEffect: name title perSegment requireSegments showEffectCursorInSliceView active parameter"
        " parameterDefined integerParameter doubleParameter setParameter setParameterDefault setCommonParameter"
        " parameterSetNode nodeReference setNodeReference scene saveStateForUndo selectEffect optionsFrame"
        " addOptionsWidget addLabeledOptionsWidget addActor2D removeActor2D renderWindow renderer viewNode"
        " scheduleRender forceRender cursorOff cursorOn rasToXy xyToRas xyzToRas xyToIjk xyzToIjk sliceSpacing"
        " segmentationDisplayableInView confirmCurrentSegmentVisible defaultModifierLabelmap modifierLabelmap"
        " maskLabelmap selectedSegmentLabelmap referenceGeometryImage sourceVolumeImageData"
        " modifySegmentByLabelmap modifySelectedSegmentByLabelmap",
    ),
    (_SCRIPTED_EFFECT, "scriptedEffect: setPythonSource self"),
    (_SCRIPTED_EFFECT, "member: setPythonSource self"),
    (
        "Slicer Modules/Loadable/Segmentations/EditorEffects/Python/SegmentEditorEffects/"
        "AbstractScriptedSegmentEditorEffect.py",
        "member: scriptedEffect register",
    ),
    # Members: attributes of objects whose class the scan cannot see.
    (
        _EFFECT,
        "member: parameterSetNode modifySegmentByLabelmap addOptionsWidget parameterDefined"
        " setParameterDefault scheduleRender addActor2D removeActor2D renderer sourceVolumeImageData"
        " perSegment requireSegments showEffectCursorInSliceView selectEffect saveStateForUndo viewNode optionsFrame"
        " defaultModifierLabelmap confirmCurrentSegmentVisible renderWindow referenceGeometryImage"
        " segmentationDisplayableInView",
    ),
    (
        _EDITOR,
        "member: activeEffect setActiveEffect setActiveEffectByName effectByName setEffectNameOrder updateEffectList"
        " setMRMLSegmentEditorNode mrmlSegmentEditorNode setSegmentationNode setSourceVolumeNode segmentationNode"
        " sourceVolumeNode setCurrentSegmentID currentSegmentID maximumNumberOfUndoStates setupViewObservations"
        " removeViewObservations updateWidgetFromMRML installKeyboardShortcuts uninstallKeyboardShortcuts undo redo"
        " unorderedEffectsVisible switchToSegmentationsButtonVisible",
    ),
    (_FACTORY, "member: registerEffect registeredEffects"),
    ("Slicer Libs/MRML/Widgets/qMRMLWidget.h", "member: setMRMLScene mrmlScene"),
    (
        "Slicer Libs/MRML/Widgets/{qMRMLSliceWidget,qMRMLSliceView,qMRMLLayoutManager}.h",
        "member: sliceView sliceLogic mrmlSliceNode sliceViewName sliceWidget sliceViewNames mrmlSliceLogics"
        " setViewCursor setDefaultViewCursor unsetViewCursor threeDViewCount convertRASToXYZ convertXYZToRAS",
    ),
    ("CTK Libs/Visualization/VTK/Widgets/ctkVTKAbstractView.h", "member: interactor interactorStyle forceRender"),
    (
        _APPLICATION,
        "member: applicationLogic moduleManager cachePath temporaryPath",
    ),
    ("Slicer Base/QTGUI/qSlicerApplication.h", "member: layoutManager"),
    ("Qt (QCoreApplication)", "member: processEvents"),
    (
        "Slicer Base/QTCore/{qSlicerModuleManager,qSlicerModuleFactoryManager}.h",
        "member: factoryManager isLoaded",
    ),
    (
        "Slicer Base/{QTGUI/qSlicerAbstractModuleWidget,QTCore/qSlicerAbstractCoreModule}.h",
        "member: isEntered widgetRepresentation",
    ),
    (
        "Slicer Base/QTGUI/qSlicerScriptedLoadableModule.h, Base/QTCore/qSlicerAbstractCoreModule.h (properties)",
        "member: title categories dependencies contributors helpText acknowledgementText icon path",
    ),
    ("CTK Libs/Widgets/{ctkCollapsibleButton,ctkCollapsibleGroupBox}.h", "member: collapsed"),
    (
        _QT_GUI + "{0..12}.h",
        "member: setIcon setShortcut addStretch addWidget addItem setItemData setCellWidget cellWidget setRowCount"
        " horizontalHeader verticalHeader setSectionResizeMode setSizeAdjustPolicy setAlignment setTextAlignment"
        " setContentsMargins setMaximumHeight setMinimumHeight setToolTip layout setRange setFormat setItem"
        " getExistingDirectory getText rowCount item setMinimumContentsLength itemData setLayout removeWidget addRow",
    ),
    (
        _QT_CORE + "{0..4}.h",
        "member: blockSignals instance errorString closeWriteChannel readAllStandardError readAllStandardOutput"
        " setProcessEnvironment waitForFinished waitForStarted isActive setInterval setSingleShot singleShot state"
        " setProcessChannelMode systemEnvironment",
    ),
    (
        _QT_BUILTIN,
        "member: setItalic data fill fromRgbF NativeText AlignCenter AlignRight AlignVCenter CrossCursor ToolTipRole"
        " toString Qt",
    ),
    ("pythonqt src/PythonQtStdDecorators.h", "member: findChild findChildren connect disconnect"),
    ("pythonqt src/PythonQtInstanceWrapper.cpp", "member: className"),
    (
        "Slicer Base/Python/slicer/ScriptedLoadableModule.py",
        "member: resourcePath delayDisplay moduleName developerMode",
    ),
    (
        "Qt (properties, slots, enumerators)",
        "member: checked currentText currentIndex setCurrentText setCurrentIndex setChecked maximum minimum decimals"
        " singleStep setValue value height width toolTip enabled setStyleSheet visible setVisible text plainText"
        " deleteLater terminate kill AdjustToMinimumContentsLengthWithIcon CrashExit NotRunning ResizeToContents"
        " Stretch Normal font defaultSectionSize frameWidth active count objectName checkable cursor columnCount"
        " wordWrap",
    ),
    # Designer files.
    (
        "Qt (widgets)",
        "ui: QWidget QCheckBox QComboBox QDoubleSpinBox QFrame QLabel QLineEdit QProgressBar QPushButton QRadioButton"
        " QSlider QSpinBox QTableWidget QToolButton QVBoxLayout QHBoxLayout QFormLayout QGridLayout QGroupBox",
    ),
    (
        "Qt (properties)",
        "ui: QWidget.toolTip QWidget.enabled QWidget.sizePolicy QWidget.minimumSize QWidget.maximumSize"
        " QWidget.windowTitle QWidget.font QWidget.visible QWidget.geometry QLabel.text QLabel.wordWrap"
        " QLabel.alignment"
        " QLabel.textFormat QLabel.textInteractionFlags QLabel.buddy QAbstractButton.text QAbstractButton.checkable"
        " QAbstractButton.checked QAbstractButton.autoExclusive QComboBox.editable QComboBox.minimumContentsLength"
        " QComboBox.sizeAdjustPolicy QDoubleSpinBox.decimals QDoubleSpinBox.maximum QDoubleSpinBox.minimum"
        " QDoubleSpinBox.singleStep QDoubleSpinBox.value QDoubleSpinBox.suffix QAbstractSpinBox.specialValueText"
        " QAbstractSpinBox.alignment QSpinBox.maximum QSpinBox.minimum QSpinBox.singleStep QSpinBox.value"
        " QSpinBox.suffix QLineEdit.placeholderText QLineEdit.text QLineEdit.readOnly QProgressBar.maximum"
        " QProgressBar.minimum QProgressBar.value QProgressBar.format QProgressBar.textVisible"
        " QProgressBar.alignment QGroupBox.title"
        " QGroupBox.checkable QGroupBox.checked QAbstractItemView.editTriggers QAbstractItemView.selectionMode"
        " QAbstractItemView.alternatingRowColors QAbstractScrollArea.horizontalScrollBarPolicy"
        " QAbstractScrollArea.verticalScrollBarPolicy QAbstractScrollArea.sizeAdjustPolicy QTableWidget.columnCount"
        " QTableWidget.rowCount QFrame.frameShape QFrame.frameShadow QBoxLayout.spacing QFormLayout.horizontalSpacing"
        " QFormLayout.verticalSpacing QFormLayout.fieldGrowthPolicy QGridLayout.horizontalSpacing"
        " QGridLayout.verticalSpacing QLayout.leftMargin QLayout.topMargin QLayout.rightMargin QLayout.bottomMargin",
    ),
    (
        "Qt (enumerators)",
        "ui: Qt::AlignLeft Qt::AlignLeading Qt::AlignRight Qt::AlignTrailing Qt::AlignTop Qt::AlignVCenter"
        " Qt::AlignHCenter Qt::AlignCenter Qt::Horizontal Qt::Vertical Qt::PlainText Qt::RichText"
        " Qt::ScrollBarAlwaysOff"
        " Qt::ScrollBarAsNeeded Qt::TextSelectableByMouse Qt::TextSelectableByKeyboard Qt::NoTextInteraction"
        " QAbstractItemView::NoEditTriggers QAbstractItemView::NoSelection QAbstractItemView::SingleSelection"
        " QAbstractScrollArea::AdjustToContents QComboBox::AdjustToMinimumContentsLengthWithIcon"
        " QFormLayout::AllNonFixedFieldsGrow QFormLayout::ExpandingFieldsGrow QFrame::HLine QFrame::StyledPanel",
    ),
    (
        "CTK Libs/Widgets/{ctkCollapsibleButton,ctkCollapsibleGroupBox,ctkSliderWidget}.h",
        "ui: ctkCollapsibleButton ctkCollapsibleButton.collapsed ctkCollapsibleGroupBox"
        " ctkCollapsibleGroupBox.collapsed"
        " ctkSliderWidget ctkSliderWidget.decimals ctkSliderWidget.maximum ctkSliderWidget.minimum"
        " ctkSliderWidget.pageStep ctkSliderWidget.singleStep ctkSliderWidget.suffix ctkSliderWidget.value"
        " ctkSliderWidget.tracking ctkSliderWidget.spinBoxVisible",
    ),
    ("Slicer Libs/MRML/Widgets/qMRMLWidget.h", "ui: qMRMLWidget"),
)


def verified():
    """{name as name_scan.py writes it: source}."""
    names = {}
    for source, text in GROUPS:
        prefix, listed = text.split(": ", 1)
        start = prefix + "." if prefix in ("qt", "ctk", "slicer", "scriptedEffect") else prefix + " "
        for name in listed.split(" ") if prefix != "signal" else listed.split():
            names.setdefault(start + name, source)
    return names
