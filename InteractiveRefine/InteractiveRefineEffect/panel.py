"""The panel of the effect: shows what the controller does, and passes on what the user wants."""

import logging
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from . import parameters as names
from .backbone_selector import setWorkerCommand, workerCommand
from .effect_modifier import EffectModifier
from .growing_view import GrowingView
from .network_view import NetworkView
from .progress_view import ProgressView
from .proposal_view import ProposalView
from .qprocess_transport import transportStarter
from .settings_binding import allBindings, showUseful
from .soon import Soon

_UI = Path(__file__).resolve().parent.parent / "Resources" / "UI" / "InteractiveRefinePanel.ui"
#: Checked against Slicer's main window, Segment Editor, slice and 3D views: none of them uses these.
REFINE_SHORTCUT = "Ctrl+R"
APPLY_SHORTCUT = "Ctrl+Return"
_ERROR_STYLE = "color: #c0392b;"


class Panel:
    """Builds the options of the effect from the .ui file; every clone of the effect has its own panel and controller.

    Attributes:
        ui: the widgets by name.
        controller: the `RefineController`.
        network: the `NetworkView`.

    Args:
        effect: the `SegmentEditorEffect`.
    """

    def __init__(self, effect):
        from InteractiveRefineScene.controller import RefineController

        self._effect = effect
        self._scripted = effect.scriptedEffect
        self._parameters = names.Parameters(self._scripted)
        self.widget = slicer.util.loadUI(str(_UI))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.controller = RefineController(transportStarter(workerCommand), EffectModifier(self._scripted))
        self._bindings = allBindings(self.ui)
        self.network = NetworkView(self.ui, self.controller, self._scripted.setParameter, self._onNetworkChosen)
        self._progress = ProgressView(self.ui.progressBar, self.ui.cancelButton)
        self._proposal = ProposalView(self.ui.previewGroupBox, self.ui.changesTable)
        self._growing = GrowingView(
            self.ui.thresholdSlider, self.ui.growingLabel, effect.growingPreview, self._parameters
        )
        self._refineTip, self._predictTip = self.ui.refineButton.toolTip, self.ui.predictButton.toolTip
        self._soon, self._soonRefine = Soon(self._update), Soon(self._onAutoRefine)
        self._setShortcut(self.ui.refineButton, _("Refine"), REFINE_SHORTCUT)
        self._setShortcut(self.ui.applyButton, _("Apply"), APPLY_SHORTCUT)
        self._buttons = (
            (self.ui.predictButton, self.onPredict),
            (self.ui.refineButton, self.onRefine),
            (self.ui.cancelButton, self.onCancel),
            (self.ui.applyButton, self.onApply),
            (self.ui.discardButton, self.onDiscard),
        )
        self._connect()
        self.ui.workerCommandLineEdit.text = workerCommand()
        self.showMessage("")
        self._scripted.addOptionsWidget(self.widget)
        self._update()

    # What the effect calls

    def updateGUIFromMRML(self):
        """Show the stored parameters and the nodes that the editor works on."""
        if self._scripted.parameterSetNode() is None:
            return
        for binding in self._bindings:
            binding.show(self._parameters)
        self._takeParameters()
        self.nodesChanged()

    def updateMRMLFromGUI(self):
        """Store what the widgets show."""
        for binding in self._bindings:
            binding.store(self._scripted)

    def nodesChanged(self):
        """The editor may work on another volume or segmentation."""
        node = self._scripted.parameterSetNode()
        if node is None:
            return
        self.controller.setNodes(node.GetSourceVolumeNode(), node.GetSegmentationNode(), node)
        self._growing.fitTo(self.controller.volumeNode)
        self._update()

    def activate(self):
        """The effect was chosen: its strokes are seen, also those that another editor drew."""
        self.controller.catchUp()
        self.updateGUIFromMRML()
        self._showStrokes(True)

    def deactivate(self):
        """Another effect was chosen: strokes are hidden; a preview stays until it is applied, discarded or outdated."""
        self._soonRefine.drop()
        self._showStrokes(False)

    def cleanup(self):
        """The editor widget goes away."""
        self._soon.release()
        self._soonRefine.release()
        for binding in self._bindings:
            binding.disconnect()
        for button, slot in self._buttons:
            button.disconnect("clicked()", slot)
        self.ui.workerCommandLineEdit.disconnect("editingFinished()", self._onWorkerCommand)
        self._growing.disconnect()
        self.network.disconnect()
        for name in ("State", "Progress", "Result", "Message", "Error", "Backbone", "Strokes", "Segments"):
            setattr(self.controller, f"on{name}", lambda *_arguments: None)
        self.controller.cleanup()

    def showMessage(self, text):
        """Something worth knowing, until the next one; "" for nothing."""
        self._say(text, "")

    def showError(self, text):
        """Something did not work, and what to do."""
        self._say(text, _ERROR_STYLE)

    def _say(self, text, style):
        self.ui.statusLabel.setStyleSheet(style)
        self.ui.statusLabel.text = text
        self.ui.statusLabel.visible = bool(text)

    # What the user does

    def onPredict(self):
        """Segment with this network; True when it started."""
        return self._start(self._whyNotPredict, self.controller.predictInitial)

    def onRefine(self):
        """Refine; while it runs, start anew with the newest strokes; True when it started."""
        self._soonRefine.drop()
        return self._start(self._whyNotRefine, self.controller.refine)

    def onCancel(self):
        """Stop the worker."""
        self._soonRefine.drop()
        self.controller.cancel()

    def onApply(self):
        """Write the preview."""
        self.showMessage("")
        self.controller.apply()

    def onDiscard(self):
        """Throw the preview away."""
        self.showMessage("")
        self.controller.discard()

    def _start(self, whyNot, ask):
        """Ask the worker; True when it is at work, else the user was told why it is not."""
        from InteractiveRefineScene.controller import State

        self._soon.flush()  # proposals are accepted as the table shows them
        if not self._mayStart(whyNot()):
            return False
        ask()
        return self.controller.state is State.RUNNING

    def _mayStart(self, why):
        """Clear the ground for the worker; False, and told why, when it cannot start."""
        if why:
            self.showError(why)
            return False
        if not workerCommand():
            from InteractiveRefineScene import dependencies

            # Looked for at the first use only; strokes and growing do without.
            if not dependencies.torchSeemsInstalled() and not dependencies.offerTorch():
                self.showError(_("Without PyTorch nothing can be computed; strokes and growing work."))
                return False
        self.showMessage("")
        return True

    def _onAutoRefine(self):
        if self._parameters.flag(names.AUTO_REFINE) and self.controller.hasNewStrokes and not self._whyNotRefine():
            self.onRefine()

    def _onNetworkChosen(self):
        self.showMessage("")
        self._takeParameters()
        self._update()
        self._effect.strokesChanged()

    def _onWorkerCommand(self):
        command = self.ui.workerCommandLineEdit.text
        if command.strip() != workerCommand():
            setWorkerCommand(command)
            self.controller.restartWorker()
            self._update()

    def _onParameter(self, binding):
        binding.store(self._scripted)
        self._takeParameters()

    # What the controller says

    def _onResult(self, proposal):
        segments = self.controller.segmentationNode
        self._proposal.show(proposal, segments)
        self._update()

    def _onBackbone(self, info):
        self.network.takeInfo()
        self._update()
        self._effect.strokesChanged()
        worker = self.controller.client.worker
        warnings = [*(worker.warnings if worker is not None else ()), *info.warnings]  # that there is no GPU, for one
        if warnings:
            self.showMessage("\n".join(dict.fromkeys(warnings)))

    def _onStrokes(self):
        self._update()
        self._effect.strokesChanged()
        if not self._scripted.active():  # another editor drew, and refines by itself if it should
            return
        if self._parameters.flag(names.AUTO_REFINE) and self.controller.hasNewStrokes:
            self._soonRefine.ask(int(1000 * self._parameters.number(names.AUTO_REFINE_DELAY_S)))

    # Small steps

    def _connect(self):
        for binding in self._bindings:
            binding.connect(self._onParameter)
        for button, slot in self._buttons:
            button.connect("clicked()", slot)
        self.ui.workerCommandLineEdit.connect("editingFinished()", self._onWorkerCommand)
        self.controller.onState = lambda state: self._update()
        self.controller.onProgress = self._progress.show
        self.controller.onResult = self._onResult
        self.controller.onBackbone = self._onBackbone
        self.controller.onMessage = self.showMessage
        self.controller.onError = self.showError
        self.controller.onStrokes = self._onStrokes
        self.controller.onSegments = self._soon.ask  # segments come and change by the hundred

    def _takeParameters(self):
        """Hand the parameters over to those who work with them."""
        from InteractiveRefineLib.errors import InputError

        folder = self._parameters.text(names.BACKBONE)
        self.network.showBackbone(folder)
        self.controller.backbone = folder
        try:
            self.controller.settings = self._parameters.settings()
        except InputError as error:  # a scene of another version
            logging.warning("Interactive Refine: %s", error)
            self.showError(str(error))
        showUseful(self.ui, self._parameters)
        self.controller.preview.setOpacity(self._parameters.number(names.PREVIEW_OPACITY))
        self.controller.preview.showChanges(self._parameters.flag(names.SHOW_CHANGES))

    def _update(self):
        """Show the state: what can be done, and why the rest cannot."""
        from InteractiveRefineScene.controller import State

        self._soon.drop()
        controller, ui = self.controller, self.ui
        running = controller.state is State.RUNNING
        whyRefine, whyPredict = self._whyNotRefine(), self._whyNotPredict()
        ui.refineButton.enabled = not whyRefine and not running
        ui.refineButton.toolTip = whyRefine or self._refineTip
        ui.predictButton.enabled = not whyPredict and not running
        ui.predictButton.toolTip = whyPredict or self._predictTip
        ui.networkGroupBox.enabled = not running
        ui.previewGroupBox.enabled = controller.state is State.PREVIEW and controller.proposal is not None
        self._progress.setRunning(running)
        self.network.update()

    def _whyNotRefine(self):
        return self.controller.whyNotRefine() or self.network.whyNot()

    def _whyNotPredict(self):
        return self.controller.whyNotPredict() or self.network.whyNot()

    def _showStrokes(self, visible):
        if self.controller.strokes is not None:
            self.controller.strokes.setVisible(visible)

    def _setShortcut(self, button, text, shortcut):
        # As the button's own shortcut it works exactly while the button is seen and enabled.
        keys = qt.QKeySequence(shortcut)
        button.text = f"{text} ({keys.toString(qt.QKeySequence.NativeText)})"
        button.setShortcut(keys)
