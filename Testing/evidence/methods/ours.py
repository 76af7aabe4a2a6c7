"""Interactive Refine itself, its parts left out one at a time, and its settings varied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np

import InteractiveRefineLib
from InteractiveRefineLib.backbone import load_backbone
from InteractiveRefineLib.backbone.strokes_only import strokes_only
from InteractiveRefineLib.constraints import Constraints
from InteractiveRefineLib.decoding.decode import Decoder
from InteractiveRefineLib.outlines.follow import Outlines
from InteractiveRefineLib.segmentation import BACKGROUND_STROKE
from InteractiveRefineLib.session import RefineSession
from InteractiveRefineLib.settings import RefineSettings
from Testing.evidence.case import Case
from Testing.evidence.method import Drawn, Method
from Testing.evidence.store import source_version

#: What decides results; how they are asked for and carried does not.
_LIBRARY = source_version(Path(InteractiveRefineLib.__file__).parent, without=("batch", "cli", "worker"))


def _has_network(case: Case) -> bool:
    return case.backbone is not None


class SessionWithoutWalker(RefineSession):
    """The product, but its decoder stops after the blend: near the strokes no random walker decides."""

    def refine(self, *arguments, **named):
        with patch.object(Decoder, "walk", lambda decoder, should_cancel: None):
            return super().refine(*arguments, **named)


class SessionWithoutOutlines(RefineSession):
    """The product, but outlines do not follow the edges in the image."""

    def refine(self, *arguments, **named):
        with patch.object(Outlines, "followed", lambda outlines, labels, *rest: labels):
            return super().refine(*arguments, **named)


class _Ours:
    def __init__(self, case: Case, settings: RefineSettings, kind: type[RefineSession]) -> None:
        channels = tuple(f"channel {number + 1}" for number in range(len(case.image.channels)))
        backbone = load_backbone(case.backbone) if case.backbone else strokes_only(channels)
        self._session = kind(case.image, backbone, settings, new_classes=case.added)
        self._constraints = Constraints(case.image.geometry)

    def refine(self, drawn: Drawn, labels: np.ndarray) -> np.ndarray:
        """One round of the product."""
        said = drawn.prompts[-1]
        painted = np.where(said.painted == 0, BACKGROUND_STROKE, said.painted)
        self._constraints.add_strokes(np.where(painted < 0, 0, painted))
        self._constraints.add_points(said.points)
        self._constraints.add_boxes(said.boxes)
        self._constraints.next_round()
        return self._session.refine(self._constraints).labels


def method(
    name: str,
    settings: RefineSettings,
    cites: str = "",
    kind: type[RefineSession] = RefineSession,
    suits: Callable[[Case], bool] = _has_network,
) -> Method:
    """The product with other settings, or with a part left out, as a method of the evidence."""

    def begin(case: Case) -> _Ours:
        return _Ours(case, settings, kind)

    version = _LIBRARY + repr(settings)
    if kind is not RefineSession:
        version += kind.__name__
    return Method(name, begin, suits=suits, version=version, cites=cites)


def _ablation(what: str, cites: str = "", kind: type[RefineSession] = RefineSession, **settings) -> Method:
    return method(f"ours {what}", RefineSettings(**settings), cites, kind)


#: The rows of the ablation tables, each with one thing changed. Which setting is the default may change with time:
#: the row that says the same as "ours" stays, so that the table needs no reading between the lines.
ABLATIONS = (
    _ablation("without tuning", "strokes act through the walker alone", steps=0),
    _ablation("without growing", "strokes of new classes as drawn", grow="none"),
    _ablation("growing all strokes", "the paper's region growing for every class", grow="all"),
    _ablation("without the walker", "tuning and blending alone", SessionWithoutWalker),
    _ablation("without following edges", "outlines as the network has them", SessionWithoutOutlines),
    *(_ablation(f"with {layers} layer{'s'[: layers > 1]}", "the paper's l", layers=layers) for layers in (1, 2, 3)),
    *(_ablation(f"with {steps} steps", "the paper's M", steps=steps) for steps in (10, 30, 80, 140)),
)

METHODS = (
    method("Algorithm 1 as printed", RefineSettings(update="paper"), "Sambaturu et al., MICCAI 2021"),
    method("cross-entropy tuning", RefineSettings(update="cross-entropy"), "Algorithm 1 with the loss it means"),
    method("ours", RefineSettings(), "this program's defaults", suits=lambda case: True),
    *ABLATIONS,
)
