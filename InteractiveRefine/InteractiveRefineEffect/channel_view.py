"""Which volume is which channel of the network: one selector for each channel beside the source volume's."""

import qt
import slicer
from slicer.i18n import tr as _


class ChannelView:
    """Rows of a name and a volume selector; nothing is seen where the source volume is all that the network wants.

    Args:
        frame: the QWidget with a QFormLayout that takes the rows.
        onChosen: called with the name of the channel and the volume node, or None.
    """

    def __init__(self, frame, onChosen):
        self._frame, self._onChosen = frame, onChosen
        self._selectors = {}
        frame.setVisible(False)

    def show(self, chosen):
        """Show the channels without telling anybody.

        Args:
            chosen: list of (name of the channel, volume node or None).
        """
        names = [name for name, _node in chosen]
        if names != list(self._selectors):
            self._build(names)
        for name, node in chosen:
            selector = self._selectors[name][1]
            blocked = selector.blockSignals(True)
            if selector.mrmlScene() is not slicer.mrmlScene:
                selector.setMRMLScene(slicer.mrmlScene)
            selector.setCurrentNode(node)
            selector.blockSignals(blocked)
        self._frame.setVisible(bool(chosen))

    def selector(self, name):
        """The qMRMLNodeComboBox of a channel."""
        return self._selectors[name][1]

    def disconnect(self):
        """Call nobody any more."""
        self._onChosen = lambda *_arguments: None
        self._build([])

    def _build(self, names):
        for label, selector, slot in self._selectors.values():
            selector.disconnect("currentNodeChanged(vtkMRMLNode*)", slot)
            selector.setMRMLScene(None)
            for widget in (label, selector):
                self._frame.layout().removeWidget(widget)
                widget.setVisible(False)  # it would otherwise be seen until the event loop deletes it
                widget.deleteLater()
        self._selectors = {name: self._row(name) for name in names}

    def _row(self, name):
        tip = _("The volume that the network gets as {name}; on another grid it is resampled.").format(name=name)
        label, selector = qt.QLabel(f"{name}:"), slicer.qMRMLNodeComboBox()
        for widget in (label, selector):
            widget.setToolTip(tip)
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
        selector.noneEnabled = True
        selector.addEnabled = selector.removeEnabled = selector.renameEnabled = False
        selector.setMRMLScene(slicer.mrmlScene)
        selector.setCurrentNode(None)

        def slot(node):
            self._onChosen(name, node)

        selector.connect("currentNodeChanged(vtkMRMLNode*)", slot)
        self._frame.layout().addRow(label, selector)
        return label, selector, slot


def channelsOf(controller):
    """What `ChannelView.show` shows for a `RefineController`."""
    from InteractiveRefineScene.scene_image import channelNode, furtherChannels

    volumeNode = controller.volumeNode
    if volumeNode is None:
        return []
    return [(name, channelNode(volumeNode, name)) for name in furtherChannels(volumeNode, controller.channels)]
