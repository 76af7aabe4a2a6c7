"""What can be told about a network's folder at once, without starting a worker; and which folders the user trusts."""

from __future__ import annotations

import json
from dataclasses import dataclass

from InteractiveRefineLib.errors import RefineError
from InteractiveRefineLib.resources import STROKES_ONLY, backbone_folder
from InteractiveRefineLib.segmentation import Segment
from InteractiveRefineLib.trust import licenses_in

from .translate import _

#: What folders of other kinds hold, which the worker reads: nnU-Net's trained models and MONAI bundles.
_OTHER_KINDS = ("dataset.json", "plans.json", "configs")
#: Which folder stands for the network that comes with this program.
EMBEDDED = ""
#: The same of the choice that needs no network, and the kind as which the worker describes it.
NO_NETWORK = STROKES_ONLY
NO_NETWORK_KIND = "no network"


@dataclass(frozen=True)
class LocalBackbone:
    """A glance into backbone.json; the worker reads it precisely and complains precisely.

    Attributes:
        folder: as the worker is told; "" = the network that comes with this program.
        name: of the network, else of its folder.
        classes: without background; empty when unknown.
        channels: names of the image channels it wants; empty when unknown.
        license: of the network, may be empty.
        problem: why nothing is known, as a sentence for the user; "" when something is.
    """

    folder: str
    name: str
    classes: tuple[Segment, ...] = ()
    problem: str = ""
    channels: tuple[str, ...] = ()
    license: str = ""
    # What only the worker can tell; as in its `BackboneInfo`.
    kind: str = ""
    dimensions: int = 0
    spacing: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()


def glance(folder: str) -> LocalBackbone:
    """Read name and classes of a network's folder on this computer; never raises."""
    try:
        path = backbone_folder(folder)
    except RefineError as error:
        return LocalBackbone(folder, _("Embedded network"), problem=str(error))
    try:
        described = json.loads((path / "backbone.json").read_text(encoding="utf-8-sig"))
        channels = tuple(str(entry["name"]) for entry in described.get("channels", [{"name": "image"}]))
        if described.get("kind") == "strokes":
            name, license = str(described.get("name", path.name)), str(described.get("license", ""))
            return LocalBackbone(folder, name, channels=channels, license=license, kind=NO_NETWORK_KIND)
        entries = [dict(entry) for entry in described["classes"]]
        if described.get("activation", "softmax") == "softmax":
            entries = entries[1:]  # the background
        classes = tuple(
            Segment(str(entry["name"]), label, _color(entry), tags=dict(entry.get("tags", {})))
            for label, entry in enumerate(entries, start=1)
        )
        license = str(described.get("license", "")) or "; ".join(licenses_in(path))
        return LocalBackbone(folder, str(described.get("name", path.name)), classes, "", channels, license)
    except OSError:
        license = "; ".join(licenses_in(path))
        if any((path / name).exists() for name in _OTHER_KINDS):
            return LocalBackbone(folder, path.name or folder, license=license)
        problem = _("{folder} has no readable backbone.json.").format(folder=path)
    except (ValueError, KeyError, TypeError, AttributeError):
        problem = _("{file} does not describe a network.").format(file=path / "backbone.json")
    return LocalBackbone(folder, path.name or folder, problem=problem)


def knownFolders(text: str | None) -> list[str]:
    """What comes with this program, then the folders that a setting of this computer lists, one per line."""
    listed = (line.strip() for line in (text or "").splitlines())
    return list(dict.fromkeys([EMBEDDED, NO_NETWORK, *filter(None, listed)]))


def withFolder(text: str | None, folder: str) -> str:
    """The setting with one folder more."""
    return "\n".join(dict.fromkeys([*knownFolders(text)[2:], folder]))


def _color(entry: dict) -> tuple[float, float, float]:
    color = entry.get("color", (0.5, 0.5, 0.5))
    red, green, blue = (float(part) for part in color)
    return red, green, blue
