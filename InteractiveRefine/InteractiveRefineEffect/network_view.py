"""The part of the panel about the network: which one, whether it is trusted, its channels, and its classes."""

from . import parameters as names
from .backbone_selector import BackboneSelector, workerCommand
from .channel_view import ChannelView, channelsOf
from .class_table_view import ClassTableView, rowsOf, segmentsOf


class NetworkView:
    """Shows what a `RefineController` works with, and passes on what the user chooses.

    Attributes:
        channels: the `ChannelView`.
        table: the `ClassTableView`.

    Args:
        ui: the panel's widgets.
        controller: the `RefineController`.
        setParameter: stores a parameter, name and text, with the scene.
        onChosen: called without arguments after the user chose something.
    """

    def __init__(self, ui, controller, setParameter, onChosen):
        self._controller, self._setParameter, self._onChosen = controller, setParameter, onChosen
        self._backbones = BackboneSelector(ui, self._onBackbone, onChosen)
        self.channels = ChannelView(ui.channelsFrame, self._onChannel)
        self.table = ClassTableView(ui.classTable, self._onClass, self._onLock)

    def disconnect(self):
        """Call nobody any more."""
        self._backbones.disconnect()
        self.channels.disconnect()
        self.table.disconnect()

    def update(self):
        """Show everything anew."""
        controller = self._controller
        channels = channelsOf(controller)
        self.channels.show(channels)
        self._backbones.describe(controller.backbone, controller.info, channels)
        self.table.show(rowsOf(controller), segmentsOf(controller))

    def showBackbone(self, folder):
        """Show the choice of the network."""
        self._backbones.show(folder)

    def takeInfo(self):
        """The worker told what is in a folder."""
        self._backbones.settle(self._controller.backbone, self._controller.info)

    def whyNot(self):
        """Why the worker must not load the network, as a sentence for the user; "" when it may."""
        return self._backbones.whyNot(self._controller.backbone, self._controller.info)

    def _onBackbone(self, folder):
        from InteractiveRefineScene.dependencies import torchSeemsInstalled

        self._setParameter(names.BACKBONE, folder)
        self._onChosen()
        if not self._controller.classes and (workerCommand() or torchSeemsInstalled()):
            self._controller.learnBackbone()  # runs nothing of the folder

    def _onChannel(self, name, node):
        self._controller.setChannel(name, node)
        self._onChosen()

    def _onClass(self, className, target):
        from InteractiveRefineScene.class_choice import choose

        choose(self._controller.segmentationNode, self._controller.classes, className, target)
        self._onChosen()

    def _onLock(self, segmentId, locked):
        from InteractiveRefineScene.locks import setLocked

        setLocked(self._controller.segmentationNode, segmentId, locked)
        self._onChosen()
