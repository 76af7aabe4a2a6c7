"""The image that a network sees: the source volume, and one more volume for each further channel of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from InteractiveRefineLib.channels import combine_channels
from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.volume import Volume

from .names import CHANNEL_ROLE
from .translate import _
from .volumes import geometryOf, localToLocal, readVolume


def channelNode(volumeNode, name: str):
    """The volume that the user chose for a channel beside this source volume, None when there is none."""
    return volumeNode.GetNodeReference(_roleOf(name))


def setChannelNode(volumeNode, name: str, node) -> None:
    """Choose a volume (None = no more) for a channel; kept with the scene.

    The source volume keeps it, not the editor: with another patient's scan as source volume, this patient's must
    not go on as the second channel.
    """
    if channelNode(volumeNode, name) is not node:
        volumeNode.SetNodeReferenceID(_roleOf(name), None if node is None else node.GetID())


def channelNodes(volumeNode) -> list:
    """All volumes that were chosen for channels beside this source volume, whatever network wants them."""
    roles = [volumeNode.GetNthNodeReferenceRole(n) for n in range(volumeNode.GetNumberOfNodeReferenceRoles())]
    nodes = [volumeNode.GetNodeReference(role) for role in roles if role and role.startswith(CHANNEL_ROLE)]
    return [node for node in nodes if node is not None]


def furtherChannels(volumeNode, channels: Sequence[str]) -> tuple[str, ...]:
    """Names of the channels that the source volume does not have itself; an RGB volume has three."""
    image = volumeNode.GetImageData() if volumeNode is not None else None
    own = image.GetNumberOfScalarComponents() if image is not None else 1
    return tuple(channels[own:])


def whyNotChannels(volumeNode, channels: Sequence[str]) -> str:
    """Which channels have no volume yet, as a sentence for the user; "" when none is missing."""
    missing = [
        name for name in furtherChannels(volumeNode, channels) if _imageOf(channelNode(volumeNode, name)) is None
    ]
    if not missing:
        return ""
    return _("This network needs {all}, and there is no {missing}. Choose its volume below the network.").format(
        all=" + ".join(channels), missing=_(" and no ").join(missing)
    )


class SceneImage:
    """Reads the image once for as long as nothing of it changes, so that the worker is sent it once.

    Attributes:
        warnings: what was said when it was read, e.g. that a volume was resampled.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._key = self._image = None

    def forget(self) -> None:
        """Forget the image."""
        self._key, self._image, self.warnings = None, None, []

    def read(self, volumeNode, channels: Sequence[str], others: Sequence | None = None) -> Volume:
        """The library's image: (K, J, I), or (C, K, J, I) for several channels, on the source volume's grid.

        Args:
            channels: names of those that the network wants; empty when nobody knows.
            others: volume nodes after the source volume, in the network's order; None for those the user chose.

        Raises:
            InputError: a channel has no volume, or one that does not fit; the text names it.
        """
        key = imageKey(volumeNode, channels, others)
        if key is None or key != self._key:
            warnings: list[str] = []
            self._image = _combined(volumeNode, channels, others, warnings)
            self._key, self.warnings = key, warnings
        return self._image


def imageKey(volumeNode, channels: Sequence[str] = (), others: Sequence | None = None):
    """A value that changes with the volumes of an image, their voxels and places; None for what cannot be read."""
    nodes = [volumeNode, *_others(volumeNode, channels, others)]
    if any(_imageOf(node) is None for node in nodes):
        return None
    keys = []
    for node in nodes:
        geometry = geometryOf(node)
        # VTK never gives a time twice, so another image has another one.
        modified = node.GetImageData().GetMTime()
        try:
            place = tuple((localToLocal(node, volumeNode) @ geometry.ijk_to_ras).ravel())
        except InputError:  # said when it is read
            return None
        keys.append((node.GetID(), modified, geometry.shape, place))
    return tuple(keys)


def _combined(volumeNode, channels: Sequence[str], others: Sequence | None, warnings: list[str]) -> Volume:
    source = readVolume(volumeNode)
    if others is None:
        why = whyNotChannels(volumeNode, channels)
        if why:
            raise InputError(why)
    nodes = _others(volumeNode, channels, others)
    if not nodes:
        return source  # a wrong number of channels is the worker's to tell, who knows the network
    volumes = [source]
    for node in nodes:
        volume = readVolume(node)
        volumes.append(replace(volume, ijk_to_ras=localToLocal(node, volumeNode) @ volume.ijk_to_ras))
    return combine_channels(volumes, channels, warn=warnings.append)


def _others(volumeNode, channels: Sequence[str], others: Sequence | None) -> list:
    if others is not None:
        return list(others)
    return [channelNode(volumeNode, name) for name in furtherChannels(volumeNode, channels)]


def _imageOf(node):
    """The voxels of a node that is in a scene, else None."""
    if node is None or node.GetScene() is None or not node.IsA("vtkMRMLVolumeNode"):
        return None
    return node.GetImageData()


def _roleOf(name: str) -> str:
    """Role of a channel's reference; a scene file would end it at a colon, a semicolon or a space."""
    coded = "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name.strip().lower())
    return CHANNEL_ROLE + coded
