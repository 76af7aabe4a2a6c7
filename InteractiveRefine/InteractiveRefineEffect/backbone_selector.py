"""The choice of the network: folders that the user trusts, a button to add one, and what is said of it before."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

#: Settings of this computer. A scene may name a folder, but only what is listed here is ever run.
FOLDERS_SETTING = "InteractiveRefine/BackboneFolders"
WORKER_SETTING = "InteractiveRefine/WorkerCommand"
#: More classes than this are counted, and listed in the tooltip only.
_MANY_CLASSES = 15
_LONG_LICENSE = 60
_NO_NETWORK = _("It knows no structure: add segments, draw strokes in each of them and in the background, and refine.")
_NOT_ASKED = _("The worker tells what it knows once it is asked.")


class BackboneSelector:
    """Combo box of networks, button for another one, a line with what the chosen one knows, and whether to trust it.

    Args:
        ui: the panel's widgets.
        onChosen: called with the folder; "" = the network that comes with this program.
        onTrusted: called without arguments when the user trusts the chosen folder.
    """

    def __init__(self, ui, onChosen, onTrusted):
        self._combo, self._button, self._label = ui.backboneComboBox, ui.browseButton, ui.classesLabel
        self._trustFrame, self._trustLabel, self._trustButton = ui.trustFrame, ui.trustLabel, ui.trustButton
        self._onChosen, self._onTrusted = onChosen, onTrusted
        self._folders = []
        self._browsed = None
        self._trustFrame.setVisible(False)
        self._combo.connect("currentIndexChanged(int)", self._onIndex)
        self._button.connect("clicked()", self._onBrowse)
        self._trustButton.connect("clicked()", self._onTrust)

    def disconnect(self):
        """Call nobody any more."""
        self._combo.disconnect("currentIndexChanged(int)", self._onIndex)
        self._button.disconnect("clicked()", self._onBrowse)
        self._trustButton.disconnect("clicked()", self._onTrust)

    def show(self, folder):
        """Show the choice without telling anybody."""
        from InteractiveRefineScene.backbone_list import NO_NETWORK, glance, knownFolders

        folders = knownFolders(slicer.util.settingsValue(FOLDERS_SETTING, ""))
        folders += [] if folder in folders else [folder]
        blocked = self._combo.blockSignals(True)
        if folders != self._folders:
            self._folders = folders
            self._combo.clear()
            for known in folders:
                self._combo.addItem(_titleOf(glance(known)))
                tip = known or _("The network that comes with this program. It was trained on made-up phantoms only.")
                tip = _NO_NETWORK if known == NO_NETWORK else tip
                self._combo.setItemData(self._combo.count - 1, tip, qt.Qt.ToolTipRole)
        self._combo.setCurrentIndex(folders.index(folder))
        self._combo.blockSignals(blocked)

    def describe(self, folder, info, furtherChannels):
        """Say what a network is and knows: as the worker told (`info`, a BackboneInfo or None), or as its folder says.

        Args:
            furtherChannels: the channels that the source volume is not; see `channel_view`.
        """
        from InteractiveRefineScene.backbone_list import NO_NETWORK_KIND, glance

        seen = glance(folder)
        known = info if info is not None else seen
        why = self.whyNot(folder, info)
        text, details = describedBy(known, folder, withLicense=not why)
        if known.kind == NO_NETWORK_KIND:
            text = [_NO_NETWORK]
        elif not known.classes:
            text.append(seen.problem if seen.problem and not workerCommand() else _NOT_ASKED)
        if furtherChannels:
            source = ", ".join(known.channels[: len(known.channels) - len(furtherChannels)])
            text.append(_("{channels}: the source volume.").format(channels=source))
        self._label.text = " ".join(text)
        self._label.toolTip = "\n".join(details)
        self._trustLabel.text = why
        self._trustFrame.setVisible(bool(why) and (info is not None or bool(workerCommand()) or not seen.problem))

    def whyNot(self, folder, info=None):
        """Why the worker must not load a folder, as a sentence for the user; "" when it may."""
        from InteractiveRefineScene.backbone_list import glance, knownFolders

        if folder in knownFolders(slicer.util.settingsValue(FOLDERS_SETTING, "")):
            return ""
        license = (info if info is not None else glance(folder)).license
        return _(
            "{folder} was never chosen on this computer. {programs}{license} A program can do whatever you can: use it "
            "only if you trust where it comes from."
        ).format(
            folder=folder,
            programs=" ".join(_programsIn(folder, info)) or _("A network is a program."),
            license=" " + _("License: {license}.").format(license=license.rstrip(".")) if license else "",
        )

    def settle(self, folder, info=None):
        """Trust a folder that the user has just chosen if it is known to hold no program; else the user is asked."""
        from InteractiveRefineScene.backbone_list import glance

        if folder != self._browsed or (info is None and (workerCommand() or not glance(folder).classes)):
            return
        self._browsed = None
        if not _programsIn(folder, info):
            self.trust(folder)

    def trust(self, folder):
        """List a folder among those that may be run on this computer."""
        from InteractiveRefineScene.backbone_list import EMBEDDED, NO_NETWORK, withFolder

        if folder not in (EMBEDDED, NO_NETWORK):
            listed = withFolder(slicer.util.settingsValue(FOLDERS_SETTING, ""), folder)
            qt.QSettings().setValue(FOLDERS_SETTING, listed)

    def _onIndex(self, index):
        if 0 <= index < len(self._folders):
            self._onChosen(self._folders[index])

    def _onTrust(self):
        self.trust(self._folders[self._combo.currentIndex])
        self._onTrusted()

    def _onBrowse(self):
        start = self._folders[self._combo.currentIndex] if self._folders else ""
        if workerCommand():  # the folder lies on another computer, which cannot be browsed from here
            question = _("Folder of the network, as the computer of the worker sees it:")
            folder = qt.QInputDialog.getText(self._combo, _("Network"), question, qt.QLineEdit.Normal, start)
        else:
            folder = qt.QFileDialog.getExistingDirectory(self._combo, _("Folder of a network"), start)
        folder = str(folder or "").strip()
        if folder:
            self._browsed = folder
            self.settle(folder)
            self._onChosen(folder)


def describedBy(known, folder, withLicense):
    """What is shown of a network: sentences for the panel, and lines for the tooltip.

    Args:
        known: `BackboneInfo` or `LocalBackbone`.
        withLicense: in the panel too, shortened; else in the tooltip only.
    """
    names = [segment.name for segment in known.classes]
    text, details = [], [folder or known.name]
    if known.kind:
        details.append(known.kind)
        isName = known.kind.split()[0] != known.kind.split()[0].lower()  # nnU-Net
        text += [f"{known.kind if isName else known.kind[:1].upper() + known.kind[1:]}."] if folder else []
    if len(names) > _MANY_CLASSES:
        text.append(_("Knows {count} classes.").format(count=len(names)))
    elif names:
        text.append(_("Knows {classes}.").format(classes=", ".join(names)))
    if known.license:
        isLong = len(known.license) > _LONG_LICENSE
        short = known.license[:_LONG_LICENSE].rsplit(" ", 1)[0] + " .." if isLong else known.license.rstrip(".")
        text += [_("License: {license}.").format(license=short)] if folder and withLicense else []
        details.append(known.license)
    if known.dimensions:
        spacing = _("the image's own spacing")
        if known.spacing:
            spacing = " x ".join(f"{s:g}" for s in known.spacing) + " mm"
        details.append(_("{dimensions}-D, {spacing}").format(dimensions=known.dimensions, spacing=spacing))
    if known.channels:
        details.append(_("Image: {channels}").format(channels=", ".join(known.channels)))
    details += known.notes
    return text, details + ([", ".join(names)] if len(names) > _MANY_CLASSES else [])


def _programsIn(folder, info):
    from InteractiveRefineLib.trust import code_in

    if info is not None:
        return info.code
    return () if workerCommand() else tuple(code_in(folder))


def workerCommand():
    """The command that runs the worker; "" = on this computer. A setting of the computer, as it starts programs."""
    return str(slicer.util.settingsValue(WORKER_SETTING, "") or "").strip()


def setWorkerCommand(command):
    """Keep the command in the settings of this computer."""
    qt.QSettings().setValue(WORKER_SETTING, command.strip())


def _titleOf(seen):
    from InteractiveRefineScene.backbone_list import NO_NETWORK

    if seen.folder == NO_NETWORK:
        return _("No network: learn from strokes only")
    if seen.folder == "":
        return _("{name} (built in)").format(name=seen.name)
    return f"{seen.name} ({Path(seen.folder).name})" if seen.name != Path(seen.folder).name else seen.name
