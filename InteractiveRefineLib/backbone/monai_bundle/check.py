"""What a bundle's configuration may ask for without the user's word that it is trusted.

A configuration is a program: `_target_` names anything that can be called, "$" starts a Python expression. Only
MONAI's own networks, transforms and inferers and torch.nn's layers may be made, looked up as the objects they are (a
name like monai.data.utils.os.system leads elsewhere), and expressions may hold only what `expressions.py` lists. So a
configuration cannot start programs, open files or fetch anything by way of what MONAI offers to it; it can still ask
for more memory or time than there is.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from pydoc import locate
from typing import Any

import torch

from ...errors import BackboneError
from .expressions import dotted_names, refusal

_SPECIAL = {"_target_", "_disabled_", "_requires_", "_desc_", "_mode_"}
_HOMES = ("monai.networks.", "monai.transforms.", "monai.inferers.", "torch.nn.")
#: These read or write files, or look classes of other packages up by name.
_NEVER = (
    "Load", "Save", "Write", "TorchVision", "RandTorchVision", "TorchIO", "RandTorchIO", "CuCIM", "RandCuCIM",
    "CellSam", "TextEncoder", "Transchex", "BertPreTrainedModel",
)  # fmt: skip
_INFERERS = ("SimpleInferer", "SlidingWindowInferer", "SlidingWindowInfererAdapt", "SliceInferer")
_HOW_TO_TRUST = (
    'If you trust whoever made this bundle, write a backbone.json with {"format": 1, "kind": "monai", "folder": '
    '"THIS FOLDER", "trust": true}: then the bundle may run any code, as with MONAI itself.'
)


class ConfigCheck:
    """Refuses a configuration that asks for anything but harmless parts.

    Args:
        path: of the configuration, for messages.
        locator: MONAI's table of short names (`ConfigParser.locator`).
    """

    def __init__(self, path: Path, locator: Any) -> None:
        from monai.bundle import ConfigComponent, ReferenceResolver

        self._path, self._locator = path, locator
        self._component, self._resolver = ConfigComponent, ReferenceResolver

    def check(self, config: Any, where: str = "") -> None:
        """Look at all of a configuration that MONAI could ever evaluate.

        Raises:
            BackboneError: naming the file, the key and what was refused.
        """
        if isinstance(config, dict):
            if "_target_" in config:
                self._check_component(config, where)
            for key, value in config.items():
                self.check(value, f"{where}::{key}" if where else str(key))
        elif isinstance(config, list):
            for n, value in enumerate(config):
                self.check(value, f"{where}::{n}")
        elif isinstance(config, str):
            self._check_text(config, where)

    def _refuse(self, where: str, found: Any, reason: str) -> BackboneError:
        return BackboneError(
            f"{self._path}: {where!r} asks for {found!r}, which was not run: {reason}. {_HOW_TO_TRUST}"
        )

    def _check_component(self, config: dict[str, Any], where: str) -> None:
        target = config["_target_"]
        if config == {"_target_": target, "_disabled_": True}:  # never made
            return
        if not isinstance(target, str) or target.startswith(("$", "@", "%")):
            raise self._refuse(where, target, "a _target_ must be a plain name")
        if config.get("_mode_", "default") != "default":
            raise self._refuse(where, config["_mode_"], "only the _mode_ 'default' is allowed")
        for key in config:
            if str(key).startswith("_") and key not in _SPECIAL:
                raise self._refuse(where, key, "this key is not allowed")
        name = self._component(config, locator=self._locator).resolve_module_name()
        if not is_harmless(name):
            raise self._refuse(where, target, "only MONAI's networks, transforms and inferers and torch.nn are allowed")
        # Some fetch weights unless they are told not to.
        for key, parameter in inspect.signature(locate(name).__init__).parameters.items():
            if key.startswith("pretrained") and config.get(key, parameter.default) not in (None, False, ""):
                raise self._refuse(where, target, f"it fetches or reads further weights; set {key!r} to false")

    def _check_text(self, text: str, where: str) -> None:
        if text.startswith("%"):
            raise self._refuse(where, text, "it reads another file")
        if not text.startswith("$"):
            return
        # The very text that MONAI would evaluate: checking another one could be fooled.
        evaluated = self._resolver.update_refs_pattern(text, _Anything())[1:]
        names = {name for name in dotted_names(evaluated) if is_harmless(name)}
        reason = refusal(evaluated, names)
        if reason:
            raise self._refuse(where, text, reason)


class _Anything(dict):
    """Holds every reference."""

    def __contains__(self, key: object) -> bool:
        return True


def is_harmless(name: str) -> bool:
    """Whether a full name leads to one of the classes that a bundle may make."""
    if not name.startswith(_HOMES):
        return False
    from monai.inferers import Inferer
    from monai.transforms import Transform

    try:
        found = locate(name)
    except Exception:  # pydoc's ErrorDuringImport: an optional package is missing
        return False
    if not inspect.isclass(found) or not found.__module__.startswith(_HOMES):
        return False
    if issubclass(found, Inferer):
        return found.__name__ in _INFERERS
    return issubclass(found, (torch.nn.Module, Transform)) and not found.__name__.startswith(_NEVER)
