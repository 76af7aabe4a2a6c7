"""Recognize what kind of network a folder holds, describe it, and load it."""

from __future__ import annotations

import importlib
import importlib.util
import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ..device import is_out_of_memory
from ..errors import BackboneError, OutOfMemoryError
from ..trust import licenses_in
from .config import BackboneConfig
from .load import Backbone
from .read_config import CONFIG_NAME, FOLDER_LAYOUT, read_json

#: Keys of a backbone.json that points to another folder; all others are options of the kind.
_POINTER_KEYS = {"format", "kind", "folder", "name", "class_map", "license", "source", "made_by", "description"}


@dataclass(frozen=True)
class Kind:
    """A kind of network folder.

    Its module offers `recognizes(folder) -> bool` (looks at names of files only), `load(folder, options) -> Backbone`,
    `describe(folder, options) -> BackboneConfig` (runs no code, reads no weights) and `KIND`, its name for messages.

    Attributes:
        key: what a pointing backbone.json names as "kind".
        module: of this package, imported when it is needed.
        needs: what such a folder holds, for the message when nothing was recognized.
    """

    key: str
    module: str
    needs: str

    @property
    def exists(self) -> bool:
        """Whether this kind's module was installed."""
        spec = importlib.util.find_spec(f"{__package__}.{self.module}")
        return spec is not None and spec.origin is not None  # an empty folder is no package

    def import_module(self) -> ModuleType:
        """The module that reads this kind."""
        return importlib.import_module(f".{self.module}", __package__)


#: In the order in which they are tried.
KINDS = (
    Kind("backbone", "described", f"{CONFIG_NAME} and the network as model.ts, as .pt2, or as a factory with weights"),
    Kind("nnunet", "nnunet", "dataset.json, plans.json and fold_0/checkpoint_final.pth: nnU-Net v2's trained model"),
    Kind("monai", "monai_bundle", "configs/metadata.json, configs/inference.json and models/model.pt: a MONAI bundle"),
    Kind("strokes", "strokes_only", f'{CONFIG_NAME} with "kind": "strokes": no network, only the user\'s strokes'),
)


@dataclass(frozen=True)
class _Found:
    """What a folder turned out to be: who reads it, where it lies, and what the user said about it."""

    kind: Kind
    folder: Path
    options: dict[str, Any]
    said: dict[str, Any]
    source: Path  # of what was said

    def adapted(self, config: BackboneConfig) -> BackboneConfig:
        """The description with the user's own name, license and classes."""
        changes = {key: self.said[key] for key in ("name", "license") if key in self.said}
        if not changes.get("license", config.license):
            changes["license"] = "; ".join(licenses_in(self.folder) or licenses_in(self.source.parent))
        config = replace(config, **changes)
        if "class_map" not in self.said:
            return config
        from .class_map import apply_class_map

        try:
            return apply_class_map(config, self.said["class_map"])
        except BackboneError as error:
            if str(self.source) in str(error):
                raise
            raise BackboneError(f"{self.source}: {error}") from error


def load_backbone(path: str | Path) -> Backbone:
    """Load the network in a folder onto the CPU, in eval mode, whatever kind of folder it is.

    A TorchScript file, an exported program and a factory are code: load only folders you trust
    (`InteractiveRefineLib.trust.code_in` tells which files are). Weight files are read without executing pickles.

    Raises:
        BackboneError: the folder, the description, the network or its weights cannot be used; the text
            names the file and says what is expected.
        OutOfMemoryError.
    """
    found = _find(Path(path))
    module = found.kind.import_module()
    try:
        backbone = module.load(found.folder, found.options)
    except BackboneError as error:
        if error.__cause__ is not None and is_out_of_memory(error.__cause__):
            text = f"Out of memory while the network in {path} was loaded; the segmentation is unchanged."
            raise OutOfMemoryError(f"{text} Close other programs and try again.") from error
        raise
    backbone.network.eval()
    for parameter in backbone.network.parameters():
        parameter.requires_grad_(False)
    return replace(backbone, config=found.adapted(backbone.config), folder=Path(path), kind=module.KIND)


def describe_backbone(path: str | Path) -> BackboneConfig:
    """What the folder says of its network; no code of it runs and no weights are read.

    Raises:
        BackboneError: as `load_backbone`, as far as can be told from the description.
    """
    found = _find(Path(path))
    return found.adapted(found.kind.import_module().describe(found.folder, found.options))


def kind_of(path: str | Path) -> str:
    """What kind of folder it is, for people; BackboneError when it is none."""
    return _find(Path(path)).kind.import_module().KIND


def _find(folder: Path) -> _Found:
    source = folder / CONFIG_NAME
    if not folder.is_dir():
        what = "is a file: name the folder that it lies in" if folder.is_file() else "is not a folder"
        raise BackboneError(f"{folder} {what}.\n{FOLDER_LAYOUT}")
    if not source.is_file():
        return _Found(_recognized(folder), folder, {}, {}, source)
    said = read_json(source)
    if "kind" not in said and "folder" not in said:
        return _Found(KINDS[0], folder, {}, _said_of_classes(source, said), source)
    return _pointed_to(source, said)


def _said_of_classes(source: Path, said: dict[str, Any]) -> dict[str, Any]:
    """The class map of backbone.json; the other keys are read by the kind itself."""
    if "class_map" not in said:
        return {}
    if not isinstance(said["class_map"], dict):
        shown = json.dumps(said["class_map"])
        raise BackboneError(f"{source}: 'class_map' must be an object, not {shown}.")
    return {"class_map": said["class_map"]}


def _pointed_to(source: Path, said: dict[str, Any]) -> _Found:
    """What a backbone.json means that points to another folder."""
    if said.get("format") != 1 or isinstance(said.get("format"), bool):
        raise BackboneError(f"{source}: 'format' must be 1, not {json.dumps(said.get('format'))}.")
    for key in ("folder", "kind", "name", "license"):
        if key in said and not (isinstance(said[key], str) and said[key].strip()):
            raise BackboneError(f"{source}: {key!r} must be a text, not {json.dumps(said[key])}.")
    class_map = _said_of_classes(source, said)
    # Beside the description where no folder is named: nnU-Net's own files together with a backbone.json.
    folder = source.parent / Path(said.get("folder", ".")).expanduser()
    if not folder.is_dir():
        raise BackboneError(f"{source}: 'folder' names {said['folder']!r}, but {folder} is not a folder.")
    kind = _named(source, said["kind"]) if "kind" in said else _recognized(folder, but_not=source)
    if kind is KINDS[0]:
        target = folder / CONFIG_NAME
        if target.resolve() == source.resolve() or "folder" in (raw := read_json(target)) or "kind" in raw:
            raise BackboneError(f"{source}: 'folder' must lead to a folder with a network, not to {target}.")
        class_map = _said_of_classes(target, raw) | class_map
    options = {key: value for key, value in said.items() if key not in _POINTER_KEYS}
    own = {key: said[key] for key in ("name", "license") if key in said}
    return _Found(kind, folder, options, own | class_map, source)


def _named(source: Path, key: str) -> Kind:
    for kind in KINDS:
        if kind.key == key:
            if kind.exists:
                return kind
            raise BackboneError(f"{source}: this version cannot read the kind {key!r}. Install a newer one.")
    known = ", ".join(repr(kind.key) for kind in KINDS)
    raise BackboneError(f"{source}: 'kind' must be one of {known}, not {key!r}.")


def _recognized(folder: Path, but_not: Path | None = None) -> Kind:
    kind = _kind_at(folder, but_not)
    if kind is not None:
        return kind
    names = sorted(p.name + ("/" if p.is_dir() else "") for p in folder.iterdir())
    held = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "nothing"
    meant = _near(folder)
    hint = f" Did you mean {meant}?" if meant else ""
    kinds = "\n".join(f"  {kind.needs}" for kind in KINDS)
    raise BackboneError(
        f"{folder} has no {CONFIG_NAME} and is no other folder of a network; it holds {held}.{hint}\n"
        f"What such a folder holds, one of:\n{kinds}\n{FOLDER_LAYOUT}"
    )


def _kind_at(folder: Path, but_not: Path | None = None) -> Kind | None:
    for kind in KINDS:
        ours = kind is KINDS[0] and but_not is not None and (folder / CONFIG_NAME).resolve() == but_not.resolve()
        if not ours and kind.exists and kind.import_module().recognizes(folder):
            return kind
    return None


def _near(folder: Path) -> Path | None:
    """A folder close by that holds a network: people choose the one above, or a fold inside."""
    below = sorted(p for p in folder.glob("*") if p.is_dir())
    deeper = sorted(p for p in folder.glob("*/*") if p.is_dir())
    for near in [folder.absolute().parent, *below[:50], *deeper[:50]]:
        if _kind_at(near) is not None:
            return near
    return None
