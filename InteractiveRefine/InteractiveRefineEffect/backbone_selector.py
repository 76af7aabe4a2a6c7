"""The choice of the network: folders that the user trusts, and a button to add one."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

#: Settings of this computer. A scene may name a folder, but only what is listed here is ever run.
FOLDERS_SETTING = "InteractiveRefine/BackboneFolders"
WORKER_SETTING = "InteractiveRefine/WorkerCommand"


class BackboneSelector:
    """Combo box of networks, button for another one, and a line with what the chosen one knows.

    Args:
        combo, button, label: the widgets.
        onChosen: called with the folder; "" = the network that comes with this program.
    """

    def __init__(self, combo, button, label, onChosen):
        self._combo, self._button, self._label, self._onChosen = combo, button, label, onChosen
        self._folders = []
        combo.connect("currentIndexChanged(int)", self._onIndex)
        button.connect("clicked()", self._onBrowse)

    def disconnect(self):
        """Call nobody any more."""
        self._combo.disconnect("currentIndexChanged(int)", self._onIndex)
        self._button.disconnect("clicked()", self._onBrowse)

    def show(self, folder):
        """Show the choice without telling anybody."""
        from InteractiveRefineScene.backbone_list import glance, knownFolders

        folders = knownFolders(slicer.util.settingsValue(FOLDERS_SETTING, ""))
        folders += [] if folder in folders else [folder]
        blocked = self._combo.blockSignals(True)
        if folders != self._folders:
            self._folders = folders
            self._combo.clear()
            for known in folders:
                self._combo.addItem(_titleOf(glance(known)))
                tip = known or _("The network that comes with this program. It was trained on made-up phantoms only.")
                self._combo.setItemData(self._combo.count - 1, tip, qt.Qt.ToolTipRole)
        self._combo.setCurrentIndex(folders.index(folder))
        self._combo.blockSignals(blocked)

    def describe(self, folder, info=None):
        """Say what a network knows: as the worker told (`info`, a BackboneInfo), or as its folder says."""
        from InteractiveRefineScene.backbone_list import glance

        seen = glance(folder)
        classes = [segment.name for segment in (info.classes if info is not None else seen.classes)]
        if classes:
            self._label.text = _("Knows {classes}.").format(classes=", ".join(classes))
        elif workerCommand():
            self._label.text = _("The worker tells what it knows once it is asked.")
        else:
            self._label.text = seen.problem
        details = [folder or seen.name]
        if info is not None:
            spacing = _("the image's own spacing")
            if info.spacing:
                spacing = " x ".join(f"{s:g}" for s in info.spacing) + " mm"
            details.append(_("{dimensions}-D, {spacing}").format(dimensions=info.dimensions, spacing=spacing))
            details.append(_("Image: {channels}").format(channels=", ".join(info.channels)))
            details += [info.license] if info.license else []
        self._label.toolTip = "\n".join(details)

    def whyNot(self, folder):
        """Why the worker must not load a folder, as a sentence for the user; "" when it may."""
        from InteractiveRefineScene.backbone_list import knownFolders

        if folder in knownFolders(slicer.util.settingsValue(FOLDERS_SETTING, "")):
            return ""
        return _(
            "The scene names the network {folder}, which was never chosen on this computer. A network is a program: "
            "if you trust it, choose its folder with the button beside it."
        ).format(folder=folder)

    def trust(self, folder):
        """List a folder among those that may be run on this computer."""
        from InteractiveRefineScene.backbone_list import EMBEDDED, withFolder

        if folder != EMBEDDED:
            listed = withFolder(slicer.util.settingsValue(FOLDERS_SETTING, ""), folder)
            qt.QSettings().setValue(FOLDERS_SETTING, listed)

    def _onIndex(self, index):
        if 0 <= index < len(self._folders):
            self._onChosen(self._folders[index])

    def _onBrowse(self):
        start = self._folders[self._combo.currentIndex] if self._folders else ""
        if workerCommand():  # the folder lies on another computer, which cannot be browsed from here
            question = _("Folder of the network, as the computer of the worker sees it:")
            folder = qt.QInputDialog.getText(self._combo, _("Network"), question, qt.QLineEdit.Normal, start)
        else:
            folder = qt.QFileDialog.getExistingDirectory(self._combo, _("Folder of a network"), start)
        folder = str(folder or "").strip()
        if folder:
            self.trust(folder)
            self._onChosen(folder)


def workerCommand():
    """The command that runs the worker; "" = on this computer. A setting of the computer, as it starts programs."""
    return str(slicer.util.settingsValue(WORKER_SETTING, "") or "").strip()


def setWorkerCommand(command):
    """Keep the command in the settings of this computer."""
    qt.QSettings().setValue(WORKER_SETTING, command.strip())


def _titleOf(seen):
    if seen.folder == "":
        return _("{name} (built in)").format(name=seen.name)
    return f"{seen.name} ({Path(seen.folder).name})" if seen.name != Path(seen.folder).name else seen.name
