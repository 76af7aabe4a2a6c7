"""Interactive Refine itself, and its parts left out one at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import InteractiveRefineLib
from InteractiveRefineLib.backbone import load_backbone
from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.segmentation import BACKGROUND_STROKE
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import RefineSettings
from Testing.evidence.case import Case
from Testing.evidence.method import Drawn, Method
from Testing.evidence.store import source_version


class _Ours:
    def __init__(self, case: Case, settings: RefineSettings) -> None:
        backbone = load_backbone(case.backbone)
        self._session = RefineSession(case.image, backbone, settings, new_classes=case.added)
        self._constraints = Constraints(case.image.geometry)

    def refine(self, drawn: Drawn, labels: np.ndarray) -> np.ndarray:
        """One round of the product."""
        newest = drawn.rounds[-1]
        self._constraints.add_strokes(np.where(newest < 0, 0, np.where(newest == 0, BACKGROUND_STROKE, newest)))
        self._constraints.next_round()
        return self._session.refine(self._constraints).labels


def method(name: str, settings: RefineSettings, cites: str = "") -> Method:
    """The product with other settings, as a method of the evidence."""

    def begin(case: Case) -> _Ours:
        return _Ours(case, settings)

    version = source_version(Path(InteractiveRefineLib.__file__).parent) + repr(settings)
    return Method(name, begin, suits=_has_network, version=version, cites=cites)


def _has_network(case: Case) -> bool:
    return case.backbone is not None


METHODS = (
    method("Algorithm 1 as printed", RefineSettings(update="paper"), "Sambaturu et al., MICCAI 2021"),
    method("cross-entropy tuning", RefineSettings(update="cross-entropy"), "Algorithm 1 with the loss it means"),
    method("ours", RefineSettings(), "this program's defaults"),
)
