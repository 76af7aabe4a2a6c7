"""The Slicer module: registers the effect and the sample scan, and offers the panel, the logic and the self-test."""

import sys
from pathlib import Path

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

# Installed, the library lies beside this file, which Slicer can already import from; in a checkout, one folder up.
_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "InteractiveRefineLib" / "__init__.py").is_file() and str(_CHECKOUT) not in sys.path:
    sys.path.append(str(_CHECKOUT))

from InteractiveRefineScene.names import EFFECT_NAME  # noqa: E402 (the library must be found first)
from InteractiveRefineScene.self_test import SelfTest  # noqa: E402

EDITOR_TAG = "InteractiveRefine"


class InteractiveRefine(ScriptedLoadableModule):
    """What Slicer shows about this module before it is opened."""

    def __init__(self, parent):
        super().__init__(parent)
        self.parent.title = _("Interactive Refine")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations"]
        self.parent.contributors = ["The InteractiveRefine contributors"]
        self.parent.helpText = _(
            "Corrects the segmentation of any pretrained network from a few strokes: every stroke is obeyed, "
            "and what nobody complained about is left alone. The same tool is an effect of the Segment Editor."
        )
        self.parent.acknowledgementText = _(
            "After Sambaturu et al., Efficient and Generic Interactive Segmentation Framework to Correct "
            "Mispredictions during Clinical Evaluation of Medical Images, MICCAI 2021."
        )
        # Modules are all constructed before any of them is loaded: where one is, the application runs already.
        if slicer.app.moduleManager().factoryManager().isLoaded("Segmentations"):
            self.onStartupCompleted()
        else:
            slicer.app.connect("startupCompleted()", self.onStartupCompleted)

    def onStartupCompleted(self):
        """Everything that needs other modules. Registering a second time, after a reload, changes nothing."""
        registerEffect()
        from InteractiveRefineScene.sample_data import registerSampleData

        registerSampleData()


def registerEffect():
    """Add the effect to every segment editor."""
    # Slicer looks for the effect's class in the loaded package; without this import it would load the file alone.
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    import InteractiveRefineEffect

    effect = effects.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource((Path(InteractiveRefineEffect.__file__).parent / "SegmentEditorEffect.py").as_posix())
    effect.self().register()


@parameterNodeWrapper
class InteractiveRefineParameterNode:
    """What the module works on; saved with the scene.

    Attributes:
        volume: the scan.
        segmentation: what is corrected.
        backbone: folder of the network; "" = the one that is shipped.
    """

    volume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    backbone: str = ""


class InteractiveRefineWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """A segment editor with the effect in front, and a guided first case above it."""

    def __init__(self, parent=None):
        self.logic = self.editor = self.editorNode = self.firstCase = None
        VTKObservationMixin.__init__(self)
        # Without a parent it also calls setup(), so nothing may be reset afterwards.
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self):
        """Slicer calls it once, when the module is opened for the first time; also without a main window."""
        super().setup()
        from InteractiveRefineEffect.first_case import FirstCase

        self.logic = InteractiveRefineLogic()
        top = slicer.util.loadUI(self.resourcePath("UI/InteractiveRefine.ui"))
        top.setMRMLScene(slicer.mrmlScene)
        self.layout.addWidget(top)
        self.ui = slicer.util.childWidgetVariables(top)

        self.editor = slicer.qMRMLSegmentEditorWidget()
        # Every stroke is a state of its own; with the usual ten, the one before the last Apply would soon be gone.
        self.editor.maximumNumberOfUndoStates = 50
        self.editor.setEffectNameOrder([EFFECT_NAME])
        # The node first, so that the choices the editor makes when it gets the scene are kept in it.
        self.selectEditorNode()
        self.editor.setMRMLScene(slicer.mrmlScene)
        self.layout.addWidget(self.editor)
        self.layout.addStretch(1)
        self.firstCase = FirstCase(self.ui, self.editor, self.logic)

        # Opened at start-up, this widget is older than the registration of the effects.
        self.effectFactory = slicer.qSlicerSegmentEditorEffectFactory.instance()
        self.effectFactory.connect("effectRegistered(QString)", self.onEffectRegistered)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneChanged)

    def selectEditorNode(self):
        """Work with the scene's own editor node; a new one after the scene was closed, the loaded one after loading."""
        node = slicer.mrmlScene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag(EDITOR_TAG)
            node = slicer.mrmlScene.AddNode(node)
        if node is not self.editorNode:
            self.editorNode = node
            self.editor.setMRMLSegmentEditorNode(node)

    def enter(self):
        """The user opens the module."""
        self.selectEditorNode()
        self.editor.installKeyboardShortcuts()
        self.editor.setupViewObservations()
        self.editor.updateWidgetFromMRML()
        self.firstCase.update()

    def exit(self):
        """The user goes to another module: the mouse is his again."""
        self.editor.setActiveEffect(None)
        self.editor.uninstallKeyboardShortcuts()
        self.editor.removeViewObservations()

    def cleanup(self):
        """Slicer closes, or the module is reloaded."""
        self.removeObservers()
        editor, self.editor = self.editor, None
        if editor is not None:
            self.effectFactory.disconnect("effectRegistered(QString)", self.onEffectRegistered)
            self.firstCase.cleanup()
            editor.setActiveEffect(None)
            editor.removeViewObservations()
            # A reload only hides the old widgets; this one would go on reacting to the scene and keep its worker.
            editor.setMRMLSegmentEditorNode(None)
            editor.setMRMLScene(None)
            editor.deleteLater()
            self.editorNode = None

    def onEffectRegistered(self):
        self.editor.updateEffectList()

    def onSceneStartClose(self, caller, event):
        self.editor.setActiveEffect(None)
        self.editor.setSegmentationNode(None)
        self.editor.removeViewObservations()
        self.editorNode = None
        self.firstCase.forget()

    def onSceneChanged(self, caller, event):
        if self.parent.isEntered:
            self.enter()


class InteractiveRefineLogic(ScriptedLoadableModuleLogic):
    """Everything without a window: for the Python console, scripts and `--no-main-window`."""

    def getParameterNode(self):
        return InteractiveRefineParameterNode(super().getParameterNode())

    def libraryVersion(self):
        """Version of InteractiveRefineLib, as text."""
        import InteractiveRefineLib

        return InteractiveRefineLib.__version__

    def geometryOf(self, volumeNode):
        """`InteractiveRefineLib.geometry.Geometry` of a volume node, in the node's own RAS (transforms not applied)."""
        from InteractiveRefineScene.volumes import geometryOf

        return geometryOf(volumeNode)

    def loadExample(self):
        """Load the sample scan, which is made on this computer, and return its volume node."""
        from InteractiveRefineScene.sample_data import loadPhantom

        return loadPhantom()

    def segment(self, volumeNode, segmentationNode=None, backbone="", wait=True, workerCommand="", **options):
        """Segment a volume with a network; a new segmentation is made where none is given.

        Args and result as for `refine`.
        """
        return self._call(
            lambda run: run.segment(), volumeNode, segmentationNode, backbone, wait, workerCommand, options
        )

    def refine(
        self, volumeNode, segmentationNode, strokesNode=None, backbone="", wait=True, workerCommand="", **options
    ):
        """Correct a segmentation from strokes and write the result, as one undo state.

        Args:
            volumeNode: the scan; or a list of scans, the network's channels in their order. For one scan, further
                channels are those chosen in the panel.
            segmentationNode: what is corrected.
            strokesNode: a segmentation painted by hand whose segments are named like those to be corrected,
                "background" or "not <segment>"; None for the strokes drawn with the effect.
            backbone: folder of the network; "" = the one that is shipped.
            wait: False returns at once; Slicer's event loop does the rest.
            workerCommand: "" = this Slicer; or a command such as "ssh gpu-box interactive-refine worker".
            options: `lock` (names of segments that must not change), `apply`, `progress(step, total, message)`,
                `editorNode` (see `InteractiveRefineScene.headless.Run`), and any of `RefineSettings`, such as `reach`.

        Returns:
            `headless.Outcome`; with `wait=False` a `headless.Run`, whose `onFinished` may be set.

        Raises:
            InteractiveRefineLib.errors.RefineError: says what to do; segments and strokes are as they were.
        """
        return self._call(
            lambda run: run.refine(strokesNode), volumeNode, segmentationNode, backbone, wait, workerCommand, options
        )

    def _call(self, begin, volumeNode, segmentationNode, backbone, wait, workerCommand, options):
        from InteractiveRefineLib.settings import RefineSettings
        from InteractiveRefineScene.headless import Run
        from InteractiveRefineScene.waiter import Waiter

        own = {name: options.pop(name) for name in ("lock", "apply", "progress", "editorNode") if name in options}
        own.update(backbone=backbone, settings=RefineSettings(**options))
        if wait:
            waiter = Waiter(workerCommand)
            run = Run(volumeNode, segmentationNode, waiter.startTransport, waiter.later, **own)
            begin(run)
            return waiter.wait(run)
        import qt

        from InteractiveRefineEffect.qprocess_transport import transportStarter

        start = transportStarter(lambda: workerCommand)
        run = Run(volumeNode, segmentationNode, start, lambda function: qt.QTimer.singleShot(0, function), **own)
        begin(run)
        return run

    def refineFolder(self, *arguments, **options):
        """Refine all cases of a folder or of a table; see `InteractiveRefineLib.batch.refine_folder`."""
        from InteractiveRefineLib.batch import refine_folder

        return refine_folder(*arguments, **options)


class InteractiveRefineTest(SelfTest, ScriptedLoadableModuleTest):
    """Runs in Slicer: `runTest` by Reload and Test, the `test_` methods of `SelfTest` by the build's test harness."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def newLogic(self):
        return InteractiveRefineLogic()

    def runTest(self):
        for name in dir(self):
            if name.startswith("test_"):
                self.setUp()
                self.delayDisplay(name)
                getattr(self, name)()
